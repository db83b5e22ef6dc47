//! `log`: sets what is logged, and streams the lines.

use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use serde::Deserialize;
use serde_json::Value;

use crate::control::answers::LogAnswer;
use crate::control::desk::Desk;
use crate::control::error::{ErrorCode, Refusal};
use crate::control::replies::Replies;
use crate::control::requests::{Parameters, answered};

/// How often a stream without lines looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(200);

/// The parameters of `log`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What is to be logged; without it, nothing changes.
    filter: Option<String>,
    /// Whether to stream the lines until the client goes.
    #[serde(default)]
    follow: bool,
}

pub(crate) fn answer(
    desk: &Desk,
    parameters: Parameters,
    replies: &mut Replies<'_>,
) -> Result<Value, Refusal> {
    let asked: Asked = parameters.read()?;
    let Some(log) = &desk.log else {
        return Err(Refusal::new(ErrorCode::Unsupported, "this node's log cannot be set from here"));
    };
    let told = asked.follow.then(|| log.book.follow());
    let before = log.filter.filter();
    if let Some(filter) = &asked.filter {
        log.filter.set_filter(filter).map_err(|problem| Refusal::new(ErrorCode::BadParameter, problem))?;
        tracing::info!(%before, %filter, "The log was set over the control socket");
    }
    let filter = LogAnswer::Filter { filter: log.filter.filter(), before };
    let Some(told) = told else {
        return answered(&filter);
    };
    replies.part(&filter);
    while !replies.is_over() {
        match told.recv_timeout(LOOK) {
            Ok(line) => replies.part(&LogAnswer::Line { line: line.to_string() }),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    answered(&filter)
}
