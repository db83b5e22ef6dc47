//! How a host becomes a member without a file being carried there by hand: `pki invite` makes a token that
//! works once, `pki serve` waits for whoever has it, `join` makes a key where it stays and has it certified.

mod exchange;
mod invites;
mod inviting;
mod joining;
mod serving;
mod token;

pub(crate) use inviting::{InviteArguments, invite};
pub(crate) use joining::{JoinArguments, join};
pub(crate) use serving::{ServeArguments, serve};
