//! Writes captures of UDP datagrams as pcapng, with the secrets to decrypt them in the same file.
//!
//! The datagrams come from our own sockets, so there are no IP packets to keep: the headers are made
//! up from the addresses. Never reads a capture, and opens no file.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::ip_packet::{IpPacketError, ip_packet};

/// Packets in one capture: 2^18 handles x 24 bytes = 6 MiB, beside the bytes below.
const PACKETS_MAX: usize = 1 << 18;

/// Bytes of all packets in one capture: some 180 000 full datagrams with a short comment each.
const PACKET_BYTES_MAX: usize = 256 << 20;

/// Key log lines in one capture: 2^16 x 176 bytes = 11 MiB.
const SECRETS_MAX: usize = 1 << 16;

/// What a viewer shows of an interface for frames.
const FRAME_DESCRIPTION: &[u8] =
    b"peerbound frames: a header of 54 bytes, then the payload (docs/PROTOCOL.md)";

/// A comment is cut here. It is read in one column; an option could hold 65 535 bytes.
const COMMENT_BYTES_MAX: usize = 1024;

/// An interface's name is cut here, as if it were a host name (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 255;

// The format is that of draft-ietf-opsawg-pcapng, whose names for blocks and options these are.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 0xa;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const SECTION_LENGTH_UNKNOWN: u64 = u64::MAX;
const SECRETS_TLS_KEY_LOG: u32 = 0x544c_534b; // "TLSK"
/// Each packet begins with its IP header; the header's version tells which.
const LINKTYPE_RAW: u16 = 101;
/// Each packet is what two parties agreed on, here an overlay's frame.
const LINKTYPE_USER0: u16 = 147;
const SNAPLEN_UNLIMITED: u32 = 0;
const NANOSECONDS: u8 = 9; // if_tsresol: 10^-9 s

// Options of every block, then of the section, an interface, a packet: numbers mean something else in each.
const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const OPTION_USER_APPLICATION: u16 = 4;
const OPTION_INTERFACE_NAME: u16 = 2;
const OPTION_INTERFACE_DESCRIPTION: u16 = 3;
const OPTION_TIME_RESOLUTION: u16 = 9;
const OPTION_FLAGS: u16 = 2;
const OPTION_PACKET_ID: u16 = 5;

/// A capture in memory, to be written as one section.
#[derive(Default)]
pub struct Capture {
    comment: Option<String>,
    interfaces: Vec<Interface>,
    secrets: BTreeSet<String>,
    /// Finished blocks: what cannot be written is refused when it is added.
    packets: Vec<Vec<u8>>,
    packet_bytes: usize,
}

/// A place where packets are seen.
struct Interface {
    name: String,
    link_type: u16,
}

/// Names an interface of the [`Capture`] that returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceIndex(u32);

/// One datagram as one tap saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedPacket {
    /// When, since 1970.
    pub at: Duration,
    /// Where it was seen.
    pub interface: InterfaceIndex,
    /// Who sent it, or claims to.
    pub source: SocketAddr,
    /// Where it went.
    pub destination: SocketAddr,
    /// What the datagram held.
    pub payload: Vec<u8>,
    /// What there is to say about it; cut after 1024 bytes.
    pub comment: Option<String>,
    /// The same number for the same datagram, whichever tap saw it.
    pub packet_id: u64,
}

/// One frame of the overlay, as a node took it out of a record or put it into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedFrame {
    /// When, since 1970.
    pub at: Duration,
    /// Where it was seen: an interface for frames.
    pub interface: InterfaceIndex,
    /// Whether it came in.
    pub is_inward: bool,
    /// The whole frame.
    pub bytes: Vec<u8>,
    /// What there is to say about it; cut after 1024 bytes.
    pub comment: Option<String>,
    /// A number of its own.
    pub packet_id: u64,
}

