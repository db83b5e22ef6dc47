//! What is said when the arguments make no sense: one sentence, as for every other wrong request.

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::output::complain;

/// Reports what clap made of the arguments: help and version as they are, an error in one line.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A reader that went away has seen enough.
            let _ = error.print();
        }
        _ => complain(sentence(&error.render().to_string())),
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Joins the paragraphs of an error, up to the usage, which `--help` tells better.
fn sentence(error: &str) -> String {
    let (problem, usage) = error.split_once("Usage:").unwrap_or((error, ""));
    let problem = problem.strip_prefix("error: ").unwrap_or(problem);
    let problem = problem.split_once("\n\nFor more information").map_or(problem, |(problem, _)| problem);
    let paragraphs: Vec<_> = problem.split("\n\n").map(joined).filter(|text| !text.is_empty()).collect();
    let command = command(usage);
    format!("{}; see `{command} --help`", paragraphs.join("; "))
}

fn joined(paragraph: &str) -> String {
    paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns the words of a usage line before its first option or argument.
fn command(usage: &str) -> String {
    let words: Vec<_> =
        usage.split_whitespace().take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
    if words.is_empty() { "peerbound".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Arguments;

    fn refusal(arguments: &[&str]) -> String {
        let error = Arguments::command().try_get_matches_from(arguments).expect_err("wrong arguments");
        sentence(&error.render().to_string())
    }

    #[test]
    fn a_wrong_command_is_named_in_one_line() {
        let text = refusal(&["peerbound", "chekc", "a.toml"]);

        assert_eq!(
            text,
            "unrecognized subcommand 'chekc'; tip: a similar subcommand exists: 'check'; see `peerbound --help`"
        );
    }

    #[test]
    fn a_missing_argument_is_named_with_its_command() {
        let text = refusal(&["peerbound", "run"]);

        assert_eq!(
            text,
            "the following required arguments were not provided: --config <FILE>; see `peerbound run --help`"
        );
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        let text = refusal(&["peerbound", "pki", "issue", "A", "--days", "0"]);

        assert_eq!(
            text,
            "invalid value '0' for '--days <DAYS>': 0 is not in 1..=36500; see `peerbound --help`"
        );
    }
}
