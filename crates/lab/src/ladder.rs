//! The ladder: C answers A directly, and on every rung the lock below is opened for it.

use crate::cast::{Cast, CastError};
use crate::report::Rung;
use crate::rig::RigError;
use crate::rungs;
use crate::tape::Tape;

/// How often an experiment is set up before it is given up.
const TRIES: usize = 3;

/// Why a demonstration could not be carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The certificates could not be made.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// Sockets or nodes did not do what every experiment needs.
    #[error(transparent)]
    Rig(#[from] RigError),
}

/// Climbs all rungs, each on fresh nodes.
pub(crate) fn climb(cast: &Cast, tape: &mut Tape) -> Result<Vec<Rung>, RigError> {
    let rungs = [
        rungs::kernel::connected_socket,
        rungs::demux::strict,
        rungs::records::every_session_fresh_number,
        rungs::records::every_session_seen_number,
        rungs::records::from_b_address,
        rungs::records::rewritten_number,
        rungs::stolen_keys::shared_keys,
        rungs::own_session::not_admitted,
        rungs::own_session::admitted,
    ];
    rungs.into_iter().map(|rung| with_patience(|tape| rung(cast, tape), tape)).collect()
}

/// Carries out an experiment, and once more when its set-up fell apart: on a machine that stalls for
/// seconds, neighbours give each other up in the middle of it. What was observed is never tried again.
pub(crate) fn with_patience<T>(
    mut experiment: impl FnMut(&mut Tape) -> Result<T, RigError>,
    tape: &mut Tape,
) -> Result<T, RigError> {
    for _ in 1..TRIES {
        let kept = tape.clone();
        match experiment(tape) {
            Ok(done) => return Ok(done),
            Err(error @ (RigError::Socket { .. } | RigError::Keys(_))) => return Err(error),
            Err(RigError::TimedOut(_) | RigError::Refused(_) | RigError::Missing(_)) => *tape = kept,
        }
    }
    experiment(tape)
}