/// Why something was not added to a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// A ceiling is reached; what was added before stays.
    #[error("the capture is full: it holds at most {max} {what}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        max: usize,
    },
    /// No UDP datagram is like that.
    #[error(transparent)]
    NoDatagram(#[from] IpPacketError),
    /// The interface is one of another capture.
    #[error("the capture has no such interface")]
    NoSuchInterface,
}

impl Capture {
    /// Makes an empty capture.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the capture as a whole is of: the first thing that a viewer shows of a file.
    pub fn set_comment(&mut self, comment: &str) {
        self.comment = Some(cut(comment, COMMENT_BYTES_MAX).to_owned());
    }

    /// Adds an interface: one for each node, so that a viewer can tell their taps apart.
    ///
    /// # Panics
    /// When there are more than 2^32 of them.
    pub fn add_interface(&mut self, name: &str) -> InterfaceIndex {
        self.add_interface_of(name, LINKTYPE_RAW)
    }

    /// Adds an interface for frames of the overlay, which no viewer takes apart by itself: the first 54 bytes of
    /// each are its header.
    ///
    /// # Panics
    /// When there are more than 2^32 of them.
    pub fn add_frame_interface(&mut self, name: &str) -> InterfaceIndex {
        self.add_interface_of(name, LINKTYPE_USER0)
    }

    fn add_interface_of(&mut self, name: &str, link_type: u16) -> InterfaceIndex {
        let index = u32::try_from(self.interfaces.len()).expect("nodes are counted in thousands");
        self.interfaces.push(Interface { name: cut(name, NAME_BYTES_MAX).to_owned(), link_type });
        InterfaceIndex(index)
    }

    /// Adds lines of a key log (`CLIENT_RANDOM ..`), each once. Whoever gets the capture can read
    /// their sessions.
    ///
    /// # Errors
    /// [`CaptureError::Full`].
    pub fn add_secrets<L: AsRef<str>>(
        &mut self,
        keylog_lines: impl IntoIterator<Item = L>,
    ) -> Result<(), CaptureError> {
        for line in keylog_lines {
            if self.secrets.len() >= SECRETS_MAX {
                return Err(CaptureError::Full { what: "secrets", max: SECRETS_MAX });
            }
            self.secrets.insert(line.as_ref().trim_end().to_owned());
        }
        Ok(())
    }

    /// Adds a packet. Packets are written in the order in which they were added.
    ///
    /// # Errors
    /// Says why the packet cannot be kept; the capture stays as it was.
    pub fn add_packet(&mut self, packet: CapturedPacket) -> Result<(), CaptureError> {
        self.check_interface(packet.interface)?;
        let block = enhanced_packet(&packet)?.finish();
        self.add_block(block)
    }

    /// Adds a frame, as [`Self::add_packet`] does a packet.
    ///
    /// # Errors
    /// Says why the frame cannot be kept; the capture stays as it was.
    pub fn add_frame(&mut self, frame: &CapturedFrame) -> Result<(), CaptureError> {
        self.check_interface(frame.interface)?;
        self.add_block(enhanced_frame(frame).finish())
    }

    fn check_interface(&self, interface: InterfaceIndex) -> Result<(), CaptureError> {
        let is_there = usize::try_from(interface.0).is_ok_and(|index| index < self.interfaces.len());
        if is_there { Ok(()) } else { Err(CaptureError::NoSuchInterface) }
    }

    fn add_block(&mut self, block: Vec<u8>) -> Result<(), CaptureError> {
        if self.packets.len() >= PACKETS_MAX {
            return Err(CaptureError::Full { what: "packets", max: PACKETS_MAX });
        }
        if self.packet_bytes + block.len() > PACKET_BYTES_MAX {
            return Err(CaptureError::Full { what: "bytes of packets", max: PACKET_BYTES_MAX });
        }
        self.packet_bytes += block.len();
        self.packets.push(block);
        Ok(())
    }

