//! What is signed with the key of a certificate is believed by whoever trusts its root, and nothing else is.

use peerbound_dtls::{Context, ContextConfig, Profile, SslVersion};

use crate::support::{World, identity, validity};
use crate::vclock::VirtualClock;

const MESSAGE: &[u8] = b"I am here";

#[test]
fn a_signature_names_the_key_that_made_it() {
    let _clock = VirtualClock::start();
    let world = World::new();
    let certificate = world.client.certificate_der().unwrap();
    let signature = world.client.sign(MESSAGE).unwrap();

    let signer = world.server.signed_by(&certificate, MESSAGE, &signature);

    assert_eq!(signer, Some(world.client.key_hash()));
}

#[test]
fn a_signature_with_an_rsa_key_is_believed_too() {
    let _clock = VirtualClock::start();
    let world = World::with_rsa(SslVersion::DTLS1_2, "ECDHE-RSA-AES128-GCM-SHA256");
    let certificate = world.client.certificate_der().unwrap();
    let signature = world.client.sign(MESSAGE).unwrap();

    let signer = world.server.signed_by(&certificate, MESSAGE, &signature);

    assert_eq!(signer, Some(world.client.key_hash()));
}

#[test]
fn another_message_another_certificate_and_changed_bytes_are_refused() {
    let _clock = VirtualClock::start();
    let world = World::new();
    let certificate = world.client.certificate_der().unwrap();
    let signature = world.client.sign(MESSAGE).unwrap();
    let others = world.server.certificate_der().unwrap();
    let mut forged = signature.clone();
    *forged.last_mut().unwrap() ^= 1;
    let longer = [&certificate[..], &[0]].concat();

    assert_eq!(world.server.signed_by(&certificate, b"I am there", &signature), None);
    assert_eq!(world.server.signed_by(&others, MESSAGE, &signature), None);
    assert_eq!(world.server.signed_by(&certificate, MESSAGE, &forged), None);
    assert_eq!(world.server.signed_by(&certificate, MESSAGE, b""), None);
    assert_eq!(world.server.signed_by(&longer, MESSAGE, &signature), None);
    assert_eq!(world.server.signed_by(b"", MESSAGE, &signature), None);
}

#[test]
fn a_certificate_of_another_root_is_refused_and_leaves_no_error_behind() {
    let _clock = VirtualClock::start();
    let (world, foreign) = (World::new(), World::of(&Profile::Node));
    let certificate = foreign.client.certificate_der().unwrap();
    let signature = foreign.client.sign(MESSAGE).unwrap();

    assert_eq!(world.server.signed_by(&certificate, MESSAGE, &signature), None);

    assert!(peerbound_dtls::ErrorStack::get().errors().is_empty());
}

#[test]
fn an_expired_certificate_is_refused() {
    let mut clock = VirtualClock::start();
    let world = World::new();
    let identity = identity(&world.authority, "brief");
    let brief = Context::new(ContextConfig::new(identity, vec![world.authority.to_root()])).unwrap();
    let (certificate, signature) = (brief.certificate_der().unwrap(), brief.sign(MESSAGE).unwrap());
    assert!(world.server.signed_by(&certificate, MESSAGE, &signature).is_some());

    let lifetime = validity().not_after - validity().not_before;
    clock.advance_to(clock.now() + std::time::Duration::from_secs(lifetime.unsigned_abs()));

    assert_eq!(world.server.signed_by(&certificate, MESSAGE, &signature), None);
}
