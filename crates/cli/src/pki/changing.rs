//! What an authority does with certificates that it issued: it renews them and takes them back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use peerbound_daemon::unix_seconds;
use peerbound_dtls::{
    Certification, Identity, Validity, X509, common_name, is_self_signed, read_certificates, serial_number,
};
use peerbound_node::{certified_prefixes, prefix_uri};
use peerbound_wire::Prefix;
use serde::Serialize;

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::files::{Secrecy, hold, put};
use crate::pki::ledger::{Entry, LIST, Ledger};
use crate::pki::{about, node_name, passphrase, prefix_uris, read_authority, show};

/// Days after which the next list of what is revoked is due.
pub(super) const LIST_DAYS: u32 = 30;

#[derive(Args)]
pub(crate) struct RenewArguments {
    /// The node's name.
    #[arg(value_name = "NAME", value_parser = node_name)]
    name: String,
    /// The folder of the authority's files, and of the node's certificate.
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// A prefix that the node may announce; without any, those of its certificate stay.
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefixes: Vec<Prefix>,
    /// How long the certificate is valid.
    #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// The passphrase of the authority's key is the first line of this file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct RevokeArguments {
    /// The node's name: every certificate that was issued to it is taken back.
    #[arg(value_name = "NAME", value_parser = node_name)]
    name: String,
    #[command(flatten)]
    list: CrlArguments,
}

#[derive(Args)]
pub(crate) struct CrlArguments {
    /// The folder of the authority's files.
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// Days after which the next list is due.
    #[arg(long, default_value_t = LIST_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// The passphrase of the authority's key is the first line of this file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// What a list says.
#[derive(Serialize)]
struct Published {
    file: String,
    number: u32,
    revoked: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    taken_back: Vec<String>,
}

pub(super) fn renew(arguments: &RenewArguments, output: &Output) -> CommandResult {
    let RenewArguments { name, dir, prefixes, days, passphrase_file } = arguments;
    let path = dir.join(format!("{name}.pem"));
    if certificate_in(&path).is_ok_and(|former| is_self_signed(&former)) {
        return renew_self_signed(arguments, &path, output);
    }
    let authority = read_authority(dir, passphrase(passphrase_file.as_deref())?.as_deref())?;
    let _hold = hold(dir)?;
    let former = certificate_in(&path)?;
    let mut ledger = Ledger::read(dir)?;
    if ledger.is_revoked(&serial_number(&former).map_err(Failure::world)?) {
        return Err(Failure::Request(anyhow!(
            "{}: this certificate is revoked, and its key may be in other hands: issue one by another name",
            path.display()
        )));
    }
    let uris = match prefixes.is_empty() {
        true => certified_prefixes(&former).iter().map(prefix_uri).collect(),
        false => prefix_uris(prefixes)?,
    };
    let validity = Validity::days(unix_seconds(), *days);
    let holder = common_name(&former);
    let what = Certification { name: &holder, uris: &uris, validity };
    let renewed = authority.renew(&former, &what).map_err(Failure::world)?;
    ledger.note(Entry::of(&former)?)?;
    ledger.note(Entry::of(&renewed)?)?;
    ledger.write(dir)?;
    put(&path, &renewed.to_pem().map_err(Failure::world)?, Secrecy::Public)?;
    show(&path, output)
}

/// The node's own key signs once more, and no authority is asked.
fn renew_self_signed(arguments: &RenewArguments, path: &Path, output: &Output) -> CommandResult {
    let RenewArguments { name, dir, prefixes, days, .. } = arguments;
    if !prefixes.is_empty() {
        let problem =
            "its own key signed it, and prefixes are believed of an authority alone: leave out --prefix";
        return Err(Failure::Request(anyhow!("{}: {problem}", path.display())));
    }
    let _hold = hold(dir)?;
    let key_path = dir.join(format!("{name}.key"));
    let read = |path: &Path| fs::read(path).map_err(|error| about(path, "cannot be read", error));
    let identity = Identity::from_pem(&read(path)?, &read(&key_path)?)
        .map_err(|error| Failure::Request(anyhow!("{}: {error}", key_path.display())))?;
    let validity = Validity::days(unix_seconds(), *days);
    let holder = common_name(identity.certificate());
    let renewed = identity.renew_self_signed(&Certification { name: &holder, uris: &[], validity });
    put(path, &renewed.and_then(|renewed| renewed.to_pem()).map_err(Failure::world)?, Secrecy::Public)?;
    show(path, output)
}

pub(super) fn revoke(arguments: &RevokeArguments, output: &Output) -> CommandResult {
    let RevokeArguments { name, list: CrlArguments { dir, days, passphrase_file } } = arguments;
    let authority = read_authority(dir, passphrase(passphrase_file.as_deref())?.as_deref())?;
    let _hold = hold(dir)?;
    let mut ledger = Ledger::read(dir)?;
    let path = dir.join(format!("{name}.pem"));
    if path.exists() {
        // An older authority has kept no ledger.
        let certificate = certificate_in(&path)?;
        ledger.note(Entry { name: name.clone(), ..Entry::of(&certificate)? })?;
    }
    if !ledger.certificates.iter().any(|entry| entry.name == *name) {
        return Err(Failure::Request(anyhow!(
            "nothing was issued to \"{name}\" in {}: `peerbound pki check {}` lists the names",
            dir.display(),
            dir.display()
        )));
    }
    let taken_back = ledger.revoke(name, unix_seconds());
    ledger.publish(dir, &authority, *days)?;
    report(dir, &ledger, taken_back, output)
}

pub(super) fn crl(arguments: &CrlArguments, output: &Output) -> CommandResult {
    let CrlArguments { dir, days, passphrase_file } = arguments;
    let authority = read_authority(dir, passphrase(passphrase_file.as_deref())?.as_deref())?;
    let _hold = hold(dir)?;
    let mut ledger = Ledger::read(dir)?;
    ledger.publish(dir, &authority, *days)?;
    report(dir, &ledger, Vec::new(), output)
}

fn report(dir: &Path, ledger: &Ledger, taken_back: Vec<String>, output: &Output) -> CommandResult {
    let file = dir.join(LIST).display().to_string();
    let published = Published { file, number: ledger.lists, revoked: ledger.revoked().count(), taken_back };
    output.result(&published, || {
        let mut text =
            format!("{}\n  number   {}\n  revoked  {}", published.file, published.number, published.revoked);
        for serial in &published.taken_back {
            text += &format!("\n  new      {serial}");
        }
        text
    })?;
    Ok(Outcome::Held)
}

fn certificate_in(path: &Path) -> Result<X509, Failure> {
    let pem = fs::read(path).map_err(|error| about(path, "cannot be read", error))?;
    let certificates = read_certificates(&pem);
    let certificate = certificates.ok().and_then(|certificates| certificates.into_iter().next());
    certificate
        .ok_or_else(|| Failure::Request(anyhow!("{}: it holds no readable PEM certificate", path.display())))
}
