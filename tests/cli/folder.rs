//! A folder with an authority, the certificates of A and B, and a good configuration of A.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Finished, peerbound};

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn with_pki() -> Self {
        let folder = Self::empty();
        for arguments in [&["pki", "init"][..], &["pki", "issue", "A"], &["pki", "issue", "B"]] {
            folder.run(arguments).success();
        }
        folder
    }

    /// Adds `a.toml`: A, listening on any port, and B, whom nobody has started.
    pub(crate) fn with_node() -> Self {
        let folder = Self::with_pki();
        folder.write("a.toml", GOOD);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    /// Writes `a.toml` with one text of the good file replaced.
    pub(crate) fn write_altered(&self, good: &str, other: &str) {
        assert!(GOOD.contains(good), "{good}");
        self.write("a.toml", GOOD.replacen(good, other, 1));
    }

    /// Prepares a command that runs in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = peerbound(arguments.iter().copied());
        command.current_dir(self.0.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(&mut self.command(arguments))
    }
}

/// Nobody listens on port 9 of loopback: it is the discard service's.
const GOOD: &str = r#"[node]
certificate = "pki/A.pem"
key = "pki/A.key"
roots = ["pki/ca.pem"]
listen = "127.0.0.1:0"

[[neighbour]]
name = "B"
certificate = "pki/B.pem"
address = "127.0.0.1:9"
"#;
