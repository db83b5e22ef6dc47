//! Tells the kernel what an interface is like: its MTU, addresses and routes, by messages of rtnetlink(7).

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use peerbound_wire::Prefix;

use crate::tun::routes::RouteTable;

/// How far our routes are: whatever way the host has of its own, it prefers.
const METRIC: u32 = 1024;

/// The longest answer of the kernel: a piece of a list, which it makes no longer than this (netlink(7)).
const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// Messages that a list may have: a host has some addresses, or a few thousand.
const LISTED_MAX: usize = 65_536;

/// What the kernel says of a route that is not there (errno(3)): it went with an address, or with the interface.
const ESRCH: i32 = 3;

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
        self.lead(prefix, bits, None)
    }

    fn lead(&mut self, prefix: IpAddr, bits: u8, source: Option<IpAddr>) -> io::Result<()> {
        let mut message = self.route(prefix, bits);
        message.attributes.extend(source.map(|source| RouteAttribute::PrefSource(source.into())));
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
        self.send(request, NLM_F_ACK | flags)?;
        for answer in self.receive()? {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return Err(error.to_io());
            }
        }
        Ok(())
    }

    fn send(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(())
    }

    /// Receives the messages of one datagram.
    fn receive(&mut self) -> io::Result<Vec<NetlinkMessage<RouteNetlinkMessage>>> {
        let mut bytes = vec![0; ANSWER_BYTES_MAX];
        let received = self.socket.recv(&mut &mut bytes[..], 0)?;
        bytes.truncate(received);
        let (mut rest, mut messages) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            // Each begins at the next multiple of four.
            let taken = (message.header.length as usize).next_multiple_of(4).max(1);
            rest = rest.get(taken..).unwrap_or_default();
            messages.push(message);
        }
        Ok(messages)
    }
}

impl RouteTable for Interface {
    fn add(&mut self, prefix: &Prefix, source: Option<IpAddr>) -> io::Result<()> {
        let (address, bits) = prefix.network();
        self.lead(address, bits, source)
    }

    fn remove(&mut self, prefix: &Prefix) -> io::Result<()> {
        let (address, bits) = prefix.network();
        let message = self.route(address, bits);
        match self.ask(RouteNetlinkMessage::DelRoute(message), 0) {
            Err(error) if error.raw_os_error() == Some(ESRCH) => Ok(()),
            result => result,
        }
    }

    fn addresses(&mut self) -> io::Result<Vec<IpAddr>> {
        self.send(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP)?;
        let (mut addresses, mut listed) = (Vec::new(), 0);
        while listed < LISTED_MAX {
            for message in self.receive()? {
                listed += 1;
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(addresses),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address)) => {
                        addresses.extend(address.attributes.iter().find_map(own_address));
                    }
                    _ => {}
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the list of addresses has no end"))
    }
}

/// Of an interface with a peer the other attribute is the peer's.
fn own_address(attribute: &AddressAttribute) -> Option<IpAddr> {
    match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    }
}
