//! A third-party peer as a child process: what it says is collected, and it never outlives its test.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How long anything is waited for. A handshake takes milliseconds; a machine under load, or one
/// lost datagram and the other end's retransmission timer, takes seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What is kept of a program's output; it says some 5 kB when all goes well.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// A child process with its standard input and everything it said so far.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    said: Arc<Said>,
}

/// Output and error output of one process, in order of arrival.
#[derive(Default)]
struct Said {
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Default)]
struct Heard {
    text: String,
    streams_ended: usize,
}

const STREAMS: usize = 2; // standard output and standard error

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} did not start"))?;
        let said = Arc::new(Said::default());
        let output = child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        let errors = child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        for stream in [output, errors].into_iter().flatten() {
            let said = Arc::clone(&said);
            // Ends with the stream, which ends with the process, which ends with its `Process`.
            thread::spawn(move || said.listen(stream));
        }
        Ok(Self { stdin: child.stdin.take(), name, child, said })
    }

    /// Writes one line to the program's standard input, at once: some take a letter for a command
    /// only where a read begins, and a line end that comes late would stand before it.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its standard input is closed")?;
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .with_context(|| format!("{} does not listen", self.name))
    }

    /// Ends the program's standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until the program has said this: `false` when it ended without.
    ///
    /// # Errors
    /// When it neither says it nor ends.
    pub(crate) fn wait_until_said(&self, text: &str) -> Result<bool> {
        let heard = self.wait_until(&format!("says \"{text}\""), |heard| {
            heard.text.contains(text) || heard.streams_ended == STREAMS
        })?;
        Ok(heard.text.contains(text))
    }

    /// Waits until the program has ended.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn wait_until_ended(&self) -> Result<()> {
        self.wait_until("ends", |heard| heard.streams_ended == STREAMS).map(drop)
    }

    fn wait_until(&self, what: &str, done: impl Fn(&Heard) -> bool) -> Result<MutexGuard<'_, Heard>> {
        let heard = self.said.lock();
        let (heard, _) = self
            .said
            .changed
            .wait_timeout_while(heard, PATIENCE, |heard| !done(heard))
            .unwrap_or_else(PoisonError::into_inner);
        if !done(&heard) {
            bail!("waited in vain until {} {what}; it said:\n{}", self.name, heard.text);
        }
        Ok(heard)
    }

    /// Returns all that the program said, to explain a failure.
    pub(crate) fn transcript(&self) -> String {
        format!("{} said:\n{}", self.name, self.said.lock().text)
    }
}

impl Said {
    fn listen(&self, mut stream: impl Read) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let mut heard = self.lock();
            if heard.text.len() < OUTPUT_BYTES_MAX {
                heard.text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            self.changed.notify_all();
        }
        self.lock().streams_ended += 1;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a child that has been waited for, which nobody else does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
