//! Which endpoints a message goes to, in which order.
//!
//! Knows numbers, not addresses: a [`Table`] row names its endpoints by id, and [`decide`]
//! turns the rows that matched into deliveries. Which rows matched is found in `filter`.

mod decide;
mod table;

pub use decide::{Decision, Delivery, Undecidable, decide};
pub use table::{EndpointId, Entry, EntryId, Pattern, SeveralMatches, Table};
