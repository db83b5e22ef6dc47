//! Worlds as a whole, one module per hazard.

mod attacker;
mod commands;
mod determinism;
mod faults;
mod hooks;
mod links;
mod nat;
mod sockets;
mod support;
mod timers;
mod triangle;
