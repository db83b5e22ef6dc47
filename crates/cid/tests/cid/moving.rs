//! When a peer's address moves, and when it does not (RFC 9146, 6; RFC 9853, 5).

use peerbound_cid::{AMPLIFICATION_LIMIT, ConnectionId, Dropped, Event, MoveRule, SendError, WAITING_MAX};
use peerbound_dtls::Discard;

use crate::road::{A, A_REBOUND, AB, B, MALLORY, Road, data, events, id, only_transmit, transmits};
use crate::support::address;

const REPLAY: Result<(), Dropped> = Err(Dropped::Discarded(Discard::Replay));

#[test]
fn without_ids_a_rebound_peer_is_a_stranger() {
    let mut road = Road::without_ids();
    let record = road.a.seal(AB, b"from elsewhere").unwrap();

    assert_eq!(road.b_gets(&record, A_REBOUND), Err(Dropped::NoSession));
    assert_eq!(road.b_gets(&record, A), Ok(()));
}

#[test]
fn with_ids_a_rebound_peer_is_followed_at_his_next_record() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let record = road.a.seal(AB, b"from elsewhere").unwrap();

    assert_eq!(road.b_gets(&record, A_REBOUND), Ok(()));

    let moved = Event::Moved { session: AB, from: address(A), to: address(A_REBOUND) };
    assert_eq!(events(&mut road.b), [moved, data("from elsewhere")]);
    road.b.send(AB, b"answer").unwrap();
    let answer = only_transmit(&mut road.b);
    assert_eq!(answer.ends.remote, address(A_REBOUND));
    assert_eq!(road.a_gets(&answer.bytes, B), Ok(()));
}

#[test]
fn a_basic_check_follows_a_rebound_peer_when_he_has_answered() {
    let mut road = Road::with_ids(MoveRule::BasicCheck);
    let record = road.a.seal(AB, b"from elsewhere").unwrap();

    assert_eq!(road.b_gets(&record, A_REBOUND), Ok(()));
    assert_eq!(road.b_sends_to(), address(A));
    let challenge = only_transmit(&mut road.b);
    assert_eq!(challenge.ends.remote, address(A_REBOUND));
    assert_eq!(road.a_gets(&challenge.bytes, B), Ok(()));
    let response = only_transmit(&mut road.a);
    assert_eq!(road.b_gets(&response.bytes, A_REBOUND), Ok(()));

    assert_eq!(road.b_sends_to(), address(A_REBOUND));
}

#[test]
fn an_old_record_from_a_new_address_is_read_and_not_followed() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let delayed = road.a.seal(AB, b"first, delayed").unwrap();
    let newest = road.a.seal(AB, b"second").unwrap();

    assert_eq!(road.b_gets(&newest, A), Ok(()));
    assert_eq!(road.b_gets(&delayed, MALLORY), Ok(()));

    // RFC 9146, 6: such datagrams "are still valid DTLS records and are still to be passed".
    assert_eq!(events(&mut road.b), [data("second"), data("first, delayed")]);
    assert_eq!(road.b_sends_to(), address(A));
}

#[test]
fn a_copy_of_a_record_that_arrived_is_a_replay_from_wherever_it_comes() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let record = road.a.seal(AB, b"once").unwrap();

    assert_eq!(road.b_gets(&record, A), Ok(()));

    assert_eq!(road.b_gets(&record, MALLORY), REPLAY);
    assert_eq!(road.b_sends_to(), address(A));
}

#[test]
fn without_a_check_the_newest_record_moves_the_address_to_whoever_brings_it() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let held = road.a.seal(AB, b"held up on the way").unwrap();

    assert_eq!(road.b_gets(&held, MALLORY), Ok(()));
    assert_eq!(road.b_gets(&held, A), REPLAY);

    road.b.send(AB, b"for A").unwrap();
    assert_eq!(only_transmit(&mut road.b).ends.remote, address(MALLORY));
}

#[test]
fn with_a_basic_check_a_thief_of_datagrams_who_cannot_answer_gains_nothing() {
    let mut road = Road::with_ids(MoveRule::BasicCheck);
    let held = road.a.seal(AB, b"held up on the way").unwrap();

    assert_eq!(road.b_gets(&held, MALLORY), Ok(()));
    let challenge = only_transmit(&mut road.b);
    assert_eq!(challenge.ends.remote, address(MALLORY));
    assert_eq!(road.b_gets(&challenge.bytes, MALLORY), Err(Dropped::NoSession), "it bears A's id, not B's");
    road.wait();

    assert_eq!(road.b_sends_to(), address(A));
    let failed = Event::CheckFailed { session: AB, candidate: address(MALLORY) };
    assert_eq!(events(&mut road.b).last(), Some(&failed));
}

