//! The triangle with whole processes on loopback: A sends to C through B, and nothing else reaches
//! A. One module per hazard.

mod admission;
mod demo;
mod example;
mod explaining;
mod loss_of_the_relay;
mod ports;
mod relaying;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod topology;
