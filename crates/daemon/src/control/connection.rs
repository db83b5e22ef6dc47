//! One client: reads its requests one after the other, and answers each before it reads the next.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use serde_json::Value;

use crate::control::Stop;
use crate::control::desk::Desk;
use crate::control::error::{ErrorCode, Refusal};
use crate::control::line::{LineRead, Lines};
use crate::control::protocol::{Request, Response};
use crate::control::replies::{Replies, write};
use crate::control::requests;

/// A client and what serves it.
pub(crate) struct Connection {
    stream: UnixStream,
    desk: Arc<Desk>,
    stop: Arc<Stop>,
}

impl Connection {
    pub(crate) fn new(stream: UnixStream, desk: Arc<Desk>, stop: Arc<Stop>) -> Self {
        Self { stream, desk, stop }
    }

    /// Serves the client until it goes, says something that is no request, or the node stops.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut lines = Lines::default();
        while !self.stop.is_ordered() {
            match lines.next(&mut self.stream)? {
                LineRead::End => return Ok(()),
                LineRead::Refused(refusal) => {
                    return write(&mut self.stream, &Response::error(&Value::Null, refusal));
                }
                LineRead::Line(line) => match Request::parse(&line) {
                    Ok(request) => self.answer(request)?,
                    Err((id, refusal)) => {
                        return write(&mut self.stream, &Response::error(&id, refusal));
                    }
                },
            }
        }
        let refusal = Refusal::new(ErrorCode::Stopping, "the node is stopping");
        write(&mut self.stream, &Response::error(&Value::Null, refusal))
    }

    fn answer(&mut self, request: Request) -> io::Result<()> {
        let Request { id, ask, parameters, .. } = request;
        let mut replies = Replies::new(&id, &mut self.stream, &self.stop);
        let answer = requests::answer(&self.desk, &ask, parameters, &mut replies);
        if let Some(error) = replies.into_broken() {
            return Err(error);
        }
        let response = match answer {
            Ok(answer) => Response::answer(&id, answer, false),
            Err(refusal) => Response::error(&id, refusal),
        };
        write(&mut self.stream, &response)
    }
}
