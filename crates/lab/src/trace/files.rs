//! The files of a run, side by side in one folder.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::trace::Trace;
use crate::trace::summary::RunSummary;

/// Why the files of a run could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A file or the folder refused.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Names of the files, in the order in which they are written.
pub const TRACE_FILES: [&str; 5] = ["run.pcapng", "run.mmd", "run.jsonl", "run.html", "summary.json"];

impl Trace {
    /// Writes `run.pcapng`, `run.mmd`, `run.jsonl`, `run.html` and `summary.json` into a folder, which is
    /// made if need be. Files of an earlier run there are replaced. The capture holds the secrets of the run's
    /// sessions.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_to(&self, folder: &Path, summary: &RunSummary) -> Result<(), TraceError> {
        fs::create_dir_all(folder).map_err(|source| TraceError::File { path: folder.to_owned(), source })?;
        write(folder, "run.pcapng", |out| self.to_capture().write_to(out))?;
        write(folder, "run.mmd", |out| out.write_all(self.to_mermaid().as_bytes()))?;
        write(folder, "run.jsonl", |out| self.write_lines(out))?;
        write(folder, "run.html", |out| out.write_all(self.to_page(summary).as_bytes()))?;
        write(folder, "summary.json", |out| {
            serde_json::to_writer_pretty(&mut *out, summary)?;
            out.write_all(b"\n")
        })
    }
}

fn write(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&mut BufWriter<fs::File>) -> io::Result<()>,
) -> Result<(), TraceError> {
    let path = folder.join(name);
    let attempt = || {
        let mut out = BufWriter::new(fs::File::create(&path)?);
        fill(&mut out)?;
        out.flush()
    };
    attempt().map_err(|source| TraceError::File { path: path.clone(), source })
}
