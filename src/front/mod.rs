//! The door to the world: accepting connections and speaking HTTP on them.
//!
//! Knows no SOAP: every request becomes an [`Arrival`](crate::exchange::Arrival) and whatever
//! comes back is written out. Limits on connections, heads and idle time are held here.

mod connection;
mod entry;
mod http2;
mod listener;
mod proxy_protocol;
mod room;
mod socket;
mod stop;

pub use listener::{Accepting, serve};
pub use room::Room;
pub use socket::{BindError, Opened, Socket, Trace, open};
pub use stop::Stop;
