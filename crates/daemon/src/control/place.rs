//! Where a node's socket is: by the configuration, by the environment, or beside the configuration file.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::config::{ControlConfig, check_socket_path};

/// The folder for sockets beside a configuration file.
const FOLDER_BESIDE: &str = ".peerbound";

/// Where systemd lets a service make its folder, and packages expect it.
const SYSTEM_FOLDER: &str = "/run/peerbound";

/// Why a node has no place for its socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// `control = "off"`.
    #[error("{config}: control is \"off\": remove that line, and start the node again", config = config.display())]
    Off {
        /// The configuration file.
        config: PathBuf,
    },
    /// The path cannot be that of a socket.
    #[error("{0}")]
    Path(String),
}

/// Returns where the node of a configuration file has its socket. A client is told of one that is there,
/// as a node that was started by systemd has another environment than its operator.
///
/// # Errors
/// When the file turns it off, or the path cannot be that of a socket.
pub fn socket_for(control: &ControlConfig, config: &Path) -> Result<PathBuf, PlaceError> {
    match control {
        ControlConfig::Off => Err(PlaceError::Off { config: config.to_owned() }),
        ControlConfig::At(socket) => Ok(socket.clone()),
        ControlConfig::ByDefault => {
            let name = config.file_stem().unwrap_or(OsStr::new("node"));
            let mut file = name.to_owned();
            file.push(".sock");
            let place = runtime_folder().unwrap_or_else(|| folder_beside(config)).join(file);
            check_socket_path(&place).map_err(PlaceError::Path)?;
            Ok(place)
        }
    }
}

/// Lists the sockets that a client may mean: that of a configuration file in every place where it may be,
/// or without one all that are in the runtime folders and in the current one.
#[must_use]
pub fn find_sockets(config: Option<&Path>) -> Vec<PathBuf> {
    let beside = config.map_or_else(|| PathBuf::from(FOLDER_BESIDE), folder_beside);
    let folders = runtime_folder().into_iter().chain([PathBuf::from(SYSTEM_FOLDER), beside]);
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut sockets: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_socket(path)).collect();
        sockets.sort();
        for socket in sockets {
            let is_meant = config.is_none_or(|config| config.file_stem() == socket.file_stem());
            if is_meant && !found.contains(&socket) {
                found.push(socket);
            }
        }
    }
    found
}

/// Returns the folder that this process has for sockets: the service's own, else that of the user.
fn runtime_folder() -> Option<PathBuf> {
    // systemd.exec(5): several folders stand with colons between them.
    let service = env::var_os("RUNTIME_DIRECTORY").and_then(|folders| env::split_paths(&folders).next());
    let service = service.filter(|folder| folder.is_absolute());
    let user = || env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
    service.or_else(|| Some(user()?.join("peerbound")))
}

fn folder_beside(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(FOLDER_BESIDE)
}

fn is_socket(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("sock"))
        && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}
