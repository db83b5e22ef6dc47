//! `peerbound pki serve`: certifies the keys of those who have a token.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use crossbeam_channel::{Sender, bounded};
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslVersion};
use peerbound_daemon::unix_seconds;
use peerbound_dtls::{
    Authority, CertificateRequest, Certification, Validity, X509, X509Ref, read_certificates,
};
use serde::Serialize;

use crate::enrol::exchange::{Answer, Question, Timed, Welcome, hear_question, say};
use crate::enrol::invites::{Invite, Invites, hash};
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::{Entry, LIST, Ledger, Secrecy, hold, passphrase, prefix_uris, put, read_authority};
use crate::running;

/// Connections at a time: each has a thread of 2 MB of address space, and 10 s.
const CONNECTIONS_MAX: usize = 16;

/// How long this waits for what came of a connection before it looks for another one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

#[derive(Args)]
pub(crate) struct ServeArguments {
    /// Where to listen: TCP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The folder of the authority's files.
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// Stop when so many nodes have joined.
    #[arg(long)]
    count: Option<u64>,
    /// The passphrase of the authority's key is the first line of this file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// What happens at the door.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Report {
    Ready { listens: String },
    Joined { name: String, address: String },
    Refused { address: String, why: String },
}

/// What every connection needs.
struct Door {
    dir: PathBuf,
    authority: Authority,
    acceptor: SslAcceptor,
}

pub(crate) fn serve(arguments: &ServeArguments, output: &Output) -> CommandResult {
    let ServeArguments { listen, dir, count, passphrase_file } = arguments;
    let authority = read_authority(dir, passphrase(passphrase_file.as_deref())?.as_deref())?;
    let acceptor = acceptor(&authority).map_err(Failure::World)?;
    let door = Arc::new(Door { dir: dir.clone(), authority, acceptor });
    let listener = TcpListener::bind(listen).with_context(|| format!("{listen} cannot be bound"));
    let listener = listener.map_err(Failure::World)?;
    let listens = listener.local_addr().map_err(Failure::world)?.to_string();
    listener.set_nonblocking(true).map_err(Failure::world)?;
    let signals = running::signals()?;
    tell(&Report::Ready { listens }, output)?;
    // As many as there are places: whoever has said what came of it gives its place back.
    let (reports, told) = bounded::<Report>(CONNECTIONS_MAX);
    let mut open = 0;
    let mut left = *count;
    while left != Some(0) {
        if signals.try_recv().is_ok() {
            return Ok(Outcome::Held);
        }
        if open < CONNECTIONS_MAX
            && let Ok((stream, address)) = listener.accept()
        {
            open += 1;
            begin(&door, stream, address, &reports).map_err(Failure::World)?;
        }
        while let Ok(report) = told.recv_timeout(ACCEPT_PAUSE) {
            open -= 1;
            if matches!(report, Report::Joined { .. }) {
                left = left.map(|left| left.saturating_sub(1));
            }
            tell(&report, output)?;
        }
    }
    Ok(Outcome::Held)
}

fn tell(report: &Report, output: &Output) -> Result<(), Failure> {
    output.result(report, || match report {
        Report::Ready { listens } => format!("waits for invited nodes on {listens}"),
        Report::Joined { name, address } => format!("{name} has joined from {address}"),
        Report::Refused { address, why } => format!("{address} was refused: {why}"),
    })?;
    Ok(())
}

/// TLS 1.3 with the authority's own certificate: its hash stands in the token, so nobody else is taken for
/// it.
fn acceptor(authority: &Authority) -> anyhow::Result<SslAcceptor> {
    let key = PKey::private_key_from_pem(&authority.key_to_pem(None)?)?;
    let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server())?;
    acceptor.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    acceptor.set_certificate(authority.certificate())?;
    acceptor.set_private_key(&key)?;
    Ok(acceptor.build())
}

fn begin(
    door: &Arc<Door>,
    stream: TcpStream,
    address: SocketAddr,
    reports: &Sender<Report>,
) -> anyhow::Result<()> {
    let (door, reports) = (Arc::clone(door), reports.clone());
    std::thread::Builder::new()
        .name("joining".to_owned())
        .spawn(move || {
            let address = address.to_string();
            let report = match door.admit(stream) {
                Ok(name) => Report::Joined { name, address },
                Err(why) => Report::Refused { address, why: format!("{why:#}") },
            };
            // There is room for as many as there are connections.
            let _ = reports.send(report);
        })
        .context("there can be no thread")?;
    Ok(())
}

