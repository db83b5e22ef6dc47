//! A frame is refused, or encodes to the very bytes it was decoded from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerbound_wire::Frame;

fuzz_target!(|bytes: &[u8]| {
    let Ok(frame) = Frame::decode(bytes) else { return };

    let mut encoded = Vec::new();
    frame.encode_into(&mut encoded);
    assert_eq!(encoded, bytes);

    let mut written_over = bytes.to_vec();
    assert_eq!(frame.header.write_over(&mut written_over), Ok(()));
    assert_eq!(written_over, bytes);
});
