//! `peerbound pki invite`: makes a token that works once.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use peerbound_daemon::unix_seconds;
use peerbound_dtls::{KeyHash, X509, read_certificates};
use peerbound_node::node_id;
use peerbound_wire::Prefix;
use serde::Serialize;

use crate::enrol::invites::{Invite, Invited, Invites, hash};
use crate::enrol::token::{SECRET_BYTES, Token};
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::{about, hold, node_name, prefix_uris, refuse_to_replace};

#[derive(Args)]
pub(crate) struct InviteArguments {
    /// The name of the node to come.
    #[arg(value_name = "NAME", value_parser = node_name)]
    name: String,
    /// Where `pki serve` will listen, as the joining host reaches it.
    #[arg(long, value_name = "ADDRESS:PORT")]
    at: SocketAddr,
    /// The folder of the authority's files.
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// A prefix that the node may announce; may be given 16 times.
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefixes: Vec<Prefix>,
    /// A neighbour for its configuration, as relay-1@192.0.2.1:4433 or, if that one dials, relay-1.
    #[arg(long = "neighbour", value_name = "NAME[@ADDRESS:PORT]")]
    neighbours: Vec<String>,
    /// How long the certificate is valid.
    #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Hours until the token ends.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
}

/// What the operator passes on.
#[derive(Serialize)]
struct Invitation {
    name: String,
    token: String,
    hours: u32,
}

pub(crate) fn invite(arguments: &InviteArguments, output: &Output) -> CommandResult {
    let InviteArguments { name, at, dir, prefixes, neighbours, days, hours } = arguments;
    let root = certificate_in(&dir.join("ca.pem"))?;
    let _hold = hold(dir)?;
    refuse_to_replace(dir, name)?;
    prefix_uris(prefixes)?;
    let neighbours =
        neighbours.iter().map(|text| neighbour(dir, text)).collect::<Result<Vec<_>, Failure>>()?;
    let mut secret = [0; SECRET_BYTES];
    rand_bytes(&mut secret).map_err(Failure::world)?;
    let now = unix_seconds();
    let mut invites = Invites::read(dir)?;
    let invite = Invite {
        secret: hash(&secret),
        name: name.clone(),
        prefixes: prefixes.iter().map(ToString::to_string).collect(),
        days: *days,
        expires_at: now + i64::from(*hours) * 3600,
        neighbours,
        used_by: None,
    };
    invites.add(invite, now)?;
    invites.write(dir)?;
    let fingerprint = sha256(&root.to_der().map_err(Failure::world)?);
    let token = Token { fingerprint, secret, at: *at, name: name.clone() }.to_string();
    let invitation = Invitation { name: name.clone(), token, hours: *hours };
    output.result(&invitation, || {
        format!(
            "On the new host, within {hours} hours, while `peerbound pki serve` runs here:\n  peerbound join {}",
            invitation.token
        )
    })?;
    Ok(Outcome::Held)
}

fn neighbour(dir: &Path, text: &str) -> Result<Invited, Failure> {
    let (name, address) = match text.split_once('@') {
        Some((name, address)) => (name, Some(address)),
        None => (text, None),
    };
    let refused = |problem: String| Failure::Request(anyhow!("neighbour {text:?}: {problem}"));
    let name = node_name(name).map_err(refused)?;
    let address = address
        .map(str::parse)
        .transpose()
        .map_err(|_| refused("write its address as in \"relay-1@192.0.2.1:4433\"".to_owned()))?;
    let certificate = certificate_in(&dir.join(format!("{name}.pem")))?;
    let key = KeyHash::of(&certificate).map_err(Failure::world)?;
    Ok(Invited { name, id: node_id(&key).to_string(), address })
}

fn certificate_in(path: &Path) -> Result<X509, Failure> {
    let pem = fs::read(path).map_err(|error| about(path, "cannot be read", error))?;
    let certificates =
        read_certificates(&pem).map_err(|error| Failure::Request(anyhow!("{}: {error}", path.display())))?;
    certificates
        .into_iter()
        .next()
        .ok_or_else(|| Failure::Request(anyhow!("{}: it is empty", path.display())))
}
