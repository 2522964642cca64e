//! What the router does, seen through the doors that a user uses: real sockets, the real
//! program, the files on disk. One module a subject; the harness stands in `tests/support/`.
#![allow(unreachable_pub, reason = "a test program offers nothing to anybody")]
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time"
)]

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
/// The pages under `docs/`.
mod docs;
/// Backup lists: what counts as a failure, and what does not.
mod failover;
/// Faults made by the router.
mod faults;
/// HTTP, byte by byte.
mod http;
/// Every limit of the configuration.
mod limits;
/// The road: selection, one-way, what becomes of a decision.
mod readme;
/// Hot reload.
mod reload;
mod road;
/// Golden cases: which message goes where, through every door.
mod route;
/// Reloads and deaths while traffic flows.
mod under_load;
/// The verbs, and the life of the process.
mod verbs;
