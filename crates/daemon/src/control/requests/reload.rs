//! `reload`: takes in a configuration that has changed.

use serde_json::Value;

use crate::control::answers::ReloadAnswer;
use crate::control::desk::Desk;
use crate::control::error::{ErrorCode, Refusal};
use crate::control::replies::Replies;
use crate::control::requests::{Parameters, answered};
use crate::reload::ReloadError;

pub(crate) fn answer(desk: &Desk, parameters: Parameters, _: &mut Replies<'_>) -> Result<Value, Refusal> {
    parameters.none()?;
    let Some(reloader) = &desk.reloader else {
        let problem = "this node was not started from a file that could be read again";
        return Err(Refusal::new(ErrorCode::Unsupported, problem));
    };
    match reloader.reload() {
        Ok(report) => answered(&ReloadAnswer::from(report)),
        Err(error @ ReloadError::Config(_)) => {
            Err(Refusal::new(ErrorCode::BadConfiguration, format!("nothing was reloaded: {error}")))
        }
        Err(ReloadError::Node(error)) => Err(error.into()),
    }
}
