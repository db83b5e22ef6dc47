//! What happened in a run, written down once and shown in many forms. The model is the same for
//! every backend: a simulated world, loopback sockets, network namespaces.

mod capture;
mod carried;
mod files;
mod journey;
mod lines;
mod mermaid;
mod model;
mod page;
mod summary;
mod told;
mod words;

pub use carried::Carried;
pub use files::{TRACE_FILES, TraceError};
pub use journey::{Fate, Journey, JourneyEnd};
pub use lines::{LINES_MAX, TRACE_SCHEMA};
pub use model::{
    DatagramId, Entry, Happening, HostIndex, HostLabel, Nanos, SealedBy, SessionIndex, SessionLabel, Trace,
    Way,
};
pub use page::{PAGE_ROWS_MAX, escape_html, page_style};
pub use summary::{DatagramLine, ExpectationLine, RunFacts, RunSummary, SUMMARY_SCHEMA};
pub use words::{contents_of, handshake_messages, word_of};
