//! The other end of the socket: asks a running node.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::control::error::Refusal;
use crate::control::protocol::{CONTROL_VERSION, Request, Response};

/// How long an answer may take that is not a stream: the node answers within 5 s, or says that it does not.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// Why a node was not asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("no node answers at {socket} ({source}): start it with `peerbound run -c FILE`, or name its socket with --socket", socket = socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The socket belongs to somebody else.
    #[error("{socket} is not ours to ask: only the user that runs the node, and root, may", socket = .0.display())]
    NotAllowed(PathBuf),
    /// The node says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection broke.
    #[error("the node at {socket} broke off: {source}", socket = socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The answer makes no sense here.
    #[error("the node at {socket} answers what this program does not understand: {problem}; are both of one version?", socket = socket.display())]
    Nonsense {
        /// The socket.
        socket: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// One of the responses to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replied<T> {
    /// What it says.
    pub answer: T,
    /// Whether another one follows.
    pub more: bool,
}

/// A connection to a running node.
#[derive(Debug)]
pub struct ControlClient {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
    next_id: u64,
}

impl ControlClient {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers there, or it is not ours to ask.
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(socket).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed(socket.to_owned()),
            _ => ClientError::NotRunning { socket: socket.to_owned(), source },
        })?;
        Ok(Self { socket: socket.to_owned(), stream: BufReader::new(stream), next_id: 0 })
    }

    /// Returns the socket that it is connected to.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for one answer.
    ///
    /// # Errors
    /// What the node refuses with, or what is wrong with the connection.
    pub fn ask<T: DeserializeOwned>(
        &mut self,
        ask: &str,
        parameters: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.send(ask, parameters)?;
        Ok(self.receive(Some(ANSWER_TIME_MAX))?.answer)
    }

    /// Asks for answers, which [`Self::receive`] takes one by one.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, ask: &str, parameters: &impl Serialize) -> Result<(), ClientError> {
        self.next_id += 1;
        let parameters = match serde_json::to_value(parameters) {
            Ok(Value::Object(parameters)) => parameters,
            Ok(_) | Err(_) => Map::new(),
        };
        let id = Value::from(self.next_id);
        let request = Request { peerbound: CONTROL_VERSION, id, ask: ask.to_owned(), parameters };
        let mut line = serde_json::to_vec(&request).map_err(|error| self.nonsense(error))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(|source| self.broken(source))
    }

    /// Takes the next response to the request that was sent, however long it takes without a `patience`.
    ///
    /// # Errors
    /// What the node refuses with, or what is wrong with the connection.
    pub fn receive<T: DeserializeOwned>(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<Replied<T>, ClientError> {
        self.stream.get_ref().set_read_timeout(patience).map_err(|source| self.broken(source))?;
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line).map_err(|source| self.broken(source))?;
        if read == 0 || !line.ends_with(b"\n") {
            return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let response: Response = serde_json::from_slice(&line).map_err(|error| self.nonsense(error))?;
        if response.peerbound != CONTROL_VERSION {
            return Err(self.nonsense(format!("it speaks version {}", response.peerbound)));
        }
        if let Some(refusal) = response.error {
            return Err(refusal.into());
        }
        let answer = response.answer.ok_or_else(|| self.nonsense("neither an answer nor an error"))?;
        let answer = serde_json::from_value(answer).map_err(|error| self.nonsense(error))?;
        Ok(Replied { answer, more: response.more })
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), source }
    }

    fn nonsense(&self, problem: impl ToString) -> ClientError {
        ClientError::Nonsense { socket: self.socket.clone(), problem: problem.to_string() }
    }
}
