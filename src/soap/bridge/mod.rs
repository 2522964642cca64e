//! Bridging: a message of one SOAP and WS-Addressing version into another, and its answer back.
//!
//! By splicing, never by writing anew: a message's head is held ([`Plan::header_max`]) until it is
//! decided what must change; everything else leaves as the bytes that came. The rules have numbers
//! (H, E, F, A, S, M), cited in the code; `docs/bridging.md` lists them with what a bridge cannot
//! keep ([`Loss`]).
//!
//! In the order of the data: `intake` (to UTF-8) → `shape` (the head's elements, over `doc` and
//! `raw`) → `work` (the decision) with `blocks`, `signed`, `envelope`, `convert`, `fault_read` and
//! `fault_write` → `rest` (the remaining bytes) → `http` (the fields that go with it).
//! `package` is the same for messages with attachments, `carrier` takes either.
//! `heads` keeps what became of heads that come again, `tools` what else a thread's bridges leave each other.
//!
//! **Invariant:** what comes out is the same however the input was cut into chunks, well-formed, and
//! keeps every namespace in scope (`tests/it/bridge.rs`, `fuzz/fuzz_targets/bridge.rs`).

mod addressing;
mod blocks;
mod carrier;
mod convert;
mod doc;
mod envelope;
mod error;
mod fault_read;
mod fault_write;
mod heads;
mod http;
mod intake;
mod loss;
mod names;
mod out;
mod package;
mod patch;
mod plan;
mod raw;
mod rest;
mod shape;
mod signed;
mod stream;
mod tools;
mod work;

pub use carrier::Carrier;
pub use error::BridgeError;
pub use http::HttpHead;
pub use loss::{Loss, Losses};
pub use package::Package;
pub use plan::{
    Arriving, Context, Dialect, FAULT_BYTES_MAX, FaultKind, HEADER_BYTES_MAX, OnSigned, Outcome,
    Plan, Reference, Target, Within,
};
pub use stream::Bridge;
