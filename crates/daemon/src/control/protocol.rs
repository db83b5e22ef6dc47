//! The envelope of requests and responses: one JSON object a line.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::control::error::{ErrorCode, Refusal};

/// The version of the protocol: it changes when a field that is there changes its meaning or goes.
pub const CONTROL_VERSION: u32 = 1;

/// Characters of an id that is text: room for a UUID and some.
const ID_CHARACTERS_MAX: usize = 64;

/// A request as it stands on a line: the parameters lie beside `ask`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// [`CONTROL_VERSION`].
    pub peerbound: u32,
    /// Chosen by the client, returned in every response: text or a whole number.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub id: Value,
    /// What is asked.
    pub ask: String,
    /// The parameters of the request.
    #[serde(flatten)]
    pub parameters: Map<String, Value>,
}

/// A response as it stands on a line: exactly one of `answer` and `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// [`CONTROL_VERSION`].
    pub peerbound: u32,
    /// The id of the request; null where it could not be read.
    pub id: Value,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// Whether another response to the same request follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

/// A line that cannot be made sense of, with the id in it, as far as there is one.
pub(crate) type BadRequest = (Value, Refusal);

impl Request {
    /// Reads a line.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, BadRequest> {
        let bad = |id: &Value, problem: String| (id.clone(), Refusal::new(ErrorCode::BadLine, problem));
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| bad(&Value::Null, format!("the line is no JSON: {error}")))?;
        let Value::Object(mut fields) = value else {
            let problem = "a request is an object, as {\"peerbound\":1,\"ask\":\"status\"}";
            return Err(bad(&Value::Null, problem.to_owned()));
        };
        let id = fields.remove("id").unwrap_or(Value::Null);
        if !is_good_id(&id) {
            let problem =
                format!("an id is a whole number, or text of at most {ID_CHARACTERS_MAX} characters");
            return Err(bad(&Value::Null, problem));
        }
        match fields.remove("peerbound").as_ref().map(Value::as_u64) {
            Some(Some(version)) if version == u64::from(CONTROL_VERSION) => {}
            Some(Some(version)) => {
                let problem = format!("version {version} is not spoken here, {CONTROL_VERSION} is");
                return Err((id, Refusal::new(ErrorCode::Version, problem)));
            }
            Some(None) | None => {
                return Err(bad(
                    &id,
                    format!("a request says its version, as \"peerbound\":{CONTROL_VERSION}"),
                ));
            }
        }
        let Some(Value::String(ask)) = fields.remove("ask") else {
            return Err(bad(&id, "a request says what it asks, as \"ask\":\"status\"".to_owned()));
        };
        Ok(Self { peerbound: CONTROL_VERSION, id, ask, parameters: fields })
    }
}

fn is_good_id(id: &Value) -> bool {
    match id {
        Value::Null => true,
        Value::Number(number) => number.is_u64() || number.is_i64(),
        Value::String(text) => text.chars().count() <= ID_CHARACTERS_MAX,
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

impl Response {
    pub(crate) fn answer(id: &Value, answer: Value, more: bool) -> Self {
        Self { peerbound: CONTROL_VERSION, id: id.clone(), answer: Some(answer), more, error: None }
    }

    pub(crate) fn error(id: &Value, error: Refusal) -> Self {
        Self { peerbound: CONTROL_VERSION, id: id.clone(), answer: None, more: false, error: Some(error) }
    }

    /// Writes the response as a line, its end included.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        // Text, numbers and maps with text for keys: nothing that JSON cannot say.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> (Value, ErrorCode, String) {
        let (id, refusal) = Request::parse(line.as_bytes()).expect_err("a bad line");
        (id, refusal.code, refusal.message)
    }

    #[test]
    fn a_request_is_read_with_its_parameters_beside_it() {
        let request = Request::parse(br#"{"peerbound":1,"id":"x","ask":"routes","why":"C"}"#).expect("good");

        assert_eq!((request.ask.as_str(), &request.id), ("routes", &Value::from("x")));
        assert_eq!(request.parameters["why"], "C");
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_id_if_there_is_one() {
        for (line, id, code, part) in [
            ("", Value::Null, ErrorCode::BadLine, "no JSON"),
            ("[1]", Value::Null, ErrorCode::BadLine, "an object"),
            ("{}", Value::Null, ErrorCode::BadLine, "\"peerbound\":1"),
            (r#"{"id":7}"#, 7.into(), ErrorCode::BadLine, "\"peerbound\":1"),
            (r#"{"id":7,"peerbound":2,"ask":"status"}"#, 7.into(), ErrorCode::Version, "version 2"),
            (r#"{"id":7,"peerbound":1}"#, 7.into(), ErrorCode::BadLine, "\"ask\":"),
            (r#"{"id":7,"peerbound":1,"ask":9}"#, 7.into(), ErrorCode::BadLine, "\"ask\":"),
            (r#"{"id":{},"peerbound":1,"ask":"status"}"#, Value::Null, ErrorCode::BadLine, "an id is"),
            (r#"{"id":1.5,"peerbound":1,"ask":"status"}"#, Value::Null, ErrorCode::BadLine, "an id is"),
        ] {
            let (found_id, found_code, message) = refusal(line);
            assert_eq!((found_id, found_code), (id, code), "{line}");
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let (_, code, _) = refusal(&"[".repeat(10_000));

        assert_eq!(code, ErrorCode::BadLine);
    }
}
