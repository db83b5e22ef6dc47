//! Where a scenario is played on real sockets: on loopback, or in network namespaces. The nodes are
//! daemons as they are deployed; the network between them is a seeded one in user space, with the same
//! dice as the simulated world's.

mod carrier;
mod faces;
#[cfg(target_os = "linux")]
mod ip;
#[cfg(target_os = "linux")]
pub(crate) mod namespace;
mod network;
mod refusal;
mod stage;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(target_os = "linux")]
mod tuns;

use crate::backend::faces::Faces;
use crate::backend::refusal::refuse;
use crate::backend::stage::RealStage;
use crate::run::{Backend, RunError, RunOptions, StageError};
use crate::scenario::Scenario;

/// Sets a scenario up on loopback sockets.
pub(crate) fn on_loopback(scenario: &Scenario, options: &RunOptions) -> Result<RealStage, RunError> {
    refuse(scenario, Backend::Loopback)?;
    let (faces, sockets) = Faces::new(scenario.hosts.len()).map_err(StageError::from)?;
    RealStage::build(scenario, options, Box::new(faces), sockets)
}

/// Sets a scenario up in network namespaces.
#[cfg(target_os = "linux")]
pub(crate) fn in_namespaces(scenario: &Scenario, options: &RunOptions) -> Result<RealStage, RunError> {
    use crate::backend::carrier::Carrier;
    use crate::backend::tuns::Tuns;
    use crate::run::ATTACKER;
    use crate::trace::HostIndex;

    refuse(scenario, Backend::Netns)?;
    let addresses = scenario.hosts.iter().map(|host| host.address).chain([ATTACKER]).collect();
    let tuns = Tuns::new(addresses).map_err(StageError::from)?;
    let hosts = (0..).map(HostIndex).take(scenario.hosts.len());
    let sockets = hosts.map(|host| tuns.bind(host)).collect::<Result<_, _>>().map_err(StageError::from)?;
    RealStage::build(scenario, options, Box::new(tuns), sockets)
}

/// Says that this system has no network namespaces.
#[cfg(not(target_os = "linux"))]
pub(crate) fn in_namespaces(_scenario: &Scenario, _options: &RunOptions) -> Result<RealStage, RunError> {
    let what = "run here: network namespaces are Linux's".to_owned();
    Err(StageError::Impossible { backend: Backend::Netns, what }.into())
}
