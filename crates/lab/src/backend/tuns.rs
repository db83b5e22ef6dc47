//! Hosts in network namespaces, one each, with the addresses of the scenario. What they send are IP
//! packets that come out of their interfaces; what they are handed are IP packets, too, from whatever
//! source. Every kernel decides for itself who may have a datagram, and what it says of one it refuses.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::backend::carrier::{Carrier, CarrierError, Datagram, Handed, Outgoing, Spoken, bind, error_name};
use crate::backend::ip::{Packet, Udp, too_big};
use crate::backend::tun::TunHost;
use crate::ip_packet::ip_packet;
use crate::trace::HostIndex;

/// The largest packet an interface takes: what fits a path, our network decides.
const INTERFACE_MTU: u16 = u16::MAX;

/// Bytes asked of the kernel for what waits at a socket.
const KERNEL_BUFFER_BYTES: usize = 1024 * 1024;

/// The longest IP packet.
const PACKET_BYTES_MAX: usize = 65_536;

const ANY: Token = Token(0);

/// The hosts.
pub(crate) struct Tuns {
    addresses: Vec<SocketAddr>,
    hosts: Vec<TunHost>,
    by_ip: BTreeMap<IpAddr, HostIndex>,
    fresh: Vec<(HostIndex, SocketAddr, mio::net::UdpSocket)>,
    registry: Option<Registry>,
}

impl Tuns {
    /// Makes a host for each of these addresses but the last, which is the attacker's: he has no kernel.
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Result<Self, CarrierError> {
        let hosts = addresses.split_last().map_or(&[][..], |(_attacker, hosts)| hosts);
        let made: Result<Vec<_>, _> =
            hosts.iter().map(|address| TunHost::new(address.ip(), INTERFACE_MTU)).collect();
        let by_ip = (0..).map(HostIndex).zip(hosts).map(|(host, address)| (address.ip(), host)).collect();
        Ok(Self { hosts: made?, by_ip, addresses, fresh: Vec::new(), registry: None })
    }

    fn host(&self, host: HostIndex) -> Result<&TunHost, CarrierError> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such host");
        self.hosts.get(host.0 as usize).ok_or_else(|| CarrierError::socket("nothing can be done", missing()))
    }

    fn send_packet(&self, to: HostIndex, packet: &[u8]) -> Result<Handed, CarrierError> {
        match self.host(to)?.send(packet) {
            Ok(()) => Ok(Handed::Over),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Handed::NoRoom),
            Err(source) => Err(CarrierError::socket("an interface takes no packet", source)),
        }
    }
}

impl Carrier for Tuns {
    fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn address_for(&self, host: HostIndex, _viewer: HostIndex) -> SocketAddr {
        self.addresses[host.0 as usize]
    }

    fn named(&self, seen: SocketAddr, _viewer: HostIndex) -> SocketAddr {
        seen
    }

    fn bind(&self, host: HostIndex) -> Result<UdpSocket, CarrierError> {
        let address = self.addresses[host.0 as usize];
        let what = format!("{address} cannot be bound");
        Ok(self.host(host)?.enter(&what, || bind(address, KERNEL_BUFFER_BYTES))?)
    }

    fn connected_socket(&mut self, host: HostIndex, to: HostIndex) -> Result<SocketAddr, CarrierError> {
        let [ours, theirs] = [host, to].map(|host| self.addresses[host.0 as usize]);
        let socket = self.host(host)?.enter("a fresh socket cannot be made", || {
            let socket = bind(SocketAddr::new(ours.ip(), 0), KERNEL_BUFFER_BYTES)?;
            socket.connect(theirs)?;
            Ok(socket)
        })?;
        let unusable = |source| CarrierError::socket("a fresh socket cannot be used", source);
        let address = socket.local_addr().map_err(unusable)?;
        let mut socket = mio::net::UdpSocket::from_std(socket);
        if let Some(registry) = &self.registry {
            registry.register(&mut socket, ANY, Interest::READABLE).map_err(unusable)?;
        }
        self.fresh.push((host, address, socket));
        Ok(address)
    }

