//! A program that was run to its end.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::variables::VARIABLES;

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Prepares a run of the program under test. Its environment is that of a user who set nothing.
pub(crate) fn peerbound<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerbound"));
    command.args(arguments);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

impl Finished {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("the program starts"))
    }

    /// Tells of a program that has ended.
    pub(crate) fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Returns standard output, once everything was fine and nothing was complained about.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:#?}");
        self.stdout
    }

    /// Returns the lines of standard output as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Vec<Value> {
        let stdout = self.success();
        stdout.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    /// Returns the one sentence on standard error, once the exit code is as claimed and nothing
    /// else was said.
    #[track_caller]
    pub(crate) fn refusal(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:#?}");
        let sentence = self.stderr.strip_prefix("peerbound: ").and_then(|text| text.strip_suffix('\n'));
        let sentence = sentence.unwrap_or_else(|| panic!("it begins with its name: {self:#?}"));
        assert!(!sentence.contains('\n'), "one line: {self:#?}");
        sentence.to_owned()
    }
}
