//! XPath 1.0 over messages: many expressions, one pass.
//!
//! 1. [`parse`] text in an [`Environment`] (prefixes, the caller's functions, values that come with
//!    each message) to an [`Expr`], or a [`SyntaxError`] with column and hint. Everything that can be
//!    wrong is found here.
//! 2. [`Set::compile`] many into one immutable, shareable [`Set`]; [`Set::strategy`] says of each
//!    whether it streams or needs a tree, and why.
//! 3. A [`Run`] per worker, reused: [`Run::begin`], [`Run::feed`] with chunks of any size and an
//!    `xml::Observer` that reads along, [`Run::finish`]. At any time [`Run::state`],
//!    [`Run::matched`], [`Run::open_at_or_above`]. `feed` returns early as [`Pause`] says; what was
//!    not taken may be fed later, or never.
//! 4. If [`Run::needs_tree`] and the answers matter, [`Run::evaluate_trees`] with the whole message.
//! 5. [`why`] says in a sentence what made an expression true or false.
//!
//! The document is the message itself, nothing added; the context node is the root, so relative
//! paths start there. A prefix may mean several namespaces: a name test then matches any of them.
//!
//! **Invariant:** no file here knows SOAP, HTTP, time or files; `sxd_*` is named in `fallback.rs` only.
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

mod arrange;
mod ast;
mod compile;
mod compute;
mod ends;
mod environment;
mod error;
mod eval;
mod extract;
mod facts;
mod fallback;
mod flat;
mod functions;
mod index;
mod kept;
mod lexer;
mod listen;
mod literals;
mod locate;
mod missing;
mod names;
mod parser;
mod pass;
mod print;
mod program;
mod run;
mod scalar;
mod set;
mod show;
mod slots;
mod states;
mod stream;
mod tally;
mod tree;
mod trie;
mod upward;
mod value;
mod why;

pub use ast::{Expr, Type};
pub use environment::{Environment, Namespaces};
pub use error::SyntaxError;
pub use extract::{VALUE_BYTES_MAX, string_value};
pub use parser::{ParseLimits, parse};
pub use run::{External, Pause, Progress, Run, TreeError};
pub use set::{Atom, AtomId, Landmarks, Set, Strategy};
pub use why::{Diagnosis, why};
