//! The configuration in two stages: the file as it is typed, and what it means once every name,
//! file and certificate in it was found to be good.

mod address;
mod admission;
mod announce;
mod control;
mod e2e;
mod error;
mod file;
mod metrics;
mod rate;
pub(crate) mod reading;
mod resolver;
mod services;
mod tun;
mod valid;

pub use address::{AddressesFile, Endpoint, Endpoints};
pub use admission::AdmissionFile;
pub use announce::LinkCostFile;
pub use control::{ControlConfig, ControlFile, ControlTable};
pub use e2e::EndToEndFile;
pub use error::ConfigError;
pub use file::{
    ConfigFile, FavourFile, NeighbourFile, NodeFile, RecordLayerFile, ReturnPathFile, RouteFile, RoutingFile,
    SharingFile,
};
pub use metrics::MetricsFile;
pub use resolver::{ResolverConfig, ResolverFile};
pub use services::{Expose, Forward, ServicesConfig, ServicesFile, Transport};
pub use tun::{RoutesFile, TunConfig, TunFile};
pub use valid::DaemonConfig;

pub(crate) use control::check_path as check_socket_path;
pub(crate) use e2e::fits as e2e_fits;
pub(crate) use reading::text as read_text;
