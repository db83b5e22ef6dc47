//! The frames of a run: which node did what with each, and whether one went in a circle.

use std::collections::{BTreeMap, BTreeSet};

use peerbound_node::{FrameAction, FrameDrop, FrameSeen};
use peerbound_wire::{Header, NodeId, PacketId};

use crate::judge::Judge;
use crate::scenario::Invariant;
use crate::trace::{Happening, HostIndex, Nanos};

/// A frame's name in the whole overlay: its source, the source's boot, its number.
type FrameKey = (NodeId, u32, PacketId);

/// The frames that scenarios have named, and who forwarded which.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Which frames have left which node.
    passed: BTreeSet<(HostIndex, FrameKey)>,
    boots: BTreeMap<NodeId, u32>,
    labels: BTreeMap<FrameKey, String>,
    /// What sources did with their frames: a frame gets its name, if any, only after that.
    first_hops: BTreeMap<FrameKey, Vec<Hop>>,
    messages: BTreeMap<FrameKey, Message>,
    by_label: BTreeMap<String, Vec<FrameKey>>,
}

/// A frame that the scenario has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its source's node.
    pub source: NodeId,
    /// Its source's number for it.
    pub packet: PacketId,
    /// What nodes did with it, in order.
    pub hops: Vec<Hop>,
}

/// What one node did with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// When.
    pub at: Nanos,
    /// Which node.
    pub host: HostIndex,
    /// What it did.
    pub action: FrameAction,
}

impl Message {
    /// Lists the hosts it passed, in order: its source first.
    #[must_use]
    pub fn path(&self) -> Vec<HostIndex> {
        self.hops.iter().map(|hop| hop.host).collect()
    }

    /// Returns when and where it was delivered, if it was.
    #[must_use]
    pub fn delivered(&self) -> Option<(Nanos, HostIndex)> {
        let end = self.hops.iter().find(|hop| hop.action == FrameAction::Delivered)?;
        Some((end.at, end.host))
    }

    /// Returns where and why it was dropped, if it was.
    #[must_use]
    pub fn dropped(&self) -> Option<(HostIndex, FrameDrop)> {
        self.hops.iter().find_map(|hop| match hop.action {
            FrameAction::Dropped(reason) => Some((hop.host, reason)),
            FrameAction::Delivered | FrameAction::Sent(_) => None,
        })
    }
}

impl Frames {
    /// Gives a name to the frame that its source numbered so since its last boot.
    pub(crate) fn name(&mut self, source: NodeId, packet: PacketId, label: String) {
        // Somebody else may speak in the name of a node that has said nothing itself since it booted.
        let boot = self.boot_of(source);
        let key = (source, boot, packet);
        let hops = self.first_hops.get(&key).cloned().unwrap_or_default();
        self.messages.insert(key, Message { source, packet, hops });
        self.by_label.entry(label.clone()).or_default().push(key);
        self.labels.insert(key, label);
    }

    /// Returns the boot epoch in which a node has last made a frame; before the first, that of the
    /// simulator's first boots.
    pub(crate) fn boot_of(&self, source: NodeId) -> u32 {
        self.boots.get(&source).copied().unwrap_or(1)
    }

    pub(crate) fn label_of(&self, header: &Header) -> Option<String> {
        self.labels.get(&key_of(header)).cloned()
    }

    pub(crate) fn messages_called(&self, label: &str) -> impl Iterator<Item = &Message> {
        let keys = self.by_label.get(label).into_iter().flatten();
        keys.filter_map(|key| self.messages.get(key))
    }

    /// Notes what a node did; returns whether the frame had left this node before.
    fn note(&mut self, at: Nanos, host: HostIndex, seen: &FrameSeen) -> bool {
        let key = key_of(&seen.header);
        if seen.from.is_none() {
            self.boots.insert(seen.header.source, seen.header.boot_epoch);
        }
        let hop = Hop { at, host, action: seen.action };
        match self.messages.get_mut(&key) {
            Some(message) => message.hops.push(hop),
            None if seen.from.is_none() => self.first_hops.entry(key).or_default().push(hop),
            None => {}
        }
        match seen.action {
            FrameAction::Sent(_) => !self.passed.insert((host, key)),
            FrameAction::Dropped(FrameDrop::Duplicate) => self.passed.contains(&(host, key)),
            FrameAction::Delivered | FrameAction::Dropped(_) => false,
        }
    }
}

impl Judge {
    pub(super) fn on_frame(&mut self, at: Nanos, host: HostIndex, seen: &FrameSeen) {
        if self.frames.note(at, host, seen) {
            let source = self.host_of_id(&seen.header.source).map_or("a stranger", |host| self.name(host));
            let packet = seen.header.packet.0;
            let text =
                format!("frame {packet} of {source} came back to {}, which had sent it on", self.name(host));
            self.violate(at, Invariant::RoutingLoop, None, text);
        }
        let name = |id: &NodeId| self.host_of_id(id).map(|host| self.name(host));
        let action = match seen.action {
            FrameAction::Delivered => "delivered".to_owned(),
            FrameAction::Sent(next) => format!("sent to {}", name(&next).unwrap_or("a stranger")),
            FrameAction::Dropped(reason) => format!("dropped: {}", reason.name()),
        };
        if seen.action == FrameAction::Dropped(FrameDrop::HopLimit) {
            let text = format!("a frame died of its hop limit at {}", self.name(host));
            self.violate(at, Invariant::RoutingLoop, None, text);
        }
        let from = seen.from.and_then(|from| self.host_of_id(&from));
        let FrameSeen { header, payload_bytes, .. } = *seen;
        self.note(at, Happening::Frame { host, header, payload_bytes, from, action, label: None });
    }
}

fn key_of(header: &Header) -> FrameKey {
    (header.source, header.boot_epoch, header.packet)
}
