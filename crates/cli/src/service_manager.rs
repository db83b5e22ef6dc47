//! What a service manager is told (sd_notify(3)): that the node is ready, that it lives, that it stops.
//! Without one, as in a terminal, nothing of it happens.

use std::time::Duration;

use peerbound_daemon::{Daemon, NodeHandle};
use sd_notify::NotifyState;

/// Says that the node takes datagrams, and from now on, as often as is asked, that its data thread still
/// answers. A thread that hangs says nothing, and is started again.
pub(crate) fn on_ready(daemon: &Daemon) {
    let status = format!("node {} listens on {}", daemon.id(), daemon.address());
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    if let Some(interval) = sd_notify::watchdog_enabled() {
        let node = daemon.handle();
        let watch = move || keep_watch(&node, interval / 2);
        if let Err(error) = std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch) {
            tracing::error!(%error, "The service manager will miss the watchdog");
        }
    }
}

/// Says that the node is on its way out.
pub(crate) fn on_stop() {
    tell(&[NotifyState::Stopping]);
}

/// Ends with the node.
fn keep_watch(node: &NodeHandle, interval: Duration) {
    loop {
        match node.with_node(|_, _| ()) {
            Ok(()) => tell(&[NotifyState::Watchdog]),
            Err(peerbound_daemon::CommandError::Gone) => return,
            // Somebody asks much of it; the next turn may find room.
            Err(error) => tracing::warn!(%error, "The data thread was not asked whether it lives"),
        }
        std::thread::sleep(interval);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "The service manager does not listen");
    }
}
