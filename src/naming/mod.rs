//! Names to addresses: what a host's name leads to, and for how long that holds.
//!
//! [`Resolver::lookup`] asks once; who asks again when the time is over, and what is kept when
//! nobody answers, is `upstream`'s matter.

mod resolver;

pub use resolver::{Found, LookupError, Resolver, Settings};
