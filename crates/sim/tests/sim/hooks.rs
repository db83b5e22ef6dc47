//! The hooks under OpenSSL: in force where a world runs, and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::rand::rand_bytes;
use peerbound_dtls::{Authority, Validity};
use peerbound_sim::{START_UNIX_SECONDS, hooks};

use crate::support::{A, C, Triangle};

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand_bytes(&mut bytes).unwrap();
    bytes
}

#[expect(clippy::disallowed_methods, reason = "what is tested is that it is this clock")]
fn real_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

#[test]
fn the_canary_lives() {
    assert_eq!(hooks::canary(), Ok(()));
    assert_eq!(hooks::canary(), Ok(()));
}

#[test]
fn beside_a_world_the_same_thread_has_the_real_clock_and_real_randomness() {
    let mut triangle = Triangle::up(1);

    let (one, other) = (random(), random());
    let seen = Asn1Time::days_from_now(0).unwrap();
    triangle.send(A, C, b"goes on", false);

    let real = real_seconds();
    let difference = seen.diff(&Asn1Time::from_unix(real).unwrap()).unwrap();
    assert_ne!(one, other);
    assert_eq!(difference.days, 0, "the clock of the machine, not that of the world");
    assert!(triangle.world.now().since_start().as_secs() < 60);
}

#[test]
fn under_a_stream_of_the_same_seed_the_same_is_made_and_time_is_that_of_the_beginning() {
    let make = |seed| {
        hooks::with_stream(seed, || {
            let authority = Authority::generate("root", Validity::days(START_UNIX_SECONDS, 1)).unwrap();
            let now = Asn1Time::days_from_now(0).unwrap().to_string();
            (authority.certificate_to_pem().unwrap(), random(), now)
        })
        .unwrap()
    };

    assert_eq!(make(1), make(1));
    assert_ne!(make(1).0, make(2).0);
    assert_eq!(make(1).2, "Jan  1 00:00:00 2026 GMT");
}

#[test]
fn a_panic_under_the_hooks_leaves_none_of_them_behind() {
    let panicked = std::panic::catch_unwind(|| hooks::with_stream(1, || panic!("as asked")));

    assert!(panicked.is_err());
    assert_ne!(random(), random());
    assert_ne!(Asn1Time::days_from_now(0).unwrap().to_string(), "Jan  1 00:00:00 2026 GMT");
}
