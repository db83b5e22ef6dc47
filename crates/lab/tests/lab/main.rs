//! The lab as a whole, on real sockets: what it observes, and what others read in its captures.

#[path = "../../../../tests/pages/browser.rs"]
mod browser;
mod capture;
mod connection_ids;
mod demo;
mod library_on_real_sockets;
mod live_page;
mod real_sockets;
mod scenario_errors;
mod scenario_files;
mod story;
mod tap;
mod trace_capture;
mod trace_carried;
mod trace_forms;
mod trace_page;
mod tshark;
