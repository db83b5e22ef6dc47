//! Files of an authority: written so that an end at any moment leaves the former file or the latter, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use nix::fcntl::{Flock, FlockArg};

use crate::outcome::Failure;
use crate::pki::about;

/// How long another command may have the folder.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    Owner,
    Public,
}

/// Holds the folder of an authority for one command; the system lets go of it however that ends.
pub(crate) struct Hold(#[expect(dead_code, reason = "it is held, and let go of when dropped")] Flock<File>);

/// Waits until no other command changes the files of an authority.
pub(crate) fn hold(dir: &Path) -> Result<Hold, Failure> {
    let path = dir.join(".lock");
    let started = Instant::now();
    loop {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| about(&path, "cannot be written", error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Hold(lock)),
            Err(_) if started.elapsed() < LOCK_DEADLINE => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => {
                let problem = "another command has the folder: wait until it has ended";
                return Err(Failure::Request(anyhow!("{}: {problem}", dir.display())));
            }
        }
    }
}

/// Writes a file that must not be there yet; a secret one can be read by its owner only.
pub(crate) fn write_new(path: &Path, bytes: &[u8], secrecy: Secrecy) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    set_mode(&mut options, secrecy);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| about(path, "cannot be written", error))
}

/// Puts a file in the place of another, or makes it: to the disk beside it first, and then by one rename.
pub(crate) fn put(path: &Path, bytes: &[u8], secrecy: Secrecy) -> Result<(), Failure> {
    let refused = |error| about(path, "cannot be written", error);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let half = path.with_file_name(format!(".{name}.half"));
    // One that a killed command left behind is of no use to anybody.
    match fs::remove_file(&half) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(refused(error)),
        Ok(()) | Err(_) => {}
    }
    write_new(&half, bytes, secrecy)?;
    fs::rename(&half, path).map_err(refused)?;
    // The name is on the disk when the folder is.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(refused)
}

#[cfg(unix)]
fn set_mode(options: &mut OpenOptions, secrecy: Secrecy) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(if secrecy == Secrecy::Owner { 0o600 } else { 0o644 });
}

#[cfg(not(unix))]
fn set_mode(_: &mut OpenOptions, _: Secrecy) {}
