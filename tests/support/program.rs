//! A program that runs while the test goes on: its output line by line, its input, its end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::DEADLINE;

/// A running program. Dropping it kills it, so that none outlives its test, however that ends.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    stderr: Option<JoinHandle<String>>,
    /// What it said and nobody has waited for yet.
    pending: VecDeque<Value>,
    /// All that it said.
    said: Vec<Value>,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: Vec<Value>,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts a command that prints JSON lines.
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let mut stderr = child.stderr.take().expect("it is piped");
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                // The test may have ended.
                let _ = tell.send(value);
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self {
            name: name.to_owned(),
            stdin: child.stdin.take(),
            child,
            lines,
            stderr: Some(stderr),
            pending: VecDeque::new(),
            said: Vec::new(),
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        writeln!(stdin, "{line}").expect("it reads its input");
    }

    /// Ends its input, as Ctrl-D does.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until it says something that fits. What it said before and nobody waited for counts.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let place = self.pending.iter().position(&fits);
            if let Some(found) = place.and_then(|place| self.pending.remove(place)) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if self.hear(left).is_none() {
                panic!("{} says within {DEADLINE:?}: {what}; it said {:#?}", self.name, self.said);
            }
        }
    }

    /// Returns what it says next, if that is within some time. What is waited for is told apart by
    /// [`Program::wait_for`], and what was heard here counts there, too.
    pub(crate) fn hear(&mut self, within: Duration) -> Option<Value> {
        let line = self.lines.recv_timeout(within).ok()?;
        self.note(line.clone());
        Some(line)
    }

    /// Waits for an event about a neighbour.
    #[track_caller]
    pub(crate) fn wait_for_neighbour(&mut self, event: &str, neighbour: &str) -> Value {
        self.wait_for(&format!("{event} {neighbour}"), |said| {
            said["event"] == event && said["neighbour"] == neighbour
        })
    }

    /// Asks it to stop, as an init system does.
    #[cfg(unix)]
    pub(crate) fn terminate(&mut self) {
        // The child is not reaped yet, so its number is still its own.
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(status.expect("kill(1) is there").success(), "{} takes the signal", self.name);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        self.close_input();
        let end = Instant::now() + DEADLINE;
        // Its output ends when it does.
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.note(line);
        }
        assert!(Instant::now() < end, "{} ends within {DEADLINE:?}; it said {:#?}", self.name, self.said);
        let status = self.child.wait().expect("it ends");
        let stderr = self.stderr.take().expect("nobody else takes it").join().expect("a reader ends");
        Ended { code: status.code(), said: std::mem::take(&mut self.said), stderr }
    }

    fn note(&mut self, line: Value) {
        self.said.push(line.clone());
        self.pending.push_back(line);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
