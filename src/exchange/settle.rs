//! What is still under way when an answer is complete.
//!
//! An endpoint may answer before it has the whole message (RFC 9112 §9.3 allows it). As long as
//! it goes on taking the message it gets it, to the last byte: the answer may have been 202. The
//! exchange is over when that is.
//!
//! **Invariant:** a message that is given up looks broken to its endpoint, never whole.

use super::deliver::Cargo;
use super::drain::drain;
use super::record::Record;

/// Ends an exchange whose answer of `bytes` is complete: at once, or when its message is.
pub(super) fn settle(mut record: Record, cargo: Option<Cargo>, bytes: u64) {
    let Some(cargo) = cargo else {
        return record.close(bytes, None);
    };
    let Some(replay) = cargo.under_way() else {
        drain(cargo.take_rest());
        cargo.note(&mut record);
        return record.close(bytes, None);
    };
    tokio::spawn(async move {
        replay.settled().await;
        drain(cargo.take_rest());
        cargo.note(&mut record);
        record.close(bytes, None);
    });
}
