//! Mistakes as data, and their faces.
//!
//! A [`Diagnostic`] says which rule was broken, where, what is allowed and what may help; a [`Report`]
//! collects them so that the user sees all of them at once; [`Sources`] keeps the text they point into.
//! How one looks (human, concise, JSON) is decided last, in `human.rs` and `data.rs`.
//!
//! **Invariant:** this room imports no other room, reads no file and knows nothing of YAML or SOAP.

mod data;
mod diagnostic;
mod human;
mod report;
mod source;

pub use data::{concise, to_json};
pub use diagnostic::{Diagnostic, Other, Severity};
pub use human::{Colour, human};
pub use report::Report;
pub use source::{FileId, Pos, Sources, Span};
