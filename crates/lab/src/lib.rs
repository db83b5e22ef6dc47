//! x

mod ip_packet;
mod pcapng;

pub use ip_packet::IpPacketError;
pub use pcapng::{Capture, CaptureError, CapturedPacket, InterfaceIndex};
