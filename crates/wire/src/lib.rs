//! The bytes of the overlay: one frame header and the control messages that travel behind it.
//! Pure, and the only crate that names bincode. Decoding hostile bytes never panics, never
//! allocates from a claimed length, and rejects trailing bytes.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod codec;
mod frame;
mod header;
mod kind;
mod message;
mod node_id;
mod prefix;
mod routing;
mod trace;

pub use codec::DecodeError;
pub use frame::Frame;
pub use header::{
    Flags, FlowId, HEADER_BYTES, HOP_LIMIT_DEFAULT, Header, HopLimit, PacketId, UnknownVersion, Version,
};
pub use kind::Kind;
pub use message::{ErrorCode, ErrorMessage, Hello, MESSAGE_BYTES_MAX, Ping};
pub use node_id::{NodeId, ParseNodeIdError};
pub use prefix::{ParsePrefixError, Prefix};
pub use routing::list::{Item, List};
pub use routing::packer::{
    AcknowledgementPacker, ProofRequestsPacker, ProofsPacker, SeqRequestsPacker, UpdatesPacker,
};
pub use routing::proof::{Claim, PREFIXES_MAX, ProofItem};
pub use routing::request::{ProofRequest, SeqRequest};
pub use routing::update::{PATH_IDS_MAX, Path, UPDATE_BYTES_MAX, Update};
pub use routing::{Acknowledgement, Metric, MtuProbe, RouteSeq, RoutingMessage, ShortId, Sync, Updates};
pub use trace::{Acquaintance, TraceLeg, TraceMessage, TraceReport};

/// The version of the protocol, the first byte of every frame.
pub const VERSION: u8 = 1;
