//! Members of an overlay that exists for a benchmark, the size of what they send each other, and what one such
//! thing took.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use peerbound_dtls::{Authority, Context, ContextConfig, Validity};
use peerbound_node::{NeighbourConfig, NodeConfig, StaticRoute, node_id};
use peerbound_wire::NodeId;

/// Bytes of the datagrams, all told.
pub(crate) const DATAGRAM_BYTES: usize = 1400;
/// What AES-GCM adds to a frame: record header, explicit nonce, tag.
const OVERHEAD_BYTES: usize = 37;
pub(crate) const FRAME_BYTES: usize = DATAGRAM_BYTES - OVERHEAD_BYTES;

/// Certifies so many members.
pub(crate) fn contexts(count: usize) -> Vec<Context> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let validity = Validity::days(since.cast_signed() - 3600, 2);
    let authority = Authority::generate("bench root", validity).unwrap();
    let context = |number: usize| {
        let identity = authority.issue(&format!("N{number}"), validity).unwrap();
        Context::new(ContextConfig::new(identity, vec![authority.to_root()])).unwrap()
    };
    (0..count).map(context).collect()
}

/// Returns the ids of members.
pub(crate) fn ids_of(contexts: &[Context]) -> Vec<NodeId> {
    contexts.iter().map(|context| node_id(&context.key_hash())).collect()
}

/// Describes the member with this number as a neighbour: one that is dialled, where it has an address.
pub(crate) fn neighbour(ids: &[NodeId], number: usize, address: Option<SocketAddr>) -> NeighbourConfig {
    NeighbourConfig { id: ids[number], name: number.to_string(), addresses: address.into_iter().collect() }
}

/// Configures a member that never changes its keys: a handshake would be measured with whatever it falls into.
pub(crate) fn config(
    context: &Context,
    neighbours: Vec<NeighbourConfig>,
    routes: Vec<StaticRoute>,
) -> NodeConfig {
    NodeConfig { neighbours, routes, rekey_records: u64::MAX, ..NodeConfig::new(context.clone()) }
}

/// Returns the nanoseconds for each of `count` things that took so long together.
pub(crate) fn nanos(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}
