//! Where a scenario runs on real sockets: on loopback, or in network namespaces. The nodes are daemons as
//! they are deployed; the network between them is a seeded one in user space.

mod carrier;
mod faces;
#[cfg(target_os = "linux")]
mod ip;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(target_os = "linux")]
mod tuns;
