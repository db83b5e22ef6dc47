//! Tells the kernel what an interface is like: its MTU, addresses and routes, by messages of rtnetlink(7).

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// How far our routes are: whatever way the host has of its own, it prefers.
const METRIC: u32 = 1024;

/// The longest answer of the kernel: an error with the message that it is about.
const ANSWER_BYTES_MAX: usize = 4096;

/// One interface of this host.
pub(crate) struct Interface {
    index: u32,
    socket: Socket,
    sequence: u32,
}

impl Interface {
    /// Takes the interface with this number, in the namespace of the thread that calls.
    pub(crate) fn new(index: u32) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { index, socket, sequence: 0 })
    }

    /// Sets the MTU and lets packets pass.
    pub(crate) fn start(&mut self, mtu: u16) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes.push(LinkAttribute::Mtu(u32::from(mtu)));
        self.ask(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Gives it an address of its own. Nobody else on the link could have it: it follows from our key.
    pub(crate) fn add_address(&mut self, address: Ipv6Addr) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet6;
        message.header.prefix_len = 128;
        // A look for duplicates would keep the address from use for its first second.
        message.header.flags = AddressHeaderFlags::Nodad;
        message.header.index = self.index;
        message.attributes.push(AddressAttribute::Address(IpAddr::V6(address)));
        message.attributes.push(AddressAttribute::Local(IpAddr::V6(address)));
        self.ask(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Leads a prefix into it.
    pub(crate) fn add_route(&mut self, prefix: IpAddr, bits: u8) -> io::Result<()> {
        let message = self.route(prefix, bits);
        // Never in the place of a route that somebody else has set.
        self.ask(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    fn route(&self, prefix: IpAddr, bits: u8) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: match prefix {
                IpAddr::V4(_) => AddressFamily::Inet,
                IpAddr::V6(_) => AddressFamily::Inet6,
            },
            destination_prefix_length: bits,
            table: RouteHeader::RT_TABLE_MAIN,
            protocol: RouteProtocol::Static,
            scope: match prefix {
                IpAddr::V4(_) => RouteScope::Link,
                IpAddr::V6(_) => RouteScope::Universe,
            },
            kind: RouteType::Unicast,
            ..RouteHeader::default()
        };
        message.attributes.push(RouteAttribute::Destination(prefix.into()));
        message.attributes.push(RouteAttribute::Oif(self.index));
        message.attributes.push(RouteAttribute::Priority(METRIC));
        message
    }

    /// Sends a request and waits for the kernel's word on it, which comes before `send` returns.
    fn ask(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answer = vec![0; ANSWER_BYTES_MAX];
        let received = self.socket.recv(&mut &mut answer[..], 0)?;
        answer.truncate(received);
        let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        match answer.payload {
            NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
            _ => Ok(()),
        }
    }
}
