//! The road of one message, from its head to the last byte of its answer.
//!
//! [`handle`] is the whole of it; each stage stands in a file of its own. The room takes and
//! gives messages of `fields`, so it can be driven without a socket.

mod admit;
mod arrival;
mod bridging;
mod closing;
mod deliver;
mod drain;
mod error;
mod explain;
mod forwarded;
mod judge;
mod outbound;
mod pass;
mod receive;
mod record;
mod reply;
mod rewrite;
mod road;
mod root_part;
mod settle;
mod upgrade;
mod values;
mod verify;
mod way;
mod worker;

pub use arrival::{Arrival, HeadFacts, Origin, Slip};
pub use error::{Blame, Error};
pub use explain::{BridgeText, ConsideredFilter, Explanation, FaultText, Send, explain};
pub use road::handle;
pub use worker::{Closing, Connected, Places, Worker};