/// RFC 9853, 8.1.2: who forwards in both directions passes the basic check.
#[test]
fn a_forwarder_passes_the_basic_check_and_not_the_enhanced_one() {
    let mut road = Road::with_ids(MoveRule::BasicCheck);
    let copied = road.a.seal(AB, b"copied, and faster").unwrap();
    road.b_gets(&copied, MALLORY).unwrap();
    let challenge = only_transmit(&mut road.b);
    road.a_gets(&challenge.bytes, MALLORY).unwrap();
    for answer in transmits(&mut road.a) {
        let _ = road.b_gets(&answer.bytes, MALLORY);
    }
    assert_eq!(road.b_sends_to(), address(MALLORY));

    let mut road = Road::with_ids(MoveRule::EnhancedCheck);
    let copied = road.a.seal(AB, b"copied, and faster").unwrap();
    road.b_gets(&copied, MALLORY).unwrap();
    let challenge = only_transmit(&mut road.b);
    assert_eq!(challenge.ends.remote, address(A), "the old path is asked first");
    road.a_gets(&challenge.bytes, B).unwrap();
    let response = only_transmit(&mut road.a);
    road.b_gets(&response.bytes, A).unwrap();

    assert_eq!(road.b_sends_to(), address(A));
    let stayed = Event::Stayed { session: AB, candidate: address(MALLORY) };
    assert_eq!(events(&mut road.b).last(), Some(&stayed));
}

#[test]
fn an_enhanced_check_asks_the_new_path_when_the_old_one_is_silent() {
    let mut road = Road::with_ids(MoveRule::EnhancedCheck);
    let record = road.a.seal(AB, b"from elsewhere").unwrap();
    road.b_gets(&record, A_REBOUND).unwrap();
    assert_eq!(only_transmit(&mut road.b).ends.remote, address(A), "and the NAT lets nothing in there");

    road.wait();
    let challenge = only_transmit(&mut road.b);
    assert_eq!(challenge.ends.remote, address(A_REBOUND));
    road.a_gets(&challenge.bytes, B).unwrap();
    let response = only_transmit(&mut road.a);
    road.b_gets(&response.bytes, A_REBOUND).unwrap();

    assert_eq!(road.b_sends_to(), address(A_REBOUND));
}

#[test]
fn a_peer_that_moved_on_purpose_says_so_on_the_old_path() {
    let mut road = Road::with_ids(MoveRule::EnhancedCheck);
    road.a.migrate(AB, address(A_REBOUND)).unwrap();
    road.a.send(AB, b"I am elsewhere").unwrap();
    let record = only_transmit(&mut road.a);
    assert_eq!(record.ends.local, address(A_REBOUND));
    road.b_gets(&record.bytes, A_REBOUND).unwrap();

    let on_old_path = only_transmit(&mut road.b);
    road.a_gets(&on_old_path.bytes, B).unwrap();
    let path_drop = only_transmit(&mut road.a);
    assert_eq!(path_drop.ends.local, address(A));
    road.b_gets(&path_drop.bytes, A).unwrap();
    let on_new_path = only_transmit(&mut road.b);

    assert_eq!(on_new_path.ends.remote, address(A_REBOUND));
    assert_eq!(road.b_sends_to(), address(A), "nobody has answered there yet");
}

#[test]
fn a_response_from_a_third_address_settles_nothing() {
    let mut road = Road::with_ids(MoveRule::BasicCheck);
    let record = road.a.seal(AB, b"from elsewhere").unwrap();
    road.b_gets(&record, A_REBOUND).unwrap();
    let challenge = only_transmit(&mut road.b);
    road.a_gets(&challenge.bytes, B).unwrap();
    let response = only_transmit(&mut road.a);

    assert_eq!(road.b_gets(&response.bytes, "198.51.100.1:62000"), Ok(()));
    assert_eq!(road.b_sends_to(), address(A));
    assert_eq!(road.b_gets(&response.bytes, A_REBOUND), REPLAY);
}

#[test]
fn what_is_to_be_sent_waits_for_the_check_and_then_goes_where_the_peer_is() {
    let mut road = Road::with_ids(MoveRule::BasicCheck);
    let record = road.a.seal(AB, b"from elsewhere").unwrap();
    road.b_gets(&record, A_REBOUND).unwrap();
    let challenge = only_transmit(&mut road.b);
    for _ in 0..WAITING_MAX {
        road.b.send(AB, &[0; 1000]).unwrap();
    }
    assert_eq!(road.b.send(AB, &[0; 1000]), Err(SendError::Waiting));
    assert_eq!(transmits(&mut road.b), []);

    road.a_gets(&challenge.bytes, B).unwrap();
    let response = only_transmit(&mut road.a);
    road.b_gets(&response.bytes, A_REBOUND).unwrap();

    let sent = transmits(&mut road.b);
    assert_eq!(sent.len(), WAITING_MAX);
    assert!(sent.iter().all(|transmit| transmit.ends.remote == address(A_REBOUND)));
}

