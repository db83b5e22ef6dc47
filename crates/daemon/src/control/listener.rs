//! The socket file and who comes to it: bound where nobody else answers, a thread for each client.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::check_socket_path;
use crate::control::Stop;
use crate::control::connection::Connection;
use crate::control::desk::Desk;
use crate::control::error::{ErrorCode, Refusal};
use crate::control::protocol::Response;

/// Clients that are served at once, each by a thread of its own: 32 x (a stack of 256 KiB, of which some
/// pages are used, 16 KiB of line, and one answer) = 8 MiB of addresses and some 2 MiB of memory. The
/// largest answer, all ways to 16,384 nodes, is some 8 MB while it is written.
pub const CONNECTIONS_MAX: usize = 32;

/// Bytes of stack of a client's thread: answers are built on the heap.
const STACK_BYTES: usize = 256 * 1024;

/// Clients that may wait to be taken.
const BACKLOG: i32 = 16;

/// How long a client that is one too many may keep the thread that says so.
const REFUSAL_WAIT: Duration = Duration::from_millis(50);

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// Why a node cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlStartError {
    /// The path cannot be that of a socket.
    #[error("control.socket: {0}")]
    Path(String),
    /// Another process answers there.
    #[error("control.socket: another node answers at {socket} already: stop it, or give this one a `socket` of its own in [control]", socket = .0.display())]
    Live(PathBuf),
    /// Something that is no socket has the name.
    #[error("control.socket: {socket} is there and is no socket: choose another path in [control]", socket = .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("control.socket: {socket} cannot be made: {source}; choose another `socket` in [control], in a folder that this user may write to", socket = socket.display())]
    Bind {
        /// Where it was to be.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The thread or its poller cannot be made.
    #[error("the control thread cannot be started: {0}")]
    Thread(#[source] io::Error),
}

/// Takes clients in.
pub(crate) struct Listener {
    socket: UnixListener,
    file: SocketFile,
    poll: Poll,
    desk: Arc<Desk>,
    stop: Arc<Stop>,
    clients: Vec<JoinHandle<()>>,
    next_client: u64,
}

impl Listener {
    pub(crate) fn over(
        ControlSocket { socket, file }: ControlSocket,
        desk: Arc<Desk>,
        stop: Arc<Stop>,
    ) -> Result<(Self, Arc<Waker>), ControlStartError> {
        let start = || {
            socket.set_nonblocking(true)?;
            let poll = Poll::new()?;
            let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
            let descriptor = std::os::fd::AsRawFd::as_raw_fd(&socket);
            poll.registry().register(&mut SourceFd(&descriptor), SOCKET, Interest::READABLE)?;
            Ok((poll, waker))
        };
        let (poll, waker) = start().map_err(ControlStartError::Thread)?;
        Ok((Self { socket, file, poll, desk, stop, clients: Vec::new(), next_client: 0 }, waker))
    }

    /// Serves until it is told to stop, then waits for every client's thread to end.
    pub(crate) fn run(mut self) {
        let mut ready = Events::with_capacity(8);
        while !self.stop.is_ordered() {
            if let Err(error) = self.poll.poll(&mut ready, None)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "The control socket cannot be watched; nobody is answered any more");
                break;
            }
            while let Some(client) = self.accept() {
                self.serve(client);
            }
        }
        // No new one comes; those that are there find their streams shut down.
        drop(self.file);
        for client in self.clients {
            let _ = client.join();
        }
    }

    fn accept(&self) -> Option<UnixStream> {
        match self.socket.accept() {
            Ok((client, _)) => Some(client),
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    tracing::debug!(%error, "A client of the control socket was not taken");
                }
                None
            }
        }
    }

    fn serve(&mut self, client: UnixStream) {
        self.clients.retain(|thread| !thread.is_finished());
        if self.clients.len() >= CONNECTIONS_MAX {
            let problem = format!("{CONNECTIONS_MAX} clients are served already: try again later");
            return refuse(client, Refusal::new(ErrorCode::Busy, problem));
        }
        self.next_client += 1;
        let number = self.next_client;
        let Ok(twin) = client.try_clone() else { return };
        self.stop.enter(number, twin);
        let connection = Connection::new(client, Arc::clone(&self.desk), Arc::clone(&self.stop));
        let stop = Arc::clone(&self.stop);
        let thread = std::thread::Builder::new()
            .name(format!("control-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // What a broken connection says is of no use to anybody.
                let _ = connection.run();
                stop.leave(number);
            });
        match thread {
            Ok(thread) => self.clients.push(thread),
            Err(error) => {
                tracing::warn!(%error, "No thread can be made for a client of the control socket");
                self.stop.leave(number);
            }
        }
    }
}

fn refuse(mut client: UnixStream, refusal: Refusal) {
    let line = Response::error(&serde_json::Value::Null, refusal).to_line();
    // The buffer of a new socket has room for it.
    let _ = client.set_write_timeout(Some(REFUSAL_WAIT));
    let _ = io::Write::write_all(&mut client, &line);
}

/// A socket that clients can connect to, and where nobody answers yet. Dropping it removes its file.
#[derive(Debug)]
pub struct ControlSocket {
    socket: UnixListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Binds a socket that only its owner can connect to.
    ///
    /// # Errors
    /// Says why it cannot be had, and what to do.
    pub fn bind(path: &Path) -> Result<Self, ControlStartError> {
        let (socket, file) = SocketFile::bind(path)?;
        Ok(Self { socket, file })
    }

    /// Returns where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

/// The file of our socket. Dropping it removes the file, if it is still ours.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode: another node may have taken the name meanwhile.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn bind(path: &Path) -> Result<(UnixListener, Self), ControlStartError> {
        check_socket_path(path).map_err(ControlStartError::Path)?;
        make_room(path)?;
        let bind = || {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            let file = Self { path: path.to_owned(), identity: identity_of(path) };
            // Before it listens: until then nobody can connect, whatever the mask of the process.
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)?;
            Ok((UnixListener::from(OwnedFd::from(socket)), file))
        };
        bind().map_err(|source| ControlStartError::Bind { socket: path.to_owned(), source })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity_of(&self.path) == self.identity {
            // It may be in a folder that is gone.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket that a killed node left behind.
fn make_room(path: &Path) -> Result<(), ControlStartError> {
    let failed = |source| ControlStartError::Bind { socket: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ControlStartError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ControlStartError::Live(path.to_owned())),
        // Nobody listens: whoever did is gone.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn identity_of(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
