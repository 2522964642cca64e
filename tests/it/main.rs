//! What the router does, seen through the doors that a user uses: real sockets, the real
//! program, the files on disk. One module a subject; the harness stands in `tests/support/`.

#[path = "../support/mod.rs"]
mod support;

/// The files that are shipped.
mod config_files;
/// Golden pairs: broken configurations and what is said of them.
mod golden_check;

/// The admin interface.
mod admin;
/// Broken, hostile and endless messages.
mod bad_input;
/// Backup lists: what counts as a failure, and what does not.
mod failover;
/// Faults made by the router.
mod faults;
/// HTTP, byte by byte.
mod http;
/// Every limit of the configuration.
mod limits;
/// Hot reload.
mod reload;
/// The road: selection, one-way, what becomes of a decision.
mod readme;
mod road;
/// Golden cases: which message goes where, through every door.
mod route;
/// Reloads and deaths while traffic flows.
mod under_load;
/// The verbs, and the life of the process.
mod verbs;
