//! Worlds by chance: a topology, its weather, faults, and deeds in any order. Every plan heals what it
//! breaks, so in the end everybody can talk to everybody.

use std::time::Duration;

use peerbound_dtls::ContentType;
use peerbound_lab::scenario::{
    Action, Conditions, Course, Dials, Edit, FaultAction, FaultPlan, ForgedBody, ForgedRecord,
    HandshakeMessage, Injection, LinkPlan, Occasion, Path, Pattern, Probability, Repeat, Routing, Scenario,
    SendPlan, Sequence, Source, Step, Trigger, Version, Which, Word,
};
use peerbound_lab::trace::HostIndex;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{chain, label, link, next, node_mut};

const NAMES: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

/// A world by chance. Numbers beyond the ends of lists are taken round.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    /// To which of the nodes before it each node after the first is linked.
    pub(crate) parents: Vec<usize>,
    /// Links beside the tree, as a ring or a mesh has them.
    pub(crate) chords: Vec<(usize, usize)>,
    pub(crate) weather: Vec<Weather>,
    pub(crate) faults: Vec<(usize, bool, FaultAction, Pattern, u32)>,
    pub(crate) deeds: Vec<Deed>,
    /// Records after which sessions are replaced.
    pub(crate) rekey_records: u64,
    pub(crate) routing: Routing,
}

#[derive(Debug, Clone)]
pub(crate) struct Weather {
    dials: Dials,
    latency: Duration,
    jitter: Duration,
    loss: f64,
    duplicate: f64,
    reorder: f64,
}

/// Something that is done.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Send {
        from: usize,
        to: usize,
        times: u32,
    },
    /// A node is gone for a while.
    Crash {
        node: usize,
        back_after: Duration,
    },
    Leave {
        node: usize,
        back_after: Duration,
    },
    /// A link carries nothing for a while, in one direction or both.
    Cut {
        link: usize,
        ways: (bool, bool),
        lasts: Duration,
    },
    /// Something is captured on a link and comes again, perhaps changed.
    Replay {
        link: usize,
        back: bool,
        content_type: ContentType,
        edit: Option<Edit>,
        times: u32,
    },
    /// Something written by hand comes from the address of a neighbour.
    Forge {
        link: usize,
        back: bool,
        content_type: ContentType,
        epoch: u16,
        body: ForgedBody,
    },
    Wait(Duration),
}

/// Returns the plan that a seed stands for in the corpus.
pub(crate) fn plan_of(seed: u64) -> Plan {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), chance);
    let tree = plans().new_tree(&mut runner).expect("every plan can be made");
    Plan { seed, ..tree.current() }
}

pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let places = 0..NAMES.len() * NAMES.len();
    let sizes = (3..=NAMES.len(), vec(places.clone(), NAMES.len() - 1), vec((places.clone(), places), 0..4));
    let habits = (select(vec![1 << 24, 40, 15]), select(vec![Routing::Static, Routing::Dynamic]));
    (any::<u64>(), sizes, vec(weather(), 12), vec(fault(), 0..4), vec(deed(), 0..8), habits).prop_map(
        |(seed, (nodes, parents, chords), weather, faults, deeds, (rekey_records, routing))| Plan {
            seed,
            nodes,
            parents,
            chords,
            weather,
            faults,
            deeds,
            rekey_records,
            routing,
        },
    )
}

fn weather() -> impl Strategy<Value = Weather> {
    let dials = select(vec![Dials::First, Dials::Second, Dials::Both]);
    let shares = (0.0..0.15, 0.0..0.2, 0.0..0.2);
    (dials, millis(0..60), millis(0..40), shares).prop_map(
        |(dials, latency, jitter, (loss, duplicate, reorder))| Weather {
            dials,
            latency,
            jitter,
            loss,
            duplicate,
            reorder,
        },
    )
}

fn fault() -> impl Strategy<Value = (usize, bool, FaultAction, Pattern, u32)> {
    let action = prop_oneof![
        Just(FaultAction::Drop),
        Just(FaultAction::Duplicate),
        Just(FaultAction::Reorder),
        millis(1..2000).prop_map(FaultAction::Delay),
        (-64..64_i64).prop_map(FaultAction::FlipBit),
    ];
    let messages: Vec<_> = HandshakeMessage::WORDS.iter().map(|(_, message)| *message).collect();
    let pattern = prop_oneof![
        select(messages).prop_map(|message| Pattern { handshake: Some(message), ..Pattern::default() }),
        content_type().prop_map(|record| Pattern { record: Some(record), ..Pattern::default() }),
        Just(Pattern::default()),
    ];
    (0..64_usize, any::<bool>(), action, pattern, 1..6_u32)
}

