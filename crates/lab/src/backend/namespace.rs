//! Network namespaces without a name: each lives as long as something refers to it, in this process or in one
//! that it started inside, so that none is ever left behind, however they end.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

/// The namespace of the thread that reads this link.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// Why something could not be done in a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel makes no namespace for us.
    #[error(
        "network namespaces need the rights of root (CAP_SYS_ADMIN, CAP_NET_ADMIN): run it as root, or on loopback"
    )]
    NotPermitted,
    /// Something else is in the way.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// A program of the system did not do what it was asked to.
    #[error("`{command}` failed: {says}")]
    Tool {
        /// As one would type it.
        command: String,
        /// What it wrote to its standard error.
        says: String,
    },
}

/// One network namespace.
#[derive(Debug)]
pub struct Namespace {
    handle: File,
}

impl Namespace {
    /// Makes a namespace that holds nothing but its own loopback interface, which is up.
    ///
    /// # Errors
    /// When the kernel makes none for us.
    pub fn new() -> Result<Self, NamespaceError> {
        let made = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(OWN_NAMESPACE)
        });
        let handle = made.map_err(|source| not_permitted_or("no network namespace can be made", source))?;
        let namespace = Self { handle };
        namespace.run("ip", ["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Finds the namespace that a process is in.
    ///
    /// # Errors
    /// When there is no such process, or it is not ours to look at.
    pub fn of_process(id: u32) -> Result<Self, NamespaceError> {
        let path = format!("/proc/{id}/ns/net");
        let handle = File::open(&path);
        let handle = handle
            .map_err(|source| NamespaceError::System { what: format!("{path} cannot be opened"), source })?;
        Ok(Self { handle })
    }

    /// Moves the calling thread, and the program that it may become, inside for good.
    ///
    /// # Errors
    /// When the kernel does not let us.
    pub fn join(&self) -> Result<(), NamespaceError> {
        setns(&self.handle, CloneFlags::CLONE_NEWNET)
            .map_err(|error| not_permitted_or("the network namespace cannot be entered", error.into()))
    }

    /// Returns a path by which other programs find it, as long as we have it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd())
    }

    /// Does something on a thread that is inside: sockets and interfaces that it makes belong to the
    /// namespace for good, whichever thread uses them, and so do programs that it starts.
    ///
    /// # Errors
    /// When it cannot be entered, or what is done there fails; `what` is then the beginning of the sentence.
    pub fn enter<T: Send>(
        &self,
        what: &str,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, NamespaceError> {
        let inside = on_a_thread(|| {
            setns(&self.handle, CloneFlags::CLONE_NEWNET)?;
            act()
        });
        inside.map_err(|source| NamespaceError::System { what: what.to_owned(), source })
    }

    /// Runs a program inside, to its end; returns what it printed.
    ///
    /// # Errors
    /// When it cannot be run, or fails.
    pub fn run<S: AsRef<OsStr> + Sync>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, NamespaceError> {
        self.run_with_input(program, arguments, "")
    }

    /// Runs a program inside, to its end, which reads some text; returns what it printed.
    ///
    /// # Errors
    /// When it cannot be run, or fails.
    pub fn run_with_input<S: AsRef<OsStr> + Sync>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<String, NamespaceError> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ran = self.enter(&format!("`{program}` cannot be run"), || fed(&mut command, input));
        let Output { status, stdout, stderr } = ran?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        let says = String::from_utf8_lossy(&stderr).trim().to_owned();
        Err(NamespaceError::Tool { command: format!("{command:?}").replace('"', ""), says })
    }

    /// Sets a switch of the kernel under `/proc/sys/net`.
    ///
    /// # Errors
    /// When there is none, or it does not take the value.
    pub fn set(&self, switch: &str, value: &str) -> Result<(), NamespaceError> {
        let path = format!("/proc/sys/net/{switch}");
        self.enter(&format!("{path} cannot be set to {value}"), || std::fs::write(&path, value))
    }
}

/// Runs a command that reads less than a pipe holds.
fn fed(command: &mut Command, input: &str) -> io::Result<Output> {
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read to the end says why by his exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

fn not_permitted_or(what: &str, source: io::Error) -> NamespaceError {
    match Errno::from_raw(source.raw_os_error().unwrap_or(0)) {
        Errno::EPERM => NamespaceError::NotPermitted,
        _ => NamespaceError::System { what: what.to_owned(), source },
    }
}

/// A namespace belongs to a thread: ours stays where it is.
fn on_a_thread<T: Send>(act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned()).spawn_scoped(scope, act)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
