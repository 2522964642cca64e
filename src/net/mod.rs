//! Bodies on the wire: bounded, relayed, sent more than once.
//!
//! Knows HTTP bodies and bytes, no SOAP and no configuration.

mod ahead;
mod body;
mod change;
mod headers;
mod incoming;
mod replay;
pub mod tls;

pub use ahead::Ahead;
pub use body::{Body, BodyError, OnEnd, Relay};
pub use change::{Change, Changed};
pub use headers::strip_hop_by_hop;
pub use incoming::{Incoming, WireError};
pub use replay::{Bounds, Budget, Inspect, OnOverflow, Replay, ReplayReader, SourceError};

pub use crate::http1::Stream;
