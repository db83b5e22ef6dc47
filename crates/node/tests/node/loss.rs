//! Bad weather on every wire: loss, duplicates, datagrams that overtake each other. The books are
//! checked after every input of every node, by the net itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peerbound_node::Event;
use peerbound_wire::NodeId;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::support::{Conditions, FAIR, Net, Plan, Weather, for_each_seed};

const ROUNDS: u32 = 150;

/// Time in which every link has come up at least once, however many handshakes get lost.
const UP_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn in_fair_weather_everything_that_is_sent_arrives_once() {
    for_each_seed(0..4, |seed| {
        let mut story = Traffic::begin(&plans()[usize::try_from(seed).unwrap() % 4], FAIR, seed);

        story.send_for(ROUNDS);

        assert_eq!(story.arrived(), story.sent.len());
    });
}

#[test]
fn duplicates_and_disorder_on_the_wires_change_nothing_at_the_ends() {
    let conditions = Conditions { jitter: Duration::from_millis(30), twice: 30, ..FAIR };
    for_each_seed(0..8, |seed| {
        let mut story = Traffic::begin(&plans()[usize::try_from(seed).unwrap() % 4], conditions, seed);

        story.send_for(ROUNDS);

        assert_eq!(story.arrived(), story.sent.len());
    });
}

#[test]
fn a_tenth_of_the_datagrams_lost_is_borne() {
    let conditions = Conditions { jitter: Duration::from_millis(10), loss: 10, twice: 5, ..FAIR };
    for_each_seed(0..12, |seed| {
        let mut story = Traffic::begin(&plans()[usize::try_from(seed).unwrap() % 4], conditions, seed);

        story.send_for(ROUNDS);

        // Three hops at nine in ten each way leave seven in ten; a link may have been down a while.
        assert!(story.arrived() * 2 > story.sent.len(), "{} of {}", story.arrived(), story.sent.len());
    });
}

#[test]
fn with_a_third_of_the_datagrams_lost_the_links_still_come_up() {
    let conditions = Conditions { jitter: Duration::from_millis(10), loss: 30, twice: 5, ..FAIR };
    for_each_seed(0..12, |seed| {
        let mut story = Traffic::begin(&plans()[usize::try_from(seed).unwrap() % 4], conditions, seed);

        story.send_for(ROUNDS);

        assert!(story.arrived() > 0);
    });
}

#[test]
fn after_a_storm_everything_is_as_before() {
    let storm = Conditions { jitter: Duration::from_millis(500), loss: 80, twice: 20, ..FAIR };
    for_each_seed(0..6, |seed| {
        let mut story = Traffic::begin(&Plan::chain(4), FAIR, seed);
        story.net.weather = Weather::new(storm, seed);
        story.send_for(ROUNDS);

        story.net.weather = Weather::new(FAIR, seed);
        story.net.run_until_up();
        story.net.run_for(Duration::from_secs(2));

        let (arrived, sent) = (story.arrived(), story.sent.len());
        story.send_for(ROUNDS);
        assert_eq!(story.arrived() - arrived, story.sent.len() - sent);
    });
}

fn plans() -> [Plan; 4] {
    [Plan::chain(3), Plan::chain(4), Plan::ring(4), Plan::ring(5)]
}

fn every_link_came_up(net: &Net) -> bool {
    net.nodes.iter().zip(&net.events).all(|(node, events)| {
        let came_up = |neighbour: NodeId| {
            events.iter().any(|event| matches!(event, Event::NeighbourUp { id, .. } if *id == neighbour))
        };
        node.neighbours().iter().all(|neighbour| came_up(neighbour.id))
    })
}

/// Numbered payloads from everyone to everyone.
struct Traffic {
    net: Net,
    chance: ChaCha8Rng,
    next: u32,
    /// What left, and for whom.
    sent: BTreeMap<Vec<u8>, usize>,
}

impl Traffic {
    /// Brings up the links of a plan in this weather.
    fn begin(plan: &Plan, conditions: Conditions, seed: u64) -> Self {
        let mut net = Net::new(plan);
        net.weather = Weather::new(conditions, seed);
        // With a third lost, three hellos in a row are missed every few seconds: some link is always
        // on its way back.
        net.run_until(UP_WITHIN, every_link_came_up);
        Self { net, chance: ChaCha8Rng::seed_from_u64(seed), next: 0, sent: BTreeMap::new() }
    }

    fn send_for(&mut self, rounds: u32) {
        for _ in 0..rounds {
            let (from, to, reply) = (self.pick(), self.pick(), self.chance.next_u32().is_multiple_of(2));
            let mut payload = self.next.to_be_bytes().to_vec();
            self.next += 1;
            payload.resize(payload.len() + usize::try_from(self.chance.next_u32() % 1000).unwrap(), 7);
            let left =
                if reply { self.net.reply(from, to, &payload) } else { self.net.send(from, to, &payload) };
            if left.is_ok() {
                self.sent.insert(payload, to);
            }
            self.net.run_for(Duration::from_millis(u64::from(self.chance.next_u32() % 40)));
        }
        self.net.run_for(Duration::from_secs(1));
    }

    /// Counts what arrived, and checks that it is what was sent, where it was sent to, and once.
    fn arrived(&self) -> usize {
        let mut seen = BTreeSet::new();
        for index in 0..self.net.nodes.len() {
            for payload in self.net.delivered(index) {
                assert_eq!(self.sent.get(&payload), Some(&index), "nobody sent this to {index}");
                assert!(seen.insert(payload), "it arrived twice");
            }
        }
        seen.len()
    }

    fn pick(&mut self) -> usize {
        usize::try_from(self.chance.next_u32()).unwrap() % self.net.nodes.len()
    }
}