    /// Writes everything. The secrets stand before the packets: a reader that goes through the file
    /// once needs them there.
    ///
    /// # Errors
    /// Those of `out`, which wants to be buffered: every block is one write.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&section_header(self.comment.as_deref()).finish())?;
        for interface in &self.interfaces {
            out.write_all(&interface_description(interface).finish())?;
        }
        if !self.secrets.is_empty() {
            out.write_all(&decryption_secrets(&self.secrets).finish())?;
        }
        self.packets.iter().try_for_each(|block| out.write_all(block))
    }
}

/// Leaves the secrets out: a log is no place for them.
impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("interfaces", &self.interfaces.len())
            .field("packets", &self.packets.len())
            .finish_non_exhaustive()
    }
}

fn section_header(comment: Option<&str>) -> Block {
    let mut block = Block::new(SECTION_HEADER);
    block.put(&BYTE_ORDER_MAGIC.to_le_bytes());
    block.put(&[1, 0, 0, 0]); // version 1.0
    block.put(&SECTION_LENGTH_UNKNOWN.to_le_bytes());
    if let Some(comment) = comment {
        block.put_option(OPTION_COMMENT, comment.as_bytes());
    }
    block.put_option(OPTION_USER_APPLICATION, b"peerbound");
    block.end_options();
    block
}

fn interface_description(interface: &Interface) -> Block {
    let mut block = Block::new(INTERFACE_DESCRIPTION);
    block.put(&interface.link_type.to_le_bytes());
    block.put(&[0, 0]);
    block.put(&SNAPLEN_UNLIMITED.to_le_bytes());
    block.put_option(OPTION_INTERFACE_NAME, interface.name.as_bytes());
    if interface.link_type == LINKTYPE_USER0 {
        block.put_option(OPTION_INTERFACE_DESCRIPTION, FRAME_DESCRIPTION);
    }
    block.put_option(OPTION_TIME_RESOLUTION, &[NANOSECONDS]);
    block.end_options();
    block
}

fn decryption_secrets(secrets: &BTreeSet<String>) -> Block {
    let lines: String = secrets.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let mut block = Block::new(DECRYPTION_SECRETS);
    block.put(&SECRETS_TLS_KEY_LOG.to_le_bytes());
    block.put(&length(lines.len()).to_le_bytes());
    block.put_padded(lines.as_bytes());
    block
}

fn enhanced_packet(packet: &CapturedPacket) -> Result<Block, IpPacketError> {
    let ip_packet = ip_packet(packet.source, packet.destination, &packet.payload)?;
    let mut block = packet_block(packet.interface, packet.at, &ip_packet);
    if let Some(comment) = &packet.comment {
        block.put_option(OPTION_COMMENT, cut(comment, COMMENT_BYTES_MAX).as_bytes());
    }
    block.put_option(OPTION_PACKET_ID, &packet.packet_id.to_le_bytes());
    block.end_options();
    Ok(block)
}

fn enhanced_frame(frame: &CapturedFrame) -> Block {
    let mut block = packet_block(frame.interface, frame.at, &frame.bytes);
    if let Some(comment) = &frame.comment {
        block.put_option(OPTION_COMMENT, cut(comment, COMMENT_BYTES_MAX).as_bytes());
    }
    let direction: u32 = if frame.is_inward { 1 } else { 2 };
    block.put_option(OPTION_FLAGS, &direction.to_le_bytes());
    block.put_option(OPTION_PACKET_ID, &frame.packet_id.to_le_bytes());
    block.end_options();
    block
}

/// Starts a packet block, up to its options.
fn packet_block(interface: InterfaceIndex, at: Duration, bytes: &[u8]) -> Block {
    // 2^64 nanoseconds last until 2554.
    let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
    let captured = length(bytes.len()).to_le_bytes();
    let mut block = Block::new(ENHANCED_PACKET);
    block.put(&interface.0.to_le_bytes());
    // The upper half of the time comes first, whatever the byte order.
    block.put(&at.rotate_left(32).to_le_bytes());
    block.put(&captured);
    block.put(&captured); // its length on the wire: nothing was cut off
    block.put_padded(bytes);
    block
}

/// A block under construction: type, length, body, length once more.
struct Block {
    bytes: Vec<u8>,
}

