//! A model of the record layer with Connection IDs (RFC 9146) and of the return routability check
//! (RFC 9853), for DTLS 1.2 with AEAD suites. No handshake is in it: the keys come from a session that
//! OpenSSL established, and what the extensions would have agreed on is an argument.
//!
//! OpenSSL has no Connection IDs, so this is a model, held to OpenSSL where the two meet: with no id
//! negotiated it writes OpenSSL's records byte for byte. Nodes do not use it. Nothing here asks the
//! clock or touches a socket.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod connection_id;
mod endpoint;
mod path;
mod real_type;
mod record;
mod routability;
mod session;

pub use connection_id::{ConnectionId, ConnectionIdError};
pub use endpoint::{AddError, Dropped, Endpoint, EndpointConfig};
pub use path::{AMPLIFICATION_LIMIT, Ends, MoveRule};
pub use real_type::RealType;
pub use record::{Form, INNER_BYTES_MAX, Opened, Sealing, TLS12_CID, WireForm, WireRecord};
pub use routability::{COOKIE_BYTES, Cookie, RoutabilityMessage};
pub use session::{Event, SendError, SessionConfig, SessionNumber, Transmit, WAITING_MAX};
