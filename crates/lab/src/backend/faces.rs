//! Hosts on the machine's loopback. Every host has an address of its own in 127.0.0.0/8 and a socket on
//! it. What it sees of another host is a *face*: a socket of ours on that host's address, connected to
//! its own. So a host tells others by their addresses, as in the world, and all it sends comes to us.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use mio::{Interest, Registry, Token};

use crate::backend::carrier::{Carrier, CarrierError, Datagram, Handed, Outgoing, Spoken, bind};
use crate::trace::HostIndex;

/// Hosts there can be: with the attacker, n x n faces, each a descriptor. 16 hosts have 256, where a
/// process may have 1024.
pub(crate) const LOOPBACK_HOSTS_MAX: usize = 16;

/// Bytes asked of the kernel for what waits at a face: a node may send 64 datagrams at once.
const KERNEL_BUFFER_BYTES: usize = 1024 * 1024;

/// The longest datagram that can arrive.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// All sockets wake the poller alike: whoever wakes up asks each of them.
const ANY: Token = Token(0);

/// A host as another one sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct View {
    viewer: HostIndex,
    host: HostIndex,
}

struct Face {
    socket: mio::net::UdpSocket,
    address: SocketAddr,
}

/// The hosts.
pub(crate) struct Faces {
    addresses: Vec<SocketAddr>,
    /// One per view; and fresh sockets of hosts, which are faces for one conversation.
    faces: BTreeMap<View, Face>,
    fresh: Vec<(View, Face)>,
    registry: Option<Registry>,
    reports: Vec<Outgoing>,
}

impl Faces {
    /// Makes so many hosts, and behind them the attacker, who has an address of his own and reads nothing.
    /// Returns each host's own socket with them.
    pub(crate) fn new(hosts: usize) -> Result<(Self, Vec<UdpSocket>), CarrierError> {
        let all: Vec<_> = (0..=hosts).map(|index| HostIndex(u32::try_from(index).unwrap_or(0))).collect();
        let mut sockets = Vec::new();
        let mut faces = Self {
            addresses: Vec::new(),
            faces: BTreeMap::new(),
            fresh: Vec::new(),
            registry: None,
            reports: Vec::new(),
        };
        for host in &all {
            let (socket, address) = open(*host)?;
            faces.addresses.push(address);
            sockets.push(socket);
        }
        // The attacker's is closed again: what is sent to him is read at his faces.
        sockets.pop();
        for viewer in all.iter().take(hosts).copied() {
            for host in all.iter().copied().filter(|host| *host != viewer) {
                let view = View { viewer, host };
                let face = faces.open_face(view)?;
                faces.faces.insert(view, face);
            }
        }
        Ok((faces, sockets))
    }

    fn open_face(&self, view: View) -> Result<Face, CarrierError> {
        let (socket, address) = open(view.host)?;
        let viewer = self.address_of(view.viewer);
        socket
            .connect(viewer)
            .map_err(|source| CarrierError::socket(format!("no connection to {viewer}"), source))?;
        Ok(Face { socket: mio::net::UdpSocket::from_std(socket), address })
    }

    fn address_of(&self, host: HostIndex) -> SocketAddr {
        self.addresses[host.0 as usize]
    }

    fn host_of(&self, address: SocketAddr) -> Option<HostIndex> {
        let index = self.addresses.iter().position(|known| *known == address)?;
        u32::try_from(index).ok().map(HostIndex)
    }

    /// Finds the socket from which `to` is to hear a source address.
    fn face_of(&self, source: SocketAddr, to: HostIndex) -> Option<(View, &Face)> {
        if let Some((view, face)) = self.fresh.iter().find(|(_, face)| face.address == source) {
            return (view.viewer == to).then_some((*view, face));
        }
        let view = View { viewer: to, host: self.host_of(source)? };
        self.faces.get(&view).map(|face| (view, face))
    }
}

impl Carrier for Faces {
    fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn address_for(&self, host: HostIndex, viewer: HostIndex) -> SocketAddr {
        let face = self.faces.get(&View { viewer, host });
        face.map_or_else(|| self.address_of(host), |face| face.address)
    }

    fn named(&self, seen: SocketAddr, viewer: HostIndex) -> SocketAddr {
        let mut of_viewer = self.faces.iter().filter(|(view, _)| view.viewer == viewer);
        let host = of_viewer.find(|(_, face)| face.address == seen).map(|(view, _)| view.host);
        host.map_or(seen, |host| self.address_of(host))
    }

