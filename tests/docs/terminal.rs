//! Runs the commands of a page as a reader would: in a folder of its own, with a shell.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::page::root;
use crate::variables::VARIABLES;

/// How long a command may take. The demonstration needs seconds; a busy machine may need many.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Stands in for cargo: what the pages run by it is the program under test, which is built, and the
/// examples, which `cargo test --workspace` and `cargo build --workspace --examples` build.
const CARGO: &str = "#!/bin/sh
case \"$1 $2 $3\" in
  'run --release --') shift 3; exec peerbound \"$@\" ;;
  'run --quiet --example') [ -x \"$EXAMPLES/$4\" ] && exec \"$EXAMPLES/$4\" ;;
esac
echo \"the test of the pages knows no such command, or the example is not built: cargo $*\" >&2
exit 2
";

/// A folder with the examples in it, and a shell that finds the program.
pub(crate) struct Terminal {
    folder: TempDir,
    programs: TempDir,
    outputs: usize,
}

/// A command that goes on.
pub(crate) struct Running {
    pub(crate) command: String,
    child: Child,
    output: PathBuf,
}

impl Terminal {
    pub(crate) fn open() -> Self {
        let programs = TempDir::new().expect("a temporary folder");
        symlink(env!("CARGO_BIN_EXE_peerbound"), programs.path().join("peerbound")).expect("a link");
        let cargo = programs.path().join("cargo");
        fs::write(&cargo, CARGO).expect("a script");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("its permissions");
        let folder = TempDir::new().expect("a temporary folder");
        let examples = root().join("examples");
        if examples.exists() {
            copy(&examples, &folder.path().join("examples"));
        }
        Self { folder, programs, outputs: 0 }
    }

    /// Runs a command to its end; returns what it printed, on both outputs, and how it ended.
    pub(crate) fn run(&mut self, command: &str) -> (String, ExitStatus) {
        let mut running = self.start(command, command);
        let status = running.wait();
        (running.printed(), status)
    }

    /// Starts a command in a terminal of its own, and waits until it has printed a text.
    pub(crate) fn run_beside(&mut self, command: &str, text: &str) -> Running {
        // Without `exec` Ctrl-C would reach the shell and not the command.
        let mut running = self.start(command, &format!("exec {command}"));
        running.until(&format!("it prints \"{text}\""), |running| running.printed().contains(text));
        running
    }

    fn start(&mut self, command: &str, script: &str) -> Running {
        self.outputs += 1;
        let output = self.programs.path().join(format!("output-{}", self.outputs));
        let file = File::create(&output).expect("a file for the output");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command_line = Command::new("bash");
        VARIABLES.iter().for_each(|variable| {
            command_line.env_remove(variable);
        });
        let child = command_line
            .args(["-c", &format!("exec 2>&1\n{script}")])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", self.programs.path().display()))
            .env("EXAMPLES", examples_built())
            .stdin(Stdio::null())
            .stdout(file)
            .spawn()
            .expect("bash");
        Running { command: command.to_owned(), child, output }
    }
}

/// Returns where the examples lie: beside the program.
fn examples_built() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_peerbound")).with_file_name("examples")
}

impl Running {
    /// Presses Ctrl-C; returns what the command printed and how it ended.
    pub(crate) fn interrupt(mut self) -> (String, ExitStatus) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "`{}` cannot be interrupted", self.command);
        let status = self.wait();
        (self.printed(), status)
    }

    fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        self.until("it ends", |running| {
            ended = running.child.try_wait().expect("a child of ours");
            ended.is_some()
        });
        ended.expect("it has ended")
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            let has_ended = matches!(self.child.try_wait(), Ok(Some(_)));
            assert!(
                Instant::now() < end && (!has_ended || done(self)),
                "`{}`: it did not come about that {what}. It printed:\n{}",
                self.command,
                self.printed()
            );
            std::thread::sleep(LOOK);
        }
    }

    fn printed(&self) -> String {
        let bytes = fs::read(&self.output).expect("the output");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of use where a test failed; whoever was waited for is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // What somebody made there while he tried the example is no part of it.
        if is_folder && entry.file_name() != "pki" {
            copy(&entry.path(), &target);
        } else if !is_folder {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
