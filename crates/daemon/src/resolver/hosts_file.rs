//! Names as a file in the form of hosts(5), for programs that read such a file instead of asking.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::resolver::directory::Directory;

/// The first line, by which we know a file of ours: no other is ever written over.
const FIRST_LINE: &str = "# Names of the peerbound mesh. Written anew whenever they change: do not edit.";

/// The file, and what stands in it.
pub(crate) struct HostsFile {
    path: PathBuf,
    written: Option<String>,
}

impl HostsFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, written: None }
    }

    /// Writes the names, where they are others than before. Whoever reads meanwhile finds the old file or
    /// the new one, whole.
    pub(crate) fn update(&mut self, directory: &Directory) -> io::Result<()> {
        let text = text_of(directory);
        if self.written.as_ref() == Some(&text) {
            return Ok(());
        }
        refuse_foreign(&self.path)?;
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        self.written = Some(text);
        Ok(())
    }
}

/// Says whether there is a file at the path that somebody else wrote.
pub(crate) fn refuse_foreign(path: &Path) -> io::Result<()> {
    match fs::read(path) {
        Ok(bytes) if bytes.is_empty() || bytes.starts_with(FIRST_LINE.as_bytes()) => Ok(()),
        Ok(_) => {
            let problem = "there is a file already that is none of ours";
            Err(io::Error::new(io::ErrorKind::AlreadyExists, problem))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn text_of(directory: &Directory) -> String {
    let lines = directory.iter().map(|(label, address)| format!("{address} {label}.peerbound\n"));
    format!("{FIRST_LINE}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use peerbound_wire::NodeId;

    use super::*;
    use crate::daemon::Nodes;

    fn directory(names: &[&str]) -> Directory {
        let given: Nodes =
            (1..).zip(names).map(|(byte, name)| (NodeId::new([byte; 16]), (*name).to_owned())).collect();
        Directory::new(&given, &Nodes::new())
    }

    #[test]
    fn the_file_has_a_line_for_each_name_and_follows_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let mut file = HostsFile::new(path.clone());

        file.update(&directory(&["a", "b"])).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        file.update(&directory(&["a"])).unwrap();
        let after = fs::read_to_string(&path).unwrap();

        let [a, b] = [1, 2].map(|byte| NodeId::new([byte; 16]).address());
        assert_eq!(before, format!("{FIRST_LINE}\n{a} a.peerbound\n{b} b.peerbound\n"));
        assert_eq!(after, format!("{FIRST_LINE}\n{a} a.peerbound\n"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        fs::write(&path, "127.0.0.1 localhost\n").unwrap();

        let refused = HostsFile::new(path.clone()).update(&directory(&["a"])).unwrap_err();

        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.0.1 localhost\n");
    }
}