    fn bind(&self, host: HostIndex) -> Result<UdpSocket, CarrierError> {
        let address = self.address_of(host);
        bind(address, KERNEL_BUFFER_BYTES)
            .map_err(|source| CarrierError::socket(format!("{address} cannot be bound"), source))
    }

    fn connected_socket(&mut self, host: HostIndex, to: HostIndex) -> Result<SocketAddr, CarrierError> {
        let view = View { viewer: to, host };
        let mut face = self.open_face(view)?;
        let address = face.address;
        if let Some(registry) = &self.registry {
            registry
                .register(&mut face.socket, ANY, Interest::READABLE)
                .map_err(|source| CarrierError::socket("a socket cannot be polled", source))?;
        }
        self.fresh.push((view, face));
        Ok(address)
    }

    fn speak(&mut self, _source: SocketAddr, _bytes: &[u8]) -> Result<Spoken, CarrierError> {
        // It is connected past our network: what it sends has to pass that first.
        Ok(Spoken::ByUs)
    }

    fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for face in self.faces.values_mut() {
            registry.register(&mut face.socket, ANY, Interest::READABLE)?;
        }
        self.registry = Some(registry.try_clone()?);
        Ok(())
    }

    fn receive(&mut self, take: &mut dyn FnMut(Outgoing)) -> Result<(), CarrierError> {
        std::mem::take(&mut self.reports).into_iter().for_each(&mut *take);
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let lasting = self.faces.iter().map(|(view, face)| (*view, face));
        let fresh = self.fresh.iter().map(|(view, face)| (*view, face));
        for (view, face) in lasting.chain(fresh) {
            loop {
                match face.socket.recv(&mut buffer) {
                    Ok(len) => take(Outgoing::Datagram {
                        by: view.viewer,
                        datagram: Datagram {
                            source: self.address_of(view.viewer),
                            destination: self.named(face.address, view.viewer),
                            bytes: buffer[..len].to_vec(),
                        },
                    }),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        self.refusals(view, face.address).into_iter().for_each(&mut *take);
                    }
                    Err(source) => return Err(CarrierError::socket("a face cannot receive", source)),
                }
            }
        }
        Ok(())
    }

    fn deliver(&mut self, to: HostIndex, datagram: &Datagram) -> Result<Handed, CarrierError> {
        let Some((view, face)) = self.face_of(datagram.source, to) else {
            return Err(CarrierError::NoSuchSource(datagram.source));
        };
        // An error that waits belongs to an earlier datagram; this one's own comes back at once, for on
        // loopback the receiving kernel has seen a datagram before `send` returns.
        let mut refused = Vec::new();
        let handed = loop {
            match face.socket.send(&datagram.bytes) {
                Ok(_) => break Handed::Over,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    refused.extend(self.refusals(view, face.address));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Handed::NoRoom,
                Err(source) => return Err(CarrierError::socket("a face cannot send", source)),
            }
        };
        if let Ok(Some(error)) = face.socket.take_error()
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            refused.extend(self.refusals(view, face.address));
        }
        self.reports.extend(refused);
        Ok(handed)
    }

    fn deliver_packet(&mut self, _to: HostIndex, _packet: &[u8]) -> Result<(), CarrierError> {
        // There is one kernel here, and it has told whom it had to tell.
        Ok(())
    }

    fn tell_too_big(&mut self, _datagram: &Datagram, _mtu: u16) -> Result<bool, CarrierError> {
        // No router stands between sockets of one kernel. Daemons do not listen to routers anyway.
        Ok(false)
    }
}

impl Faces {
    /// What a refusal at a face means: the viewer's kernel has turned a datagram away, and, where the
    /// face is the socket of an application, that was told.
    fn refusals(&self, view: View, face: SocketAddr) -> Vec<Outgoing> {
        let source = self.named(face, view.viewer);
        let destination = self.address_of(view.viewer);
        let refusal = Outgoing::Refusal { by: view.viewer, source, destination, quoted: None, packet: None };
        let is_fresh = self.fresh.iter().any(|(_, fresh)| fresh.address == face);
        let told = is_fresh.then_some(Outgoing::Told { host: view.host, error: "ECONNREFUSED" });
        [refusal].into_iter().chain(told).collect()
    }
}

