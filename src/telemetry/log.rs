//! The application log: one line an event, on stderr.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Starts logging to stderr. `filter` is a tracing directive such as `info` or
/// `soap_router=debug`; the variable `RUST_LOG` wins over it. A second start does nothing.
pub fn start_logging(filter: &str, json: bool) {
    let directives = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let builder = fmt()
        .with_env_filter(directives)
        .with_writer(stderr)
        .with_ansi(wants_colour())
        .with_target(false);
    // A logger already there (a program that embeds the library) is the one to keep.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// Colours are for people who look at a terminal and do not say otherwise (`NO_COLOR`).
fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stderr().is_terminal() && !refused
}
