//! Bodies on the wire: bounded, relayed, sent more than once; and how header names are spelled.
//!
//! Knows HTTP bodies and bytes, no SOAP and no configuration.

mod ahead;
mod body;
mod caller;
mod headers;
mod incoming;
mod replay;
mod spelling;
mod stream;
pub mod tls;

pub use ahead::Ahead;
pub use body::{Body, BodyError, OnEnd, Relay};
pub use caller::{Caller, CallerWatch, Waits};
pub use headers::strip_hop_by_hop;
pub use incoming::{Incoming, WireError};
pub use replay::{Bounds, Budget, Inspect, OnOverflow, Replay, ReplayReader, SourceError};
pub use spelling::Spelling;
pub use stream::Stream;
