//! The interface through which programs of this host use the overlay: it gives the packets that the host's
//! kernel sends into the overlay's addresses, and takes those that arrived for it. It reads nothing in them.
//!
//! The interface is not persistent: the kernel removes it, with its addresses and routes, when the last
//! descriptor of it is closed, however the process ends.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use peerbound_node::DeliveredPacket;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::config::TunConfig;
use crate::packets::PacketPort;

mod choice;
mod interface;
mod routes;

pub use choice::{RouteRefusal, RouteRule};
pub use routes::{HostRoute, HostRoutes, ROUTES_MAX, RouteStanding};

pub(crate) use interface::Interface;
pub(crate) use routes::RouteKeeper;

/// Where the overlay's addresses are: those for one's own choice of RFC 4193, 3.1, which every id fits.
const OVERLAY: (IpAddr, u8) = (IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0)), 8);

/// Why there is no interface.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// We may not.
    #[error(
        "the interface {name} cannot be made: it takes the capability CAP_NET_ADMIN; start the node as root, give the program the capability (`setcap cap_net_admin+ep PATH`), or write `AmbientCapabilities=CAP_NET_ADMIN` into its systemd unit"
    )]
    NotPermitted {
        /// What it was to be called.
        name: String,
    },
    /// Another program has it.
    #[error("the interface {name} is in use by another program: choose another `name` in [tun]")]
    Busy {
        /// What it was to be called.
        name: String,
    },
    /// The kernel has no such interfaces.
    #[error(
        "the interface {name} cannot be made: /dev/net/tun cannot be opened ({source}); load the kernel's module `tun`, or give the container the device"
    )]
    NoDevice {
        /// What it was to be called.
        name: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// Something else is in the way.
    #[error("the interface {name}: {what}: {source}")]
    System {
        /// What it is called.
        name: String,
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
}

/// The interface.
pub(crate) struct Tun {
    device: Arc<SyncDevice>,
}

impl Tun {
    /// Makes the interface with our address, up and with the route of the overlay's addresses; returns it,
    /// and what sets more routes into it.
    pub(crate) fn open(config: &TunConfig, address: Ipv6Addr) -> Result<(Self, Interface), TunError> {
        let name = &config.name;
        let builder = DeviceBuilder::new().name(name).layer(Layer::L3).packet_information(false);
        let device = builder.enable(false).build_sync().map_err(|source| error_of(name, source))?;
        let system = |what| move |source| TunError::System { name: name.clone(), what, source };
        device.set_nonblocking(true).map_err(system("it does not work without waiting"))?;
        let index = device.if_index().map_err(system("it has no index"))?;
        let mut interface = Interface::new(index).map_err(system("the kernel's routes cannot be reached"))?;
        interface.start(config.mtu).map_err(system("it cannot be started"))?;
        interface.add_address(address).map_err(system("our address cannot be set"))?;
        if config.routes != RouteRule::None {
            interface.add_route(OVERLAY.0, OVERLAY.1).map_err(system(
                "the route fd00::/8 cannot be set (with `routes = false` in [tun] you set routes yourself)",
            ))?;
        }
        tracing::info!(name, %address, mtu = config.mtu, "The overlay has an interface");
        Ok((Self { device: Arc::new(device) }, interface))
    }

    /// Takes the next packet that this host sends, into `buffer`.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; others are the kernel's.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.device.recv(buffer)
    }

    /// Returns who gives packets to this host's kernel.
    pub(crate) fn port(&self) -> TunPort {
        TunPort { device: Arc::clone(&self.device) }
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

/// Gives this host's kernel what arrived for it.
pub(crate) struct TunPort {
    device: Arc<SyncDevice>,
}

impl PacketPort for TunPort {
    fn deliver(&mut self, packet: &DeliveredPacket) -> bool {
        // A kernel that has no room drops it, as any network may.
        self.device.send(&packet.bytes).is_ok()
    }
}

fn error_of(name: &str, source: io::Error) -> TunError {
    let name = name.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => TunError::NotPermitted { name },
        io::ErrorKind::ResourceBusy => TunError::Busy { name },
        io::ErrorKind::NotFound => TunError::NoDevice { name, source },
        _ => TunError::System { name, what: "it cannot be made", source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_make_no_interface_is_told_three_ways_to_be_allowed_to() {
        let error = error_of("peerbound0", io::Error::from_raw_os_error(1));

        let said = error.to_string();
        for part in ["peerbound0", "CAP_NET_ADMIN", "root", "setcap cap_net_admin+ep", "AmbientCapabilities"]
        {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn other_troubles_are_told_apart() {
        let said = |errno| error_of("peerbound0", io::Error::from_raw_os_error(errno)).to_string();

        assert!(said(16).contains("in use by another program"), "{}", said(16));
        assert!(said(2).contains("/dev/net/tun"), "{}", said(2));
        assert!(said(22).contains("cannot be made"), "{}", said(22));
    }
}
