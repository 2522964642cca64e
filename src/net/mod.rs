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
mod tunnel;
mod websocket;

pub use ahead::Ahead;
pub use body::{Body, BodyError, Deadline, OnEnd, Patience, Relay};
pub use change::{Change, ChangeError, Changed};
pub use headers::strip_hop_by_hop;
pub use incoming::{Incoming, SharedBody, WireError};
pub use replay::{Bounds, Budget, Inspect, OnOverflow, Replay, ReplayReader, SourceError};

pub use tunnel::{OnClose, Tunnel};

pub use crate::http1::{Stream, UPGRADE_PROTOCOL, Upgraded, has_word};
