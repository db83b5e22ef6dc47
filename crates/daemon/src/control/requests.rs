//! The requests: a file for each, and a line in the table.

use std::ops::RangeInclusive;
use std::time::Duration;

use peerbound_wire::FlowId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::clock;
use crate::control::desk::Desk;
use crate::control::error::{ErrorCode, Refusal};
use crate::control::replies::Replies;

mod bug_report;
mod explain;
mod graph;
mod log;
mod neighbours;
mod pcap;
mod ping;
mod reload;
mod routes;
mod sessions;
mod status;
mod trace;

pub(crate) use neighbours::neighbours;
pub(crate) use routes::routes;
pub(crate) use status::status;

/// How a request is answered: its last, and mostly only, answer is returned; those before go to `Replies`.
type Answer = fn(&Desk, Parameters, &mut Replies<'_>) -> Result<Value, Refusal>;

/// Every request. They are described in docs/CONTROL.md in this order.
const REQUESTS: &[(&str, Answer)] = &[
    ("status", status::answer),
    ("neighbours", neighbours::answer),
    ("routes", routes::answer),
    ("sessions", sessions::answer),
    ("ping", ping::answer),
    ("graph", graph::answer),
    ("reload", reload::answer),
    ("log", log::answer),
    ("bugreport", bug_report::answer),
    ("trace", trace::answer),
    ("explain-stray", explain::answer_stray),
    ("explain-drop", explain::answer_drop),
    ("explain-route", explain::answer_route),
    ("pcap", pcap::answer),
];

/// Answers a request.
pub(crate) fn answer(
    desk: &Desk,
    ask: &str,
    parameters: Map<String, Value>,
    replies: &mut Replies<'_>,
) -> Result<Value, Refusal> {
    let Some((_, answer)) = REQUESTS.iter().find(|(name, _)| *name == ask) else {
        let known: Vec<_> = REQUESTS.iter().map(|(name, _)| *name).collect();
        let problem = format!("there is no request {ask:?}; there are {}", known.join(", "));
        return Err(Refusal::new(ErrorCode::UnknownRequest, problem));
    };
    answer(desk, Parameters(parameters), replies)
}

/// How often a request that goes on looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(100);

/// Parameters that are tried one by one for the one that is wrong; no request has more.
const PARAMETERS_TRIED_MAX: usize = 16;

/// The parameters of a request, not looked at yet.
#[derive(Debug)]
pub(crate) struct Parameters(Map<String, Value>);

impl Parameters {
    /// Reads them; the type refuses what it does not know.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        self.read_as::<T>().map_err(|problem| {
            let problem = match self.culprit::<T>(&problem) {
                Some(name) => format!("{name}: {problem}"),
                None => problem,
            };
            Refusal::new(ErrorCode::BadParameter, problem)
        })
    }

    fn read_as<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_value(Value::Object(self.0.clone())).map_err(|error| error.to_string())
    }

    /// Finds the parameter that a problem is about where the problem does not name it: without that parameter there is
    /// another problem, or none.
    fn culprit<T: DeserializeOwned>(&self, problem: &str) -> Option<&str> {
        let is_named = problem.contains(" field `");
        if is_named || self.0.len() > PARAMETERS_TRIED_MAX {
            return None;
        }
        let is_it = |name: &&String| {
            let mut others = self.0.clone();
            others.remove(*name);
            Self(others).read_as::<T>().err().as_deref() != Some(problem)
        };
        self.0.keys().find(is_it).map(String::as_str)
    }

    /// Makes sure that there are none.
    pub(crate) fn none(self) -> Result<(), Refusal> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let problem = format!("this request has no parameter {name:?}");
                Err(Refusal::new(ErrorCode::BadParameter, problem))
            }
        }
    }
}

/// Makes sure that a number is one that a request may have.
pub(crate) fn in_range(name: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), Refusal> {
    if range.contains(&value) {
        return Ok(());
    }
    let problem = format!("{name} is {value}: give {} to {}", range.start(), range.end());
    Err(Refusal::new(ErrorCode::BadParameter, problem))
}

/// Draws by chance the flow in which a request asks other nodes, and the token of its first question.
pub(crate) fn flow_and_token() -> Result<(FlowId, u64), Refusal> {
    let seed = clock::seed().map_err(|error| Refusal::new(ErrorCode::Failed, error.to_string()))?;
    let [f0, f1, f2, f3, token @ ..] = seed;
    let token = token.first_chunk().map_or(0, |token| u64::from_be_bytes(*token));
    Ok((FlowId(u32::from_be_bytes([f0, f1, f2, f3])), token))
}

/// Makes an answer of what its type says.
pub(crate) fn answered(answer: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(answer).map_err(|error| Refusal::new(ErrorCode::Failed, error.to_string()))
}

/// A length of time in milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time in microseconds.
pub(crate) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
