//! Counters and logs: what operators see of the running router.
//!
//! Labels are plain strings and numbers: this room knows no domain type, so every room may
//! count without tying itself to another. Names stand in [`names`], once.

mod access;
pub mod clock;
mod log;
mod metrics;
pub mod names;
mod servers;
mod sheets;
mod tls;

pub use access::{AccessLog, AccessLogFormat, Line, Overflow, Writer};
pub use log::start_logging;
pub use metrics::{EndpointMeter, Metrics, SERIES_MAX, ServiceMeter};
pub use servers::{ServerMeter, ServerSample};
pub use sheets::{Count, Durations, Level, Sheet};
pub use tls::TlsMeter;
