//! The answers, as the server writes and a client reads them. Names say the unit. Fields may be added
//! within a version: a client leaves alone what it does not know.

mod neighbours;
mod ping;
mod routes;
mod status;

pub use neighbours::{NeighbourAnswer, NeighboursAnswer, NodeName, SessionAnswer, SessionsAnswer};
pub use ping::{PingAnswer, PingSummary};
pub use routes::{CandidateAnswer, LearnedAnswer, ReturnPathAnswer, RouteAnswer, RoutesAnswer};
pub use status::{
    CertificateAnswer, CountersAnswer, NeighbourCount, RoutingAnswer, SocketAnswer, StatusAnswer,
};
