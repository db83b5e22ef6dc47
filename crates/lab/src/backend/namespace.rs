//! Network namespaces without a name: each lives as long as something in this process refers to it, so
//! that none is ever left behind, however the process ends.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

/// The namespace of the thread that reads this link.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// Why something could not be done in a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel makes no namespace for us.
    #[error(
        "network namespaces need the rights of root (CAP_SYS_ADMIN, CAP_NET_ADMIN): run it as root, or use --on loopback or --on sim"
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
pub(crate) struct Namespace {
    handle: File,
}

impl Namespace {
    /// Makes a namespace that holds nothing but its own loopback interface, which is up.
    pub(crate) fn new() -> Result<Self, NamespaceError> {
        let made = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(OWN_NAMESPACE)
        });
        let handle = made.map_err(|source| match Errno::from_raw(source.raw_os_error().unwrap_or(0)) {
            Errno::EPERM => NamespaceError::NotPermitted,
            _ => NamespaceError::System { what: "no network namespace can be made".to_owned(), source },
        })?;
        let namespace = Self { handle };
        namespace.run("ip", ["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Does something on a thread that is inside: sockets and interfaces that it makes belong to the
    /// namespace for good, whichever thread uses them.
    pub(crate) fn enter<T: Send>(
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

    /// Runs a program inside, to its end.
    pub(crate) fn run<S: AsRef<OsStr> + Sync>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<(), NamespaceError> {
        let mut command = Command::new(program);
        command.args(arguments);
        let output = self.enter(&format!("`{program}` cannot be run"), || command.output())?;
        if output.status.success() {
            return Ok(());
        }
        let says = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(NamespaceError::Tool { command: format!("{command:?}").replace('"', ""), says })
    }

    /// Sets a switch of the kernel under `/proc/sys/net`.
    pub(crate) fn set(&self, switch: &str, value: &str) -> Result<(), NamespaceError> {
        let path = format!("/proc/sys/net/{switch}");
        self.enter(&format!("{path} cannot be set to {value}"), || std::fs::write(&path, value))
    }
}

/// A namespace belongs to a thread: ours stays where it is.
fn on_a_thread<T: Send>(act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned()).spawn_scoped(scope, act)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
