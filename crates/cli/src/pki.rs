//! `peerbound pki`: an authority and the certificates of nodes, as PEM files.

use std::env::VarError;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use peerbound_daemon::unix_seconds;
use peerbound_dtls::{
    Authority, Certification, Identity, IdentityError, KeyHash, Validity, X509Ref, common_name,
    read_certificates,
};
use peerbound_node::{certified_prefixes, node_id, prefix_uri};
use peerbound_wire::{PREFIXES_MAX, Prefix};
use serde::Serialize;

use crate::enrol;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;

mod changing;
mod checking;
mod files;
mod ledger;

pub(crate) use files::{Secrecy, hold, put, write_new};
pub(crate) use ledger::{Entry, LIST, Ledger};

/// What OpenSSL makes room for when it asks for the passphrase of a key (PEM_BUFSIZE).
const PASSPHRASE_BYTES_MAX: usize = 1024;

/// The variable that may hold the passphrase of the authority's key.
const PASSPHRASE_VARIABLE: &str = "PEERBOUND_CA_PASSPHRASE";

#[derive(Subcommand)]
pub(crate) enum PkiCommand {
    /// Make an authority: ca.pem and ca.key.
    Init(InitArguments),
    /// Issue a node's certificate: NAME.pem and NAME.key.
    Issue(IssueArguments),
    /// Certify a node's key once more: the key stays, and so does the id.
    Renew(changing::RenewArguments),
    /// Take a node's certificates back, and sign the list that says so: crl.pem.
    Revoke(changing::RevokeArguments),
    /// Sign the list of what is revoked anew, before its next update is due: crl.pem.
    Crl(changing::CrlArguments),
    /// Make a token with which a host may join once: `peerbound join TOKEN`.
    Invite(enrol::InviteArguments),
    /// Wait for those who have a token, and certify their keys.
    Serve(enrol::ServeArguments),
    /// Say who a certificate is for, and which node id follows from its key.
    Show(ShowArguments),
    /// Say what is wrong with an authority's folder or with the files of a node, and what expires when.
    Check(checking::PkiCheckArguments),
}

