//! Everything that can happen to links, one thing after another; and when it is over, all is well.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::support::{Conditions, FAIR, Net, Plan, Weather, for_each_seed};

/// Longer than an opening, a wait to dial again and three missed hellos together.
const RECOVERY: Duration = Duration::from_secs(30);

const NODES: usize = 3;

/// Where every node listens.
const PORT: u16 = 4433;

#[test]
fn whatever_befell_the_links_all_come_back_and_stay() {
    let pairs = || (0..NODES).flat_map(|one| (0..NODES).map(move |other| (one, other)));
    let both = Plan {
        nodes: NODES,
        links: pairs().filter(|(one, other)| one != other).collect(),
        routes: Vec::new(),
    };
    let one_way = Plan {
        links: both.links.iter().copied().filter(|(one, other)| one < other).collect(),
        ..both.clone()
    };
    for_each_seed(0..12, |seed| {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let plan = if seed % 3 == 0 { &one_way } else { &both };
        let mut net = Net::with(plan, |_, _, config| config.rekey_age = Duration::from_secs(7));
        for _ in 0..30 {
            disturb(&mut net, &mut chance, seed);
            net.run_for(Duration::from_millis(u64::from(chance.next_u32() % 2500)));
        }
        net.cut.clear();
        net.farewells_lost.clear();
        net.handshakes_lost = false;
        // A neighbour that is dialled answers from where it is dialled, or it is no neighbour.
        net.ports.fill(PORT);
        net.weather = Weather::new(FAIR, seed);

        net.run_until(RECOVERY, Net::is_up);
        net.run_for(RECOVERY);
        net.events.iter_mut().for_each(Vec::clear);
        net.run_for(RECOVERY);

        assert!(net.is_up());
        for index in 0..NODES {
            assert!(net.story(index).iter().all(|word| word.ends_with("replaced")), "{:?}", net.story(index));
        }
    });
}

fn disturb(net: &mut Net, chance: &mut ChaCha8Rng, seed: u64) {
    let mut below = |limit: usize| usize::try_from(chance.next_u32()).unwrap() % limit;
    let (one, other) = (below(NODES), below(NODES));
    match below(9) {
        0 => net.restart(one),
        1 => net.ports[one] = 50_000 + u16::try_from(below(4)).unwrap(),
        2 => net.ports[one] = PORT,
        3 => drop(net.cut.insert((one, other))),
        4 => net.cut_both(one, other),
        5 => net.cut.clear(),
        6 => drop(net.farewells_lost.insert((one, other))),
        7 => net.handshakes_lost = !net.handshakes_lost,
        _ => {
            let latency = Duration::from_millis([0, 1, 40, 150][below(4)]);
            let loss = [0, 10, 30][below(3)];
            net.weather = Weather::new(Conditions { latency, loss, jitter: latency, twice: 10 }, seed);
        }
    }
}
