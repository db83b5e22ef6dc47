//! What happened in a run, written down once and shown in many forms. The model is the same for
//! every backend: a simulated world, loopback sockets, network namespaces.

mod model;

pub use model::{
    DatagramId, Entry, Happening, HostIndex, HostLabel, Nanos, SealedBy, SessionIndex, SessionLabel, Trace,
    Way,
};