fn open(host: HostIndex) -> Result<(UdpSocket, SocketAddr), CarrierError> {
    let wanted = SocketAddr::new(loopback(host), 0);
    let opened = bind(wanted, KERNEL_BUFFER_BYTES).and_then(|socket| {
        let address = socket.local_addr()?;
        Ok((socket, address))
    });
    opened.map_err(|source| CarrierError::socket(format!("{wanted} cannot be bound"), source))
}

/// Linux gives a host the whole of 127.0.0.0/8, so that hosts can differ by address as they do in the
/// world; elsewhere they differ by port.
fn loopback(host: HostIndex) -> IpAddr {
    let last = if cfg!(target_os = "linux") { u8::try_from(host.0 + 1).unwrap_or(u8::MAX) } else { 1 };
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const A: HostIndex = HostIndex(0);
    const B: HostIndex = HostIndex(1);
    const ATTACKER: HostIndex = HostIndex(2);

    /// Takes what hosts send until there is as much as wanted.
    fn take(faces: &mut Faces, wanted: usize) -> Vec<Outgoing> {
        let end = Instant::now() + Duration::from_secs(20);
        let mut taken = Vec::new();
        while taken.len() < wanted {
            assert!(Instant::now() < end, "{taken:?}");
            faces.receive(&mut |outgoing| taken.push(outgoing)).unwrap();
        }
        taken
    }

    #[test]
    fn what_a_host_sends_to_a_face_has_the_addresses_of_the_two_hosts() {
        let (mut faces, sockets) = Faces::new(2).unwrap();

        sockets[0].send_to(b"to B", faces.address_for(B, A)).unwrap();

        let [a, b] = [A, B].map(|host| faces.address_of(host));
        let datagram = Datagram { source: a, destination: b, bytes: b"to B".to_vec() };
        assert_eq!(take(&mut faces, 1), [Outgoing::Datagram { by: A, datagram }]);
    }

    #[test]
    fn a_host_hears_another_from_its_face_and_the_attacker_from_his_own() {
        let (mut faces, sockets) = Faces::new(2).unwrap();
        let mut heard = |source: HostIndex| {
            let source = faces.address_of(source);
            let datagram = Datagram { source, destination: faces.address_of(A), bytes: b"hello".to_vec() };
            assert_eq!(faces.deliver(A, &datagram).unwrap(), Handed::Over);
            let (_, seen) = sockets[0].recv_from(&mut [0; 16]).unwrap();
            assert_eq!(faces.named(seen, A), source);
            seen
        };

        let (from_b, from_attacker) = (heard(B), heard(ATTACKER));

        assert_ne!(from_b, from_attacker);
        assert_eq!(from_b, faces.address_for(B, A));
    }

    #[test]
    fn a_socket_connected_to_one_face_refuses_another_and_only_a_fresh_socket_is_told() {
        let (mut faces, sockets) = Faces::new(2).unwrap();
        sockets[0].connect(faces.address_for(B, A)).unwrap();
        let a = faces.address_of(A);
        let refused =
            |source| Outgoing::Refusal { by: A, source, destination: a, quoted: None, packet: None };

        let attacker = faces.address_of(ATTACKER);
        let from_attacker = Datagram { source: attacker, destination: a, bytes: b"x".to_vec() };
        faces.deliver(A, &from_attacker).unwrap();
        assert_eq!(take(&mut faces, 1), [refused(attacker)]);

        let fresh = faces.connected_socket(B, A).unwrap();
        let from_fresh = Datagram { source: fresh, destination: a, bytes: b"y".to_vec() };
        faces.deliver(A, &from_fresh).unwrap();
        let told = Outgoing::Told { host: B, error: "ECONNREFUSED" };
        assert_eq!(take(&mut faces, 2), [refused(fresh), told]);

        let from_b = Datagram { source: faces.address_of(B), destination: a, bytes: b"z".to_vec() };
        faces.deliver(A, &from_b).unwrap();
        assert_eq!(sockets[0].recv(&mut [0; 16]).unwrap(), 1);
    }

    #[test]
    fn an_address_that_no_socket_of_the_run_owns_cannot_be_a_source() {
        let (mut faces, _sockets) = Faces::new(2).unwrap();
        let datagram = Datagram {
            source: SocketAddr::from(([192, 0, 2, 9], 1)),
            destination: faces.address_of(A),
            bytes: Vec::new(),
        };

        let refused = faces.deliver(A, &datagram).unwrap_err();

        assert_eq!(refused.to_string(), "no socket of the run owns 192.0.2.9:1");
    }
}
