//! The door to the world: accepting connections and speaking HTTP on them.
//!
//! Knows no SOAP: every request becomes an [`Arrival`](crate::exchange::Arrival) and whatever
//! comes back is written out. Limits on connections, heads and idle time are held here.

mod connection;
mod entry;
mod http2;
mod listener;
mod room;

pub use listener::{Accepting, BindError, bind, claim, serve};
pub use room::Room;
