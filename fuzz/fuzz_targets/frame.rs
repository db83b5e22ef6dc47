//! A frame is refused, or encodes to the very bytes it was decoded from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbound_wire::{Frame, Header};

fuzz_target!(|bytes: &[u8]| {
    let Ok(frame) = Frame::decode(bytes) else { return };

    let mut encoded = Vec::new();
    frame.encode_into(&mut encoded);
    assert_eq!(encoded, bytes);

    let mut written_over = bytes.to_vec();
    let (hop_limit, path_mtu) = (frame.header.hop_limit, frame.header.path_mtu);
    assert_eq!(Header::write_hop_over(&mut written_over, hop_limit, path_mtu), Ok(()));
    assert_eq!(written_over, bytes);
});
