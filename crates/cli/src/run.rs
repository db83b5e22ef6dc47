//! `peerbound run`: a node until SIGINT or SIGTERM.

use std::path::PathBuf;

use clap::Args;
use crossbeam_channel::{never, select};
use peerbound_daemon::MetricsServer;

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
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
    let config = running::load(&arguments.config)?;
    let signals = running::signals()?;
    let hangups = running::hangups()?;
    let input_ended = if arguments.stop_with_input { running::end_of_input()? } else { never() };
    let (control, metrics) = (config.control.clone(), config.metrics);
    let daemon = running::start(config)?;
    let (reloader, _watcher) = running::watch(&arguments.config, &daemon)?;
    let server = running::start_control(&daemon, &control, &arguments.config, &reloader)?;
    let metrics = metrics
        .map(|listen| MetricsServer::start(&daemon, listen, arguments.config.clone()))
        .transpose()
        .map_err(Failure::world)?;
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