#[derive(Args)]
pub(crate) struct InitArguments {
    /// The folder for the files; made if it is missing.
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// The name in the authority's certificate: 1 to 64 characters.
    #[arg(long, default_value = "peerbound CA", value_parser = authority_name)]
    name: String,
    /// How long it is valid.
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Encrypt the authority's key with the first line of this file (or with the variable
    /// PEERBOUND_CA_PASSPHRASE).
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct IssueArguments {
    /// The node's name: letters, digits, '-', '_' and '.'.
    #[arg(value_name = "NAME", value_parser = node_name)]
    name: String,
    /// The folder of the authority's files, and for the node's.
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// A prefix that the node may announce, as 10.7.0.0/16 or fd12::/48; may be given 16 times.
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefixes: Vec<Prefix>,
    /// How long it is valid.
    #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// The passphrase of the authority's key is the first line of this file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Let the node's own key sign: for nodes with `admission = "pinned"`, which need no authority.
    #[arg(long, conflicts_with_all = ["prefixes", "passphrase_file"])]
    self_signed: bool,
}

#[derive(Args)]
pub(crate) struct ShowArguments {
    /// A PEM file with a certificate.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What a certificate says.
#[derive(Serialize)]
struct Shown {
    file: String,
    name: String,
    id: String,
    overlay: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prefixes: Vec<String>,
    issuer: String,
    not_before: String,
    not_after: String,
}

pub(crate) fn pki(command: &PkiCommand, output: &Output) -> CommandResult {
    match command {
        PkiCommand::Init(arguments) => init(arguments, output),
        PkiCommand::Issue(arguments) => issue(arguments, output),
        PkiCommand::Renew(arguments) => changing::renew(arguments, output),
        PkiCommand::Revoke(arguments) => changing::revoke(arguments, output),
        PkiCommand::Crl(arguments) => changing::crl(arguments, output),
        PkiCommand::Invite(arguments) => enrol::invite(arguments, output),
        PkiCommand::Serve(arguments) => enrol::serve(arguments, output),
        PkiCommand::Show(arguments) => show(&arguments.file, output),
        PkiCommand::Check(arguments) => checking::check(arguments, output),
    }
}

fn init(arguments: &InitArguments, output: &Output) -> CommandResult {
    let passphrase = passphrase(arguments.passphrase_file.as_deref())?;
    fs::create_dir_all(&arguments.dir)
        .map_err(|error| about(&arguments.dir, "the folder cannot be made: choose another", error))?;
    let authority = Authority::generate(&arguments.name, Validity::days(unix_seconds(), arguments.days))
        .map_err(|error| {
            Failure::Request(anyhow!("the authority \"{}\" cannot be made: {error}", arguments.name))
        })?;
    let certificate = authority.certificate_to_pem().map_err(Failure::world)?;
    let key = authority.key_to_pem(passphrase.as_deref()).map_err(Failure::world)?;
    let _hold = hold(&arguments.dir)?;
    write_pair(&arguments.dir, "ca", &certificate, &key)?;
    Ledger::default().publish(&arguments.dir, &authority, changing::LIST_DAYS)?;
    show(&arguments.dir.join("ca.pem"), output)
}

fn issue(arguments: &IssueArguments, output: &Output) -> CommandResult {
    if arguments.self_signed {
        return issue_self_signed(arguments, output);
    }
    let passphrase = passphrase(arguments.passphrase_file.as_deref())?;
    let authority = read_authority(&arguments.dir, passphrase.as_deref())?;
    let uris = prefix_uris(&arguments.prefixes)?;
    let validity = Validity::days(unix_seconds(), arguments.days);
    let identity = authority
        .issue_as(&Certification { name: &arguments.name, uris: &uris, validity })
        .map_err(|error| not_certified(&arguments.name, &error))?;
    let _hold = hold(&arguments.dir)?;
    let mut ledger = Ledger::read(&arguments.dir)?;
    ledger.note(Entry::of(identity.certificate())?)?;
    let certificate = identity.certificates_to_pem().map_err(Failure::world)?;
    let key = identity.key_to_pem().map_err(Failure::world)?;
    refuse_to_replace(&arguments.dir, &arguments.name)?;
    // Noted first: a certificate that the ledger does not know could not be revoked by its name.
    ledger.write(&arguments.dir)?;
    write_pair(&arguments.dir, &arguments.name, &certificate, &key)?;
    show(&arguments.dir.join(format!("{}.pem", arguments.name)), output)
}

/// No authority knows of it: there is no ledger to note it in, and nobody to take it back.
fn issue_self_signed(arguments: &IssueArguments, output: &Output) -> CommandResult {
    let IssueArguments { name, dir, days, .. } = arguments;
    let validity = Validity::days(unix_seconds(), *days);
    let identity = Identity::self_signed(&Certification { name, uris: &[], validity })
        .map_err(|error| not_certified(name, &error))?;
    let certificate = identity.certificates_to_pem().map_err(Failure::world)?;
    let key = identity.key_to_pem().map_err(Failure::world)?;
    fs::create_dir_all(dir)
        .map_err(|error| about(dir, "the folder cannot be made: choose another", error))?;
    let _hold = hold(dir)?;
    write_pair(dir, name, &certificate, &key)?;
    let shown = shown(&dir.join(format!("{name}.pem")), identity.certificate())?;
    output.result(&shown, || {
        let pin = format!("  [[neighbour]]\n  name = \"{name}\"\n  id = \"{}\"", shown.id);
        format!(
            "{}\nIn the file of each of its neighbours, beside admission = \"pinned\":\n{pin}",
            text_of(&shown)
        )
    })?;
    Ok(Outcome::Held)
}

fn not_certified(name: &str, error: &IdentityError) -> Failure {
    Failure::Request(anyhow!("\"{name}\" cannot be certified: {error}"))
}

pub(crate) fn prefix_uris(prefixes: &[Prefix]) -> Result<Vec<String>, Failure> {
    if prefixes.len() > PREFIXES_MAX {
        let count = prefixes.len();
        return Err(Failure::Request(anyhow!(
            "{count} prefixes are more than the {PREFIXES_MAX} that a certificate may carry: join some to a shorter one"
        )));
    }
    Ok(prefixes.iter().map(prefix_uri).collect())
}

pub(crate) fn read_authority(dir: &Path, passphrase: Option<&[u8]>) -> Result<Authority, Failure> {
    let (certificate_path, key_path) = (dir.join("ca.pem"), dir.join("ca.key"));
    let read = |path: &Path| {
        fs::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                about(path, "the authority is missing: make one with `peerbound pki init`", error)
            }
            _ => about(path, "cannot be read", error),
        })
    };
    let (certificate, key) = (read(&certificate_path)?, read(&key_path)?);
    Authority::from_pem(&certificate, &key, passphrase).map_err(|error| {
        let (path, problem) = match error {
            IdentityError::NoCertificate => (&certificate_path, error.to_string()),
            IdentityError::WrongPassphrase => (&key_path, closed_key(&key, passphrase)),
            IdentityError::NoKey
            | IdentityError::KeyMismatch { .. }
            | IdentityError::Expired { .. }
            | IdentityError::NotYetValid { .. }
            | IdentityError::Openssl(_) => (&key_path, error.to_string()),
        };
        Failure::Request(anyhow!("{}: {problem}", path.display()))
    })
}

/// Says why a key did not open: OpenSSL does not tell garbage from a wrong passphrase.
fn closed_key(key: &[u8], passphrase: Option<&[u8]>) -> String {
    let is_encrypted = String::from_utf8_lossy(key).contains("ENCRYPTED");
    match (is_encrypted, passphrase) {
        (false, _) => "it holds no readable PEM private key".to_owned(),
        (true, None) => {
            format!("it is encrypted: give its passphrase by --passphrase-file or {PASSPHRASE_VARIABLE}")
        }
        (true, Some(_)) => "the passphrase does not open it: give the one it was made with".to_owned(),
    }
}

