//! The part of a node that lets others do what costs time and needs no decision: records are opened before they come
//! here, and sealed after they have left. What is numbered, judged, decided and counted is so here, and only here.

use std::net::SocketAddr;
use std::time::Instant;

use peerbound_dtls::{Opened, Opener, Outcome, Unsealed};

use crate::counters::DatagramDrop;
use crate::node::{Node, Sealing};
use crate::outbound::UnsealedTransmit;
use crate::verdict::{Lock, Reason, Verdict};

impl Node {
    /// Says when records of data are sealed from here on.
    pub fn set_sealing(&mut self, sealing: Sealing) {
        self.sealing = sealing;
    }

    /// Takes the next batch as [`Self::poll_transmit`] does, and leaves the sealing to whoever sends it.
    pub fn poll_unsealed(&mut self) -> Option<UnsealedTransmit> {
        self.seal_waiting();
        self.outbound.pop_unsealed()
    }

    /// Takes back what is left of a batch when it is sealed, so that the next one need not allocate.
    pub fn recycle_list(&mut self, list: Unsealed) {
        self.outbound.recycle_list(list);
    }

    /// Returns what opens the data of whoever is at this address, while its session lasts; `None` where every record is
    /// for [`Self::handle_datagram`].
    #[must_use]
    pub fn opener_at(&self, address: SocketAddr) -> Option<Opener> {
        self.links.get(&address)?.association.opener()
    }

    /// Takes in a datagram that was opened with what [`Self::opener_at`] gave: its record, and its plaintext, which may be
    /// changed where it lies.
    pub fn handle_opened(
        &mut self,
        from: SocketAddr,
        opened: &Opened,
        plaintext: &mut [u8],
        now: Instant,
    ) -> Verdict {
        self.take_in(now, |node| {
            let verdict = node.on_opened(from, opened, plaintext, now);
            if matches!(verdict, Verdict::Dropped(_) | Verdict::Killed) {
                // Of the datagram that came only the header is left.
                node.note_stray(from, &opened.header.encode(), verdict, now);
            }
            verdict
        })
    }

    fn on_opened(
        &mut self,
        from: SocketAddr,
        opened: &Opened,
        plaintext: &mut [u8],
        now: Instant,
    ) -> Verdict {
        let link = self.links.get_mut(&from);
        let Some((link, outcome)) = link.and_then(|link| {
            let outcome = link.association.handle_opened(opened, now)?;
            Some((link, outcome))
        }) else {
            // The session has ended between there and here.
            self.drop_datagram(DatagramDrop::NoSession);
            return Verdict::Dropped(Lock::Demux);
        };
        let is_frame = outcome == Outcome::Accepted && !plaintext.is_empty();
        if is_frame {
            link.traffic.receive_one(plaintext.len());
        }
        if let Some(peer) = self.settle_link(from, now)
            && is_frame
        {
            self.on_frame(peer, plaintext, now);
        }
        self.last_reason = Reason::of(outcome);
        Verdict::of(outcome)
    }
}
