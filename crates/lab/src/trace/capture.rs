//! A trace as a capture file: every datagram at its sender's interface and, if it got there, at its
//! receiver's, with what became of it as a comment, and the secrets of every session in front.

use std::fmt::Write as _;
use std::time::Duration;

use crate::pcapng::{Capture, CapturedPacket};
use crate::trace::journey::{Fate, Journey, JourneyEnd};
use crate::trace::{HostIndex, Nanos, SealedBy, Trace, Way};

impl Trace {
    /// Makes the capture. The two ends of a datagram have one packet id. What is more than a capture holds,
    /// or no UDP datagram, is left out, and the comment on the whole says how much that is.
    #[must_use]
    pub fn to_capture(&self) -> Capture {
        let mut capture = Capture::new();
        let interfaces: Vec<_> = self.hosts.iter().map(|host| capture.add_interface(&host.name)).collect();
        let has_secrets = capture.add_secrets(self.sessions.iter().map(|session| &session.keylog)).is_ok();
        let interface_of = |host: HostIndex| interfaces.get(usize::try_from(host.0).ok()?).copied();
        let mut packets = Vec::new();
        for journey in self.journeys() {
            let mut packet = |host, at: Nanos, comment: String| {
                let Some(interface) = interface_of(host) else { return };
                let at = Duration::from_nanos(self.began_unix_nanos.saturating_add(at.0));
                packets.push(CapturedPacket {
                    at,
                    interface,
                    source: journey.source,
                    destination: journey.destination,
                    payload: journey.bytes.to_vec(),
                    comment: Some(comment),
                    packet_id: journey.datagram.0,
                });
            };
            packet(journey.by, journey.sent_at, self.comment_at_sender(&journey));
            if let Some(JourneyEnd { at, host: Some(host), fate }) = &journey.end {
                packet(*host, *at, self.comment_at_receiver(*host, fate, journey.sealed_by));
            }
        }
        packets.sort_by_key(|packet| packet.at);
        let (mut comment, packets_seen) = (self.describe_run(), packets.len());
        let kept = packets.into_iter().filter_map(|packet| capture.add_packet(packet).ok()).count();
        if kept < packets_seen {
            let _ = write!(comment, "; {} of {packets_seen} packets are left out", packets_seen - kept);
        }
        if !has_secrets {
            comment.push_str("; the secrets of some sessions are left out");
        }
        capture.set_comment(&comment);
        capture
    }

    fn describe_run(&self) -> String {
        format!("{}: {} on {}, seed {}", self.title, self.scenario, self.backend, self.seed)
    }

    fn comment_at_sender(&self, journey: &Journey<'_>) -> String {
        let mut words = vec![match journey.way {
            Way::Socket => format!("{} sends", self.name_of(journey.by)),
            Way::Injected => format!("injected at {}", self.name_of(journey.by)),
            Way::Duplicated => "a copy made by the network".to_owned(),
        }];
        words.extend(journey.title().map(|label| format!("\"{label}\"")));
        words.extend(journey.sealed_by.map(|sealed| format!("sealed by {}", self.describe_seal(sealed))));
        match journey.end.as_ref().map(|end| &end.fate) {
            Some(Fate::Lost(why)) => words.push(format!("lost: {why}")),
            None => words.push("still on its way when the run ended".to_owned()),
            Some(Fate::Refused { .. } | Fate::Judged { .. } | Fate::Read(_)) => {}
        }
        words.join(", ")
    }

    fn comment_at_receiver(&self, host: HostIndex, fate: &Fate<'_>, sealed_by: Option<SealedBy>) -> String {
        let host = self.name_of(host);
        let said = match fate {
            Fate::Lost(why) => format!("lost: {why}"),
            Fate::Refused { icmp: true } => {
                format!("at {host}: dropped at kernel (no socket takes it; ICMP port unreachable goes back)")
            }
            Fate::Refused { icmp: false } => format!("at {host}: dropped at kernel (no socket takes it)"),
            Fate::Judged { verdict, reason, clause } => {
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                let clause = if clause.is_empty() { String::new() } else { format!(" [{clause}]") };
                format!("at {host}: {verdict}{reason}{clause}")
            }
            Fate::Read(by) => format!("at {host}: read by {by}"),
        };
        match sealed_by {
            Some(sealed) => format!("{said}, sealed by {}", self.describe_seal(sealed)),
            None => said,
        }
    }
}
