//! Datagrams of one size, one system call each on the way out as most programs send them, and a receiver
//! that costs as little as it can, for it shares the processors with what is measured.

use std::io::{BufRead, ErrorKind, IoSliceMut, stdin};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};

use crate::words::Said;
use crate::worker::say;

/// Bytes of one receive buffer: what GRO puts side by side at most.
const RECEIVE_BYTES: usize = 65_536;

/// Bytes that may wait for the receiver, while others have the processors. Beyond what the host allows
/// everybody, which takes the rights of root.
const RECEIVE_BUFFER_BYTES: usize = 16 * 1024 * 1024;

/// The time between two visits of a paced sender: so much is sent in one burst.
const PACE: Duration = Duration::from_micros(200);

/// What a paced sender makes up for at most, when it had no processor for longer: what it was late with was
/// not offered. Otherwise each stall of the machine would be a burst that overflows the first queue.
const BURST: Duration = Duration::from_millis(1);

/// Datagrams between two looks at the clock.
const UNPACED: f64 = 64.0;

pub(super) fn sink(listen: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(listen)?;
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES)?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    let received = AtomicU64::new(0);
    say(&Said::Ready)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            // Who conducts closes our input at the end.
            for _ in stdin().lock().lines().map_while(Result::ok) {
                if say(&Said::Received { datagrams: received.swap(0, Ordering::Relaxed) }).is_err() {
                    break;
                }
            }
            std::process::exit(0);
        });
        receive(&socket, &state, &received)
    })
}

fn receive(socket: &UdpSocket, state: &UdpSocketState, received: &AtomicU64) -> anyhow::Result<()> {
    let mut buffers = vec![0; RECEIVE_BYTES * BATCH_SIZE];
    let mut chunks: Vec<_> = buffers.chunks_mut(RECEIVE_BYTES).map(IoSliceMut::new).collect();
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    loop {
        match state.recv(UdpSockRef::from(socket), &mut chunks, &mut metas) {
            Ok(count) => {
                let datagrams: usize =
                    metas[..count].iter().map(|meta| meta.len.div_ceil(meta.stride.max(1))).sum();
                received.fetch_add(datagrams as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(socket, PollFlags::IN)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What is sent, and where to.
pub(super) struct Source {
    pub(super) to: SocketAddr,
    pub(super) bytes: usize,
    pub(super) segments: usize,
}

impl Source {
    /// Sends so many a second, for so many seconds.
    pub(super) fn run(&self, rate: Option<f64>, seconds: f64) -> anyhow::Result<()> {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
        if self.segments > 1 {
            setsockopt(&socket, sockopt::UdpGsoSegment, &i32::try_from(self.bytes)?)?;
        }
        socket.connect(self.to)?;
        let payload = vec![0x5a; self.bytes * self.segments];
        let at_once = self.segments as f64;
        let started = Instant::now();
        let mut datagrams = 0_u64;
        let mut visited = started;
        let mut due = 0.0;
        while started.elapsed().as_secs_f64() < seconds {
            match rate {
                Some(rate) => {
                    let now = Instant::now();
                    due += rate * now.duration_since(visited).min(BURST).as_secs_f64();
                    visited = now;
                }
                // Without a rate the clock is asked every so often.
                None => due = UNPACED.max(at_once),
            }
            while due >= at_once {
                match socket.send(&payload) {
                    Ok(_) => {}
                    // A device that is full is a loss like any other, and so is what a relay said of one before.
                    Err(error) if is_loss(&error) => {}
                    Err(error) => return Err(error.into()),
                }
                datagrams += self.segments as u64;
                due -= at_once;
            }
            if rate.is_some() {
                thread::sleep(PACE);
            }
        }
        say(&Said::Sent { datagrams, seconds: started.elapsed().as_secs_f64() })
    }
}

fn is_loss(error: &std::io::Error) -> bool {
    let is_full = error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32);
    is_full || matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable)
}
