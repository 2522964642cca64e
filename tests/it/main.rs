//! What the router does, seen through the doors that a user uses: real sockets, the real
//! program, the files on disk. One module a subject; the harness stands in `tests/support/`.

#[path = "../support/mod.rs"]
mod support;

/// The files that are shipped.
mod config_files;
/// Golden pairs: broken configurations and what is said of them.
mod golden_check;

/// Backup lists: what counts as a failure, and what does not.
mod failover;
/// Faults made by the router.
mod faults;
/// HTTP, byte by byte.
mod http;
/// The road: selection, one-way, what becomes of a decision.
mod readme;
mod road;
/// Golden cases: which message goes where, through every door.
mod route;
