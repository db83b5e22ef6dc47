//! The part of a node that knows how large a frame may be: probes its links, and remembers what was heard
//! of the paths behind them.

use std::net::SocketAddr;
use std::time::Instant;

use peerbound_wire::{
    ErrorCode, ErrorMessage, Frame, HEADER_BYTES, Header, Kind, MtuProbe, NodeId, RoutingMessage,
};

use crate::config::PathMtu;
use crate::counters::FrameDrop;
use crate::mtu_search::{MTU_BASE, MtuSearch};
use crate::node::Node;

/// Bytes of a probe without its padding: number and token.
const PROBE_FRONT_BYTES: usize = 4 + 4;

impl Node {
    /// Returns how many bytes of payload for a node fit one frame, as far as is known: less inside an inner
    /// session than in the clear. `None` while there is no way to it.
    #[must_use]
    pub fn payload_bytes_max(&self, destination: NodeId, now: Instant) -> Option<usize> {
        let next = self.next_for(&Header::new(Kind::Data, self.us, destination), now)?;
        Some(if self.is_end_to_end(&destination) {
            self.inside_bytes_max(destination, next, now)
        } else {
            self.frame_bytes_max(destination, next, now).saturating_sub(HEADER_BYTES)
        })
    }

    /// Returns how large a frame may be on the way to a node that begins with `next`, as far as is known: as
    /// large as that link takes at this moment, and no larger than the links behind it were said to take.
    pub(super) fn frame_bytes_max(&self, destination: NodeId, next: NodeId, now: Instant) -> usize {
        let link = self.link_of(next).and_then(|link| link.association.session()?.payload_bytes_max());
        let behind = self.path_mtus.frame_bytes_max(&destination, now).map(usize::from);
        link.into_iter().chain(behind).min().unwrap_or(usize::MAX)
    }

    /// Learns from an error about a frame of ours how large the next may be.
    pub(super) fn note_reported_mtu(&mut self, message: &ErrorMessage, now: Instant) {
        let ErrorMessage { code, mtu, offending } = message;
        let is_of_ours = offending.source == self.us
            && offending.boot_epoch == self.boot_epoch
            && offending.packet.0 < self.next_packet;
        if *code == ErrorCode::TooBig && is_of_ours {
            self.path_mtus.on_report(offending.destination, *mtu, now);
        }
    }

    /// Returns the largest datagram of a handshake, and of a link that nothing is known of yet.
    pub(super) fn mtu_to_begin_with(&self) -> u16 {
        match self.config.path_mtu {
            PathMtu::Fixed => self.config.mtu,
            PathMtu::Probed => self.config.mtu.min(MTU_BASE),
        }
    }

    /// Starts to find out what the path to an address carries, where that is wanted.
    pub(super) fn mtu_search_over(&mut self, address: SocketAddr, now: Instant) -> Option<MtuSearch> {
        if self.config.path_mtu == PathMtu::Fixed {
            return None;
        }
        let search = MtuSearch::new(self.config.mtu, now);
        if let Some(link) = self.links.get_mut(&address) {
            link.association.set_mtu(search.mtu());
        }
        Some(search)
    }

    pub(super) fn probe_mtu_if_due(&mut self, id: NodeId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&id).filter(|neighbour| neighbour.is_usable()) else {
            return;
        };
        let Some(search) = &mut neighbour.mtu_search else {
            return;
        };
        let before = search.mtu();
        let probe = search.poll_probe(now);
        if search.mtu() != before {
            self.on_mtu_changed(id);
        }
        if let Some((token, size)) = probe {
            self.send_mtu_probe(id, token, size);
        }
    }

    pub(super) fn answer_mtu_probe(&mut self, from: NodeId, token: u32) {
        let mut payload = Vec::new();
        RoutingMessage::MtuProbeAnswer(token).encode_into(&mut payload);
        let header = self.originate(Header::new(Kind::Routing, self.us, from));
        // One that does not leave is asked for again.
        let _ = self.send_control(header, &payload, from);
    }

    pub(super) fn on_mtu_probe_answer(&mut self, from: NodeId, token: u32, now: Instant) {
        let search = self.neighbours.get_mut(&from).and_then(|neighbour| neighbour.mtu_search.as_mut());
        if search.is_some_and(|search| search.on_answer(token, now)) {
            self.on_mtu_changed(from);
        }
    }

    fn on_mtu_changed(&mut self, id: NodeId) {
        let Some(neighbour) = self.neighbours.get(&id) else {
            return;
        };
        let (Some(search), Some(address)) = (&neighbour.mtu_search, neighbour.address()) else {
            return;
        };
        let mtu = search.mtu();
        tracing::debug!(%id, mtu, "The path carries datagrams of another size");
        if let Some(link) = self.links.get_mut(&address) {
            link.association.set_mtu(mtu);
        }
    }

    fn send_mtu_probe(&mut self, id: NodeId, token: u32, size: u16) {
        let Some(address) = self.neighbours.get(&id).and_then(|neighbour| neighbour.address()) else {
            return;
        };
        let session = self.links.get(&address).and_then(|link| link.association.session());
        let Some(frame_bytes) = session.and_then(|session| session.payload_bytes_in(size)) else {
            return;
        };
        let padding = frame_bytes.saturating_sub(HEADER_BYTES + PROBE_FRONT_BYTES);
        let mut payload = Vec::new();
        let padding = u16::try_from(padding).unwrap_or(u16::MAX);
        RoutingMessage::MtuProbe(MtuProbe { token, padding }).encode_into(&mut payload);
        let header = self.originate(Header::new(Kind::Routing, self.us, id));
        let mut bytes = Vec::new();
        Frame { header, payload: &payload }.encode_into(&mut bytes);
        let sent = self.links.get_mut(&address).is_some_and(|link| {
            let sent = link.association.send_probe(&bytes).is_ok();
            link.flush(address, &mut self.outbound);
            sent
        });
        if sent {
            self.counters.frames_sent += 1;
        } else {
            self.counters.drop_frame(FrameDrop::LinkFailed);
        }
    }
}
