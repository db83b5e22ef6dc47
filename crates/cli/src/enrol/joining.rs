//! `peerbound join TOKEN`: makes a key here, has it certified by the authority that the token names, and
//! writes what a node needs.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use openssl::sha::sha256;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};
use peerbound_daemon::{DaemonConfig, unix_seconds};
use peerbound_dtls::{NewKey, RevocationList, read_certificates};
use peerbound_node::node_id;
use peerbound_wire::NodeId;
use serde::Serialize;

use crate::enrol::exchange::{Answer, Question, Timed, Welcome, hear_answer, say};
use crate::enrol::token::Token;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::{Secrecy, about, node_name, put, write_new};

/// How long the authority may take to answer a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct JoinArguments {
    /// What `peerbound pki invite` printed.
    #[arg(value_name = "TOKEN")]
    token: String,
    /// The folder for the key, the certificates and the configuration; made if it is missing.
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// Where the node will listen: UDP.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:4433")]
    listen: SocketAddr,
}

/// Who has joined.
#[derive(Serialize)]
struct Joined {
    name: String,
    id: String,
    overlay: String,
    config: String,
}

pub(crate) fn join(arguments: &JoinArguments, output: &Output) -> CommandResult {
    let token: Token = arguments.token.parse().map_err(|why: String| Failure::Request(anyhow!(why)))?;
    let JoinArguments { dir, listen, .. } = arguments;
    fs::create_dir_all(dir)
        .map_err(|error| about(dir, "the folder cannot be made: choose another", error))?;
    let config_path = dir.join(format!("{}.toml", token.name));
    if config_path.exists() {
        let problem = "is there already and is not replaced: this host has joined, or choose another folder";
        return Err(Failure::Request(anyhow!("{} {problem}", config_path.display())));
    }
    let key = key_in(&dir.join(format!("{}.key", token.name)))?;
    let request = key.request(&token.name).map_err(Failure::world)?;
    let welcome = ask(&token, &request).map_err(Failure::World)?;
    let identity = check(&token, key, &welcome).map_err(Failure::World)?;
    let public = |name: &str, text: &str| put(&dir.join(name), text.as_bytes(), Secrecy::Public);
    public(&format!("{}.pem", token.name), &welcome.certificate)?;
    public("ca.pem", &welcome.root)?;
    if let Some(revoked) = &welcome.revoked {
        public("crl.pem", revoked)?;
    }
    // The configuration comes last: where it is, all that it names is.
    public(&format!("{}.toml", token.name), &configuration(&token.name, *listen, &welcome))?;
    DaemonConfig::load(&config_path, unix_seconds()).map_err(Failure::request)?;
    let joined = Joined {
        name: token.name,
        id: identity.to_string(),
        overlay: identity.address().to_string(),
        config: config_path.display().to_string(),
    };
    output.result(&joined, || {
        format!(
            "{} has joined\n  id       {}\n  overlay  {}\n  start    peerbound run -c {}",
            joined.name, joined.id, joined.overlay, joined.config
        )
    })?;
    Ok(Outcome::Held)
}

/// Takes the key that an earlier attempt made, or makes one: the token is used up by the first key that
/// comes with it.
fn key_in(path: &Path) -> Result<NewKey, Failure> {
    if path.exists() {
        let pem = fs::read(path).map_err(|error| about(path, "cannot be read", error))?;
        return NewKey::from_pem(&pem)
            .map_err(|error| Failure::Request(anyhow!("{}: {error}", path.display())));
    }
    let key = NewKey::generate().map_err(Failure::world)?;
    write_new(path, &key.to_pem().map_err(Failure::world)?, Secrecy::Owner)?;
    Ok(key)
}

fn ask(token: &Token, request: &[u8]) -> anyhow::Result<Welcome> {
    let at = token.at;
    let stream = TcpStream::connect_timeout(&at, CONNECT_DEADLINE)
        .with_context(|| format!("{at} does not answer: start `peerbound pki serve` there"))?;
    let mut stream = connect(Timed::new(stream)).with_context(|| format!("{at} speaks no TLS"))?;
    let shown = stream.ssl().peer_certificate().context("it shows no certificate")?;
    // Before the secret is said: whoever listens there must be the authority that made the token.
    if sha256(&shown.to_der()?) != token.fingerprint {
        return Err(anyhow!("{at} is not the authority that made this token: nothing was told to it"));
    }
    let question = Question { secret: STANDARD.encode(token.secret), request: STANDARD.encode(request) };
    say(&mut stream, &question).context("the connection broke")?;
    match hear_answer(&mut stream).context("the authority gave no answer that can be understood")? {
        Answer::Welcome(welcome) => Ok(welcome),
        Answer::Refused { why } => {
            let why: String = why.chars().filter(|character| !character.is_control()).take(200).collect();
            Err(anyhow!("the authority refuses: {why}"))
        }
    }
}

fn connect(stream: Timed) -> anyhow::Result<SslStream<Timed>> {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    // Not by names and roots, of which this host has none yet, but by the hash in the token.
    connector.set_verify(SslVerifyMode::NONE);
    let configuration =
        connector.build().configure()?.use_server_name_indication(false).verify_hostname(false);
    configuration.connect("", stream).map_err(|error| anyhow!("{error}"))
}

/// Holds what came against the token and the key.
fn check(token: &Token, key: NewKey, welcome: &Welcome) -> anyhow::Result<NodeId> {
    let first = |pem: &str| -> anyhow::Result<_> {
        read_certificates(pem.as_bytes())?.into_iter().next().context("it is empty")
    };
    let root = first(&welcome.root)?;
    if sha256(&root.to_der()?) != token.fingerprint {
        return Err(anyhow!("the authority gave another root than the token names"));
    }
    let identity = key.certified(first(&welcome.certificate)?)?;
    if !identity.is_issued_by(&root) {
        return Err(anyhow!("the authority gave a certificate that it did not issue"));
    }
    if let Some(revoked) = &welcome.revoked {
        RevocationList::from_pem(revoked.as_bytes())?;
    }
    Ok(node_id(&identity.key_hash()))
}

fn configuration(name: &str, listen: SocketAddr, welcome: &Welcome) -> String {
    let list = |items: &[String]| items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "[node]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\nroots = [\"ca.pem\"]\nlisten = \"{listen}\"\nrouting = \"dynamic\"\n"
    );
    if welcome.revoked.is_some() {
        text += "crl = [\"crl.pem\"]\n";
    }
    // Written by the authority and checked here: what is no prefix, id or name does not get in.
    let prefixes: Vec<String> = welcome
        .prefixes
        .iter()
        .filter_map(|prefix| prefix.parse().ok())
        .map(|prefix: peerbound_wire::Prefix| prefix.to_string())
        .collect();
    if !prefixes.is_empty() {
        text += &format!("announce = [{}]\n", list(&prefixes));
    }
    for neighbour in &welcome.neighbours {
        let (Ok(name), Ok(id)) = (node_name(&neighbour.name), neighbour.id.parse::<NodeId>()) else {
            continue;
        };
        text += &format!("\n[[neighbour]]\nname = \"{name}\"\nid = \"{id}\"\n");
        if let Some(address) = neighbour.address {
            text += &format!("address = \"{address}\"\n");
        }
    }
    text
}
