//! `control`: where a node answers questions about itself.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// What `control` may be in a file: the word "off", or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlFile {
    /// Nobody can ask.
    Off,
    /// The table `[control]`.
    On(ControlTable),
}

/// The table `[control]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlTable {
    /// Where the socket is.
    pub socket: Option<PathBuf>,
}

/// Where a node answers questions about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ControlConfig {
    /// Nowhere.
    Off,
    /// In the runtime folder, or else beside the configuration file.
    #[default]
    ByDefault,
    /// At this socket.
    At(PathBuf),
}

impl<'de> Deserialize<'de> for ControlFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OffOrTable)
    }
}

struct OffOrTable;

impl<'de> Visitor<'de> for OffOrTable {
    type Value = ControlFile;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("\"off\" or a table [control]")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ControlFile, E> {
        match text {
            "off" => Ok(ControlFile::Off),
            _ => Err(E::custom(format!(
                "control is \"off\" or a table, and not {text:?}: write [control] with `socket = \"..\"` below it"
            ))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ControlFile, A::Error> {
        ControlTable::deserialize(MapAccessDeserializer::new(map)).map(ControlFile::On)
    }
}

impl ControlConfig {
    /// Says where a node answers whose file is in the folder `base`.
    ///
    /// # Errors
    /// What is wrong with the key `control.socket`.
    pub fn of(file: Option<&ControlFile>, base: &Path) -> Result<Self, String> {
        match file {
            None | Some(ControlFile::On(ControlTable { socket: None })) => Ok(Self::ByDefault),
            Some(ControlFile::Off) => Ok(Self::Off),
            Some(ControlFile::On(ControlTable { socket: Some(path) })) => {
                let path = base.join(path);
                check_path(&path)?;
                Ok(Self::At(path))
            }
        }
    }
}

/// Bytes of the path of a socket: `sun_path` has 108 on Linux, the last of which ends it (unix(7)).
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Says what is wrong with a path that a socket is to have.
pub(crate) fn check_path(path: &Path) -> Result<(), String> {
    let len = path.as_os_str().len();
    if path.file_name().is_none() {
        return Err(format!("{} names no file: give the path of a socket", path.display()));
    }
    if len > SOCKET_PATH_BYTES_MAX {
        return Err(format!(
            "the path of a socket has at most {SOCKET_PATH_BYTES_MAX} bytes, and {} has {len}: choose a shorter one, as in /run/peerbound",
            path.display()
        ));
    }
    Ok(())
}
