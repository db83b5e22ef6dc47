//! `peerbound run`: a node until SIGINT or SIGTERM.

use std::path::PathBuf;

use clap::Args;
use crossbeam_channel::{never, select};
use peerbound_daemon::{ConfigInForce, Daemon, MetricsServer, MetricsSocket, Privileges, StartOptions};

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::running::Caught;
use crate::{running, service_manager};

#[derive(Args)]
pub(crate) struct RunArguments {
    /// The node's configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Stop when standard input ends, too: when whoever started the node is gone, however that came about.
    #[arg(long)]
    stop_with_input: bool,
}

pub(crate) fn run(arguments: &RunArguments, output: &Output) -> CommandResult {
    let path = &arguments.config;
    let in_force = ConfigInForce::read(path.clone()).map_err(Failure::request)?;
    let config = in_force.config().clone();
    let (control, metrics) = (config.control.clone(), config.metrics);
    let (ends, hangups) = (Caught::ends()?, Caught::hangups()?);
    // Everything that may take privileges is opened, by this thread, which then gives them up. Threads come after
    // that, so that they never have any.
    let options = StartOptions { privileges: Privileges::GivenUp, ..StartOptions::default() };
    let opened = Daemon::open(config, options).map_err(Failure::world)?;
    let control = running::open_control(&control, path)?;
    let metrics = metrics.map(MetricsSocket::bind).transpose().map_err(Failure::world)?;
    let daemon = opened.start().map_err(Failure::world)?;
    let (signals, hangups) = (ends.watch()?, hangups.watch()?);
    let input_ended = if arguments.stop_with_input { running::end_of_input()? } else { never() };
    let (reloader, _watcher) = running::watch_from(in_force, &daemon)?;
    let server =
        control.map(|socket| running::start_control(socket, &daemon, path, &reloader)).transpose()?;
    let metrics = metrics.map(|socket| MetricsServer::answer_at(socket, &daemon, path.clone())).transpose();
    let metrics = metrics.map_err(Failure::world)?;
    running::report_ready(&daemon, output)?;
    if let Some(metrics) = &metrics {
        running::report_metrics(metrics.address(), output)?;
    }
    service_manager::on_ready(&daemon);
    loop {
        select! {
            recv(daemon.events()) -> event => match event {
                Ok(event) => running::report_event(&daemon, &event, output)?,
                Err(_) => return Err(Failure::World(anyhow::anyhow!("the node stopped by itself: see its log"))),
            },
            recv(signals) -> _ => break,
            recv(hangups) -> _ => running::report_reload(reloader.reload(), output)?,
            recv(input_ended) -> _ => break,
        }
    }
    service_manager::on_stop();
    drop((server, metrics));
    running::stop(daemon)?;
    running::report_stopped(output)?;
    Ok(Outcome::Held)
}
