//! What is wrong with a configuration: one sentence that names the file, the key and the fix.

use std::io;
use std::path::PathBuf;

use peerbound_dtls::{ErrorStack, IdentityError};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}", file = file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that the configuration names cannot be read.
    #[error("{file}: {key}: {named} cannot be read: {source}; {fix}", file = file.display(), named = named.display(), fix = fix_for_reading(source))]
    NamedUnreadable {
        /// The file that names it.
        file: PathBuf,
        /// The key that names it.
        key: String,
        /// The file that cannot be read.
        named: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not TOML of the right shape.
    #[error("{file}:{line}: {problem}", file = file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The shape is right and a value is not.
    #[error("{file}: {key}: {problem}", file = file.display())]
    Value {
        /// Which file.
        file: PathBuf,
        /// Which key.
        key: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// A certificate or key cannot be used.
    #[error("{file}: {source}{fix}", file = file.display(), fix = fix_for_identity(source))]
    Identity {
        /// The file with the certificate or key.
        file: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// OpenSSL refuses the identity as a whole.
    #[error("{file}: OpenSSL refuses the certificate: {source}", file = file.display())]
    Context {
        /// The file with the certificate.
        file: PathBuf,
        /// What OpenSSL says.
        source: ErrorStack,
    },
}

impl ConfigError {
    /// Returns whether a file is there and we may not read it.
    pub(crate) fn is_not_permitted(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } | Self::NamedUnreadable { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            Self::Syntax { .. } | Self::Value { .. } | Self::Identity { .. } | Self::Context { .. } => false,
        }
    }
}

fn fix_for_reading(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "correct the path, or make the file with `peerbound pki`",
        io::ErrorKind::PermissionDenied => "let the user that runs the node read it",
        io::ErrorKind::IsADirectory => "name a file in it",
        _ => "name another file",
    }
}

/// Adds to an error of the identity what it leaves open.
fn fix_for_identity(error: &IdentityError) -> String {
    match error {
        IdentityError::NoCertificate => ": it takes a file with -----BEGIN CERTIFICATE----- in it".to_owned(),
        IdentityError::KeyMismatch { .. } => {
            ": name the two files that `peerbound pki issue` wrote together".to_owned()
        }
        IdentityError::Openssl(stack) => format!(": {stack}"),
        IdentityError::NoKey
        | IdentityError::WrongPassphrase
        | IdentityError::Expired { .. }
        | IdentityError::NotYetValid { .. } => String::new(),
    }
}
