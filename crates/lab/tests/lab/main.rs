//! The lab as a whole, on real sockets: what it observes, and what others read in its captures.

mod capture;
mod demo;
mod scenario_errors;
mod scenario_files;
mod tshark;
