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
use crate::node::frames::{learned, usable};

/// What a link session adds to a frame at most: record header, explicit nonce, tag.
const RECORD_OVERHEAD_BYTES: usize = 37;

/// Bytes of a probe without its padding: number and token.
const PROBE_FRONT_BYTES: usize = 4 + 4;

impl Node {
    /// Returns how many bytes of payload a frame to a destination may have, as far as is known: what the
    /// link to the next hop takes, and what was heard of those behind it. An inner session's overhead comes
    /// off that.
    #[must_use]
    pub fn path_mtu(&self, destination: NodeId, now: Instant) -> usize {
        let header = Header::new(Kind::Data, self.us, destination);
        let next =
            self.relay.next_hop(&header, (usable(&self.neighbours), learned(self.router.as_deref())), now);
        let session = next.and_then(|next| self.link_of(next)?.association.session()?.payload_bytes_max());
        let frame = session
            .unwrap_or_else(|| usize::from(self.mtu_to_begin_with()).saturating_sub(RECORD_OVERHEAD_BYTES));
        let link = frame.saturating_sub(HEADER_BYTES);
        self.path_payload_max(&header, now).map_or(link, |path| path.min(link))
    }

    /// Returns how many bytes of payload pass the links behind the first one, where that is known.
    pub(super) fn path_payload_max(&self, header: &Header, now: Instant) -> Option<usize> {
        if self.config.path_mtu == PathMtu::Fixed || header.kind == Kind::Error {
            return None;
        }
        let frame = self.path_mtus.frame_bytes_max(&header.destination, now)?;
        Some(usize::from(frame).saturating_sub(HEADER_BYTES))
    }

    /// Learns from a frame that arrived how large those may be that go back the same way. Our own search
    /// knows the link to a neighbour better.
    pub(super) fn note_path_of(&mut self, from: NodeId, header: &Header, now: Instant) {
        if self.config.path_mtu == PathMtu::Probed && header.source != from {
            self.path_mtus.on_arrival(header.source, header.path_mtu, now);
        }
    }

    /// Learns from an error about a frame of ours how large the next may be.
    pub(super) fn note_reported_mtu(&mut self, message: &ErrorMessage, now: Instant) {
        let ErrorMessage { code, mtu, offending } = message;
        let is_of_ours = offending.source == self.us
            && offending.boot_epoch == self.boot_epoch
            && offending.packet.0 < self.next_packet;
        if self.config.path_mtu == PathMtu::Probed && *code == ErrorCode::TooBig && is_of_ours {
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
