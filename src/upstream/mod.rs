//! Endpoints as living things: connections kept, and one message brought to one of them.
//!
//! [`Endpoint`] is the compiled description that the snapshot fills in; [`Client`] belongs to
//! one worker and keeps its idle connections. Which endpoint is asked, and what happens when
//! one fails, is decided in `exchange`.

mod client;
mod connect;
mod endpoint;
mod error;
mod pool;

pub use client::{Client, Progress, Reply};
pub use endpoint::{Endpoint, Host};
pub use error::{Phase, SendError};
