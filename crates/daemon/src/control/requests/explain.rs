//! `explain-stray`, `explain-drop` and `explain-route`: what a node knows, in sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_node::{DroppedFrame, Event, NeighbourView, Node, ReturnPath, Stray, Verdict};
use peerbound_wire::{Acquaintance, NodeId};
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::control::answers::{
    DropAnswer, DropsAnswer, FrameAnswer, RecordAnswer, RouteExplained, StrayAnswer, StraysAnswer, WhoAnswer,
};
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::trace::{hop_answer, trace};
use crate::control::requests::{Parameters, answered, flow_and_token, in_range, milliseconds};
use crate::explain::{
    Known, RouteFacts, Scene, StrayFacts, WayThere, explain_loss, explain_route, explain_stray,
};

/// Addresses that neighbours are asked about, and neighbours that are asked: 8 x 8 questions, as many as a node
/// has answers awaited.
const ADDRESSES_ASKED_MAX: usize = 8;
const NEIGHBOURS_ASKED_MAX: usize = 8;

/// How long their answers may take.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// How long the answer to a trace may take.
const TRACE_WAIT: Duration = Duration::from_secs(2);

/// The parameters of `explain-stray` and `explain-drop`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedLast {
    /// How many of the last ones.
    #[serde(default = "five")]
    count: usize,
}

/// The parameters of `explain-route`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedRoute {
    /// The node at the end of the way, by name or id.
    to: String,
}

fn five() -> usize {
    5
}

/// What is looked at on the node's own thread.
struct Look {
    now: Instant,
    neighbours: Vec<NeighbourView>,
    return_path: ReturnPath,
}

impl Look {
    fn at(node: &Node, now: Instant) -> Self {
        Self { now, neighbours: node.neighbours(), return_path: node.config().return_path }
    }

    fn scene<'a>(&'a self, us: NodeId, name: &'a dyn Fn(&NodeId) -> String) -> Scene<'a> {
        Scene { now: self.now, us, name, neighbours: &self.neighbours, return_path: self.return_path }
    }
}

pub(crate) fn answer_stray(
    desk: &Desk,
    parameters: Parameters,
    replies: &mut Replies<'_>,
) -> Result<Value, Refusal> {
    let AskedLast { count } = checked(parameters.read()?)?;
    let (look, strays, remembered, mut known) = desk.handle.with_node(move |node, now| {
        let strays: Vec<_> = node.strays().cloned().collect();
        let remembered = strays.len();
        let last: Vec<_> = strays.into_iter().rev().take(count).collect();
        let known: BTreeMap<_, _> = last
            .iter()
            .filter_map(|stray| {
                let (id, how) = node.known_at(stray.from)?;
                Some((stray.from, Known { id, how, by: None }))
            })
            .collect();
        (Look::at(node, now), last, remembered, known)
    })?;
    // That a neighbour has another port of that host is a hint: others may know who has this one.
    let is_open =
        |from: &SocketAddr| known.get(from).is_none_or(|known: &Known| known.how == Acquaintance::SameHost);
    let open: BTreeSet<_> =
        strays.iter().map(|stray| stray.from).filter(is_open).take(ADDRESSES_ASKED_MAX).collect();
    let told = ask_neighbours(desk, &look.neighbours, &open, replies)?;
    for (address, said) in &told.known {
        let best = known.entry(*address).or_insert(*said);
        if rank(said.how) < rank(best.how) {
            *best = *said;
        }
    }
    let ways = ways_to(desk, known.values().map(|known| known.id).collect())?;
    let name = |id: &NodeId| desk.name(id).name;
    let scene = look.scene(desk.id, &name);
    let strays = strays.iter().map(|stray| {
        let who = known.get(&stray.from).copied();
        let way = who.and_then(|who| ways.get(&who.id).copied());
        let answered = told.answered.get(&stray.from).copied().unwrap_or(0);
        let asked = if open.contains(&stray.from) { told.asked } else { 0 };
        let facts = StrayFacts { stray, who, asked: (asked, answered), way };
        stray_answer(desk, &scene, &facts)
    });
    answered(&StraysAnswer { strays: strays.collect(), remembered })
}

fn checked(asked: AskedLast) -> Result<AskedLast, Refusal> {
    in_range("count", asked.count as u64, 1..=peerbound_node::STRAYS_MAX as u64)?;
    Ok(asked)
}

