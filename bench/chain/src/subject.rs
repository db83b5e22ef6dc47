//! What is measured: each subject is a way for packets of host A to reach host C through host B.

mod boringtun;
mod kernel;
mod peerbound;
mod socat;

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::program::Program;

/// A way to relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// The kernel of B forwards: no tunnel, no cryptography. What is possible at all.
    Kernel,
    /// Three nodes, inner sessions on: encrypted on each link and from end to end.
    Peerbound,
    /// Three nodes, encrypted on each link alone.
    PeerboundClear,
    /// socat at all three, over plain UDP.
    SocatUdp,
    /// socat at all three, over DTLS: encrypted on each link.
    SocatDtls,
    /// WireGuard in user space at all three; the kernel of B routes from one tunnel into the other.
    Boringtun,
}

/// The program that is measured, and lines for the table `[node]` of its nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured<'a> {
    pub(crate) program: &'a Path,
    pub(crate) node: &'a [String],
}

/// What subjects need to know.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) measured: Measured<'a>,
    /// A folder for certificates, configurations, sockets and logs.
    pub(crate) folder: &'a Path,
}

/// A way that is open.
#[derive(Debug)]
pub(crate) struct Open {
    /// The address of C, for programs of A.
    pub(crate) far: Ipv6Addr,
    /// What runs at B.
    pub(crate) relay: Vec<Program>,
    /// What runs at A and C.
    pub(crate) ends: Vec<Program>,
}

impl Subject {
    /// Opens the way.
    pub(crate) fn open(self, chain: &Chain, setting: &Setting<'_>) -> anyhow::Result<Open> {
        match self {
            Self::Kernel => kernel::open(chain),
            Self::Peerbound => peerbound::open(chain, setting, "on"),
            Self::PeerboundClear => peerbound::open(chain, setting, "off"),
            Self::SocatUdp => socat::open_udp(chain, setting),
            Self::SocatDtls => socat::open_dtls(chain, setting),
            Self::Boringtun => boringtun::open(chain, setting),
        }
    }

    /// Says why the subject cannot be measured here, if it cannot.
    pub(crate) fn missing(self) -> Option<String> {
        let needs: &[(&str, &str)] = match self {
            Self::Kernel | Self::Peerbound | Self::PeerboundClear => &[],
            Self::SocatUdp | Self::SocatDtls => &[("socat", "apt install socat")],
            Self::Boringtun => &[
                ("boringtun-cli", "cargo install --locked boringtun-cli --root target/tools"),
                ("wg", "apt install wireguard-tools"),
            ],
        };
        let missing = needs.iter().find(|(program, _)| find(program).is_none());
        missing
            .map(|(program, remedy)| format!("{self} is left out, for there is no {program} here: {remedy}"))
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        formatter.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// Finds a program where the shell would, or where cargo installs tools for this workspace.
fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let ourselves = std::env::current_exe().unwrap_or_default();
    let tools = ourselves.ancestors().nth(2).map(|target| target.join("tools/bin"));
    let mut folders = std::env::split_paths(&paths).chain(tools);
    folders.find_map(|folder| Some(folder.join(program)).filter(|path| path.is_file()))
}