#[test]
fn what_waited_goes_to_the_old_address_when_the_check_has_failed() {
    let mut road = Road::with_ids(MoveRule::BasicCheck);
    let held = road.a.seal(AB, b"held up").unwrap();
    road.b_gets(&held, MALLORY).unwrap();
    let _challenge = only_transmit(&mut road.b);
    road.b.send(AB, b"for A").unwrap();

    road.wait();

    assert_eq!(only_transmit(&mut road.b).ends.remote, address(A));
}

#[test]
fn an_address_that_was_not_checked_gets_no_more_than_three_times_what_came_from_it() {
    for rule in [MoveRule::BasicCheck, MoveRule::EnhancedCheck] {
        let mut road = Road::with_ids(rule);
        let (mut received, mut sent) = (0, 0);
        for round in 0..20 {
            let held = road.a.seal(AB, &[0; 2]).unwrap();
            road.b_gets(&held, MALLORY).unwrap();
            received += held.len();
            road.b.send(AB, &[0; 1200]).unwrap();
            if round % 3 == 2 {
                road.wait();
            }
            let to_mallory = transmits(&mut road.b);
            let to_mallory = to_mallory.iter().filter(|transmit| transmit.ends.remote == address(MALLORY));
            sent += to_mallory.map(|transmit| transmit.bytes.len()).sum::<usize>();
            assert!(sent <= AMPLIFICATION_LIMIT * received, "{rule:?}: {sent} for {received}");
        }
        assert!(sent > 0, "{rule:?}: challenges are sent");
    }
}

#[test]
fn a_check_that_failed_is_begun_again_by_the_next_record() {
    let mut road = Road::with_ids(MoveRule::BasicCheck);
    let first = road.a.seal(AB, b"one").unwrap();
    road.b_gets(&first, A_REBOUND).unwrap();
    let lost = only_transmit(&mut road.b);
    road.wait();
    let second = road.a.seal(AB, b"two").unwrap();

    road.b_gets(&second, A_REBOUND).unwrap();
    let challenge = only_transmit(&mut road.b);

    assert_ne!(challenge.bytes, lost.bytes);
    road.a_gets(&challenge.bytes, B).unwrap();
    let response = only_transmit(&mut road.a);
    road.b_gets(&response.bytes, A_REBOUND).unwrap();
    assert_eq!(road.b_sends_to(), address(A_REBOUND));
}

/// With the longest id a challenge is longer than three small records.
#[test]
fn a_challenge_that_would_be_too_long_for_what_came_is_not_sent() {
    let mut road =
        Road::new(Some(ConnectionId::new(&[0xa1; 255]).unwrap()), Some(id(0xb1)), MoveRule::BasicCheck);
    let small = road.a.seal(AB, b"?").unwrap();
    road.b_gets(&small, A_REBOUND).unwrap();
    assert_eq!(transmits(&mut road.b), []);
    assert!(!events(&mut road.b).iter().any(|event| matches!(event, Event::Challenged { .. })));

    road.wait();
    let longer = road.a.seal(AB, &[0; 100]).unwrap();
    road.b_gets(&longer, A_REBOUND).unwrap();
    let challenge = only_transmit(&mut road.b);

    assert!(small.len() * AMPLIFICATION_LIMIT < challenge.bytes.len());
    assert!(challenge.bytes.len() <= longer.len() * AMPLIFICATION_LIMIT);
}

#[test]
fn an_answer_about_the_old_path_counts_only_if_it_comes_by_the_old_path() {
    let mut road = Road::with_ids(MoveRule::EnhancedCheck);
    let record = road.a.seal(AB, b"from elsewhere").unwrap();
    road.b_gets(&record, A_REBOUND).unwrap();
    let on_old_path = only_transmit(&mut road.b);
    road.a_gets(&on_old_path.bytes, B).unwrap();
    let response = only_transmit(&mut road.a);

    road.b_gets(&response.bytes, A_REBOUND).unwrap();
    assert!(!events(&mut road.b).iter().any(|event| matches!(event, Event::Stayed { .. })));

    road.wait();
    assert_eq!(only_transmit(&mut road.b).ends.remote, address(A_REBOUND), "so the new path is asked");
}
