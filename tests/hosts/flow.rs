//! What programs of the hosts say to each other through the TUN, as on any network: datagrams with numbers, and
//! streams of bytes.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::seen::Seen;
use crate::support::DEADLINE;

/// The time between two datagrams.
const INTERVAL: Duration = Duration::from_millis(5);

/// Numbered datagrams from one host to another.
pub(crate) struct Flow {
    from: UdpSocket,
    to: UdpSocket,
    bytes: usize,
    pub(crate) seen: Seen,
}

impl Flow {
    /// Binds a socket at both ends. Datagrams have so many bytes.
    pub(crate) fn new(from: (&Host, Ipv6Addr), to: (&Host, Ipv6Addr), bytes: usize) -> Self {
        let bound = |(host, address): (&Host, Ipv6Addr)| {
            let socket = host.namespace.enter("bind", || UdpSocket::bind((address, 0))).unwrap();
            socket.set_read_timeout(Some(INTERVAL)).unwrap();
            socket
        };
        let (from, to) = (bound(from), bound(to));
        from.connect(to.local_addr().unwrap()).unwrap();
        Self { from, to, bytes, seen: Seen::default() }
    }

    /// Goes on until something has come about.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Seen) -> bool) {
        let end = Instant::now() + DEADLINE;
        let mut buffer = [0; 2048];
        while !done(&self.seen) {
            assert!(Instant::now() < end, "within {DEADLINE:?}: {what}; so far {:?}", self.seen);
            let mut payload = vec![0; self.bytes.max(8)];
            payload[..8].copy_from_slice(&self.seen.send().to_be_bytes());
            // While there is no way the kernel refuses it, or tells of one that was refused.
            let _ = self.from.send(&payload);
            let next = Instant::now() + INTERVAL;
            while Instant::now() < next {
                let Ok(length) = self.to.recv(&mut buffer) else { break };
                let number = buffer[..length].first_chunk().map(|number| u64::from_be_bytes(*number));
                self.seen.arrive(number.expect("eight bytes at least"), Instant::now());
            }
        }
    }
}

/// A connection of TCP between two hosts.
pub(crate) struct Connection {
    near: TcpStream,
    far: TcpStream,
}

impl Connection {
    /// Opens it.
    #[track_caller]
    pub(crate) fn new(from: &Host, (host, address): (&Host, Ipv6Addr)) -> Self {
        let listener = host.namespace.enter("bind", || TcpListener::bind((address, 0))).unwrap();
        let there = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&there, DEADLINE);
        let near = from.namespace.enter("connect", connect).unwrap();
        let (far, _) = listener.accept().unwrap();
        Self { near, far }
    }

    /// Sends bytes there and back, and compares; returns how long it took.
    #[track_caller]
    pub(crate) fn echo(self, bytes: usize) -> Duration {
        let Self { near, far } = self;
        echo_over(near, move || far, bytes)
    }
}

/// Sends a stream of bytes from one host to another and back, and compares; returns how long it took.
#[track_caller]
pub(crate) fn stream(from: &Host, to: (&Host, Ipv6Addr), bytes: usize) -> Duration {
    let (host, address) = to;
    let listener = host.namespace.enter("bind", || TcpListener::bind((address, 0))).unwrap();
    let there = listener.local_addr().unwrap();
    stream_by(from, there, listener, bytes)
}

/// The same to a listener somewhere, by way of an address that leads to it.
#[track_caller]
pub(crate) fn stream_by(from: &Host, by: SocketAddr, listener: TcpListener, bytes: usize) -> Duration {
    let started = Instant::now();
    let stream = from.namespace.enter("connect", || TcpStream::connect_timeout(&by, DEADLINE)).unwrap();
    echo_over(stream, move || listener.accept().unwrap().0, bytes);
    started.elapsed()
}

#[track_caller]
fn echo_over(
    mut near: TcpStream,
    far: impl FnOnce() -> TcpStream + Send + 'static,
    bytes: usize,
) -> Duration {
    let sent: Vec<u8> = (0..=250).cycle().take(bytes).collect();
    let started = Instant::now();
    // It is not joined when this end fails first: the test says what was wrong, and does not wait.
    let echo = std::thread::spawn(move || {
        let mut far = far();
        far.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).unwrap();
        far.write_all(&heard).unwrap();
    });
    near.set_read_timeout(Some(DEADLINE)).unwrap();
    near.write_all(&sent).unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    near.read_to_end(&mut heard).unwrap();
    echo.join().unwrap();
    assert!(heard == sent, "{} bytes came back of {bytes}", heard.len());
    started.elapsed()
}
