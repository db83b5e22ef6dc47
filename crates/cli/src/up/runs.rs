//! Where running topologies are written down, so that `exec` finds them: a file for each in a folder of the
//! user's own. Whoever runs it holds a lock on the file, which the kernel takes back however it ends.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::outcome::Failure;
use crate::pki::about;

/// What is written down of a running topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// What it is called.
    pub(crate) topology: String,
    /// The program that runs it.
    pub(crate) pid: u32,
    /// Whether each node has a network namespace of its own.
    pub(crate) netns: bool,
    /// Where its files are.
    pub(crate) folder: PathBuf,
    /// Its nodes.
    pub(crate) nodes: Vec<RunningNode>,
}

/// One of its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningNode {
    /// What it is called.
    pub(crate) name: String,
    /// Its id, from which its overlay address follows.
    pub(crate) id: String,
    /// Its overlay address.
    pub(crate) overlay: String,
    /// Where it listens.
    pub(crate) listens: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Its configuration file.
    pub(crate) config: PathBuf,
    /// Its control socket.
    pub(crate) socket: PathBuf,
}

/// The folder in which runs are written down.
pub(crate) struct Runs {
    folder: PathBuf,
}

/// A run that is written down as long as this is held.
pub(crate) struct Entry {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Runs {
    /// Finds the folder, or makes it. Nobody else may write there: what is in it names processes and keys.
    pub(crate) fn open() -> Result<Self, Failure> {
        let user = geteuid();
        let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder).join("peerbound"),
            None => std::env::temp_dir().join(format!("peerbound-{user}")),
        };
        // It may be there, from an earlier run.
        let made = DirBuilder::new().mode(0o700).create(&folder);
        let metadata = match fs::symlink_metadata(&folder) {
            Ok(metadata) => metadata,
            Err(error) => {
                return Err(about(&folder, "the folder cannot be made", made.err().unwrap_or(error)));
            }
        };
        let is_ours = metadata.is_dir() && metadata.uid() == user.as_raw() && metadata.mode() & 0o022 == 0;
        if !is_ours {
            return Err(Failure::Request(anyhow!(
                "{}: others may write there, and keys are to lie in it: remove it, or let XDG_RUNTIME_DIR name a folder of your own",
                folder.display()
            )));
        }
        Ok(Self { folder })
    }

    /// Makes a folder for the files of one run, which is removed with the run.
    pub(crate) fn folder_for(&self, topology: &str) -> Result<TempDir, Failure> {
        tempfile::Builder::new()
            .prefix(&format!("{topology}-"))
            .tempdir_in(&self.folder)
            .map_err(|error| about(&self.folder, "no folder can be made there", error))
    }

    /// Writes a run down.
    pub(crate) fn write(&self, run: &Run) -> Result<Entry, Failure> {
        let path = self.folder.join(format!("{}.json", run.pid));
        let beginning = self.folder.join(format!("{}.new", run.pid));
        let failed = |error| about(&path, "the run cannot be written down", error);
        let file = File::create(&beginning).map_err(failed)?;
        let lock =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| failed(errno.into()))?;
        serde_json::to_writer_pretty(&*lock, run).map_err(|error| failed(error.into()))?;
        // It gets its name when it is locked and whole, for others take one without a lock for stale.
        fs::rename(&beginning, &path).map_err(failed)?;
        Ok(Entry { path, _lock: lock })
    }

    /// Lists what runs, and forgets what does not: of whoever was killed the folder is left, too.
    pub(crate) fn list(&self) -> Result<Vec<Run>, Failure> {
        let entries =
            fs::read_dir(&self.folder).map_err(|error| about(&self.folder, "cannot be read", error))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut paths: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
        paths.sort();
        Ok(paths.iter().filter_map(|path| self.look_at(path)).collect())
    }

    fn look_at(&self, path: &Path) -> Option<Run> {
        // It may have ended meanwhile.
        let file = File::open(path).ok()?;
        let run: Option<Run> = serde_json::from_reader(&file).ok();
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Err(_) => run,
            Ok(_stale) => {
                self.forget(path, run.as_ref());
                None
            }
        }
    }

    fn forget(&self, path: &Path, run: Option<&Run>) {
        // A folder that somebody wanted to keep lies elsewhere and stays.
        if let Some(folder) =
            run.map(|run| &run.folder).filter(|folder| folder.parent() == Some(&self.folder))
        {
            let _ = fs::remove_dir_all(folder);
        }
        let _ = fs::remove_file(path);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
