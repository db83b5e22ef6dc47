//! Ways never close to a loop, at no moment, whatever is lost, late, or gone; and when all is quiet they
//! are the shortest.

use std::time::Duration;

use peerbound_node::Feasibility;
use proptest::prelude::*;

use crate::mesh::{Mesh, Plan};

/// Something that befalls a mesh.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Cut(usize),
    Join(usize),
    Restart(usize),
    Wait(u64),
}

fn blows() -> impl Strategy<Value = Vec<Blow>> {
    let blow = prop_oneof![
        3 => any::<usize>().prop_map(Blow::Cut),
        2 => any::<usize>().prop_map(Blow::Join),
        1 => any::<usize>().prop_map(Blow::Restart),
        3 => (0_u64..400).prop_map(Blow::Wait),
    ];
    prop::collection::vec(blow, 0..20)
}

fn suffer(mesh: &mut Mesh, blows: &[Blow]) {
    let links: Vec<_> = mesh.plan.links.keys().copied().collect();
    for blow in blows {
        match *blow {
            Blow::Cut(index) => {
                let (one, other) = links[index % links.len()];
                mesh.cut(one, other);
            }
            Blow::Join(index) => {
                let (one, other) = links[index % links.len()];
                mesh.join(one, other);
            }
            Blow::Restart(index) => mesh.restart(index % mesh.plan.nodes),
            Blow::Wait(millis) => mesh.run_for(Duration::from_millis(millis)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn there_is_never_a_loop_and_in_the_end_every_way_is_the_shortest(
        nodes in 2_usize..9,
        degree in 2_usize..5,
        loss in 0_u32..150,
        jitter in 0_u64..80,
        seed: u64,
        blows in blows(),
    ) {
        let jitter = Duration::from_millis(jitter);
        let mut mesh = Mesh::up(Plan { loss, jitter, ..Plan::random(nodes, degree, 4, seed) });
        mesh.watches = true;

        suffer(&mut mesh, &blows);
        mesh.run_for(Duration::from_secs(60));

        prop_assert_eq!(&mesh.loops_seen, &Vec::<String>::new());
        prop_assert_eq!(mesh.faults(), Vec::<String>::new());
    }
}

#[test]
fn without_the_feasibility_condition_there_are_loops() {
    let seen = (0..40).any(|seed| {
        let plan = Plan { feasibility: Feasibility::Off, ..Plan::random(7, 4, 4, seed) };
        let mut mesh = Mesh::up(Plan { jitter: Duration::from_millis(30), ..plan });
        mesh.run_for(Duration::from_secs(3));
        mesh.watches = true;
        mesh.restart(0);
        let around: Vec<_> = mesh.plan.links.keys().copied().filter(|(one, _)| *one == 0).collect();
        around.into_iter().for_each(|(one, other)| mesh.cut(one, other));
        mesh.run_for(Duration::from_secs(5));
        !mesh.loops_seen.is_empty()
    });

    assert!(seen, "the condition would be of no use");
}