fn deed() -> impl Strategy<Value = Deed> {
    let place = || 0..64_usize;
    let edit = prop_oneof![
        Just(None),
        (-200..200_i64).prop_map(|bit| Some(Edit::FlipBit(bit))),
        (-70..70_i64).prop_map(|ahead| Some(Edit::SetSequence(Sequence::Newest(ahead)))),
        (0..40_u16).prop_map(|length| Some(Edit::Truncate(length))),
        (0..3_u16).prop_map(|epoch| Some(Edit::SetEpoch(epoch))),
    ];
    let messages: Vec<_> = HandshakeMessage::WORDS.iter().map(|(_, message)| *message).collect();
    let body = prop_oneof![
        vec(any::<u8>(), 0..4).prop_map(ForgedBody::Bytes),
        Just(ForgedBody::Bytes(vec![2, 40])),
        (0..200_u16).prop_map(ForgedBody::Random),
        select(messages).prop_map(ForgedBody::Handshake),
    ];
    prop_oneof![
        3 => (place(), place(), 1..6_u32).prop_map(|(from, to, times)| Deed::Send { from, to, times }),
        1 => (place(), millis(0..8000)).prop_map(|(node, back_after)| Deed::Crash { node, back_after }),
        1 => (place(), millis(0..8000)).prop_map(|(node, back_after)| Deed::Leave { node, back_after }),
        1 => (place(), any::<(bool, bool)>(), millis(0..8000))
            .prop_map(|(link, ways, lasts)| Deed::Cut { link, ways, lasts }),
        2 => (place(), any::<bool>(), content_type(), edit, 1..4_u32).prop_map(
            |(link, back, content_type, edit, times)| Deed::Replay { link, back, content_type, edit, times }
        ),
        2 => (place(), any::<bool>(), content_type(), 0..3_u16, body).prop_map(
            |(link, back, content_type, epoch, body)| Deed::Forge { link, back, content_type, epoch, body }
        ),
        1 => millis(0..3000).prop_map(Deed::Wait),
    ]
}

