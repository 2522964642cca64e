//! HTTP/1.1 on one connection: what a message costs beyond its bytes is decided here.
//!
//! `plain`, `head`, `framing`, `decode` and `encode` are functions of bytes; `buffers`, `timer`,
//! `caller` and `endpoint` wait on a connection, in the task of whoever asks: there is no task
//! and no channel for a connection, and fields stay as they were read (`fields`). A message whose
//! head and body come in one piece takes one read and one write on either side.
//!
//! Why it exists beside hyper, which speaks HTTP/2 here and is this room's oracle in tests, is
//! measured in `docs/performance.md`. What is ambiguous is refused, not guessed at: a message
//! that two readers may frame differently ends its connection (RFC 9112 §6.1, §11.2).
//!
//! **Invariant:** a message reads the same however it was cut into pieces
//! (`fuzz/fuzz_targets/http1.rs`).

mod buffers;
mod caller;
mod date;
mod decode;
mod encode;
mod endpoint;
mod error;
mod framing;
mod head;
mod hold;
mod plain;
mod timer;
mod upgrade;

pub use buffers::Stream;
pub use caller::{CallerConnection, ComingBody, RequestBody, Waits};
pub use decode::{Decoded, Decoder};
pub use endpoint::{Answer, ComingAnswer, EndpointConnection, Keeper, Sending, Terms};
pub use error::{BoxError, Error, Malformed};
pub use framing::{Framing, has_word};
pub use head::{Limits, RequestHead, ResponseHead, read_request, read_response};
pub use upgrade::{PROTOCOL as UPGRADE_PROTOCOL, Upgraded};