fn show(file: &Path, output: &Output) -> CommandResult {
    let pem = fs::read(file).map_err(|error| about(file, "cannot be read", error))?;
    let certificates = read_certificates(&pem).map_err(|error| {
        let fix = "it takes a file with -----BEGIN CERTIFICATE----- in it";
        Failure::Request(anyhow!("{}: {error}: {fix}", file.display()))
    })?;
    for certificate in &certificates {
        let shown = shown(file, certificate)?;
        output.result(&shown, || text_of(&shown))?;
    }
    Ok(Outcome::Held)
}

fn text_of(shown: &Shown) -> String {
    format!(
        "{}\n  name     {}\n  id       {}\n  overlay  {}\n{}  issuer   {}\n  valid    {} to {}",
        shown.file,
        shown.name,
        shown.id,
        shown.overlay,
        prefixes_line(&shown.prefixes),
        shown.issuer,
        shown.not_before,
        shown.not_after
    )
}

fn prefixes_line(prefixes: &[String]) -> String {
    if prefixes.is_empty() { String::new() } else { format!("  prefixes {}\n", prefixes.join(", ")) }
}

fn shown(file: &Path, certificate: &X509Ref) -> Result<Shown, Failure> {
    let key = KeyHash::of(certificate)
        .map_err(|error| Failure::Request(anyhow!("{}: its key cannot be read: {error}", file.display())))?;
    let id = node_id(&key);
    Ok(Shown {
        file: file.display().to_string(),
        name: common_name(certificate),
        id: id.to_string(),
        overlay: id.address().to_string(),
        prefixes: certified_prefixes(certificate).iter().map(ToString::to_string).collect(),
        issuer: peerbound_dtls::issuer_name(certificate),
        not_before: certificate.not_before().to_string(),
        not_after: certificate.not_after().to_string(),
    })
}

/// Writes a certificate and its key; neither replaces a file that is there.
fn write_pair(dir: &Path, name: &str, certificate: &[u8], key: &[u8]) -> Result<(), Failure> {
    refuse_to_replace(dir, name)?;
    write_new(&dir.join(format!("{name}.key")), key, Secrecy::Owner)?;
    write_new(&dir.join(format!("{name}.pem")), certificate, Secrecy::Public)
}

pub(crate) fn refuse_to_replace(dir: &Path, name: &str) -> Result<(), Failure> {
    for path in [dir.join(format!("{name}.pem")), dir.join(format!("{name}.key"))] {
        if path.exists() {
            let problem = "is there already and is not replaced: remove it, or choose another name or folder";
            return Err(Failure::Request(anyhow!("{} {problem}", path.display())));
        }
    }
    Ok(())
}

/// Writes a file that holds no secrets, in place of an earlier one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| about(path, "cannot be written", error))
}

pub(crate) fn about(path: &Path, problem: &str, error: std::io::Error) -> Failure {
    Failure::Request(anyhow!("{}: {problem} ({error})", path.display()))
}

/// Takes the passphrase from the first line of the file, or from the variable; where neither is
/// given there is none.
pub(crate) fn passphrase(file: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    let (text, place) = match file {
        Some(file) => {
            let text = fs::read_to_string(file)
                .map_err(|error| about(file, "the passphrase cannot be read from it", error))?;
            (text, file.display().to_string())
        }
        None => match std::env::var(PASSPHRASE_VARIABLE) {
            Ok(text) => (text, PASSPHRASE_VARIABLE.to_owned()),
            Err(VarError::NotPresent) => return Ok(None),
            Err(VarError::NotUnicode(_)) => {
                return Err(Failure::Request(anyhow!("{PASSPHRASE_VARIABLE}: it is not text in UTF-8")));
            }
        },
    };
    let line = text.lines().next().unwrap_or_default();
    match line.len() {
        0 => Err(Failure::Request(anyhow!("{place}: its first line, the passphrase, is empty: write one"))),
        1..=PASSPHRASE_BYTES_MAX => Ok(Some(line.as_bytes().to_vec())),
        _ => Err(Failure::Request(anyhow!(
            "{place}: its first line, the passphrase, is longer than {PASSPHRASE_BYTES_MAX} bytes: shorten it"
        ))),
    }
}

/// OpenSSL encodes a common name of 1 to 64 characters (RFC 5280, appendix A.1).
fn authority_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > 64 || text.chars().any(char::is_control) {
        return Err("a name has 1 to 64 printable characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A name that is a file name on every system and a label in a certificate.
pub(crate) fn node_name(text: &str) -> Result<String, String> {
    let is_good = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if text.is_empty() || text.len() > 63 || text.starts_with('.') || !text.chars().all(is_good) {
        return Err(
            "a name has 1 to 63 letters, digits, '-', '_' and '.', and does not begin with '.'".to_owned()
        );
    }
    if text.eq_ignore_ascii_case("ca") {
        return Err("this name is the authority's: choose another".to_owned());
    }
    Ok(text.to_owned())
}
