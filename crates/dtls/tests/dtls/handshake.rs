//! What a handshake agrees on, and with whom.

use crate::support::{World, assert_alive};
use crate::vclock::VirtualClock;

#[test]
fn a_handshake_over_a_perfect_wire_ends_with_data_both_ways() {
    let clock = VirtualClock::start();
    let world = World::new();

    let (mut client, mut server) = world.establish(&clock);

    assert_eq!(client.peer().map(|peer| peer.name.as_str()), Some("server"));
    assert_eq!(server.peer().map(|peer| peer.key), Some(world.client.key_hash()));
    assert_alive(&mut client, &mut server, &clock);
}
