//! A request body on its way to one endpoint after another, or to several at a time.
//!
//! [`window`](self) holds what may be wanted again, `body` lets readers pass over it, `spool`
//! takes what memory may not hold.

mod body;
mod budget;
mod spool;
mod window;

pub use body::{Bounds, Inspect, OnOverflow, Replay, ReplayReader, SourceError};
pub use budget::Budget;
