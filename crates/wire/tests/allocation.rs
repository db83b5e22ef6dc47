//! No byte string makes a decoder allocate: there is nothing here for a claimed length to inflate.
//!
//! A test binary of its own, because naming `allocation_counter` replaces the process's allocator.
//! The counts are per thread, so tests may run side by side.

use std::hint::black_box;

use allocation_counter::{AllocationInfo, measure};
use peerbound_wire::{
    ErrorCode, ErrorMessage, Frame, Header, Hello, Kind, NodeId, Ping, RoutingMessage, VERSION,
};

/// Longer than any datagram, so that a length read from the front could be honoured from the rest.
const NOISE_BYTES_MAX: usize = 70_000;

#[test]
fn counter_sees_an_allocation() {
    let seen = measure(|| drop(black_box(Vec::<u8>::with_capacity(100))));

    assert_eq!((seen.count_total, seen.bytes_total), (1, 100));
}

#[test]
fn valid_frame_is_decoded_without_allocating() {
    let mut bytes = Vec::new();
    Frame { header: header(), payload: &[0x5a; 1400] }.encode_into(&mut bytes);

    let seen = measure(|| {
        let frame = black_box(Frame::decode(black_box(&bytes)));
        assert!(frame.is_ok_and(|frame| frame.payload.len() == 1400));
    });

    assert_eq!(seen.count_total, 0);
}

#[test]
fn valid_messages_are_decoded_without_allocating() {
    let mut hello = Vec::new();
    RoutingMessage::Hello(Hello { sequence: 2, heard: 1 }).encode_into(&mut hello);
    let mut error = Vec::new();
    ErrorMessage { code: ErrorCode::TooBig, mtu: 1200, offending: header() }.encode_into(&mut error);
    let mut ping = Vec::new();
    Ping { token: 9 }.encode_into(&mut ping);

    let seen = measure(|| {
        assert!(RoutingMessage::decode(black_box(&hello)).is_ok());
        assert!(ErrorMessage::decode(black_box(&error)).is_ok());
        assert!(Ping::decode(black_box(&ping)).is_ok());
    });

    assert_eq!(seen.count_total, 0);
}

#[test]
fn noise_makes_no_decoder_allocate() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);

    for round in 0..20_000 {
        let mut bytes = noise.bytes(round % 130);
        assert_allocates_nothing(&bytes);
        if let [version, kind, ..] = bytes.as_mut_slice() {
            (*version, *kind) = (VERSION, u8::from(Kind::ALL[round % Kind::ALL.len()]));
        }
        assert_allocates_nothing(&bytes);
    }
    assert_allocates_nothing(&noise.bytes(NOISE_BYTES_MAX));
}

#[test]
fn claimed_lengths_make_no_decoder_allocate() {
    let lengths = [1, 63, 64, 65, 0xffff, 1 << 31, 1 << 42, u64::MAX >> 1, u64::MAX];
    let mut valid = Vec::new();
    ErrorMessage { code: ErrorCode::NoRoute, mtu: 0, offending: header() }.encode_into(&mut valid);
    valid.resize(200, 0);

    for length in lengths {
        for at in 0..=valid.len() - 8 {
            for claim in [length.to_be_bytes(), length.to_le_bytes()] {
                let mut bytes = valid.clone();
                bytes[at..at + 8].copy_from_slice(&claim);
                assert_allocates_nothing(&bytes);
                assert_allocates_nothing(&bytes[at..]);
                assert_allocates_nothing(&bytes[..at + 8]);
            }
        }
    }
}

fn assert_allocates_nothing(bytes: &[u8]) {
    let seen = decode_as_everything(bytes);

    // Measured, in debug and in release builds: the fixed layouts need no heap, not even for a refusal.
    assert_eq!(seen.count_total, 0, "{seen:?} for {} bytes: {bytes:02x?}", bytes.len());
}

fn decode_as_everything(bytes: &[u8]) -> AllocationInfo {
    measure(|| {
        // Only what they allocate matters here; what they return is judged in `hostile.rs`.
        let _ = black_box(Frame::decode(black_box(bytes)));
        let _ = black_box(RoutingMessage::decode(black_box(bytes)));
        let _ = black_box(ErrorMessage::decode(black_box(bytes)));
        let _ = black_box(Ping::decode(black_box(bytes)));
    })
}

fn header() -> Header {
    Header::new(Kind::Data, NodeId::new([1; 16]), NodeId::new([3; 16]))
}

/// Chance with a fixed seed (xorshift): every run sees the same bytes.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_be_bytes()[0]
    }
}
