//! Who may enter a service or a route, how many at a time, and how fast.
//!
//! A [`Gate`] lives as long as its service has rules, through reloads; every worker asks the same
//! one. Knows addresses and numbers, no HTTP and no SOAP.

mod gate;
mod rate;
mod slots;

pub use gate::{Gate, Pass, Refusal, Rules};
pub use rate::{By, Rate};
