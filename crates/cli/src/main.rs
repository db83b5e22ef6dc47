//! The command line of peerbound.

fn main() {}
