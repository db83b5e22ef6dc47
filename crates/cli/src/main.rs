//! The command line of peerbound. Exit codes: 0 fine, 1 the thing asked for did not hold, 2 the
//! request was wrong.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod ask;
mod check;
mod columns;
mod completions;
mod demo;
mod enrol;
mod exec;
mod groups;
mod keep;
mod listen;
mod log;
mod narrative;
mod outcome;
mod output;
mod pki;
mod progress;
mod prove;
mod run;
mod running;
mod send;
mod service_manager;
mod sim;
mod source;
mod spans;
mod suggest;
mod up;
mod usage;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::Outcome;

/// Peers bound by DTLS, and an overlay that lives with it.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Show on loopback what works, what does not, and at which lock: three nodes, one wrong arrow.
    Demo(demo::DemoArguments),
    /// Carry out experiments on the peer-binding of DTLS: what was expected beside what was observed.
    Prove(prove::ProveArguments),
    /// Run scenarios in a simulated world: one closely, or many, and make failing ones small.
    #[command(subcommand)]
    Sim(sim::SimCommand),
    /// Make an authority and the certificates of nodes.
    #[command(subcommand)]
    Pki(pki::PkiCommand),
    /// Start every node of a topology as a program of its own, and stop all at Ctrl-C.
    Up(up::UpArguments),
    /// Run a command where a node of a running topology is.
    Exec(exec::ExecArguments),
    /// Become a member: make a key here, and have it certified with the token of an invitation.
    Join(enrol::JoinArguments),
    /// Run a node until it is told to stop.
    Run(run::RunArguments),
    /// Show a running node in one look.
    Status(ask::status::StatusArguments),
    /// List the neighbours of a running node, and how each link is.
    #[command(name = "neighbors", visible_alias = "neighbours")]
    Neighbours(ask::neighbours::NeighboursArguments),
    /// Show where a running node sends frames, and why there.
    Routes(ask::routes::RoutesArguments),
    /// List the sessions of a running node: keys in use, their age, what they refused.
    Sessions(ask::sessions::SessionsArguments),
    /// Let a running node ask another one to answer.
    Ping(ask::ping::PingArguments),
    /// Draw the mesh as far as a running node knows it.
    Graph(ask::graph::GraphArguments),
    /// Watch a running node: neighbours, rates, drops, ways.
    Top(ask::top::TopArguments),
    /// Set what a running node logs, and follow its log.
    Log(ask::log::LogArguments),
    /// Let a running node read its configuration again: key by key, what is in force.
    Reload(ask::reload::ReloadArguments),
    /// Write down all that helps to find out what is wrong with a running node, and no key.
    #[command(name = "bugreport")]
    BugReport(ask::bug_report::BugReportArguments),
    /// Let every hop of the way to a node describe itself, out and back.
    Trace(ask::trace::TraceArguments),
    /// Say why a datagram was refused, why a frame was dropped, or why a way is as it is.
    Explain(ask::explain::ExplainArguments),
    /// Write what passes a running node into a file that Wireshark reads.
    Pcap(ask::pcap::PcapArguments),
    /// Read a node's configuration and say what is wrong with it.
    Check(check::CheckArguments),
    /// Run a node and send it lines from standard input to another one.
    Send(send::SendArguments),
    /// Run a node and print what arrives.
    Listen(listen::ListenArguments),
    /// Print what a shell needs to complete the commands.
    Completions(completions::CompletionsArguments),
    /// Write the man pages.
    Man(completions::ManArguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::report(&error),
    };
    if let Err(failure) = log::start() {
        return failure.report();
    }
    let output = output::Output::new(arguments.json);
    let outcome = match arguments.command {
        Command::Demo(arguments) => demo::demo(&arguments, &output),
        Command::Prove(arguments) => prove::prove(&arguments, &output),
        Command::Sim(command) => sim::sim(&command, &output),
        Command::Pki(command) => pki::pki(&command, &output),
        Command::Up(arguments) => up::up(&arguments, &output),
        Command::Exec(arguments) => exec::exec(&arguments),
        Command::Join(arguments) => enrol::join(&arguments, &output),
        Command::Run(arguments) => run::run(&arguments, &output),
        Command::Status(arguments) => ask::status::status(&arguments, &output),
        Command::Neighbours(arguments) => ask::neighbours::neighbours(&arguments, &output),
        Command::Routes(arguments) => ask::routes::routes(&arguments, &output),
        Command::Sessions(arguments) => ask::sessions::sessions(&arguments, &output),
        Command::Ping(arguments) => ask::ping::ping(&arguments, &output),
        Command::Graph(arguments) => ask::graph::graph(&arguments, &output),
        Command::Top(arguments) => ask::top::top(&arguments, &output),
        Command::Log(arguments) => ask::log::log(&arguments, &output),
        Command::Reload(arguments) => ask::reload::reload(&arguments, &output),
        Command::BugReport(arguments) => ask::bug_report::bug_report(&arguments, &output),
        Command::Trace(arguments) => ask::trace::trace(&arguments, &output),
        Command::Explain(arguments) => ask::explain::explain(&arguments, &output),
        Command::Pcap(arguments) => ask::pcap::pcap(&arguments, &output),
        Command::Check(arguments) => check::check(&arguments, &output),
        Command::Send(arguments) => send::send(&arguments, &output),
        Command::Listen(arguments) => listen::listen(&arguments, &output),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
    };
    match outcome {
        Ok(Outcome::Held) => ExitCode::SUCCESS,
        Ok(Outcome::DidNotHold) => ExitCode::from(1),
        Err(failure) => failure.report(),
    }
}
