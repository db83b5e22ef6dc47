//! A datagram that went no further than a lock: who sent it, why it was refused, and what that means.

use std::net::SocketAddr;

use peerbound_dtls::{ContentType, Discard, RecordHeader};
use peerbound_node::{DatagramDrop, Lock, NeighbourView, Reason, ReturnPath, Stray, Verdict};
use peerbound_wire::{Acquaintance, NodeId};

use crate::explain::{Known, Scene, WayThere, counted};

/// What is known of a stray datagram and its sender.
pub(crate) struct StrayFacts<'a> {
    pub(crate) stray: &'a Stray,
    /// Who is at its source address, if anyone knows.
    pub(crate) who: Option<Known>,
    /// How many neighbours were asked, and how many of them answered.
    pub(crate) asked: (usize, usize),
    /// The way to whoever is there, if there is one.
    pub(crate) way: Option<WayThere>,
}

/// Explains a stray datagram.
pub(crate) fn explain_stray(scene: &Scene<'_>, facts: &StrayFacts<'_>) -> Vec<String> {
    let mut said = vec![what(scene, facts.stray), why(facts.stray), who(scene, facts)];
    if let Some(known) = &facts.who {
        said.extend(session(scene, facts.stray.from, known));
        said.extend(way(scene, known.id, facts.way.as_ref()));
    }
    said.extend(meaning(scene, facts));
    said
}

fn what(scene: &Scene<'_>, stray: &Stray) -> String {
    let times = match stray.times {
        1 => String::new(),
        times => format!(" (the last of {times} alike, the first {})", scene.ago(stray.first_at)),
    };
    let size = counted(stray.bytes as u64, "byte");
    format!("{}{times}: {size} from {}, {}.", scene.ago(stray.at), stray.from, describe(stray))
}

/// Says what a datagram is, as far as its first bytes show.
fn describe(stray: &Stray) -> String {
    let Some(record) = stray.record() else {
        return match stray.head().first() {
            None => "an empty datagram".to_owned(),
            Some(first) => format!("which begin with no DTLS record (first byte 0x{first:02x})"),
        };
    };
    let RecordHeader { epoch, sequence, version, .. } = record;
    let version = match version {
        0xfefd => "DTLS 1.2".to_owned(),
        0xfeff => "DTLS 1.0".to_owned(),
        other => format!("version 0x{other:04x}"),
    };
    format!("which begin with {} of {version}, epoch {epoch}, number {sequence}", kind_of(stray, &record))
}

fn kind_of(stray: &Stray, record: &RecordHeader) -> String {
    match (record.content_type, stray.handshake_type()) {
        (ContentType::ApplicationData, _) => "a record of application data".to_owned(),
        (ContentType::Alert, _) if record.epoch == 0 => "an alert in the clear".to_owned(),
        (ContentType::Alert, _) => "a sealed alert".to_owned(),
        (ContentType::ChangeCipherSpec, _) => "a ChangeCipherSpec".to_owned(),
        (ContentType::Handshake, Some(message)) => format!("a handshake record ({})", message_name(message)),
        (ContentType::Handshake, None) => "a sealed handshake record".to_owned(),
    }
}

/// The names of RFC 5246, 7.4, and of RFC 6347, 4.3.2.
fn message_name(message: u8) -> &'static str {
    match message {
        1 => "ClientHello",
        2 => "ServerHello",
        3 => "HelloVerifyRequest",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        _ => "a message without a name",
    }
}

fn why(stray: &Stray) -> String {
    let lock = match stray.verdict {
        Verdict::Dropped(lock) => lock,
        Verdict::Killed => return "It ended a session, which no datagram should.".to_owned(),
        Verdict::Accepted | Verdict::Challenged => return "It was taken.".to_owned(),
    };
    let reason = stray.reason.map_or("unknown", Reason::name);
    let because = match (lock, stray.reason) {
        (Lock::Demux, Some(Reason::Datagram(DatagramDrop::HelloRefused))) => {
            "its ClientHello is not one that can be answered".to_owned()
        }
        (Lock::Demux, Some(Reason::Datagram(DatagramDrop::HelloThrottled))) => {
            "its network sent more hellos than one may".to_owned()
        }
        (Lock::Demux, Some(Reason::Datagram(DatagramDrop::HalfOpenFull))) => {
            "as many handshakes are in progress as may be".to_owned()
        }
        (Lock::Demux | Lock::Kernel, _) => {
            "no session here belongs to that address (RFC 6347, 4.1.1)".to_owned()
        }
        (Lock::Gate, _) => "its form is none that the session there could have sent".to_owned(),
        (Lock::Replay, Some(Reason::Record(Discard::TooOld))) => {
            "its number is too far behind the newest (RFC 6347, 4.1.2.6)".to_owned()
        }
        (Lock::Replay, _) => "its number was received before (RFC 6347, 4.1.2.6)".to_owned(),
        (Lock::RecordAuth, _) => {
            "it does not verify under the keys of the session there (RFC 6347, 4.1.2.7)".to_owned()
        }
        (Lock::Identity, _) => match &stray.refusal {
            Some(refusal) => format!("whoever is there was refused: {refusal}"),
            None => "whoever is there was refused; why is unknown".to_owned(),
        },
    };
    format!("Dropped at the lock {}, counted as {reason}: {because}.", lock.name())
}

