use std::collections::BTreeMap;
use std::time::Duration;

use peerbound_wire::{Flags, FlowId, Header, Kind, NodeId, PacketId};
use proptest::prelude::*;

use super::*;
use crate::queue::codel::{INTERVAL, TARGET};
use crate::queue::waiting::{FlowKey, Waiting};

const A: NodeId = NodeId::new([0xa; 16]);
const C: NodeId = NodeId::new([0xc; 16]);

fn frame(flow: u32, packet: u64, bytes: usize, since: Instant) -> Waiting {
    let header = Header { flow: FlowId(flow), packet: PacketId(packet), ..Header::new(Kind::Data, A, C) };
    Waiting { bytes: vec![0; bytes], header, from: Some(A), since }
}

fn start() -> Instant {
    crate::queue::instant_for_tests()
}

/// Takes the next frame that is sent, and passes over those that are dropped.
fn next(queue: &mut FairQueue<Waiting>, now: Instant) -> Option<Waiting> {
    loop {
        match queue.take(now)? {
            Taken::Passed(frame) | Taken::Marked(frame) => return Some(frame),
            Taken::Dropped(_) => {}
        }
    }
}

#[test]
fn a_flow_that_begins_goes_before_one_with_a_backlog() {
    let (mut queue, now) = (FairQueue::default(), start());
    (0..100).for_each(|packet| queue.push(frame(1, packet, 1400, now)));
    (0..10).for_each(|_| drop(next(&mut queue, now)));

    queue.push(frame(2, 0, 100, now));

    assert_eq!(next(&mut queue, now).map(|frame| frame.header.flow), Some(FlowId(2)));
    assert_eq!(next(&mut queue, now).map(|frame| frame.header.flow), Some(FlowId(1)));
}

#[test]
fn a_flow_that_comes_back_at_once_does_not_begin_again() {
    let (mut queue, now) = (FairQueue::default(), start());
    (0..100).for_each(|packet| queue.push(frame(1, packet, 1400, now)));

    // One frame of 1400 bytes whenever its last has left: as much as the other may have, and no more.
    let mut sent = BTreeMap::<FlowId, u32>::new();
    queue.push(frame(2, 0, 1400, now));
    for packet in 1..60 {
        let left = next(&mut queue, now).unwrap().header.flow;
        *sent.entry(left).or_default() += 1;
        if left == FlowId(2) {
            queue.push(frame(2, packet, 1400, now));
        }
    }

    assert!(sent[&FlowId(1)].abs_diff(sent[&FlowId(2)]) <= 2, "{sent:?}");
}

#[test]
fn a_standing_queue_marks_frames_that_can_be_marked_and_drops_the_others() {
    let now = start();
    let later = now + TARGET + INTERVAL;
    let fill = |flags| {
        let mut queue = FairQueue::default();
        for packet in 0..100 {
            let mut frame = frame(1, packet, 1400, now);
            frame.header.flags = flags;
            queue.push(frame);
        }
        queue.take(now + TARGET);
        queue
    };

    let capable = fill(Flags::ECN_CAPABLE).take(later);
    let incapable = fill(Flags::default()).take(later);

    let Some(Taken::Marked(frame)) = capable else { panic!("{capable:?}") };
    assert!(frame.header.flags.contains(Flags::CONGESTION.with(Flags::ECN_CAPABLE)));
    assert!(matches!(incapable, Some(Taken::Dropped(_))), "{incapable:?}");
}

#[test]
fn more_flows_than_are_told_apart_share_one_and_lose_nothing() {
    let (mut queue, now) = (FairQueue::default(), start());
    let flows = u32::try_from(FLOWS_WAITING_MAX).unwrap() + 500;
    (0..flows).for_each(|flow| queue.push(frame(flow, 0, 100, now)));
    assert!(queue.flows() <= FLOWS_WAITING_MAX + 1);

    let left = std::iter::from_fn(|| next(&mut queue, now)).count();

    assert_eq!(left, FLOWS_WAITING_MAX + 500);
    assert_eq!((queue.frames(), queue.bytes(), queue.charge(), queue.flows()), (0, 0, 0, 0));
    assert!(queue.by_key.is_empty(), "no flow is remembered that has nothing");
}

#[test]
fn what_is_dropped_for_room_is_the_oldest_of_the_fattest() {
    let (mut queue, now) = (FairQueue::default(), start());
    (0..10).for_each(|packet| queue.push(frame(1, packet, 1000, now)));
    (0..5).for_each(|packet| queue.push(frame(2, packet, 1400, now)));

    let dropped = queue.drop_from_fattest().unwrap();

    assert_eq!((dropped.header.flow, dropped.header.packet), (FlowId(1), PacketId(0)));
    assert!(queue.is_fattest(FlowKey::of(&dropped.header)));
}

