//! Programs that are started for a measurement, and what the kernel counts about them. Each dies with its
//! handle, and by the kernel's hand with this process, however that ends (`setpriv --pdeathsig`).

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use peerbound_lab::Namespace;

use crate::words::Said;

/// How long a generator may be silent beyond the time that it was told to take: machines stall.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ticks a second in which the kernel tells processor time: `USER_HZ`, which is 100 wherever Linux runs.
const TICKS: f64 = 100.0;

/// Bytes of what `status` calls kB.
const KB: u64 = 1024;

/// A program in a namespace.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts a program whose words go to a file of this folder.
    ///
    /// Must be called on the main thread: the kernel ends the program with the *thread* that started it.
    pub(crate) fn start(
        namespace: &Namespace,
        (name, folder): (&str, &Path),
        words: &[&str],
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("{} cannot be made", log.display()))?;
        let mut command = command_inside(namespace, words);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    /// Fails with what the program said last, if it is not running any more.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
        bail!("{} has ended ({status}) and said:\n  {last}", self.name)
    }

    /// Returns its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the seconds that it had a processor, in user's and in kernel's code.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<f64> {
        let stat = self.read("stat")?;
        ticks_of(&stat).map(|ticks| ticks as f64 / TICKS).with_context(|| format!("a strange stat: {stat}"))
    }

    /// Returns the bytes that it has in memory, shared ones included.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = self.read("status")?;
        resident_of(&status).with_context(|| format!("a strange status: {status}"))
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(&path).with_context(|| format!("{path} of {} cannot be read", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command_inside(namespace: &Namespace, words: &[&str]) -> Command {
    // Both become the next program in their turn, so that the child is the program itself.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "nsenter"]).arg(format!("--net={}", namespace.path()));
    command.arg("--").args(words);
    command
}

/// Reads user's and kernel's ticks, fields 14 and 15 of proc(5); the name before them may have blanks.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: Vec<u64> = fields.split(' ').skip(11).take(2).map_while(|text| text.parse().ok()).collect();
    (ticks.len() == 2).then(|| ticks.iter().sum())
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * KB)
}

/// One of our own generators, and what it says.
#[derive(Debug)]
pub(crate) struct Generator {
    program: Program,
    heard: Receiver<Said>,
    input: Option<ChildStdin>,
}

impl Generator {
    /// Starts this program once more, as a generator.
    pub(crate) fn start(
        namespace: &Namespace,
        (name, folder): (&str, &Path),
        words: &[&str],
    ) -> anyhow::Result<Self> {
        let ourselves = std::env::current_exe()?.display().to_string();
        let log = folder.join(format!("{name}.log"));
        let mut command = command_inside(namespace, &[&[ourselves.as_str(), "worker"], words].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let program = Program { child, name: name.to_owned(), log };
        let (sender, heard) = channel();
        let output = output.context("the output is a pipe")?;
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            let mut said = lines.map_while(|line| serde_json::from_str(&line).ok());
            said.all(|said| sender.send(said).is_ok())
        });
        Ok(Self { program, heard, input })
    }

    /// Returns what it says next, given the time it was told to take.
    pub(crate) fn hear(&mut self, takes: Duration) -> anyhow::Result<Said> {
        match self.heard.recv_timeout(takes + PATIENCE) {
            Ok(said) => Ok(said),
            Err(_) => {
                thread::sleep(Duration::from_millis(50));
                self.program.check()?;
                bail!("{} says nothing", self.program.name)
            }
        }
    }

    /// Waits for its first word.
    pub(crate) fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let said = self.hear(Duration::ZERO)?;
        ensure!(said == Said::Ready, "{} says {said:?} first", self.program.name);
        Ok(())
    }

    /// Asks for what it has counted.
    pub(crate) fn ask(&mut self) -> anyhow::Result<Said> {
        self.input.as_mut().context("the input is a pipe")?.write_all(b"\n")?;
        self.hear(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_name_with_blanks_and_brackets() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 1234 66 0 0 20 0 4 0 1 2 3";

        assert_eq!(ticks_of(stat), Some(1300));
        assert_eq!(ticks_of("42 (a) S 1"), None);
    }

    #[test]
    fn memory_is_told_in_kilobytes() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    1536 kB\nVmData: 1 kB\n"), Some(1536 * 1024));
        assert_eq!(resident_of("Name:\tx\n"), None);
    }
}