impl Door {
    fn admit(&self, stream: TcpStream) -> anyhow::Result<String> {
        stream.set_nonblocking(false)?;
        let mut stream =
            self.acceptor.accept(Timed::new(stream)).map_err(|error| anyhow!("no TLS: {error}"))?;
        let question = hear_question(&mut stream).context("it asks for nothing that can be understood")?;
        let granted = self.grant(&question);
        match granted {
            Ok((name, welcome)) => {
                say(&mut stream, &Answer::Welcome(welcome)).context("the answer could not be sent")?;
                // The other side has read it when it closes in its turn.
                let _ = stream.shutdown();
                Ok(name)
            }
            Err(why) => {
                let _ = say(&mut stream, &Answer::Refused { why: why.to_string() });
                let _ = stream.shutdown();
                Err(why)
            }
        }
    }

    fn grant(&self, question: &Question) -> anyhow::Result<(String, Welcome)> {
        let secret = STANDARD.decode(&question.secret).context("the secret is no base64")?;
        let request = STANDARD.decode(&question.request).context("the request is no base64")?;
        let request = CertificateRequest::from_der(&request)?;
        let key = hash(&request.key_der()?);
        let _hold = hold(&self.dir).map_err(Failure::into_error)?;
        let mut invites = Invites::read(&self.dir).map_err(Failure::into_error)?;
        let Some(invite) = invites.find(&secret) else {
            return Err(anyhow!("this token was never given out, or has ended: have another one made"));
        };
        if invite.expires_at < unix_seconds() {
            return Err(anyhow!("this token has ended: have another one made"));
        }
        if invite.used_by.as_ref().is_some_and(|used_by| *used_by != key) {
            return Err(anyhow!(
                "this token was used by somebody else: have another one made, and find out by whom"
            ));
        }
        invite.used_by = Some(key.clone());
        let invite = invite.clone();
        // Used up before anything is given for it: a second key finds it so, whatever happens here.
        invites.write(&self.dir).map_err(Failure::into_error)?;
        let certificate = self.certificate(&invite, &request, &key)?;
        let text = |pem: Vec<u8>| String::from_utf8(pem).map_err(anyhow::Error::from);
        let welcome = Welcome {
            certificate: text(certificate.to_pem()?)?,
            root: text(self.authority.certificate_to_pem()?)?,
            revoked: std::fs::read_to_string(self.dir.join(LIST)).ok(),
            prefixes: invite.prefixes.clone(),
            neighbours: invite.neighbours.clone(),
        };
        Ok((invite.name, welcome))
    }

    /// Returns the certificate that was issued for an invitation, or issues it.
    fn certificate(&self, invite: &Invite, request: &CertificateRequest, key: &str) -> anyhow::Result<X509> {
        let path = self.dir.join(format!("{}.pem", invite.name));
        if path.exists() {
            return issued_before(&path, key).ok_or_else(|| {
                anyhow!("a certificate for \"{}\" is there already: have another name invited", invite.name)
            });
        }
        let uris = prefix_uris(&invite.prefixes()).map_err(Failure::into_error)?;
        let validity = Validity::days(unix_seconds(), invite.days);
        let what = Certification { name: &invite.name, uris: &uris, validity };
        let certificate = self.authority.grant(request, &what)?;
        let mut ledger = Ledger::read(&self.dir).map_err(Failure::into_error)?;
        ledger.note(Entry::of(&certificate).map_err(Failure::into_error)?).map_err(Failure::into_error)?;
        ledger.write(&self.dir).map_err(Failure::into_error)?;
        put(&path, &certificate.to_pem()?, Secrecy::Public).map_err(Failure::into_error)?;
        Ok(certificate)
    }
}

fn issued_before(path: &Path, key: &str) -> Option<X509> {
    let certificates = read_certificates(&std::fs::read(path).ok()?).ok()?;
    certificates.into_iter().next().filter(|certificate| key_of(certificate).is_some_and(|of| of == key))
}

fn key_of(certificate: &X509Ref) -> Option<String> {
    Some(hash(&certificate.public_key().ok()?.public_key_to_der().ok()?))
}