    fn speak(&mut self, source: SocketAddr, bytes: &[u8]) -> Result<Spoken, CarrierError> {
        let fresh = self.fresh.iter().find(|(_, address, _)| *address == source);
        let (_, _, socket) = fresh.ok_or(CarrierError::NoSuchSource(source))?;
        socket.send(bytes).map_err(|source| CarrierError::socket("a fresh socket cannot send", source))?;
        Ok(Spoken::Already)
    }

    fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for host in &self.hosts {
            registry.register(&mut SourceFd(&host.descriptor()), ANY, Interest::READABLE)?;
        }
        self.registry = Some(registry.try_clone()?);
        Ok(())
    }

    fn receive(&mut self, take: &mut dyn FnMut(Outgoing)) -> Result<(), CarrierError> {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        for (by, host) in (0..).map(HostIndex).zip(&self.hosts) {
            loop {
                match host.receive(&mut buffer) {
                    Ok(len) => {
                        if let Some(outgoing) = outgoing(by, &buffer[..len]) {
                            take(outgoing);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => return Err(CarrierError::socket("an interface gives no packet", source)),
                }
            }
        }
        for (host, _, socket) in &self.fresh {
            match socket.recv(&mut buffer) {
                Ok(_) => {} // an answer to a socket that asks nothing
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => take(Outgoing::Told { host: *host, error: error_name(&error) }),
            }
        }
        Ok(())
    }

    fn deliver(&mut self, to: HostIndex, datagram: &Datagram) -> Result<Handed, CarrierError> {
        let packet = ip_packet(datagram.source, datagram.destination, &datagram.bytes)
            .map_err(|error| CarrierError::socket("no packet can be made", io::Error::other(error)))?;
        self.send_packet(to, &packet)
    }

    fn deliver_packet(&mut self, to: HostIndex, packet: &[u8]) -> Result<(), CarrierError> {
        self.send_packet(to, packet).map(|_| ())
    }

    fn tell_too_big(&mut self, datagram: &Datagram, mtu: u16) -> Result<bool, CarrierError> {
        let Some(to) = self.host_at(datagram.source.ip()) else {
            return Ok(false);
        };
        let Datagram { source, destination, bytes } = datagram;
        let quoted = Udp { source: *source, destination: *destination, payload: bytes };
        let packet = too_big(&quoted, mtu)
            .map_err(|error| CarrierError::socket("no packet can be made", io::Error::other(error)))?;
        self.send_packet(to, &packet)?;
        Ok(true)
    }
}

impl Tuns {
    /// Returns whose address it is.
    pub(crate) fn host_at(&self, ip: IpAddr) -> Option<HostIndex> {
        self.by_ip.get(&ip).copied()
    }
}

fn outgoing(by: HostIndex, packet: &[u8]) -> Option<Outgoing> {
    match Packet::parse(packet) {
        Packet::Udp(udp) => {
            let datagram =
                Datagram { source: udp.source, destination: udp.destination, bytes: udp.payload.to_vec() };
            Some(Outgoing::Datagram { by, datagram })
        }
        Packet::PortUnreachable { quoted, .. } => Some(Outgoing::Refusal {
            by,
            source: quoted.source,
            destination: quoted.destination,
            quoted: Some(quoted.payload.to_vec()),
            packet: Some(packet.to_vec()),
        }),
        Packet::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const A: HostIndex = HostIndex(0);
    const B: HostIndex = HostIndex(1);

    /// Two hosts and the attacker; `None` where this machine makes no namespaces for us.
    fn two_hosts() -> Option<Tuns> {
        let addresses = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 66]];
        let addresses = addresses.map(|ip| SocketAddr::from((ip, 4433))).to_vec();
        match Tuns::new(addresses) {
            Ok(tuns) => Some(tuns),
            Err(error) if std::env::var_os("PEERBOUND_REQUIRE_NETNS").is_none() => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Carries datagrams and errors between the hosts until `done` holds of all that was taken.
    fn carry(tuns: &mut Tuns, done: impl Fn(&[Outgoing]) -> bool) -> Vec<Outgoing> {
        let end = Instant::now() + Duration::from_secs(20);
        let mut taken = Vec::new();
        while !done(&taken) {
            assert!(Instant::now() < end, "{taken:?}");
            let mut fresh = Vec::new();
            tuns.receive(&mut |outgoing| fresh.push(outgoing)).unwrap();
            for outgoing in &fresh {
                match outgoing {
                    Outgoing::Datagram { datagram, .. } => {
                        let to = tuns.host_at(datagram.destination.ip()).unwrap();
                        tuns.deliver(to, datagram).unwrap();
                    }
                    Outgoing::Refusal { source, packet: Some(packet), .. } => {
                        let to = tuns.host_at(source.ip()).unwrap();
                        tuns.deliver_packet(to, packet).unwrap();
                    }
                    Outgoing::Refusal { packet: None, .. } | Outgoing::Told { .. } => {}
                }
            }
            taken.extend(fresh);
        }
        taken
    }

    fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut buffer = [0; 100];
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        (buffer[..len].to_vec(), from)
    }

    #[test]
    fn a_datagram_from_one_host_reaches_the_other_with_its_address() {
        let Some(mut tuns) = two_hosts() else { return };
        let [a, b] = [A, B].map(|host| tuns.bind(host).unwrap());

        a.send_to(b"to B", tuns.addresses[1]).unwrap();
        carry(&mut tuns, |taken| !taken.is_empty());

        assert_eq!(receive(&b), (b"to B".to_vec(), tuns.addresses[0]));
    }

    #[test]
    fn any_source_may_be_written_into_a_datagram() {
        let Some(mut tuns) = two_hosts() else { return };
        let a = tuns.bind(A).unwrap();
        let source = SocketAddr::from(([192, 0, 2, 9], 1));
        let destination = tuns.addresses[0];

        tuns.deliver(A, &Datagram { source, destination, bytes: b"spoofed".to_vec() }).unwrap();

        assert_eq!(receive(&a), (b"spoofed".to_vec(), source));
    }

    #[test]
    fn a_kernel_whose_socket_is_connected_refuses_others_and_their_connected_socket_is_told() {
        let Some(mut tuns) = two_hosts() else { return };
        let a = tuns.bind(A).unwrap();
        a.connect("10.0.0.77:1").unwrap();

        let fresh = tuns.connected_socket(B, A).unwrap();
        tuns.speak(fresh, b"let me in").unwrap();
        let is_told = |taken: &[Outgoing]| taken.iter().any(|what| matches!(what, Outgoing::Told { .. }));
        let taken = carry(&mut tuns, is_told);

        let refusal = taken.iter().find_map(|what| match what {
            Outgoing::Refusal { by, source, quoted, .. } => Some((*by, *source, quoted.clone())),
            Outgoing::Datagram { .. } | Outgoing::Told { .. } => None,
        });
        assert_eq!(refusal, Some((A, fresh, Some(b"let me in".to_vec()))));
        let told = Outgoing::Told { host: B, error: "ECONNREFUSED" };
        assert_eq!(taken.last(), Some(&told));
    }

    #[test]
    fn a_listener_beside_a_connected_socket_reads_what_that_refuses() {
        let Some(mut tuns) = two_hosts() else { return };
        let [connected, listener] = [(), ()].map(|()| tuns.bind(A).unwrap());
        connected.connect("10.0.0.77:1").unwrap();
        let destination = tuns.addresses[0];
        let source = tuns.addresses[1];

        tuns.deliver(A, &Datagram { source, destination, bytes: b"anyone?".to_vec() }).unwrap();

        assert_eq!(receive(&listener), (b"anyone?".to_vec(), source));
    }
}
