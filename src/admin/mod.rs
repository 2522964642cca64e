//! The admin interface: look at the running router and nudge it.
//!
//! Serves its own small HTTP on its own address; nothing here is on the road of a message.

mod api;
mod endpoints;
mod server;

pub use server::{Admin, bind, serve};