/// What neighbours said of addresses.
#[derive(Default)]
struct Told {
    known: BTreeMap<SocketAddr, Known>,
    /// How many neighbours were asked about each.
    asked: usize,
    /// How many of them answered.
    answered: BTreeMap<SocketAddr, usize>,
}

/// Asks the neighbours who is at some addresses, and waits until all have answered or the time is over.
fn ask_neighbours(
    desk: &Desk,
    neighbours: &[NeighbourView],
    addresses: &BTreeSet<SocketAddr>,
    replies: &Replies<'_>,
) -> Result<Told, Refusal> {
    let usable = neighbours.iter().filter(|neighbour| neighbour.is_usable).map(|neighbour| neighbour.id);
    let asked: Vec<_> = usable.take(NEIGHBOURS_ASKED_MAX).collect();
    let mut told = Told { asked: asked.len(), ..Told::default() };
    if asked.is_empty() || addresses.is_empty() {
        return Ok(told);
    }
    let (flow, first) = flow_and_token()?;
    let questions: Vec<_> = addresses
        .iter()
        .flat_map(|address| asked.iter().map(move |id| (*id, *address)))
        .zip(0..)
        .map(|(question, number)| (question, first.wrapping_add(number)))
        .collect();
    let tokens: BTreeSet<_> = questions.iter().map(|(_, token)| *token).collect();
    let capacity = questions.len();
    let watch = desk.handle.watch(capacity, move |event, _| match event {
        Event::WhoIs { from, token, address, who } if tokens.contains(token) => Some((*from, *address, *who)),
        _ => None,
    })?;
    let sent = desk.handle.with_node(move |node, now| {
        let sent = questions
            .into_iter()
            .filter(|(question, token)| node.who_is(*question, flow, *token, now).is_ok());
        sent.count()
    })?;
    let until = clock::now() + ANSWER_WAIT;
    for _ in 0..sent {
        if replies.is_over() {
            break;
        }
        let Ok((by, address, who)) = watch.told().recv_deadline(until) else { break };
        *told.answered.entry(address).or_default() += 1;
        let Some((id, how)) = who else { continue };
        let said = Known { id, how, by: Some(by) };
        let best = told.known.entry(address).or_insert(said);
        if rank(how) < rank(best.how) {
            *best = said;
        }
    }
    Ok(told)
}

/// A session says more than a memory, and that more than a guess by host.
fn rank(how: Acquaintance) -> u8 {
    match how {
        Acquaintance::Session => 0,
        Acquaintance::Before => 1,
        Acquaintance::SameHost => 2,
    }
}

/// Looks up the ways to some nodes, where a neighbour leads there.
fn ways_to(desk: &Desk, nodes: BTreeSet<NodeId>) -> Result<BTreeMap<NodeId, WayThere>, Refusal> {
    let ways = desk.handle.with_node(move |node, now| {
        let ways = nodes.into_iter().filter_map(|id| Some((id, way_to(node, id, now)?)));
        ways.collect()
    })?;
    Ok(ways)
}

fn way_to(node: &Node, id: NodeId, now: Instant) -> Option<WayThere> {
    let way = node.way_to(id, now);
    node.neighbour(way.via)?;
    Some(WayThere { via: way.via, chosen_by: way.chosen_by })
}

fn stray_answer(desk: &Desk, scene: &Scene<'_>, facts: &StrayFacts<'_>) -> StrayAnswer {
    let stray = facts.stray;
    StrayAnswer {
        from: stray.from,
        age_ms: milliseconds(scene.now.saturating_duration_since(stray.at)),
        first_age_ms: milliseconds(scene.now.saturating_duration_since(stray.first_at)),
        times: stray.times,
        bytes: stray.bytes,
        head: stray.head().iter().map(|byte| format!("{byte:02x}")).collect(),
        lock: lock_of(stray),
        reason: stray.reason.map(|reason| reason.name().to_owned()),
        record: stray.record().map(|record| RecordAnswer {
            content_type: record.content_type.number(),
            version: record.version,
            epoch: record.epoch,
            sequence: record.sequence,
            length: record.length,
        }),
        who: facts.who.map(|known| WhoAnswer {
            node: desk.name(&known.id),
            how: how_name(known.how).to_owned(),
            by: known.by.map(|by| desk.name(&by)),
        }),
        via: facts.way.map(|way| desk.name(&way.via)),
        sentences: explain_stray(scene, facts),
    }
}

