//! Bytes without any meaning: nothing panics, and nothing that lives is harmed.

use peerbound_dtls::{
    Association, AssociationConfig, ContentType, Outcome, Plaintexts, Precedence, Records, Screening, Session,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{CLIENT, World, address, assert_alive, doorman, record};
use crate::vclock::VirtualClock;

/// Noise, and noise behind a header that is half right.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..600);
    let types = select(vec![
        ContentType::ChangeCipherSpec,
        ContentType::Alert,
        ContentType::Handshake,
        ContentType::ApplicationData,
    ]);
    let epochs = select(vec![0, 1, 2, u16::MAX]);
    let framed = (types, epochs, 0..80_u64, noise.clone())
        .prop_map(|(content_type, epoch, sequence, body)| record(content_type, epoch, sequence, &body));
    let pairs = (framed.clone(), framed.clone()).prop_map(|(first, second)| [first, second].concat());
    prop_oneof![noise, framed, pairs]
}

fn feed(session: &mut Session, datagrams: &[Vec<u8>], clock: &VirtualClock) {
    let mut plaintexts = Plaintexts::new();
    for datagram in datagrams {
        session.handle_datagram(datagram, &mut plaintexts, clock.now());
        while session.poll_transmit().is_some() || session.poll_event().is_some() {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn records_of_anything_are_inside_it(datagram in datagrams()) {
        let lengths: Vec<_> = Records::of(&datagram).flatten().map(|record| record.bytes.len()).collect();

        prop_assert!(lengths.iter().sum::<usize>() <= datagram.len());
        prop_assert!(lengths.iter().all(|length| *length >= 13));
    }

    #[test]
    fn a_doorman_answers_anything_with_less(datagram in datagrams()) {
        let clock = VirtualClock::start();

        let screening = doorman(&clock).screen(&datagram, address(CLIENT), clock.now()).unwrap();

        match screening {
            Screening::Challenge(challenge) => {
                prop_assert!(challenge.len() <= datagram.len());
            }
            Screening::Verified(_) => prop_assert!(false, "nobody guesses a cookie"),
            Screening::Refused => {}
        }
    }

    #[test]
    fn a_live_session_survives_anything(garbage in prop::collection::vec(datagrams(), 1..40)) {
        let clock = VirtualClock::start();
        let (mut client, mut server) = World::new().establish(&clock);

        feed(&mut client, &garbage, &clock);
        feed(&mut server, &garbage, &clock);

        assert_alive(&mut client, &mut server, &clock);
    }

    #[test]
    fn a_session_in_its_handshake_takes_anything(garbage in prop::collection::vec(datagrams(), 1..40)) {
        let clock = VirtualClock::start();
        let (mut client, mut server) = World::new().open(&clock);

        feed(&mut client, &garbage, &clock);
        feed(&mut server, &garbage, &clock);
    }

    #[test]
    fn an_association_that_dials_takes_anything(garbage in prop::collection::vec(datagrams(), 1..40)) {
        let mut clock = VirtualClock::start();
        let world = World::new();
        let config = AssociationConfig::new(world.client, world.options, Precedence::Ours);
        let mut association = Association::dial(config, clock.now()).unwrap();
        let mut plaintexts = Plaintexts::new();

        for datagram in &garbage {
            let outcome = association.handle_datagram(datagram, &mut plaintexts, clock.now());
            prop_assert_ne!((outcome, datagram.is_empty()), (Outcome::Accepted, true));
            while association.poll_transmit().is_some() || association.poll_event().is_some() {}
            if let Some(due) = association.poll_timeout() {
                clock.advance_to(due);
                association.handle_timeout(clock.now());
            }
        }

        prop_assert!(plaintexts.is_empty());
    }
}
