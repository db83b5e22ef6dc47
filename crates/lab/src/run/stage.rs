//! What a backend can do: the verbs of scenario steps, time, and observations. The director gives the
//! orders; a stage carries them out and never knows what they are for.

use peerbound_node::{Counters, Sending};
use peerbound_wire::{NodeId, PacketId};

use crate::judge::Observation;
use crate::run::Backend;
use crate::scenario::{Conditions, Course, Label, Path, Source, Which};
use crate::trace::{DatagramId, HostIndex, HostLabel, Nanos};

/// Who reads at a forwarder, in every trace.
pub(crate) const FORWARDER: &str = "forwarder";

/// What every stage calls the attacker.
pub(crate) const ATTACKER_NAME: &str = "attacker";

/// Why a backend does not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// It cannot, ever: `loopback cannot ...`.
    #[error("{backend} cannot {what}")]
    Impossible {
        /// Which backend.
        backend: Backend,
        /// What it cannot do.
        what: String,
    },
    /// It should have been able to.
    #[error("{0}")]
    Failed(String),
}

/// What a node says when it is handed a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It made a frame of this number.
    As(PacketId),
    /// It has no frames; what it sends is a datagram, and bears the label itself.
    AsDatagram,
    /// It refused, for this reason.
    Refused(String),
}

/// A datagram that is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot<'a> {
    /// Whose hand puts it there.
    pub by: HostIndex,
    /// The source address in it.
    pub source: Source,
    /// Where it goes.
    pub to: HostIndex,
    /// Its payload.
    pub bytes: &'a [u8],
    /// What the scenario calls it.
    pub label: &'a Label,
    /// The datagram that it is a copy, or a changed copy, of.
    pub copy_of: Option<DatagramId>,
}

/// The attacker listens on a path for one datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Where.
    pub on: Course,
    /// Which one; `nth` counts from the order on.
    pub which: Which,
    /// Whether he keeps it, so that it does not arrive.
    pub is_held: bool,
    /// What it is called. The stage tells by [`crate::judge::Observed::Captured`] when he has it.
    pub label: Label,
}

/// A world with the hosts of one scenario in it. Hosts are named by their place in the scenario; the
/// attacker's place is behind them.
pub trait Stage {
    /// Returns what it is.
    fn backend(&self) -> Backend;

    /// Lists the lanes: every host, then the attacker.
    fn hosts(&self) -> Vec<HostLabel>;

    /// Returns the Unix time at which the run began, in nanoseconds.
    fn began_unix_nanos(&self) -> u64;

    /// Returns the time of the run.
    fn now(&self) -> Nanos;

    /// Lets time pass until something is observed, or until this time of the run has come.
    ///
    /// # Errors
    /// When the backend fails.
    fn advance(&mut self, until: Nanos) -> Result<(), StageError>;

    /// Takes what was observed since the last time, in order.
    fn take_observations(&mut self) -> Vec<Observation>;

    /// Returns what a running node has counted, between two inputs.
    fn counters(&self, host: HostIndex) -> Option<Counters>;

    /// Returns whether every running node knows a next hop to every other.
    fn has_all_routes(&self) -> bool;

    /// Hands a payload to a node. The label is for a host whose datagrams are its messages: one with the
    /// record-layer model.
    ///
    /// # Errors
    /// When there is no node, or the backend fails. That a node refuses is no error.
    fn send(
        &mut self,
        from: HostIndex,
        sending: Sending<'_>,
        label: Option<&Label>,
    ) -> Result<Taken, StageError>;

    /// Lets a node ping another.
    ///
    /// # Errors
    /// The same as [`Self::send`].
    fn ping(&mut self, from: HostIndex, to: NodeId, token: u64) -> Result<Taken, StageError>;

    /// Lets a node seal a payload for its next hop, and takes the datagram out of its hands.
    ///
    /// # Errors
    /// When the node refuses, or the backend cannot.
    fn seal(
        &mut self,
        by: HostIndex,
        sending: Sending<'_>,
    ) -> Result<(Option<PacketId>, Vec<u8>), StageError>;

    /// Lets a host with the record-layer model seal a payload under the id that records on this path
    /// carry, and takes the datagram out of its hands.
    ///
    /// # Errors
    /// When there is no model, or the backend has none.
    fn seal_under(
        &mut self,
        by: HostIndex,
        to: NodeId,
        id: Path,
        payload: &[u8],
    ) -> Result<Vec<u8>, StageError>;

    /// Puts a datagram on the wire.
    ///
    /// # Errors
    /// When the backend cannot put it there.
    fn inject(&mut self, shot: &Shot<'_>) -> Result<(), StageError>;

    /// Lets the attacker listen.
    ///
    /// # Errors
    /// When he cannot stand there.
    fn capture(&mut self, capture: &Capture) -> Result<(), StageError>;

    /// Lets a datagram go that the attacker has held.
    ///
    /// # Errors
    /// When he holds none of this name.
    fn release(&mut self, label: &Label) -> Result<(), StageError>;

    /// Starts a node: for the first time, or again after it crashed or was shut down.
    ///
    /// # Errors
    /// When it cannot be started.
    fn boot(&mut self, host: HostIndex) -> Result<(), StageError>;

    /// Ends a node without a word.
    ///
    /// # Errors
    /// When there is none.
    fn crash(&mut self, host: HostIndex) -> Result<(), StageError>;

    /// Ends a node with its farewell.
    ///
    /// # Errors
    /// When there is none.
    fn shut_down(&mut self, host: HostIndex) -> Result<(), StageError>;

    /// Lets a NAT, by its place in the scenario, forget its mappings.
    ///
    /// # Errors
    /// When the backend has no NATs.
    fn rebind(&mut self, nat: usize) -> Result<(), StageError>;

    /// Changes a link, by its place in the scenario; `None` leaves a direction as it is.
    ///
    /// # Errors
    /// When the backend cannot make such conditions.
    fn set_link(
        &mut self,
        link: usize,
        forth: Option<&Conditions>,
        back: Option<&Conditions>,
    ) -> Result<(), StageError>;

    /// Lets a node ask to renegotiate its session with another. That it is refused is no error.
    ///
    /// # Errors
    /// When there is no node, or the backend cannot.
    fn renegotiate(&mut self, by: HostIndex, with: NodeId) -> Result<(), StageError>;

    /// Lets a node begin to replace its session with another.
    ///
    /// # Errors
    /// When there is no session, or the backend cannot.
    fn rekey(&mut self, by: HostIndex, with: NodeId) -> Result<(), StageError>;
}
