//! Shows what a node counts over HTTP: to Prometheus, to whoever probes its health, and to a person with
//! a browser. On threads of its own; the data thread is asked to look and copy, and no more.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use crate::clock;
use crate::control::{ControlOptions, Desk, Refusal, neighbours, routes, status};
use crate::daemon::Daemon;
use crate::metrics::exposition::{Look, OPEN_METRICS, exposition};
use crate::metrics::http::{Answer, TEXT, serve};

mod exposition;
mod http;

/// Connections served at a time, a thread each; more than a scraper, a probe and a few browsers need.
const CONNECTIONS_MAX: usize = 16;

const JSON: &str = "application/json";
const PAGE: &str = include_str!("metrics/page.html");

/// A server that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum MetricsStartError {
    /// The address is taken, or not of this host.
    #[error("the metrics cannot be shown at {address}: {source}; choose another address in `metrics.listen`")]
    Bind {
        /// From the configuration.
        address: SocketAddr,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// The thread cannot be had.
    #[error("the thread of the metrics cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// A socket at which nobody answers yet.
#[derive(Debug)]
pub struct MetricsSocket {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsSocket {
    /// Binds it.
    ///
    /// # Errors
    /// When the address is taken, or not of this host.
    pub fn bind(listen: SocketAddr) -> Result<Self, MetricsStartError> {
        let bind_error = |source| MetricsStartError::Bind { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        Ok(Self { listener, address })
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Binds and starts to answer. `config` is the file that the node was started with.
    ///
    /// # Errors
    /// Says what the machine refused.
    pub fn start(daemon: &Daemon, listen: SocketAddr, config: PathBuf) -> Result<Self, MetricsStartError> {
        Self::answer_at(MetricsSocket::bind(listen)?, daemon, config)
    }

    /// Starts to answer at a socket that is bound already.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn answer_at(
        socket: MetricsSocket,
        daemon: &Daemon,
        config: PathBuf,
    ) -> Result<Self, MetricsStartError> {
        let MetricsSocket { listener, address } = socket;
        let is_stopped = Arc::new(AtomicBool::new(false));
        let order = Arc::clone(&is_stopped);
        let options = ControlOptions { socket: PathBuf::new(), config, log: None, reloader: None };
        let desk = Arc::new(Desk::new(daemon, options));
        let thread = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || listen_to(&listener, &desk, &order))
            .map_err(MetricsStartError::Thread)?;
        Ok(Self { address, is_stopped, thread: Some(thread) })
    }

    /// Returns where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        // A connection wakes whoever waits for one.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen_to(listener: &TcpListener, desk: &Arc<Desk>, is_stopped: &AtomicBool) {
    let serving = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if is_stopped.load(Ordering::Acquire) {
            return;
        }
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                // As ECONNABORTED: the next may be better. Out of file descriptors, it would spin.
                tracing::debug!(%error, "A connection for metrics was not accepted");
                std::thread::sleep(std::time::Duration::from_millis(50));
                continue;
            }
        };
        if serving.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            serving.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let place = Place(Arc::clone(&serving));
        let desk = Arc::clone(desk);
        let serve = move || {
            let _place = place;
            if let Err(error) = serve(stream, |path| answer(path, &desk)) {
                tracing::debug!(%error, "Somebody asked for metrics, and went away");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("metrics-answer".to_owned()).spawn(serve) {
            tracing::warn!(%error, "A request for metrics is not answered");
        }
    }
}

/// A place among those served, given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn answer(path: &str, desk: &Desk) -> Answer {
    match path {
        "/" => Answer::ok("text/html; charset=utf-8", PAGE.to_owned()),
        "/metrics" => match look(desk).map(exposition) {
            Ok(Ok(text)) => Answer::ok(OPEN_METRICS, text),
            Ok(Err(error)) => Answer::unavailable(TEXT, error.to_string()),
            Err(refusal) => Answer::unavailable(TEXT, refusal.to_string()),
        },
        "/healthz" => health(desk),
        "/status.json" => match everything(desk) {
            Ok(text) => Answer::ok(JSON, text),
            Err(refusal) => Answer::unavailable(TEXT, refusal.to_string()),
        },
        _ => Answer::not_found("there are /, /metrics, /healthz and /status.json\n"),
    }
}

/// A node is healthy when its data thread answers and, where it has neighbours, one of them is up.
fn health(desk: &Desk) -> Answer {
    let status = match desk.handle.status() {
        Ok(status) => status,
        Err(error) => {
            return Answer::unavailable(
                JSON,
                json!({ "healthy": false, "reason": error.to_string() }).to_string(),
            );
        }
    };
    let up = status.neighbours.iter().filter(|neighbour| neighbour.is_usable).count();
    let configured = status.neighbours.len();
    let is_alone = up == 0 && configured > 0;
    let mut body = json!({ "healthy": !is_alone, "neighbours": { "up": up, "configured": configured } });
    if is_alone {
        body["reason"] = "no neighbour is up".into();
        return Answer::unavailable(JSON, body.to_string());
    }
    Answer::ok(JSON, body.to_string())
}

fn look(desk: &Desk) -> Result<Look, Refusal> {
    let status = desk.handle.status()?;
    let (reachable, certificate_expires, queues, inner) = desk.handle.with_node(|node, _| {
        (node.reachable(), node.certificate_expires_at(), node.queues(), node.inner_sessions())
    })?;
    let inner = inner.into_iter().map(|view| (desk.name(&view.peer).name, view)).collect();
    let (at, started) = (clock::now(), desk.started);
    Ok(Look { status, queues, inner, reachable, certificate_expires, at, started })
}

/// What the page shows, in the words of the control socket.
fn everything(desk: &Desk) -> Result<String, Refusal> {
    let body = json!({
        "status": status(desk)?,
        "neighbours": neighbours(desk)?.neighbours,
        "routes": routes(desk, None)?.routes,
    });
    Ok(body.to_string())
}
