//! Ports that nobody else is going to take.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that kernels give away by themselves, so that only tests compete for these.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// Steps between processes: test binaries that run at the same time start far from each other.
const STRIDE: u32 = 97;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Returns a UDP port of 127.0.0.1 that is free, and that no other call in this process returns.
pub(crate) fn free_port() -> u16 {
    let offset = std::process::id().wrapping_mul(STRIDE);
    loop {
        let number = offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + number).expect("10000 + 20000 is a port");
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
