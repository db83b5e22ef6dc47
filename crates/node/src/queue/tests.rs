use peerbound_wire::{FlowId, Kind, PacketId};
use proptest::prelude::*;

use super::*;

const A: NodeId = NodeId::new([0xa; 16]);
const B: NodeId = NodeId::new([0xb; 16]);
const C: NodeId = NodeId::new([0xc; 16]);

fn header(flow: u32, packet: u64) -> Header {
    Header { flow: FlowId(flow), packet: PacketId(packet), ..Header::new(Kind::Data, A, C) }
}

fn queues(rates: &[(NodeId, u64)]) -> (Queues, Instant) {
    let rates = rates.iter().map(|(id, bits)| (*id, Rate::from_bits_per_second(*bits).unwrap()));
    (Queues::new(&rates.collect()), instant_for_tests())
}

/// Pushes a frame that came from elsewhere; returns how many gave way.
fn push(queues: &mut Queues, neighbour: NodeId, (flow, bytes): (u32, usize), now: Instant) -> usize {
    queues.push(neighbour, &vec![0; bytes], (header(flow, 0), Some(A)), now).unwrap();
    let mut shed = 0;
    while let Some((from, frame)) = queues.shed(neighbour) {
        queues.note_dropped(&from, frame, FrameDrop::QueueBytes);
        shed += 1;
    }
    shed
}

#[test]
fn where_nothing_waits_every_way_is_open_and_where_something_does_only_the_others() {
    let (mut queues, now) = queues(&[]);
    assert!(queues.is_open(&B, now));

    push(&mut queues, B, (1, 1000), now);

    assert!(!queues.is_open(&B, now), "a frame must not overtake those that wait");
    assert!(queues.is_open(&C, now));
    assert!(queues.take(1, now).is_some());
    assert!(queues.is_open(&B, now));
}

#[test]
fn neighbours_take_turns_of_a_batch_each() {
    let (mut queues, now) = queues(&[]);
    for _ in 0..20 {
        push(&mut queues, B, (1, 1000), now);
        push(&mut queues, C, (1, 1000), now);
    }

    let order: Vec<_> = std::iter::from_fn(|| queues.take(5000, now)).map(|(to, _)| to).collect();

    let expected: Vec<_> = [[B; 5], [C; 5]].iter().flatten().copied().cycle().take(40).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_rate_lets_frames_leave_in_its_time_and_holds_up_nobody_else() {
    // A byte each microsecond, and 4000 of them at once.
    let (mut queues, now) = queues(&[(B, 8_000_000)]);
    for _ in 0..10 {
        push(&mut queues, B, (1, 1000), now);
        push(&mut queues, C, (1, 1000), now);
    }
    let mut leave = |now| {
        let mut left = 0;
        while let Some((to, _)) = queues.take(65_000, now) {
            queues.charge(&to, 1000, now);
            left += 1;
        }
        (left, queues.poll_timeout())
    };

    let (first, next_at) = leave(now);
    assert_eq!((first, next_at), (10 + 5, Some(now + Duration::from_millis(1))));
    let (second, next_at) = leave(now + Duration::from_millis(3));
    assert_eq!((second, next_at), (3, Some(now + Duration::from_millis(4))));
    assert_eq!(leave(now + Duration::from_secs(1)), (2, None));
}

#[test]
fn at_the_ceiling_the_fattest_flow_of_a_neighbour_gives_way() {
    let (mut queues, now) = queues(&[]);
    push(&mut queues, B, (2, 1000), now);
    let shed: usize = (0..4000).map(|_| push(&mut queues, B, (1, 1000), now)).sum();

    let view = queues.view(B, now);
    assert_eq!(view.dropped, [(FrameDrop::QueueBytes, shed as u64)].into());
    assert_eq!((view.frames, view.flows), (4001 - shed, 2), "the sparse flow lost nothing");
    assert!(queues.charge <= QUEUE_BYTES_MAX);
}

#[test]
fn at_the_ceiling_a_frame_of_our_own_is_refused_if_its_flow_is_the_fattest() {
    let (mut queues, now) = queues(&[]);
    let ours = |flow| (header(flow, 0), None);
    let mut push = |flow| {
        let pushed = queues.push(B, &[0; 1000], ours(flow), now);
        (pushed, queues.shed(B).map(|(_, frame)| frame.header.flow))
    };
    let refused = (0..4000).map(|_| push(1)).find(|outcome| *outcome != (Ok(()), None));

    assert_eq!(refused, Some((Err(Full), None)));
    assert_eq!(push(2), (Ok(()), Some(FlowId(1))), "another flow finds room at the cost of the fattest");
}

#[test]
fn all_neighbours_together_stay_below_the_ceiling_of_the_node() {
    let (mut queues, now) = queues(&[]);
    let neighbours: Vec<_> = (0..24).map(|number| NodeId::new([number; 16])).collect();
    for _ in 0..2000 {
        for neighbour in &neighbours {
            push(&mut queues, *neighbour, (1, 1000), now);
        }
    }

    assert!(queues.charge <= QUEUES_BYTES_MAX);
    assert!(queues.charge > QUEUES_BYTES_MAX - 2000, "{}", queues.charge);
    let frames: Vec<_> = neighbours.iter().map(|neighbour| queues.view(*neighbour, now).frames).collect();
    assert!(frames.iter().max().unwrap() - frames.iter().min().unwrap() <= 1, "{frames:?}");
}

proptest! {
    #[test]
    fn ceilings_hold_and_every_frame_leaves_or_is_counted(
        deeds in proptest::collection::vec((0_u8..3, 0_u32..5, 54_usize..9000, 0_usize..4), 1..1500),
    ) {
        let (mut queues, mut now) = queues(&[(B, 50_000_000)]);
        let (mut came, mut left) = (0_usize, 0_usize);
        for (neighbour, flow, bytes, leave) in deeds {
            let neighbour = [A, B, C][usize::from(neighbour)];
            let shed = push(&mut queues, neighbour, (flow, bytes), now);
            came += 1;
            left += shed;
            now += Duration::from_micros(100);
            for _ in 0..leave {
                if let Some((to, Taken::Passed(frame) | Taken::Marked(frame) | Taken::Dropped(frame))) =
                    queues.take(65_000, now)
                {
                    queues.charge(&to, frame.bytes.len(), now);
                    queues.recycle(frame);
                    left += 1;
                }
            }
            let views = [A, B, C].map(|neighbour| queues.view(neighbour, now));
            prop_assert_eq!(views.iter().map(|view| view.frames).sum::<usize>(), queues.frames());
            prop_assert_eq!(came, left + queues.frames());
            prop_assert!(queues.by_neighbour.values().all(|queue| queue.waiting.charge() <= QUEUE_BYTES_MAX));
            prop_assert!(queues.charge <= QUEUES_BYTES_MAX);
            prop_assert_eq!(queues.turns.len(), views.iter().filter(|view| view.frames > 0).count());
        }
    }
}