fn who(scene: &Scene<'_>, facts: &StrayFacts<'_>) -> String {
    let from = facts.stray.from;
    let Some(Known { id, how, by }) = facts.who else {
        let asked = match facts.asked {
            (0, _) => "no neighbour is up that could be asked".to_owned(),
            (asked, answered) if answered < asked => {
                format!(
                    "{} asked, {answered} answered, and none knows it",
                    counted(asked as u64, "neighbour")
                )
            }
            (asked, _) => format!("{} asked, and none knows it", counted(asked as u64, "neighbour")),
        };
        return format!("Who is at {from} is unknown: none of our neighbours is or was there; {asked}.");
    };
    let name = scene.name(&id);
    let known = match (by, how) {
        (Some(by), Acquaintance::Session) => {
            format!("its neighbour {} has its session with it there", scene.name(&by))
        }
        (Some(by), Acquaintance::Before) => {
            format!("its neighbour {} dials it there, or had a session with it there", scene.name(&by))
        }
        (Some(by), Acquaintance::SameHost) => {
            format!("its neighbour {} has a session with it at another port of that host", scene.name(&by))
        }
        (None, Acquaintance::Session) => "our session with it is there".to_owned(),
        (None, Acquaintance::Before) => "we dial it there, or had a session with it there".to_owned(),
        (None, Acquaintance::SameHost) => "our session with it is with another port of that host".to_owned(),
    };
    match how {
        Acquaintance::Session | Acquaintance::Before => format!("{from} is {name}: {known}."),
        Acquaintance::SameHost => format!("{from} is on the host of {name}, and may be it: {known}."),
    }
}

/// Says what session there is with whoever sent the datagram.
fn session(scene: &Scene<'_>, from: SocketAddr, known: &Known) -> Option<String> {
    let name = scene.name(&known.id);
    let Some(neighbour) = scene.neighbour(&known.id) else {
        return Some(format!("{name} has no session with us: it is no neighbour of ours."));
    };
    match neighbour.address {
        Some(address) if address == from => None,
        Some(address) => Some(format!("{name} has a session with us, and that is with {address}.")),
        None => Some(format!(
            "{name} has no session with us at this moment: it is a neighbour, and {}.",
            scene.standing(neighbour)
        )),
    }
}

fn way(scene: &Scene<'_>, id: NodeId, way: Option<&WayThere>) -> Option<String> {
    let name = scene.name(&id);
    let Some(way) = way else {
        return Some(format!(
            "What {name} has to say to us can come by no way that we know: none leads there."
        ));
    };
    if way.via == id {
        return None;
    }
    let via = scene.name(&way.via);
    let reason = scene.reason_for(way);
    Some(match scene.return_path {
        ReturnPath::AsCame => {
            format!(
                "Replies of {name} come through {via}: frames to {name} leave by {via} ({reason}), and replies go back the way their request came."
            )
        }
        ReturnPath::Any => {
            format!(
                "Frames to {name} leave by {via} ({reason}); by which way its replies come, `peerbound trace {name}` shows."
            )
        }
    })
}

fn meaning(scene: &Scene<'_>, facts: &StrayFacts<'_>) -> Option<String> {
    let stray = facts.stray;
    let record = stray.record()?;
    let is_sealed = record.epoch > 0 && record.content_type == ContentType::ApplicationData;
    match (stray.verdict, &facts.who) {
        (Verdict::Dropped(Lock::Demux), Some(known)) if is_sealed => {
            let name = scene.name(&known.id);
            Some(match scene.neighbour(&known.id) {
                None => format!(
                    "It is sealed for a session that is not with us, as a direct reply would be. To let {name} speak to us directly, make it a neighbour at both ends."
                ),
                Some(neighbour) => moved(&name, neighbour),
            })
        }
        (Verdict::Dropped(Lock::Demux), None) if is_sealed => {
            Some("It is sealed for a session that we do not have: whose, the record does not say.".to_owned())
        }
        (_, _) => None,
    }
}

fn moved(name: &str, neighbour: &NeighbourView) -> String {
    if neighbour.address.is_some() {
        format!(
            "It is sealed, perhaps with the keys of our session with {name}: a session does not follow an address until the peer has proved itself there."
        )
    } else {
        format!(
            "It is sealed for a session that {name} may still have and we do not: the next handshake mends that."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshake_messages_have_the_names_of_the_standard() {
        assert_eq!([1, 3, 20].map(message_name), ["ClientHello", "HelloVerifyRequest", "Finished"]);
        assert_eq!(message_name(99), "a message without a name");
    }
}
