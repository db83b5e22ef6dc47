//! The programs of others: whether they are here, and what to do about it when they are not.

use std::env;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A program that a test talks to, and the package that brings it.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

impl Tool {
    /// Returns whether the program can be run; says how to get it when it cannot.
    ///
    /// # Errors
    /// When it is missing although `PEERBOUND_REQUIRE_PEERS=1` says that it must not be.
    pub(crate) fn is_installed(&self) -> Result<bool> {
        let mut probe = Command::new(self.name);
        probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match probe.status() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let Self { name, package } = self;
                let advice = format!("{name} is not installed (apt-get install {package})");
                if env::var_os("PEERBOUND_REQUIRE_PEERS").is_some_and(|value| value == "1") {
                    bail!("{advice}");
                }
                println!("skipped: {advice}");
                Ok(false)
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be run", self.name)),
        }
    }

    /// Starts a command line of the program.
    pub(crate) fn command(&self) -> Command {
        Command::new(self.name)
    }
}
