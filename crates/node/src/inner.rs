//! Inner sessions: DTLS from origin to destination over the frames that relays carry, so that a relay sees
//! ids and sizes and nothing else. What is here is bookkeeping; `node/inner.rs` acts on it.

mod budget;
mod config;
mod content;
mod session;
mod sessions;
mod view;
mod waiting;

pub use config::{EndToEnd, INNER_IDLE_DEFAULT, INNER_SESSIONS_MAX, InnerConfig};
pub use view::{InnerState, InnerView};

pub(crate) use budget::INNER_HALF_OPEN_MAX;
pub(crate) use content::{CONTENT_BYTES, Content};
pub(crate) use session::{InnerSession, Way};
pub(crate) use sessions::{Inner, cookie_address};
pub(crate) use waiting::Waiter;
