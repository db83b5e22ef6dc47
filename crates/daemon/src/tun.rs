//! The interface through which programs of this host use the overlay: it gives the packets that the host's
//! kernel sends into the overlay's addresses, and takes those that arrived for it. Whose they are it does not ask.
//!
//! Where the kernel offers it, both directions take many segments at once ([`Splitter`], [`Coalescer`]): a system call
//! for each packet costs more than all else that is done with it.
//!
//! The interface is not persistent: the kernel removes it, with its addresses and routes, when the last
//! descriptor of it is closed, however the process ends.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::config::TunConfig;
use crate::tun::intake::Intake;

mod choice;
mod coalesce;
mod headers;
mod intake;
mod interface;
mod routes;
#[cfg(test)]
mod samples;
mod shape;
mod slot;
mod split;

pub use choice::{RouteRefusal, RouteRule};
pub use coalesce::{Coalescer, UdpSegments};

pub use routes::{HostRoute, HostRoutes, ROUTES_MAX, RouteStanding};
pub use split::{Framing, Outgoing, Splitter};

pub(crate) use intake::Departing;
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

/// How many queues an interface has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queues {
    /// The one that is opened with it.
    One,
    /// That, and others that are opened beside it.
    Several,
}

/// A queue of the interface.
pub(crate) struct Tun {
    device: Arc<SyncDevice>,
    intake: Intake,
}

impl Tun {
    /// Makes the interface with our address, up and with the route of the overlay's addresses; returns it,
    /// and what sets more routes into it.
    pub(crate) fn open(
        config: &TunConfig,
        queues: Queues,
        address: Ipv6Addr,
    ) -> Result<(Self, Interface), TunError> {
        let name = &config.name;
        let device = make(config, queues).map_err(|source| error_of(name, source))?;
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
        let (tcp, udp) = (device.tcp_gso(), device.udp_gso());
        tracing::info!(name, %address, mtu = config.mtu, tcp, udp, "The overlay has an interface");
        Ok((Self::over(device), interface))
    }

    fn over(device: SyncDevice) -> Self {
        let framing = if device.tcp_gso() { Framing::Virtio } else { Framing::Plain };
        Self { device: Arc::new(device), intake: Intake::new(framing) }
    }

    /// Opens one more queue of an interface that has several: the kernel shares the flows out among them.
    ///
    /// # Errors
    /// When the kernel gives no more, or the interface was made with one.
    pub(crate) fn another_queue(&self) -> io::Result<Self> {
        let device = self.device.try_clone()?;
        device.set_nonblocking(true)?;
        Ok(Self::over(device))
    }

    /// Takes the next packet that this host sends.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; others are the kernel's.
    pub(crate) fn receive(&mut self, now: Instant) -> io::Result<Departing<'_>> {
        self.intake.next_packet(now, |room| self.device.recv(room))
    }

    /// Returns how many packets were dropped since the last time, for their queue stood.
    pub(crate) fn take_dropped(&mut self) -> usize {
        self.intake.take_dropped()
    }

    /// Returns who gives packets to this host's kernel.
    pub(crate) fn port(&self) -> TunPort {
        let udp = if self.device.udp_gso() { UdpSegments::Taken } else { UdpSegments::Refused };
        let coalescer = self.device.tcp_gso().then(|| Coalescer::new(udp));
        TunPort { device: Arc::clone(&self.device), coalescer, refused: 0 }
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

/// Makes the interface, with segmentation offload unless that is not wanted or the kernel refuses it.
fn make(config: &TunConfig, queues: Queues) -> io::Result<SyncDevice> {
    let make = |offload| {
        let builder = DeviceBuilder::new().name(&config.name).layer(Layer::L3).packet_information(false);
        let builder = builder.multi_queue(queues == Queues::Several);
        builder.enable(false).offload(offload).build_sync()
    };
    if config.offload {
        match make(true) {
            Ok(device) => return Ok(device),
            // What else is in the way is in the way of an interface without it, too.
            Err(error) => {
                tracing::info!(%error, "The kernel offers no segmentation offload: packets are taken one by one");
            }
        }
    }
    make(false)
}

/// Gives this host's kernel what arrived for it.
pub(crate) struct TunPort {
    device: Arc<SyncDevice>,
    /// What is put together until the turn ends, where the kernel takes it so.
    coalescer: Option<Coalescer>,
    /// Packets that the kernel refused since the last flush.
    refused: usize,
}

impl TunPort {
    /// Gives the kernel a packet, or lets it wait for those that it can be put together with.
    pub(crate) fn put(&mut self, packet: &[u8]) {
        let Self { device, coalescer, refused } = self;
        match coalescer {
            Some(coalescer) => {
                coalescer.take(packet, |frame, packets| write(device, frame, packets, refused));
            }
            None => write(device, packet, 1, refused),
        }
    }

    /// Gives the kernel what waits; returns how many packets it refused since the last time.
    pub(crate) fn flush(&mut self) -> usize {
        let Self { device, coalescer, refused } = self;
        if let Some(coalescer) = coalescer {
            coalescer.flush(|frame, packets| write(device, frame, packets, refused));
        }
        std::mem::take(refused)
    }
}

/// Gives the kernel a frame. One that has no room drops it, as any network may.
fn write(device: &SyncDevice, frame: &[u8], packets: usize, refused: &mut usize) {
    if device.send(frame).is_err() {
        *refused += packets;
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
