//! Numbered lines from one node to another, as fast as somebody types who is a machine.

use std::time::{Duration, Instant};

use crate::host::Host;
use crate::mesh::Mesh;
use crate::seen::Seen;
use crate::support::{DEADLINE, Program};

/// The time between two lines.
const INTERVAL: Duration = Duration::from_millis(10);

/// A conversation: `send` at one end, `listen` at the other.
pub(crate) struct Talk {
    pub(crate) sender: Program,
    pub(crate) listener: Program,
    pub(crate) seen: Seen,
}

impl Talk {
    /// Starts a node at both ends, and waits until the first line has arrived.
    #[track_caller]
    pub(crate) fn start(mesh: &Mesh, from: &Host, to: &Host) -> Self {
        let listener = to.start(&mut mesh.command(to, "listen", &[]));
        let sender = from.start(&mut mesh.command(from, "send", &["--wait", "60", "--linger", "0", to.name]));
        let mut talk = Self { sender, listener, seen: Seen::default() };
        talk.until("the first line arrives", |seen| seen.count() > 0);
        talk
    }

    /// Goes on until something has come about.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Seen) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !done(&self.seen) {
            assert!(Instant::now() < end, "within {DEADLINE:?}: {what}; so far {:?}", self.seen);
            let number = self.seen.send();
            self.sender.type_line(&number.to_string());
            self.hear(INTERVAL);
        }
    }

    fn hear(&mut self, interval: Duration) {
        let next = Instant::now() + interval;
        while let Some(said) = self.listener.hear(next.saturating_duration_since(Instant::now())) {
            let number = said["text"].as_str().and_then(|text| text.parse().ok());
            if let Some(number) = number.filter(|_| said["event"] == "delivered") {
                self.seen.arrive(number, Instant::now());
            }
        }
    }
}
