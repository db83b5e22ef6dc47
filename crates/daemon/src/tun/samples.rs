//! Packets for tests, and a judge of checksums that adds word by word.

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};
use tun_rs::{VIRTIO_NET_HDR_LEN, VirtioNetHdr};

use crate::packets::ip::IpVersion;
use crate::tun::headers::Transport;

/// One packet, in the words of its fields.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) version: IpVersion,
    pub(crate) transport: Transport,
    pub(crate) port: u16,
    pub(crate) id: u16,
    pub(crate) may_be_cut: bool,
    pub(crate) traffic_class: u8,
    pub(crate) hops: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Sample {
    pub(crate) fn tcp(version: IpVersion, sequence: u32, payload: &[u8]) -> Self {
        Self {
            version,
            transport: Transport::Tcp,
            port: 5000,
            id: 7,
            may_be_cut: false,
            traffic_class: 0,
            hops: 64,
            sequence,
            acknowledged: 77,
            flags: 0x10,
            window: 1000,
            options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload: payload.to_vec(),
        }
    }

    pub(crate) fn udp(version: IpVersion, payload: &[u8]) -> Self {
        Self { transport: Transport::Udp, ..Self::tcp(version, 0, payload) }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let ip = match self.version {
            IpVersion::V4 => {
                let mut header =
                    Ipv4Header::new(0, self.hops, IpNumber::TCP, [10, 1, 0, 1], [10, 2, 0, 1]).unwrap();
                header.identification = self.id;
                header.dont_fragment = !self.may_be_cut;
                header.ecn = etherparse::IpEcn::try_new(self.traffic_class & 3).unwrap();
                IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default())
            }
            IpVersion::V6 => {
                let header = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: Ipv6FlowLabel::try_new(5).unwrap(),
                    hop_limit: self.hops,
                    source: [0xfd; 16],
                    destination: [0xfe; 16],
                    ..Ipv6Header::default()
                };
                IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default())
            }
        };
        let mut bytes = Vec::new();
        match self.transport {
            Transport::Udp => {
                PacketBuilder::ip(ip).udp(self.port, 2).write(&mut bytes, &self.payload).unwrap();
            }
            Transport::Tcp => {
                let mut header = etherparse::TcpHeader::new(self.port, 2, self.sequence, self.window);
                header.acknowledgment_number = self.acknowledged;
                header.set_options_raw(&self.options).unwrap();
                let flag = |bit: u8| self.flags & bit != 0;
                (header.fin, header.syn, header.rst, header.psh) = (flag(1), flag(2), flag(4), flag(8));
                (header.ack, header.urg, header.ece, header.cwr) = (flag(16), flag(32), flag(64), flag(128));
                PacketBuilder::ip(ip).tcp_header(header).write(&mut bytes, &self.payload).unwrap();
            }
        }
        bytes
    }

    pub(crate) fn header_bytes(&self) -> usize {
        self.bytes().len() - self.payload.len()
    }

    /// Makes of it what a kernel gives that leaves its cutting to us, and its checksum unfinished.
    pub(crate) fn uncut(&self, payload_bytes: u16) -> Vec<u8> {
        let mut packet = self.bytes();
        let transport_at = transport_at(&packet);
        let checksum_at = transport_at + self.transport.checksum_at();
        let pseudo = pseudo_of(&packet);
        packet[checksum_at..checksum_at + 2].copy_from_slice(&pseudo.to_be_bytes());
        let header = VirtioNetHdr {
            flags: 1,
            gso_type: match (self.transport, self.version) {
                (Transport::Tcp, IpVersion::V4) => 1,
                (Transport::Tcp, IpVersion::V6) => 4,
                (Transport::Udp, _) => 5,
            },
            hdr_len: 0,
            gso_size: payload_bytes,
            csum_start: u16::try_from(transport_at).unwrap(),
            csum_offset: u16::try_from(self.transport.checksum_at()).unwrap(),
        };
        framed(&header, &packet)
    }
}

pub(crate) fn framed(header: &VirtioNetHdr, packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; VIRTIO_NET_HDR_LEN];
    header.encode(&mut bytes).unwrap();
    [&bytes[..], packet].concat()
}

/// Returns whether all checksums and lengths of a packet are right.
pub(crate) fn is_right(packet: &[u8]) -> bool {
    let at = transport_at(packet);
    let is_header_right = packet[0] >> 4 == 6 || add(&[&packet[..at]]) == 0xffff;
    let len = match packet[0] >> 4 {
        4 => usize::from(u16::from_be_bytes([packet[2], packet[3]])),
        _ => 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]])),
    };
    let is_udp_right = protocol(packet) != 17
        || usize::from(u16::from_be_bytes([packet[at + 4], packet[at + 5]])) == len - at;
    is_header_right
        && len == packet.len()
        && is_udp_right
        && add(&[&pseudo_of(packet).to_be_bytes(), &packet[at..]]) == 0xffff
}

pub(crate) fn transport_at(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { 20 } else { 40 }
}

fn protocol(packet: &[u8]) -> u8 {
    packet[if packet[0] >> 4 == 4 { 9 } else { 6 }]
}

fn pseudo_of(packet: &[u8]) -> u16 {
    let at = transport_at(packet);
    let addresses = if at == 20 { &packet[12..20] } else { &packet[8..40] };
    let len = u16::try_from(packet.len() - at).unwrap();
    add(&[addresses, &[0, protocol(packet)], &len.to_be_bytes()])
}

fn add(pieces: &[&[u8]]) -> u16 {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2));
    words.fold(0, |sum, pair| {
        let (sum, carry) =
            u16::overflowing_add(sum, u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum + u16::from(carry)
    })
}
