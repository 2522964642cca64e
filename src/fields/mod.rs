//! Heads of messages: their fields as they were read, and the lines before them.
//!
//! [`Fields`] keeps the text of a head and where each field stands in it, with the names that the
//! router itself looks for ([`Known`]) told once: whether one is there is a test of a bit, and
//! fields that nobody changed are written out as they came, in their order and their spelling.
//! `http`'s map of fields is for hyper and stays at its doors (`Fields::from_map`, `to_map`).
//!
//! **Invariant:** but for the order, whatever is done to them, [`Fields`] hold what an
//! `http::HeaderMap` would (`tests/it/fields.rs`), and no value holds a line end.
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod held;
mod known;
mod map;
mod message;
mod name;
mod reading;
mod value;

pub use held::{Fields, Several};
pub use known::*;
pub use message::{Request, RequestParts, Response, ResponseParts};
pub use name::{Key, Name, write_name};
pub use reading::Reading;
pub use value::{Value, as_text};
