//! The answers, as the server writes and a client reads them. Names say the unit. Fields may be added
//! within a version: a client leaves alone what it does not know.

mod bug_report;
mod explain;
mod graph;
mod log;
mod neighbours;
mod pcap;
mod ping;
mod reload;
mod routes;
mod status;
mod trace;

pub use bug_report::BugReport;
pub use explain::{
    DropAnswer, DropsAnswer, FrameAnswer, RecordAnswer, RouteExplained, StrayAnswer, StraysAnswer, WhoAnswer,
};
pub use graph::{GraphAnswer, GraphLink};
pub use log::LogAnswer;
pub use neighbours::{
    InnerSessionAnswer, NeighbourAnswer, NeighboursAnswer, NodeName, QueueAnswer, SessionAnswer,
    SessionsAnswer,
};
pub use pcap::{CopyAnswer, PcapAnswer};
pub use ping::{PingAnswer, PingSummary};
pub use reload::{ReloadAnswer, ReloadedKey};
pub use routes::{CandidateAnswer, LearnedAnswer, ReturnPathAnswer, RouteAnswer, RoutesAnswer};
pub use status::{
    CertificateAnswer, CountersAnswer, HostRouteAnswer, InterfaceAnswer, NeighbourCount, RoutingAnswer,
    SocketAnswer, StatusAnswer, WorkersAnswer,
};
pub use trace::{HopAnswer, TraceAnswer};
