//! A NAT of one mapping on loopback: what goes in comes out from another port, and that port can change.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How soon a thread sees that it is to end.
const TURN: Duration = Duration::from_millis(20);

pub(crate) struct Nat {
    inside: Arc<UdpSocket>,
    server: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    outside: Mutex<Arc<UdpSocket>>,
    client: Mutex<Option<SocketAddr>>,
    is_over: AtomicBool,
}

impl Nat {
    /// Stands between whoever sends to [`Self::address`], and `server`.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let inside = Arc::new(socket());
        let shared = Arc::new(Shared {
            outside: Mutex::new(Arc::new(socket())),
            client: Mutex::new(None),
            is_over: AtomicBool::new(false),
        });
        let mut nat = Self { inside, server, shared, threads: Vec::new() };
        let (inside, shared) = (Arc::clone(&nat.inside), Arc::clone(&nat.shared));
        nat.threads.push(std::thread::spawn(move || {
            shared.carry(&inside, |from, datagram| {
                *lock(&shared.client) = Some(from);
                let _ = lock(&shared.outside).send_to(datagram, server);
            });
        }));
        nat.carry_back();
        nat
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.inside.local_addr().unwrap()
    }

    pub(crate) fn outside(&self) -> SocketAddr {
        lock(&self.shared.outside).local_addr().unwrap()
    }

    /// Takes another port. What is sent to the old one is lost.
    pub(crate) fn rebind(&mut self) {
        *lock(&self.shared.outside) = Arc::new(socket());
        self.carry_back();
    }

    fn carry_back(&mut self) {
        let (inside, shared, server) = (Arc::clone(&self.inside), Arc::clone(&self.shared), self.server);
        let outside = Arc::clone(&lock(&shared.outside));
        self.threads.push(std::thread::spawn(move || {
            shared.carry(&outside, |from, datagram| {
                let is_current = Arc::ptr_eq(&outside, &lock(&shared.outside));
                if let (true, true, Some(client)) = (is_current, from == server, *lock(&shared.client)) {
                    let _ = inside.send_to(datagram, client);
                }
            });
        }));
    }
}

impl Shared {
    fn carry(&self, socket: &UdpSocket, mut to: impl FnMut(SocketAddr, &[u8])) {
        let mut buffer = vec![0; 65_536];
        while !self.is_over.load(Ordering::Relaxed) {
            if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                to(from, &buffer[..len]);
            }
        }
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(TURN)).unwrap();
    socket
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
