//! From changed files to a new configuration in force, or the old one kept.
//!
//! [`Reloader`] is the one road for every reason to reload: a file change, SIGHUP, the admin
//! interface. A configuration with mistakes never replaces a good one.

mod reloader;
mod watch;

pub use reloader::{Outcome, Reloader, Status};
pub use watch::{WatchError, Watcher};
