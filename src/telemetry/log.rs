//! The application log: one line an event, on stderr.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Starts logging to stderr. `filter` is a tracing directive such as `info` or
/// `soap_router=debug`; the variable `RUST_LOG` wins over it. A second start does nothing.
pub fn start_logging(filter: &str, json: bool) {
    let directives = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let builder = fmt()
        .with_env_filter(directives)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A logger already there (a program that embeds the library) is the one to keep.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}
