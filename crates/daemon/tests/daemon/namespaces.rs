//! Hosts of their own in network namespaces, joined by cables. A namespace has no name: it lives as long as
//! something in this process refers to it, so none is ever left behind.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::process::{Command, Output};

use nix::sched::{CloneFlags, setns, unshare};

pub(crate) struct Namespace {
    handle: File,
}

impl Namespace {
    /// Makes a host; `None`, with a line that says so, where this machine lets us make none.
    pub(crate) fn new() -> Option<Self> {
        let made = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
            File::open("/proc/thread-self/ns/net")
        });
        match made {
            Ok(handle) => {
                let namespace = Self { handle };
                namespace.run("ip", &["link", "set", "lo", "up"]);
                Some(namespace)
            }
            Err(error) if std::env::var_os("PEERBOUND_REQUIRE_NETNS").is_none() => {
                eprintln!("skipped: this machine makes no network namespace for us: {error}");
                None
            }
            Err(error) => panic!("no network namespace can be made: {error}"),
        }
    }

    /// Does something on a thread that is inside; sockets and interfaces made there stay there.
    pub(crate) fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            setns(&self.handle, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        })
    }

    /// Runs a program inside to its end, whatever that is.
    pub(crate) fn output<S: AsRef<OsStr> + Sync>(&self, program: &str, arguments: &[S]) -> Output {
        self.enter(|| Command::new(program).args(arguments).output().unwrap())
    }

    /// Runs a program inside to its good end, and returns what it printed.
    pub(crate) fn run<S: AsRef<OsStr> + Sync>(&self, program: &str, arguments: &[S]) -> String {
        let output = self.output(program, arguments);
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(output.status.success(), "{program}: {out}{err}");
        out.into_owned()
    }

    /// Lays a cable from here to another host: each end has a name and an address with its prefix length.
    pub(crate) fn connect(&self, (name, address): (&str, &str), to: (&Self, &str, &str)) {
        let (other, other_name, other_address) = to;
        // Its own file is the only name that the other has.
        let path = format!("/proc/{}/fd/{}", std::process::id(), other.handle.as_raw_fd());
        let peer = ["type", "veth", "peer", "name", other_name, "netns", &path];
        self.run("ip", &[&["link", "add", "name", name][..], &peer].concat());
        for (namespace, name, address) in [(self, name, address), (other, other_name, other_address)] {
            namespace.run("ip", &["address", "add", address, "dev", name, "nodad"]);
            namespace.run("ip", &["link", "set", name, "up"]);
        }
    }
}

/// A namespace belongs to a thread: ours stays where it is.
fn on_a_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope.spawn(act).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
