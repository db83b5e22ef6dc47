//! One host of its own: a namespace whose only way out is a TUN interface, the other end of which is in
//! our hands. The host's kernel is the machine's own; the network behind the interface is ours.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::backend::namespace::{Namespace, NamespaceError};

/// What every host calls its interface.
const INTERFACE: &str = "net0";

/// A host.
pub(crate) struct TunHost {
    namespace: Namespace,
    device: SyncDevice,
}

impl TunHost {
    /// Makes a host with this address.
    pub(crate) fn new(address: IpAddr, mtu: u16) -> Result<Self, NamespaceError> {
        let namespace = Namespace::new()?;
        let device = namespace.enter("no TUN interface can be made", || {
            let device = DeviceBuilder::new()
                .name(INTERFACE)
                .layer(Layer::L3)
                .packet_information(false)
                .mtu(mtu)
                .build_sync()?;
            device.set_nonblocking(true)?;
            Ok(device)
        })?;
        let (family, bits) = match address {
            IpAddr::V4(_) => ("-4", 32),
            IpAddr::V6(_) => ("-6", 128),
        };
        let address = format!("{address}/{bits}");
        // Without `nodad` an IPv6 address is of no use for its first second.
        let nodad = if bits == 128 { &["nodad"][..] } else { &[] };
        let add = [&["address", "add", &address, "dev", INTERFACE], nodad].concat();
        namespace.run("ip", add)?;
        namespace.run("ip", ["link", "set", INTERFACE, "up"])?;
        namespace.run("ip", [family, "route", "add", "default", "dev", INTERFACE])?;
        // By default the kernel holds back ICMP errors when there are several within a second.
        namespace.set("ipv4/icmp_ratelimit", "0")?;
        Ok(Self { namespace, device })
    }

    /// Does something on a thread of this host, as to bind a socket.
    pub(crate) fn enter<T: Send>(
        &self,
        what: &str,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, NamespaceError> {
        self.namespace.enter(what, act)
    }

    /// Takes the next packet that the host has sent, into `buffer`.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.device.recv(buffer)
    }

    /// Gives the host's kernel a packet.
    pub(crate) fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.device.send(packet).map(|_| ())
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}
