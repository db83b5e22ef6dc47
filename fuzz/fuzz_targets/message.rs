//! A control message is refused, or encodes to the very bytes it was decoded from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbound_wire::{ErrorMessage, Ping, RoutingMessage};

fuzz_target!(|bytes: &[u8]| {
    let mut encoded = Vec::new();

    if let Ok(message) = RoutingMessage::decode(bytes) {
        message.encode_into(&mut encoded);
        assert_eq!(encoded, bytes);
        encoded.clear();
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
