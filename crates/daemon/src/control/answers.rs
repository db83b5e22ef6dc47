//! The answers, as the server writes and a client reads them. Names say the unit. Fields may be added
//! within a version: a client leaves alone what it does not know.

mod explain;
mod neighbours;
mod pcap;
mod ping;
mod routes;
mod status;
mod trace;

pub use explain::{
    DropAnswer, DropsAnswer, FrameAnswer, RecordAnswer, RouteExplained, StrayAnswer, StraysAnswer, WhoAnswer,
};
pub use neighbours::{NeighbourAnswer, NeighboursAnswer, NodeName, SessionAnswer, SessionsAnswer};
pub use pcap::{CopyAnswer, PcapAnswer};
pub use ping::{PingAnswer, PingSummary};
pub use routes::{CandidateAnswer, LearnedAnswer, ReturnPathAnswer, RouteAnswer, RoutesAnswer};
pub use status::{
    CertificateAnswer, CountersAnswer, NeighbourCount, RoutingAnswer, SocketAnswer, StatusAnswer,
};
pub use trace::{HopAnswer, TraceAnswer};