fn lock_of(stray: &Stray) -> Option<String> {
    match stray.verdict {
        Verdict::Dropped(lock) => Some(lock.name().to_owned()),
        Verdict::Accepted | Verdict::Challenged | Verdict::Killed => None,
    }
}

fn how_name(how: Acquaintance) -> &'static str {
    match how {
        Acquaintance::Session => "session",
        Acquaintance::Before => "before",
        Acquaintance::SameHost => "same-host",
    }
}

pub(crate) fn answer_drop(
    desk: &Desk,
    parameters: Parameters,
    _: &mut Replies<'_>,
) -> Result<Value, Refusal> {
    let AskedLast { count } = checked(parameters.read()?)?;
    let (look, drops, remembered) = desk.handle.with_node(move |node, now| {
        let drops: Vec<_> = node.dropped_frames().cloned().collect();
        let remembered = drops.len();
        (Look::at(node, now), drops.into_iter().rev().take(count).collect::<Vec<_>>(), remembered)
    })?;
    let ways = ways_to(desk, drops.iter().filter_map(|dropped| Some(dropped.header?.destination)).collect())?;
    let name = |id: &NodeId| desk.name(id).name;
    let scene = look.scene(desk.id, &name);
    let drops = drops.iter().map(|dropped| {
        let way = dropped.header.and_then(|header| ways.get(&header.destination));
        drop_answer(desk, &scene, dropped, way)
    });
    answered(&DropsAnswer { drops: drops.collect(), remembered })
}

fn drop_answer(desk: &Desk, scene: &Scene<'_>, dropped: &DroppedFrame, way: Option<&WayThere>) -> DropAnswer {
    DropAnswer {
        age_ms: milliseconds(scene.now.saturating_duration_since(dropped.at)),
        first_age_ms: milliseconds(scene.now.saturating_duration_since(dropped.first_at)),
        times: dropped.times,
        reason: dropped.reason.name().to_owned(),
        from: dropped.from.map(|from| desk.name(&from)),
        frame: dropped.header.map(|header| FrameAnswer {
            kind: header.kind.into(),
            flags: header.flags.0,
            hop_limit: header.hop_limit.0,
            source: desk.name(&header.source),
            destination: desk.name(&header.destination),
            flow: header.flow.0,
            packet: header.packet.0,
        }),
        payload_bytes: dropped.payload_bytes,
        sentences: explain_loss(scene, dropped, way),
    }
}

pub(crate) fn answer_route(
    desk: &Desk,
    parameters: Parameters,
    replies: &mut Replies<'_>,
) -> Result<Value, Refusal> {
    let AskedRoute { to } = parameters.read()?;
    let destination = desk.find(&to)?;
    let (look, way, learned) = desk.handle.with_node(move |node, now| {
        let learned = node.routes().into_iter().find(|route| route.destination == destination);
        (Look::at(node, now), way_to(node, destination, now), learned)
    })?;
    let is_ourselves = destination == desk.id;
    let is_usable = is_ourselves
        || way.is_some_and(|way| look.neighbours.iter().any(|at| at.id == way.via && at.is_usable));
    let traced = match is_usable && !is_ourselves {
        true => trace(desk, destination, TRACE_WAIT, replies).ok(),
        false => None,
    };
    let name = |id: &NodeId| desk.name(id).name;
    let scene = look.scene(desk.id, &name);
    let sentences = explain_route(
        &scene,
        &RouteFacts {
            destination,
            way,
            learned: learned.as_ref(),
            traced: traced.as_ref().map(|traced| (&traced.way, traced.round_trip)),
            errors: traced.as_ref().map_or(&[], |traced| &traced.errors),
        },
    );
    let stops = |pick: fn(&crate::way::Way) -> &Vec<crate::way::Stop>| {
        let stops = traced.iter().flat_map(|traced| pick(&traced.way));
        stops.map(|stop| hop_answer(desk, stop)).collect()
    };
    answered(&RouteExplained {
        to: desk.name(&destination),
        is_usable,
        via: way.map(|way| desk.name(&way.via)),
        is_answered: traced.as_ref().map(|traced| traced.round_trip.is_some()),
        out: stops(|way| &way.out),
        back: stops(|way| &way.back),
        is_symmetric: traced.as_ref().and_then(|traced| traced.way.is_symmetric),
        sentences,
    })
}