impl Block {
    fn new(block_type: u32) -> Self {
        let mut bytes = block_type.to_le_bytes().to_vec();
        bytes.extend([0; 4]); // the length, which `finish` knows
        Self { bytes }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts bytes and then zeros up to the next multiple of four.
    fn put_padded(&mut self, bytes: &[u8]) {
        self.put(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn put_option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).expect("names and comments are cut long before that");
        self.put(&code.to_le_bytes());
        self.put(&length.to_le_bytes());
        self.put_padded(value);
    }

    fn end_options(&mut self) {
        self.put_option(OPTION_END, &[]);
    }

    fn finish(mut self) -> Vec<u8> {
        let total = length(self.bytes.len() + 4).to_le_bytes();
        self.bytes[4..8].copy_from_slice(&total);
        self.put(&total);
        self.bytes
    }
}

/// Cuts a text at a character's edge.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|index| text.is_char_boundary(*index));
    &text[..end.unwrap_or(0)]
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("secrets, names and packets have ceilings far below")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_without_packets_has_these_bytes() {
        let mut capture = Capture::new();
        capture.add_interface("node-a");
        capture.add_secrets(["CLIENT_RANDOM 00 11"]).unwrap();

        let bytes = written(&capture);

        let section = [
            &[0x0a, 0x0d, 0x0d, 0x0a, 48, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..],
            &[0xff; 8],
            &[4, 0, 9, 0],
            b"peerbound\0\0\0",
            &[0, 0, 0, 0, 48, 0, 0, 0],
        ];
        let interface = [
            &[1, 0, 0, 0, 44, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0][..],
            b"\x02\0\x06\0node-a\0\0",
            &[9, 0, 1, 0, 9, 0, 0, 0],
            &[0, 0, 0, 0, 44, 0, 0, 0],
        ];
        let secrets = [
            &[0x0a, 0, 0, 0, 40, 0, 0, 0][..],
            b"KSLT",
            &[20, 0, 0, 0],
            b"CLIENT_RANDOM 00 11\n",
            &[40, 0, 0, 0],
        ];
        assert_eq!(bytes, [section.concat(), interface.concat(), secrets.concat()].concat());
    }

    #[test]
    fn a_packet_has_these_bytes_around_its_ip_packet() {
        let mut capture = Capture::new();
        let interface = capture.add_interface("a");
        let packet = CapturedPacket { comment: Some("gone".into()), ..packet(interface, b"abc") };
        capture.add_packet(packet.clone()).unwrap();

        let bytes = &capture.packets[0];

        let ip_packet = ip_packet(packet.source, packet.destination, b"abc").unwrap();
        let golden = [
            &[6, 0, 0, 0, 88, 0, 0, 0, 0, 0, 0, 0][..],
            &[1, 0, 0, 0, 2, 0, 0, 0], // 2^32 + 2 nanoseconds, the upper half first
            &[31, 0, 0, 0, 31, 0, 0, 0],
            &ip_packet,
            &[0],
            b"\x01\0\x04\0gone",
            &[5, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 88, 0, 0, 0],
        ];
        assert_eq!(*bytes, golden.concat());
    }

    #[test]
    fn a_frame_has_these_bytes_around_it() {
        let mut capture = Capture::new();
        let interface = capture.add_frame_interface("a");
        let (at, comment) = (Duration::from_nanos(3), Some("in".to_owned()));
        let bytes = b"frame".to_vec();
        let frame = CapturedFrame { at, interface, is_inward: true, bytes, comment, packet_id: 7 };
        capture.add_frame(&frame).unwrap();

        let golden = [
            &[6, 0, 0, 0, 72, 0, 0, 0, 0, 0, 0, 0][..],
            &[0, 0, 0, 0, 3, 0, 0, 0],
            &[5, 0, 0, 0, 5, 0, 0, 0],
            b"frame\0\0\0",
            b"\x01\0\x02\0in\0\0",
            &[2, 0, 4, 0, 1, 0, 0, 0],
            &[5, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 72, 0, 0, 0],
        ];
        assert_eq!(capture.packets[0], golden.concat());
        assert!(written(&capture).windows(4).any(|bytes| bytes == [147, 0, 0, 0]), "link type user0");
    }

