//! The lab as a whole, on real sockets: what it observes, and what others read in its captures.

mod capture;
mod connection_ids;
mod demo;
mod scenario_errors;
mod scenario_files;
mod tap;
mod trace_forms;
mod tshark;