/// Frames that come and go: the flow, its bytes, how many leave afterwards, and how long that takes.
fn traffic() -> impl Strategy<Value = Vec<(u32, usize, usize, u64)>> {
    proptest::collection::vec((0_u32..6, 54_usize..3000, 0_usize..3, 0_u64..8000), 1..400)
}

proptest! {
    #[test]
    fn within_a_flow_frames_leave_in_the_order_in_which_they_came(traffic in traffic()) {
        let (mut queue, mut now) = (FairQueue::default(), start());
        let mut newest = BTreeMap::<FlowId, PacketId>::new();
        let mut check = |frame: Waiting| {
            let before = newest.insert(frame.header.flow, frame.header.packet);
            before.is_none_or(|before| before < frame.header.packet)
        };
        for (packet, (flow, bytes, leave, micros)) in (0..).zip(traffic) {
            queue.push(frame(flow, packet, bytes, now));
            now += Duration::from_micros(micros);
            for _ in 0..leave {
                let left = next(&mut queue, now);
                prop_assert!(left.is_none_or(&mut check));
            }
        }
        while let Some(frame) = next(&mut queue, now) {
            prop_assert!(check(frame));
        }
    }

    #[test]
    fn nothing_is_lost_count_of(traffic in traffic()) {
        let (mut queue, mut now) = (FairQueue::default(), start());
        let (mut frames, mut bytes) = (0_usize, 0_usize);
        for (packet, (flow, len, leave, micros)) in (0..).zip(traffic) {
            queue.push(frame(flow, packet, len, now));
            (frames, bytes) = (frames + 1, bytes + len);
            now += Duration::from_micros(micros);
            for _ in 0..leave {
                let taken = if micros % 5 == 0 {
                    queue.drop_from_fattest()
                } else {
                    queue.take(now).map(|taken| match taken {
                        Taken::Passed(frame) | Taken::Marked(frame) | Taken::Dropped(frame) => frame,
                    })
                };
                if let Some(frame) = taken {
                    (frames, bytes) = (frames - 1, bytes - frame.bytes.len());
                }
                prop_assert_eq!((queue.frames(), queue.bytes()), (frames, bytes));
                prop_assert_eq!(queue.is_empty(), frames == 0);
            }
        }
    }

    #[test]
    fn flows_with_a_backlog_get_the_same_within_a_quantum_and_a_frame(
        sizes in proptest::collection::vec(54_usize..3000, 2..8),
        turns in 50_usize..400,
    ) {
        let (mut queue, now) = (FairQueue::default(), start());
        let mut packet = 0;
        for (flow, bytes) in (0..).zip(&sizes) {
            // More than anyone can have sent by the end: every flow has a backlog all the time.
            for _ in 0..turns * 3000 / bytes.min(&1500) / sizes.len() + 2 {
                queue.push(frame(flow, packet, *bytes, now));
                packet += 1;
            }
        }
        let mut sent = vec![0_usize; sizes.len()];
        for _ in 0..turns {
            let Some(frame) = next(&mut queue, now) else { break };
            sent[frame.header.flow.0 as usize] += frame.bytes.len();
        }
        let (most, least) = (sent.iter().max().unwrap(), sent.iter().min().unwrap());
        let largest = sizes.iter().max().unwrap();

        // A flow is behind another by what one of its turns allows at most, and by the frame that
        // the other may have had beyond its own.
        prop_assert!(most - least <= 2 * QUANTUM_BYTES + largest, "{sent:?} of {sizes:?}");
    }

    #[test]
    fn a_flow_that_wants_less_than_its_share_gets_all_it_wants(
        greedy in 1_u32..6,
        bytes in 54_usize..1400,
    ) {
        let (mut queue, now) = (FairQueue::default(), start());
        let mut waiting = 0_usize;
        for round in 0..200_u64 {
            // The greedy always have something; the modest has one frame for each round of the others.
            for flow in 0..greedy {
                queue.push(frame(flow, round, 1500, now));
                queue.push(frame(flow, round, 1500, now));
            }
            queue.push(frame(99, round, bytes, now));
            waiting += 1;
            for _ in 0..=greedy {
                let left = next(&mut queue, now).unwrap();
                waiting -= usize::from(left.header.flow == FlowId(99));
            }
            prop_assert!(waiting <= 2, "{waiting} of the modest flow wait in round {round}");
        }
    }
}
