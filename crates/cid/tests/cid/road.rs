//! Endpoints with addresses, and a road between them on which a test lets datagrams go where it likes.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_cid::{
    ConnectionId, Dropped, Endpoint, EndpointConfig, Ends, Event, MoveRule, RealType, SessionConfig,
    SessionNumber, Transmit,
};
use peerbound_dtls::{Direction, RecordKeys};

use crate::support::{Pair, address};
use crate::vclock::VirtualClock;

pub(crate) const A: &str = "198.51.100.1:4433";
/// Where A is found when its NAT has forgotten it.
pub(crate) const A_REBOUND: &str = "198.51.100.1:61000";
pub(crate) const B: &str = "203.0.113.2:4433";
pub(crate) const MALLORY: &str = "192.0.2.66:666";
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The keys of one established session, whose client is A.
pub(crate) fn keys(clock: &VirtualClock) -> RecordKeys {
    Pair::establish("ECDHE-ECDSA-AES128-GCM-SHA256", clock).secrets().record_keys().unwrap()
}

pub(crate) fn id(byte: u8) -> ConnectionId {
    ConnectionId::new(&[byte; 4]).expect("four bytes")
}

pub(crate) fn endpoint(seed: u8) -> Endpoint {
    endpoint_with(4, seed)
}

/// Makes an endpoint whose ids are of another length.
fn endpoint_with(id_bytes: usize, seed: u8) -> Endpoint {
    Endpoint::new(&EndpointConfig { id_bytes, seed: [seed; 32] })
}

/// A and B, with one session between them.
pub(crate) struct Road {
    pub(crate) clock: VirtualClock,
    pub(crate) a: Endpoint,
    pub(crate) b: Endpoint,
    pub(crate) keys: RecordKeys,
}

/// The session of A and B: the only one that each of them has.
pub(crate) const AB: SessionNumber = SessionNumber(0);

impl Road {
    /// Both ends asked for an id.
    pub(crate) fn with_ids(rule: MoveRule) -> Self {
        Self::new(Some(id(0xa1)), Some(id(0xb1)), rule)
    }

    /// As it is without RFC 9146.
    pub(crate) fn without_ids() -> Self {
        Self::new(None, None, MoveRule::Follow)
    }

    pub(crate) fn new(of_a: Option<ConnectionId>, of_b: Option<ConnectionId>, rule: MoveRule) -> Self {
        let clock = VirtualClock::start();
        let keys = keys(&clock);
        let id_bytes = of_a.as_ref().map_or(4, |id| id.as_bytes().len());
        let (mut a, mut b) = (endpoint_with(id_bytes, 1), endpoint(2));
        let config = SessionConfig {
            keys: keys.clone(),
            writes: Direction::ClientToServer,
            first_sequence: 1,
            own_id: of_a.clone(),
            peer_id: of_b.clone(),
            ends: Ends { local: address(A), remote: address(B) },
            move_rule: rule,
            patience: PATIENCE,
        };
        a.add(config.clone()).unwrap();
        let ends = Ends { local: address(B), remote: address(A) };
        let writes = Direction::ServerToClient;
        b.add(SessionConfig { writes, own_id: of_b, peer_id: of_a, ends, ..config }).unwrap();
        Self { clock, a, b, keys }
    }

    /// B gets a datagram from an address.
    pub(crate) fn b_gets(&mut self, bytes: &[u8], from: &str) -> Result<(), Dropped> {
        let ends = Ends { local: address(B), remote: address(from) };
        self.b.handle_datagram(bytes, ends, self.clock.now())
    }

    /// A gets a datagram from an address.
    pub(crate) fn a_gets(&mut self, bytes: &[u8], from: &str) -> Result<(), Dropped> {
        let ends = Ends { local: address(A), remote: address(from) };
        self.a.handle_datagram(bytes, ends, self.clock.now())
    }

    /// Lets T expire at both ends.
    pub(crate) fn wait(&mut self) {
        self.clock.advance_to(self.clock.now() + PATIENCE);
        self.a.handle_timeout(self.clock.now());
        self.b.handle_timeout(self.clock.now());
    }

    /// Where B sends what it has for A.
    pub(crate) fn b_sends_to(&self) -> SocketAddr {
        self.b.peer(AB).expect("there is the session")
    }
}

pub(crate) fn transmits(endpoint: &mut Endpoint) -> Vec<Transmit> {
    std::iter::from_fn(|| endpoint.poll_transmit()).collect()
}

/// The one datagram that an endpoint has to send.
pub(crate) fn only_transmit(endpoint: &mut Endpoint) -> Transmit {
    let mut all = transmits(endpoint);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

pub(crate) fn events(endpoint: &mut Endpoint) -> Vec<Event> {
    std::iter::from_fn(|| endpoint.poll_event()).collect()
}

pub(crate) fn data(text: &str) -> Event {
    Event::Received { session: AB, real_type: RealType::ApplicationData, content: text.into() }
}
