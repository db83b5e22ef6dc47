//! Probes and their echo. A probe leaves when it is due, whether or not the one before came back: a relay that
//! stalls then delays many of them, as it would delay what an application sends.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::statistics::percentile;
use crate::words::{RoundTrips, Said};
use crate::worker::say;

/// Bytes of a probe: what `ping` sends.
const PROBE_BYTES: usize = 56;

/// How long the last probe may take to come back.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn echo(listen: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(listen)?;
    say(&Said::Ready)?;
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        // A probe that cannot go back is a probe that was lost.
        let _ = socket.send_to(&buffer[..length], from);
    }
}

pub(super) fn probe(to: SocketAddr, count: u64, interval_us: u64) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let started = Instant::now();
    let interval = Duration::from_micros(interval_us);
    let mut trips = thread::scope(|scope| {
        scope.spawn(|| send(&socket, count, interval, started));
        receive(&socket, count, interval, started)
    });
    trips.sort_by(f64::total_cmp);
    let [p50_us, p99_us] = [50, 99].map(|percent| percentile(&trips, percent));
    say(&Said::RoundTrips(RoundTrips { sent: count, answered: trips.len() as u64, p50_us, p99_us }))
}

fn send(socket: &UdpSocket, count: u64, interval: Duration, started: Instant) {
    let mut payload = [0; PROBE_BYTES];
    for _ in 0..count {
        let sent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        payload[..8].copy_from_slice(&sent.to_be_bytes());
        // A probe that cannot leave is a probe that was lost.
        let _ = socket.send(&payload);
        thread::sleep(interval);
    }
}

/// Returns the round trips in microseconds, in order of arrival.
fn receive(socket: &UdpSocket, count: u64, interval: Duration, started: Instant) -> Vec<f64> {
    let mut trips = Vec::new();
    let mut buffer = [0; PROBE_BYTES];
    // A sleep takes longer than it was asked to, on a busy machine much longer.
    let end = started + interval * u32::try_from(count).unwrap_or(u32::MAX) * 2 + PATIENCE;
    while (trips.len() as u64) < count && Instant::now() < end {
        match socket.recv(&mut buffer) {
            Ok(8..) => {}
            // Nothing for so long: all that is still to come is lost.
            _ if started.elapsed() > interval * u32::try_from(count).unwrap_or(u32::MAX) => break,
            _ => continue,
        }
        let now = started.elapsed().as_nanos();
        let mut sent = [0; 8];
        sent.copy_from_slice(&buffer[..8]);
        trips.push((now - u128::from(u64::from_be_bytes(sent))) as f64 / 1000.0);
    }
    trips
}
