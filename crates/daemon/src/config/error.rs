//! What is wrong with a configuration: one sentence that names the file, the key and the fix.

use std::path::PathBuf;

use peerbound_dtls::{ErrorStack, IdentityError};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{file}: cannot be read: {source}", file = file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
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
    #[error("{file}: {source}", file = file.display())]
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
