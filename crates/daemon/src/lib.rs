//! Runs a [`peerbound_node::Node`] on a real host: the clock, the socket, the thread that owns
//! both, and the configuration file. It decides nothing about frames.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod clock;
mod config;
pub mod control;
mod crew;
mod daemon;
mod data_thread;
mod explain;
mod forwards;
mod kernel_buffer;
mod lane;
mod lossy;
mod metrics;
mod name_book;
mod names;
mod observe;
mod packets;
mod privileges;
mod reload;
mod resolver;
mod socket;
mod taps;
mod tun;
mod watch;
mod watching;
mod way;

pub use clock::{now, unix_seconds};
pub use config::{
    AddressesFile, AdmissionFile, ConfigError, ConfigFile, ControlConfig, ControlFile, ControlTable,
    DaemonConfig, EndToEndFile, Endpoint, Endpoints, Expose, FavourFile, Forward, LinkCostFile, MetricsFile,
    NeighbourFile, NodeFile, RecordLayerFile, ResolverConfig, ResolverFile, ReturnPathFile, RouteFile,
    RoutesFile, RoutingFile, ServicesConfig, ServicesFile, SharingFile, Transport, TunConfig, TunFile,
};
pub use crew::{Sharing, WORKERS_MAX, Workforce};
pub use daemon::{
    COMMANDS_MAX, CommandError, Daemon, EVENTS_MAX, NodeHandle, Nodes, OpenedDaemon, Report, ShutdownError,
    StartError, StartOptions, Status,
};
pub use data_thread::Favour;
pub use forwards::{ForwardCounters, ForwardError};
pub use metrics::{MetricsServer, MetricsSocket, MetricsStartError};
pub use observe::{OBSERVATIONS_MAX, Observation, Observed, Observer};
pub use packets::{PacketCounters, PacketDrop, PacketPort};
pub use privileges::Privileges;
pub use reload::{ConfigInForce, ReloadError, ReloadReport, Reloaded, Reloader};
pub use resolver::ResolverError;
pub use socket::{BatchSocket, SocketCounters};
pub use taps::{Copied, TAPPED_MAX, TAPS_MAX, Tap, TapOf, TapOptions, Tapped};
pub use tun::{
    Coalescer, Framing, HostRoute, HostRoutes, Outgoing, ROUTES_MAX, RouteRefusal, RouteRule, RouteStanding,
    Splitter, TunError, UdpSegments,
};
pub use watch::{WATCHERS_MAX, Watch};
pub use watching::{EXPIRY_WARNING_DAYS, Watcher};