    #[test]
    fn every_block_is_aligned_and_says_its_length_at_both_ends() {
        let mut capture = Capture::new();
        let interface = capture.add_interface("a");
        capture.add_secrets(["CLIENT_RANDOM 0 1"]).unwrap();
        for bytes in 0..8 {
            let comment = Some("x".repeat(bytes));
            capture.add_packet(CapturedPacket { comment, ..packet(interface, &vec![0; bytes]) }).unwrap();
        }

        let types = block_types(&written(&capture));

        let expected = [SECTION_HEADER, INTERFACE_DESCRIPTION, DECRYPTION_SECRETS];
        assert_eq!(types, [&expected[..], &[ENHANCED_PACKET; 8]].concat());
    }

    #[test]
    fn secrets_stand_before_packets_whenever_they_were_added() {
        let mut capture = Capture::new();
        let interface = capture.add_interface("a");
        capture.add_packet(packet(interface, b"")).unwrap();
        capture.add_secrets(["CLIENT_RANDOM 0 1", "CLIENT_RANDOM 0 1\n"]).unwrap();

        let bytes = written(&capture);

        let expected = [SECTION_HEADER, INTERFACE_DESCRIPTION, DECRYPTION_SECRETS, ENHANCED_PACKET];
        assert_eq!(block_types(&bytes), expected);
        assert_eq!(bytes.windows(13).filter(|window| window == b"CLIENT_RANDOM").count(), 1);
    }

    #[test]
    fn a_long_comment_is_cut_at_a_characters_edge() {
        let comment = format!("x{}", "\u{e4}".repeat(COMMENT_BYTES_MAX));

        let kept = cut(&comment, COMMENT_BYTES_MAX);

        assert_eq!(kept.len(), COMMENT_BYTES_MAX - 1);
        assert!(comment.starts_with(kept));
    }

    #[test]
    fn a_full_capture_refuses_another_packet_and_keeps_what_it_has() {
        let mut capture = Capture::new();
        let interface = capture.add_interface("a");
        capture.add_packet(packet(interface, b"kept")).unwrap();
        capture.packet_bytes = PACKET_BYTES_MAX - 64; // as many packets would have made it

        let refused = capture.add_packet(packet(interface, b"refused"));

        assert_eq!(refused, Err(CaptureError::Full { what: "bytes of packets", max: PACKET_BYTES_MAX }));
        assert_eq!(capture.packets.len(), 1);
    }

    #[test]
    fn an_interface_of_another_capture_is_refused() {
        let interface = Capture::new().add_interface("a");

        let refused = Capture::new().add_packet(packet(interface, b""));

        assert_eq!(refused, Err(CaptureError::NoSuchInterface));
    }

    fn packet(interface: InterfaceIndex, payload: &[u8]) -> CapturedPacket {
        CapturedPacket {
            at: Duration::from_nanos((1 << 32) + 2),
            interface,
            source: "192.0.2.1:7400".parse().unwrap(),
            destination: "192.0.2.2:7401".parse().unwrap(),
            payload: payload.to_vec(),
            comment: None,
            packet_id: 7,
        }
    }

    fn written(capture: &Capture) -> Vec<u8> {
        let mut bytes = Vec::new();
        capture.write_to(&mut bytes).unwrap();
        bytes
    }

    /// Walks over the blocks as a reader does, and checks what every block promises.
    fn block_types(mut bytes: &[u8]) -> Vec<u32> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let mut types = Vec::new();
        while !bytes.is_empty() {
            let total = word(&bytes[4..]) as usize;
            assert_eq!(total % 4, 0);
            assert_eq!(word(&bytes[total - 4..]) as usize, total);
            types.push(word(bytes));
            bytes = &bytes[total..];
        }
        types
    }
}
