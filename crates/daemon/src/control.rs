//! Answers questions about a running node over a Unix socket: JSON lines, described in docs/CONTROL.md.
//! Everything here runs on threads of its own; the data thread is asked to look and copy, and no more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub mod answers;
mod client;
mod connection;
mod desk;
mod error;
mod line;
mod listener;
mod log_book;
mod place;
mod protocol;
mod replies;
mod requests;

pub use client::{ClientError, ControlClient, Replied};
pub use error::{ErrorCode, Refusal};
pub use line::LINE_BYTES_MAX;
pub use listener::{CONNECTIONS_MAX, ControlSocket, ControlStartError};
pub use log_book::{LOG_LINES_MAX, Log, LogBook, LogFilter};
pub use place::{PlaceError, find_sockets, socket_for};
pub use protocol::{CONTROL_VERSION, Request, Response};

pub(crate) use desk::Desk;
pub(crate) use requests::{neighbours, routes, status};

use crate::control::listener::Listener;
use crate::daemon::Daemon;
use crate::reload::Reloader;

/// What a server is started with.
pub struct ControlOptions {
    /// Where its socket is to be.
    pub socket: PathBuf,
    /// The file that the node was started with.
    pub config: PathBuf,
    /// The log, if it may be read and set.
    pub log: Option<Log>,
    /// What reads the configuration again, if it may be.
    pub reloader: Option<Arc<Reloader>>,
}

/// A running server. Dropping it ends its threads and removes its socket.
#[derive(Debug)]
pub struct ControlServer {
    socket: PathBuf,
    stop: Arc<Stop>,
    waker: Arc<mio::Waker>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Binds the socket and starts to answer.
    ///
    /// # Errors
    /// Says why the socket cannot be had, and what to do.
    pub fn start(daemon: &Daemon, options: ControlOptions) -> Result<Self, ControlStartError> {
        Self::answer_at(ControlSocket::bind(&options.socket)?, daemon, options)
    }

    /// Starts to answer at a socket that is bound already, wherever the options would have it.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn answer_at(
        socket: ControlSocket,
        daemon: &Daemon,
        options: ControlOptions,
    ) -> Result<Self, ControlStartError> {
        let desk = Arc::new(Desk::new(daemon, options));
        let stop = Arc::new(Stop::default());
        let path = socket.path().to_owned();
        let (listener, waker) = Listener::over(socket, desk, Arc::clone(&stop))?;
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || listener.run())
            .map_err(ControlStartError::Thread)?;
        Ok(Self { socket: path, stop, waker, thread: Some(thread) })
    }

    /// Returns where its socket is.
    #[must_use]
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stop.order();
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told so; there is nothing to save here.
            let _ = thread.join();
        }
    }
}

/// The order to stop, and the streams that wait for something else meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_ordered: AtomicBool,
    streams: Mutex<BTreeMap<u64, std::os::unix::net::UnixStream>>,
}

impl Stop {
    pub(crate) fn is_ordered(&self) -> bool {
        self.is_ordered.load(Ordering::Acquire)
    }

    fn order(&self) {
        self.is_ordered.store(true, Ordering::Release);
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).values() {
            // Whoever reads or writes there comes back at once.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(crate) fn enter(&self, number: u64, stream: std::os::unix::net::UnixStream) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(number, stream);
    }

    pub(crate) fn leave(&self, number: u64) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}
