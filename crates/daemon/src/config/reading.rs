//! Reads a file whole, but no more of it than a file of its kind can need.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file read: 1024 neighbours and as many routes and names take some 400 kB. A path to
/// something endless, as a device, must not fill the memory.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(crate) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let problem = format!("it is larger than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

pub(crate) fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(bytes(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}
