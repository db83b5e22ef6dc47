//! A control message is refused, or encodes to the very bytes it was decoded from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbound_wire::{ErrorMessage, Item, List, Ping, RoutingMessage};

fuzz_target!(|bytes: &[u8]| {
    let mut encoded = Vec::new();

    if let Ok(message) = RoutingMessage::decode(bytes) {
        message.encode_into(&mut encoded);
        assert_eq!(encoded, bytes);
        encoded.clear();
        match message {
            RoutingMessage::Hello(_)
            | RoutingMessage::Sync(_)
            | RoutingMessage::MtuProbe(_)
            | RoutingMessage::MtuProbeAnswer(_) => {}
            RoutingMessage::Updates(updates) => assert_items_return(updates.items),
            RoutingMessage::Acknowledgement(heard) => assert_items_return(heard.numbers),
            RoutingMessage::SeqRequests(list) => assert_items_return(list),
            RoutingMessage::ProofRequests(list) => assert_items_return(list),
            RoutingMessage::Proofs(list) => assert_items_return(list),
        }
    }
    if let Ok(message) = ErrorMessage::decode(bytes) {
        message.encode_into(&mut encoded);
        assert_eq!(encoded, bytes);
        encoded.clear();
    }
    if let Ok(message) = Ping::decode(bytes) {
        message.encode_into(&mut encoded);
        assert_eq!(encoded, bytes);
    }
});

fn assert_items_return<'a, T: Item<'a>>(list: List<'a, T>) {
    let mut encoded = Vec::new();
    list.iter().for_each(|item| item.write_into(&mut encoded));
    assert_eq!(encoded, list.as_bytes());
}
