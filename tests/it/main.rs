//! What the router does, seen through the doors that a user uses: real sockets, the real
//! program, the files on disk. One module a subject; the harness stands in `tests/support/`.

#[path = "../support/mod.rs"]
mod support;

/// Golden pairs: broken configurations and what is said of them.
mod golden_check;
/// The files that are shipped.
mod config_files;

/// Golden cases: which message goes where, through every door.
mod route;
/// The road: selection, one-way, what becomes of a decision.
mod road;
/// HTTP, byte by byte.
mod http;
/// Backup lists: what counts as a failure, and what does not.
mod failover;
/// Faults made by the router.
mod faults;
