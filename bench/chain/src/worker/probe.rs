//! Probes: those of `ping`, which the kernel of the far host answers, and whose way back ends when the kernel of this one
//! has them. So a round trip is that of the network, and no program's wait for a processor, but of those on the way, is in it.
//! A probe leaves when it is due, whether or not the one before came back: a relay that stalls then delays many of
//! them, as it would delay what an application sends.

use std::net::IpAddr;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::statistics::percentile;
use crate::words::{RoundTrips, Said};
use crate::worker::say;

/// Sends probes so far apart for so long, or until so many have come back. A busy machine sends fewer than that makes.
pub(super) fn probe(to: IpAddr, count: Option<u64>, seconds: f64, interval_us: u64) -> anyhow::Result<()> {
    let mut command = Command::new("timeout");
    // To this signal it says what came of it.
    command.args(["--signal", "INT", &seconds.to_string(), "ping", "-n"]);
    command.args(["-i", &(interval_us as f64 / 1e6).to_string()]);
    if let Some(count) = count {
        command.args(["-c", &count.to_string()]);
    }
    let output =
        command.arg(to.to_string()).stdin(Stdio::null()).output().context("timeout cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    // It fails, too, when nothing came back; that is an answer.
    let sent = text.lines().find_map(sent_of);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let sent = sent.with_context(|| format!("ping (of iputils) says: {}", complaint.trim()))?;
    let mut trips: Vec<f64> = text.lines().filter_map(microseconds_of).collect();
    trips.sort_by(f64::total_cmp);
    let [p50_us, p99_us] = [50, 99].map(|percent| percentile(&trips, percent));
    say(&Said::RoundTrips(RoundTrips { sent, answered: trips.len() as u64, p50_us, p99_us }))
}

/// Reads how many were sent from the line that says so.
fn sent_of(line: &str) -> Option<u64> {
    let (count, _) = line.split_once(" packets transmitted,")?;
    count.parse().ok()
}

/// Reads the round trip from the line of an answer. Errors, and answers that came twice, have none.
fn microseconds_of(line: &str) -> Option<f64> {
    let (_, time) = line.split_once(" time=")?;
    let milliseconds: f64 = time.strip_suffix(" ms")?.parse().ok()?;
    Some(milliseconds * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_in_the_summary() {
        assert_eq!(
            sent_of("675 packets transmitted, 601 received, 10.963% packet loss, time 1349ms"),
            Some(675)
        );
        assert_eq!(sent_of("64 bytes from 10.0.0.3: icmp_seq=2 ttl=62 time=0.207 ms"), None);
    }

    #[test]
    fn a_round_trip_is_read_from_an_answer_and_from_nothing_else() {
        let answer = "64 bytes from 10.0.0.3: icmp_seq=2 ttl=62 time=0.207 ms";
        assert_eq!(microseconds_of(answer), Some(207.0));
        assert_eq!(microseconds_of("64 bytes from 10.0.0.3: icmp_seq=3 ttl=62 time=31.5 ms"), Some(31_500.0));

        for line in [
            "PING 10.0.0.3 (10.0.0.3) 56(84) bytes of data.",
            "From 10.0.0.1 icmp_seq=1 Destination Host Unreachable",
            "64 bytes from 10.0.0.3: icmp_seq=2 ttl=62 time=0.207 ms (DUP!)",
            "3 packets transmitted, 3 received, 0% packet loss, time 2003ms",
            "rtt min/avg/max/mdev = 0.123/0.619/12.683/1.038 ms",
        ] {
            assert_eq!(microseconds_of(line), None, "{line}");
        }
    }
}
