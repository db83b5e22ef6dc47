//! The direct reply, lock by lock, and the way that works beside it.

use peerbound_lab::scenario::{DemuxPlan, Edit, End, Sequence};
use peerbound_node::Lock;

use crate::support::{A, B, C, direct_reply, ends_sealed_by_c, must_hold, node_mut, run_with, three_nodes};

#[test]
fn a_request_and_its_reply_go_through_the_relay() {
    let report = must_hold(&three_nodes(), 1);

    assert_eq!(report.trace.sessions.len(), 2);
    assert!(report.trace.entries.len() > 50);
}

#[test]
fn the_direct_reply_finds_no_session() {
    let mut scenario = direct_reply(C, Vec::new());
    scenario.expectations.push(ends_sealed_by_c("reply", End::Lock(Lock::Demux), "no-session"));

    must_hold(&scenario, 1);
}

#[test]
fn from_b_s_address_its_keys_give_it_away() {
    let mut scenario = direct_reply(B, vec![Edit::SetSequence(Sequence::Newest(1))]);
    scenario.expectations.push(crate::support::ends("reply", End::Lock(Lock::RecordAuth), Some("bad-mac")));

    must_hold(&scenario, 1);
}

#[test]
fn a_demultiplexer_that_asks_every_session_is_noticed() {
    let mut scenario = direct_reply(C, Vec::new());
    scenario.expectations.push(ends_sealed_by_c("reply", End::Lock(Lock::Demux), "no-session"));
    node_mut(&mut scenario, A).demux = DemuxPlan::EverySession;

    let report = run_with(&scenario, 1);

    assert!(!report.holds, "{:#?}", report.outcomes);
}
