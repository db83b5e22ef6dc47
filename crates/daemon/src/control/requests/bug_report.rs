//! `bugreport`: all that helps to find out what is wrong, and never a key.

use std::fs;

use serde_json::Value;

use crate::clock;
use crate::control::answers::BugReport;
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::{Parameters, answered, neighbours, routes, sessions, status};

/// What stands in place of a value that may be secret.
const REMOVED: &str = "(removed)";

/// Parts of the names of keys whose values may be secret, now or in a later version.
const SECRET_NAMES: [&str; 5] = ["key", "pass", "secret", "token", "psk"];

pub(crate) fn answer(desk: &Desk, parameters: Parameters, _: &mut Replies<'_>) -> Result<Value, Refusal> {
    parameters.none()?;
    answered(&BugReport {
        made_unix_seconds: clock::unix_seconds(),
        kernel: fs::read_to_string("/proc/version").unwrap_or_default().trim().to_owned(),
        status: status(desk)?,
        neighbours: neighbours(desk)?,
        sessions: sessions::sessions(desk)?,
        routes: routes(desk, None)?,
        config: config(desk),
        log_filter: desk.log.as_ref().map(|log| log.filter.filter()),
        log: desk.log.iter().flat_map(|log| log.book.lines()).map(|line| line.to_string()).collect(),
    })
}

fn config(desk: &Desk) -> Value {
    let text = match crate::config::read_text(&desk.config) {
        Ok(text) => text,
        Err(error) => return format!("cannot be read: {error}").into(),
    };
    match toml::from_str::<Value>(&text) {
        Ok(mut value) => {
            remove_secrets(&mut value);
            value
        }
        // Its text may have anything in it.
        Err(_) => "it is no TOML".into(),
    }
}

/// Removes what may be secret: by the name of its key, and whatever is PEM.
fn remove_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_ascii_lowercase();
                if SECRET_NAMES.iter().any(|secret| name.contains(secret)) {
                    *value = REMOVED.into();
                } else {
                    remove_secrets(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(remove_secrets),
        Value::String(text) if text.contains("-----BEGIN") => *value = REMOVED.into(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_may_be_secret_is_told() {
        let mut config = json!({
            "node": {"key": "a.key", "certificate": "a.pem", "ca_passphrase": "x"},
            "join": [{"TOKEN": 7, "at": "-----BEGIN PRIVATE KEY-----"}],
        });

        remove_secrets(&mut config);

        let left = json!({
            "node": {"key": REMOVED, "certificate": "a.pem", "ca_passphrase": REMOVED},
            "join": [{"TOKEN": REMOVED, "at": REMOVED}],
        });
        assert_eq!(config, left);
    }
}
