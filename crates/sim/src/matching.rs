//! Which datagrams are meant: where, of what content, the how many-th of them, and when.

use peerbound_dtls::{ContentType, Records};

use crate::handshake::{HandshakeType, handshake_messages};
use crate::ids::HostId;
use crate::time::VirtualTime;

/// Where a datagram must be on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMatch {
    /// Anywhere.
    Anywhere,
    /// From one host to another.
    OneWay {
        /// From here.
        from: HostId,
        /// To there.
        to: HostId,
    },
    /// Between two hosts, either way; what goes either way is counted together.
    Between(HostId, HostId),
}

impl PathMatch {
    fn takes(self, from: HostId, to: HostId) -> bool {
        match self {
            Self::Anywhere => true,
            Self::OneWay { from: one, to: other } => (from, to) == (one, other),
            Self::Between(one, other) => (from, to) == (one, other) || (from, to) == (other, one),
        }
    }
}

/// What a datagram must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// Anything, or nothing.
    #[default]
    Any,
    /// This handshake message, in the clear. A packed flight carries each of its messages.
    Handshake(HandshakeType),
    /// A record of this type and this epoch, where they are given.
    Record {
        /// Its type.
        content_type: Option<ContentType>,
        /// Its epoch.
        epoch: Option<u16>,
    },
}

impl Content {
    /// Returns whether a datagram carries it.
    #[must_use]
    pub fn is_in(self, datagram: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Handshake(message) => handshake_messages(datagram).any(|found| found == message),
            Self::Record { content_type, epoch } => {
                Records::of(datagram).filter_map(Result::ok).any(|record| {
                    content_type.is_none_or(|wanted| record.header.content_type == wanted)
                        && epoch.is_none_or(|wanted| record.header.epoch == wanted)
                })
            }
        }
    }
}

/// Which datagrams on a path are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatagramMatch {
    /// What they carry.
    pub content: Content,
    /// Only this one of those that fit all the rest, counted from 1; all of them, where it is `None`.
    pub nth: Option<u64>,
    /// None before this moment.
    pub from: Option<VirtualTime>,
    /// None at this moment and after it.
    pub until: Option<VirtualTime>,
}

/// Finds the datagrams that are meant, and counts.
#[derive(Debug)]
pub(crate) struct Matcher {
    on: PathMatch,
    matching: DatagramMatch,
    fitted: u64,
    /// How many were found.
    pub(crate) found: u64,
}

impl Matcher {
    pub(crate) fn new(on: PathMatch, matching: DatagramMatch) -> Self {
        Self { on, matching, fitted: 0, found: 0 }
    }

    /// Says whether this datagram is meant. Ask once for each.
    pub(crate) fn takes(&mut self, from: HostId, to: HostId, bytes: &[u8], now: VirtualTime) -> bool {
        let DatagramMatch { content, nth, from: since, until } = self.matching;
        let is_in_time = since.is_none_or(|since| now >= since) && until.is_none_or(|until| now < until);
        if !is_in_time || !self.on.takes(from, to) || !content.is_in(bytes) {
            return false;
        }
        self.fitted += 1;
        let is_meant = nth.is_none_or(|nth| nth == self.fitted);
        self.found += u64::from(is_meant);
        is_meant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);
    const HELLO: [u8; 25] =
        [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const DATA: [u8; 14] = [23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 7];

    fn found(on: PathMatch, matching: DatagramMatch, sent: &[(HostId, HostId, &[u8])]) -> Vec<usize> {
        let mut matcher = Matcher::new(on, matching);
        let takes = |(index, (from, to, bytes)): (usize, &(HostId, HostId, &[u8]))| {
            matcher.takes(*from, *to, bytes, VirtualTime(index as u64)).then_some(index)
        };
        sent.iter().enumerate().filter_map(takes).collect()
    }

    #[test]
    fn the_nth_is_counted_among_those_that_fit_the_rest() {
        let sent: [(HostId, HostId, &[u8]); 5] =
            [(A, B, &DATA), (B, A, &HELLO), (A, B, &HELLO), (A, B, &DATA), (A, B, &HELLO)];
        let hello = Content::Handshake(HandshakeType::ClientHello);
        let second = DatagramMatch { content: hello, nth: Some(2), ..DatagramMatch::default() };

        assert_eq!(found(PathMatch::OneWay { from: A, to: B }, second, &sent), [4]);
        assert_eq!(found(PathMatch::Between(B, A), second, &sent), [2]);
        assert_eq!(found(PathMatch::OneWay { from: B, to: A }, second, &sent), []);
    }

    #[test]
    fn records_are_found_by_type_and_epoch_and_only_in_time() {
        let sent: [(HostId, HostId, &[u8]); 4] =
            [(A, B, &DATA), (A, B, &HELLO), (A, B, &DATA), (A, B, &DATA)];
        let of = |content_type, epoch| DatagramMatch {
            content: Content::Record { content_type, epoch },
            from: Some(VirtualTime(1)),
            until: Some(VirtualTime(3)),
            ..DatagramMatch::default()
        };

        let all = PathMatch::Anywhere;
        assert_eq!(found(all, of(Some(ContentType::ApplicationData), None), &sent), [2]);
        assert_eq!(found(all, of(None, Some(0)), &sent), [1]);
        assert_eq!(found(all, of(None, None), &sent), [1, 2]);
        assert_eq!(found(all, of(Some(ContentType::Handshake), Some(1)), &sent), []);
    }
}
