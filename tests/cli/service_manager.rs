//! What a service manager hears of a node, by the socket that sd_notify(3) describes.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::folder::Folder;
use crate::support::{DEADLINE, Program};

#[test]
fn a_node_tells_that_it_is_ready_that_it_lives_and_that_it_stops() {
    let folder = Folder::with_node();
    let manager = Manager::in_folder(&folder);
    let mut command = folder.command(&["run", "-c", "a.toml", "--json"]);
    command.env("NOTIFY_SOCKET", folder.path("notify")).env("WATCHDOG_USEC", "100000");
    let mut node = Program::start("A", &mut command);

    let ready = manager.hear("READY=1");
    assert!(ready.contains("\nSTATUS=node "), "{ready}");
    assert!(ready.contains(" listens on 127.0.0.1:"), "{ready}");
    // Twice: it goes on.
    manager.hear("WATCHDOG=1");
    manager.hear("WATCHDOG=1");
    node.terminate();
    manager.hear("STOPPING=1");

    assert_eq!(node.wait().code, Some(0));
}

#[test]
fn a_node_that_does_not_start_is_not_ready() {
    let folder = Folder::with_pki();
    folder.write_altered("127.0.0.1:0", "192.0.2.1:7001");
    let manager = Manager::in_folder(&folder);

    let mut command = folder.command(&["run", "-c", "a.toml"]);
    let ended = crate::support::Finished::of(command.env("NOTIFY_SOCKET", folder.path("notify")));

    ended.refusal(1);
    assert_eq!(manager.heard_already(), None);
}

struct Manager(UnixDatagram);

impl Manager {
    fn in_folder(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        Self(socket)
    }

    #[track_caller]
    fn hear(&self, word: &str) -> String {
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if let Some(said) = self.next().filter(|said| said.lines().any(|line| line == word)) {
                return said;
            }
        }
        panic!("{word} is not said within {DEADLINE:?}");
    }

    /// Returns what was said before, without waiting.
    fn heard_already(&self) -> Option<String> {
        self.0.set_nonblocking(true).unwrap();
        self.next()
    }

    fn next(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }
}
