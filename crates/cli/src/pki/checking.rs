//! `peerbound pki check`: what is wrong with the files of an authority or of a node, and what expires when.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use peerbound_daemon::{ConfigFile, DaemonConfig, EXPIRY_WARNING_DAYS, unix_seconds};
use peerbound_dtls::{Identity, RevocationList, common_name, expires_at, read_certificates};
use serde::Serialize;

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::about;
use crate::pki::ledger::{LIST, Ledger};

const DAY: i64 = 24 * 3600;

#[derive(Args)]
pub(crate) struct PkiCheckArguments {
    /// The folder of an authority, or the configuration of a node.
    #[arg(value_name = "PATH", default_value = "pki")]
    path: PathBuf,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Gravity {
    Good,
    Soon,
    Wrong,
}

/// One thing that was found.
#[derive(Debug, Serialize)]
struct Finding {
    gravity: Gravity,
    file: String,
    what: String,
}

struct Findings {
    now: i64,
    found: Vec<Finding>,
}

pub(super) fn check(arguments: &PkiCheckArguments, output: &Output) -> CommandResult {
    let path = &arguments.path;
    let mut findings = Findings { now: unix_seconds(), found: Vec::new() };
    if path.is_dir() {
        findings.check_folder(path)?;
    } else {
        findings.check_configuration(path)?;
    }
    for finding in &findings.found {
        output.result(finding, || {
            let word = match finding.gravity {
                Gravity::Good => "good",
                Gravity::Soon => "soon",
                Gravity::Wrong => "WRONG",
            };
            format!("{word:<5}  {}: {}", finding.file, finding.what)
        })?;
    }
    let is_wrong = findings.found.iter().any(|finding| finding.gravity == Gravity::Wrong);
    Ok(if is_wrong { Outcome::DidNotHold } else { Outcome::Held })
}

impl Findings {
    fn note(&mut self, gravity: Gravity, file: &Path, what: impl Into<String>) {
        self.found.push(Finding { gravity, file: file.display().to_string(), what: what.into() });
    }

    fn check_folder(&mut self, dir: &Path) -> Result<(), Failure> {
        let entries = fs::read_dir(dir).map_err(|error| about(dir, "cannot be read", error))?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let ending = |path: &PathBuf, ending: &str| path.extension().is_some_and(|other| other == ending);
        for path in paths.iter().filter(|path| ending(path, "pem") && !path.ends_with(LIST)) {
            self.check_certificates(path);
        }
        for path in paths.iter().filter(|path| ending(path, "key")) {
            self.check_key(path);
        }
        if paths.is_empty() {
            self.note(
                Gravity::Wrong,
                dir,
                "the folder is empty: make an authority with `peerbound pki init`",
            );
        }
        if dir.join("ca.pem").exists() {
            self.check_ledger(dir)?;
        }
        Ok(())
    }

    fn check_configuration(&mut self, path: &Path) -> Result<(), Failure> {
        let file = ConfigFile::read(path).map_err(Failure::request)?;
        let base = path.parent().unwrap_or(Path::new("."));
        match DaemonConfig::of_file(&file, path, self.now) {
            Ok(_) => self.note(Gravity::Good, path, "everything it names can be used"),
            Err(error) => self.note(Gravity::Wrong, path, format!("{error}")),
        }
        self.check_certificates(&base.join(&file.node.certificate));
        for root in &file.node.roots {
            self.check_certificates(&base.join(root));
        }
        for list in &file.node.crl {
            self.check_list(&base.join(list), None);
        }
        Ok(())
    }

    fn check_certificates(&mut self, path: &Path) {
        let certificates = fs::read(path).ok().and_then(|pem| read_certificates(&pem).ok());
        let Some(certificates) = certificates else {
            return self.note(Gravity::Wrong, path, "it holds no readable PEM certificate");
        };
        for certificate in certificates {
            let name = common_name(&certificate);
            match expires_at(&certificate) {
                Some(at) => self.note_end(path, &format!("the certificate of \"{name}\""), at),
                None => self.note(Gravity::Wrong, path, format!("the end of \"{name}\" cannot be read")),
            }
        }
    }

    fn note_end(&mut self, path: &Path, whose: &str, at: i64) {
        let days = (at - self.now).div_euclid(DAY);
        match days {
            ..0 => self.note(Gravity::Wrong, path, format!("{whose} has expired, {} days ago", -days)),
            0..EXPIRY_WARNING_DAYS => {
                self.note(Gravity::Soon, path, format!("{whose} expires in {days} days"));
            }
            EXPIRY_WARNING_DAYS.. => {
                self.note(Gravity::Good, path, format!("{whose} expires in {days} days"));
            }
        }
    }

    fn check_key(&mut self, path: &Path) {
        if is_open_to_others(path) {
            self.note(Gravity::Wrong, path, "others than its owner may read it: chmod 600");
        }
        let is_authority = path.file_name().is_some_and(|name| name == "ca.key");
        let Ok(key) = fs::read(path) else {
            return self.note(Gravity::Wrong, path, "it cannot be read");
        };
        if String::from_utf8_lossy(&key).contains("ENCRYPTED") {
            if !is_authority {
                self.note(Gravity::Wrong, path, "it is encrypted, and a node starts without a passphrase");
            }
            return;
        }
        if is_authority {
            self.note(Gravity::Soon, path, "it is not encrypted: whoever copies it can issue members");
        }
        let certificate = path.with_extension("pem");
        match fs::read(&certificate) {
            Ok(pem) => {
                if let Err(error) = Identity::from_pem(&pem, &key) {
                    self.note(Gravity::Wrong, path, format!("beside {}: {error}", certificate.display()));
                }
            }
            Err(_) => self.note(
                Gravity::Wrong,
                path,
                format!("its certificate {} is missing", certificate.display()),
            ),
        }
    }

    fn check_ledger(&mut self, dir: &Path) -> Result<(), Failure> {
        let ledger = Ledger::read(dir)?;
        self.check_list(&dir.join(LIST), Some(&ledger));
        for entry in ledger.revoked() {
            let what = format!("\"{}\" is revoked (number {})", entry.name, entry.serial);
            self.note(Gravity::Good, &dir.join(super::ledger::LEDGER), what);
        }
        Ok(())
    }

    /// Checks a list of what is revoked, and that it says what the ledger does.
    fn check_list(&mut self, path: &Path, ledger: Option<&Ledger>) {
        let read = fs::read(path).map_err(|error| anyhow!("it cannot be read ({error})"));
        let lists = read.and_then(|pem| Ok(RevocationList::from_pem(&pem)?));
        let lists = match lists {
            Ok(lists) => lists,
            Err(error) => {
                let fix = "sign one with `peerbound pki crl`";
                return self.note(Gravity::Wrong, path, format!("{error}: {fix}"));
            }
        };
        for list in &lists {
            match list.next_update() {
                Some(due) if due < self.now => {
                    self.note(Gravity::Wrong, path, "the next list is overdue: `peerbound pki crl`");
                }
                Some(due) => {
                    let days = (due - self.now).div_euclid(DAY);
                    self.note(
                        Gravity::Good,
                        path,
                        format!("{} revoked, the next list is due in {days} days", list.len()),
                    );
                }
                None => self.note(Gravity::Wrong, path, "it does not say when the next one is due"),
            }
        }
        let revoked = ledger.map_or(0, |ledger| ledger.revoked().count());
        if lists.iter().map(RevocationList::len).sum::<usize>() < revoked {
            let what = "it lacks what the ledger has revoked: sign it anew with `peerbound pki crl`";
            self.note(Gravity::Wrong, path, what);
        }
    }
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}
