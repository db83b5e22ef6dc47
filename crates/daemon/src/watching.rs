//! A thread that looks whether the files have changed by which it is decided whom to trust, and warns before
//! our own certificate expires.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use tracing::{info, warn};

use crate::clock;
use crate::reload::Reloader;

/// How often files are looked at: a revoked neighbour is gone within a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Days before its end from which on a certificate is warned of, in the log, by `status` and by `pki check`: time
/// enough for who renews once a month.
pub const EXPIRY_WARNING_DAYS: i64 = 30;

/// How often the log warns of it.
const WARN_AGAIN_SECONDS: i64 = 24 * 3600;

/// What is cheap to know of a file and changes when it does; nothing of one that is not there.
type Stamp = Option<(SystemTime, u64)>;

/// Watches until it is dropped.
pub struct Watcher {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to watch the files of a running node.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(reloader: Arc<Reloader>) -> std::io::Result<Self> {
        let (stop, stopped) = bounded::<()>(1);
        let mut stamps = stamps(&reloader);
        let thread = std::thread::Builder::new().name("watcher".to_owned()).spawn(move || {
            let mut warned_at = None;
            loop {
                warn_of_expiry(&reloader, &mut warned_at);
                match stopped.recv_timeout(LOOK_INTERVAL) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
                let seen = self::stamps(&reloader);
                if seen != stamps {
                    // Noted before it is read: what changes meanwhile is seen the next time.
                    stamps = seen;
                    take_in(&reloader);
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It holds nothing that waits: it ends with its turn.
            let _ = thread.join();
        }
    }
}

fn stamps(reloader: &Reloader) -> BTreeMap<PathBuf, Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    reloader.watched().into_iter().map(|path| (path.clone(), stamp(&path))).collect()
}

fn take_in(reloader: &Reloader) {
    match reloader.reload_trust() {
        Ok(None) => {}
        Ok(Some(report)) => {
            for change in report.applied {
                info!(key = change.key, "A file has changed: {}", change.what);
            }
            for change in report.needs_restart {
                warn!(key = change.key, "A file has changed and is not in force: {}", change.what);
            }
        }
        Err(error) => warn!("A file has changed and is not in force: {error}"),
    }
}

fn warn_of_expiry(reloader: &Reloader, warned_at: &mut Option<i64>) {
    let now = clock::unix_seconds();
    if warned_at.is_some_and(|at| now - at < WARN_AGAIN_SECONDS) {
        return;
    }
    *warned_at = Some(now);
    if let Some(left) = reloader.certificate_expires_at().map(|at| at - now)
        && left < EXPIRY_WARNING_DAYS * 24 * 3600
    {
        let days = left.div_euclid(24 * 3600);
        warn!(days, "Our certificate expires soon: renew it with `peerbound pki renew`");
    }
}