fn content_type() -> impl Strategy<Value = ContentType> {
    select(vec![
        ContentType::ApplicationData,
        ContentType::Handshake,
        ContentType::Alert,
        ContentType::ChangeCipherSpec,
    ])
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

impl Plan {
    pub(crate) fn scenario(&self) -> Scenario {
        let mut scenario = chain(&NAMES[..self.nodes]);
        scenario.name = "a-plan-by-chance".to_owned();
        scenario.links = self.links();
        for host in (0..).map(HostIndex).take(self.nodes) {
            let node = node_mut(&mut scenario, host);
            (node.rekey_records, node.routing) = (self.rekey_records, self.routing);
        }
        scenario.faults = self.faults.iter().map(|fault| self.fault(fault, &scenario.links)).collect();
        // Handshakes are still on their way then, and some are done.
        scenario.steps = vec![Step {
            trigger: Trigger::At(Duration::from_millis(300)),
            action: Action::Wait(Duration::ZERO),
        }];
        for (number, deed) in self.deeds.iter().enumerate() {
            let steps = self.steps(number, deed, &scenario.links);
            scenario.steps.extend(steps);
        }
        scenario
    }

    fn links(&self) -> Vec<LinkPlan> {
        let tree = (1..self.nodes).map(|node| (self.parents[node - 1] % node, node));
        let chords = self.chords.iter().map(|(one, other)| (one % self.nodes, other % self.nodes));
        let mut pairs: Vec<_> = tree
            .chain(chords)
            .filter(|(one, other)| one != other)
            .map(|(one, other)| (one.min(other), one.max(other)))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
            .into_iter()
            .zip(self.weather.iter().cycle())
            .map(|((one, other), weather)| {
                let way = weather.conditions();
                LinkPlan { dials: weather.dials, forth: way.clone(), back: way, ..link(one, other) }
            })
            .collect()
    }

    fn node(&self, place: usize) -> HostIndex {
        HostIndex(u32::try_from(place % self.nodes).expect("few nodes"))
    }

    fn fault(&self, fault: &(usize, bool, FaultAction, Pattern, u32), links: &[LinkPlan]) -> FaultPlan {
        let (link, back, action, pattern, nth) = *fault;
        let on = Course::OneWay(path(links, link, back));
        FaultPlan { on, which: Which { pattern, nth: Some(nth), ..Which::default() }, action }
    }

    fn steps(&self, number: usize, deed: &Deed, links: &[LinkPlan]) -> Vec<Step> {
        let name = label(&format!("deed-{number}"));
        match deed {
            Deed::Send { from, to, times } => {
                let (from, to) = (self.node(*from), self.node(*to));
                let payload = vec![0x5a; 100 * (number + 1)];
                let repeat = Repeat::Times(*times);
                let plan = SendPlan { from, to, payload, is_reply: false, repeat, label: Some(name) };
                vec![next(Action::Send(plan))]
            }
            Deed::Crash { node, back_after } => {
                let host = self.node(*node);
                vec![next(Action::Crash(host)), next(Action::Wait(*back_after)), next(Action::Restart(host))]
            }
            Deed::Leave { node, back_after } => {
                let host = self.node(*node);
                vec![
                    next(Action::ShutDown(host)),
                    next(Action::Wait(*back_after)),
                    next(Action::Restart(host)),
                ]
            }
            Deed::Cut { link, ways: (forth, back), lasts } => {
                let index = link % links.len();
                let way = |is_cut: bool, now_up: bool, conditions: &Conditions| {
                    is_cut.then(|| Conditions { is_up: now_up, ..conditions.clone() })
                };
                let change = |up: bool| Action::Link {
                    link: index,
                    forth: way(*forth, up, &links[index].forth),
                    back: way(*back, up, &links[index].back),
                };
                vec![next(change(false)), next(Action::Wait(*lasts)), next(change(true))]
            }
            Deed::Replay { link, back, content_type, edit, times } => {
                // Hellos pass on every link in the end; of the other types there may be no more.
                let record =
                    Some(ContentType::ApplicationData).filter(|_| *content_type != ContentType::Handshake);
                let pattern = Pattern { record, ..Pattern::default() };
                let on = path(links, *link, *back);
                let which = Which { pattern, nth: Some(1), ..Which::default() };
                let capture =
                    Action::Capture { on: Course::OneWay(on), which, is_held: false, label: name.clone() };
                let again = self.injection(name.clone(), on, edit.iter().copied().collect(), *times);
                vec![next(capture), Step { trigger: Trigger::On(Occasion::Captured(name)), action: again }]
            }
            Deed::Forge { link, back, content_type, epoch, body } => {
                let on = path(links, *link, *back);
                let record = ForgedRecord {
                    content_type: *content_type,
                    version: Version::Dtls12,
                    epoch: *epoch,
                    sequence: Sequence::Newest(1),
                    body: body.clone(),
                };
                vec![
                    next(Action::Forge { record, label: name.clone() }),
                    next(self.injection(name, on, Vec::new(), 1)),
                ]
            }
            Deed::Wait(wait) => vec![next(Action::Wait(*wait))],
        }
    }

    /// Puts a datagram on the wire by the attacker's hand, with the address of whoever is at the one end.
    fn injection(
        &self,
        datagram: peerbound_lab::scenario::Label,
        on: Path,
        edits: Vec<Edit>,
        times: u32,
    ) -> Action {
        let label = label(&format!("{}-again", datagram.0));
        let by = HostIndex(u32::try_from(self.nodes).expect("few nodes"));
        Action::Inject(Injection {
            datagram,
            edits,
            to: on.to,
            source: Source::Host(on.from),
            by,
            times,
            label,
        })
    }
}

impl Weather {
    fn conditions(&self) -> Conditions {
        let share = |share| Probability::new(share).expect("a probability");
        Conditions {
            latency: self.latency,
            jitter: self.jitter,
            loss: share(self.loss),
            duplicate: share(self.duplicate),
            reorder: share(self.reorder),
            ..Conditions::default()
        }
    }
}

fn path(links: &[LinkPlan], link: usize, back: bool) -> Path {
    let [one, other] = links[link % links.len()].between;
    if back { Path { from: other, to: one } } else { Path { from: one, to: other } }
}
