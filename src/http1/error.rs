//! What can go wrong between two ends that speak HTTP.

use std::io;

/// Any error, as a body that is sent may have it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A message cannot be read, or not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer closed the connection before a message had begun.
    #[error("the connection was closed")]
    Closed,
    /// The peer closed the connection within a message.
    #[error("the connection was closed within a message")]
    Truncated,
    /// The head of a request began and did not end in time.
    #[error("the caller sent no whole request in time")]
    Slow,
    /// The peer does not keep to HTTP.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The body that was to be sent broke off.
    #[error("the body to be sent broke off: {0}")]
    Body(#[source] BoxError),
    /// The body that was to be sent is not as long as was announced.
    #[error("the body to be sent is not as long as announced")]
    Length,
}

impl Error {
    /// Whether the peer sent something that is not HTTP, as opposed to nothing.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed(_))
    }
}

/// What is wrong with bytes that should be a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not HTTP/1.
    #[error("this is not HTTP/1: {0}")]
    Syntax(httparse::Error),
    /// A line that ends in LF alone, which some read as an end and some do not (RFC 9112 §2.2).
    #[error("a line ends without CR")]
    BareLineFeed,
    /// The head is larger than may be.
    #[error("the head is larger than {0} bytes")]
    HeadBytes(usize),
    /// There are more header fields than may be.
    #[error("the head has more than {0} fields")]
    HeadFields(usize),
    /// A field's name or value, or the request target, is none.
    #[error("the head has a part that cannot be used")]
    Part,
    /// `Host` is missing or there several times (RFC 9112 §3.2).
    #[error("the request must have one `Host`")]
    Host,
    /// `Content-Length` is no number, or there several times (RFC 9112 §6.3).
    #[error("`Content-Length` is not one number")]
    ContentLength,
    /// Both framings at once: what request smuggling lives on (RFC 9112 §6.1).
    #[error("`Content-Length` and `Transfer-Encoding` exclude each other")]
    TwoFramings,
    /// Another transfer coding than `chunked`, alone and last (RFC 9112 §6.1).
    #[error("the only `Transfer-Encoding` is `chunked`")]
    TransferEncoding,
    /// The line that begins a chunk.
    #[error("a chunk does not begin with its size")]
    ChunkSize,
    /// A chunk is longer or shorter than it says.
    #[error("a chunk does not end where it should")]
    ChunkEnd,
    /// Extensions of chunks, which nobody uses, without end.
    #[error("there is more around the chunks than in them")]
    ChunkExtensions,
    /// More interim answers than anyone sends.
    #[error("there are too many interim answers")]
    Interim,
    /// An answer 101 that nobody asked for, or to something else than was asked for.
    #[error("the connection changes to a protocol that was not asked for")]
    Upgrade,
}
