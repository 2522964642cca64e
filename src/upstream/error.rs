//! Why an endpoint gave no answer.

use std::io;
use std::time::Duration;

use crate::net::tls::HandshakeError;
use crate::net::{SourceError, WireError};

/// What a timeout ran out on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Opening the connection.
    Connect,
    /// Waiting for the response head.
    Response,
}

/// An attempt that ended without a response head.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// No TLS with whoever answers there.
    #[error("TLS: {0}")]
    Tls(#[source] Box<HandshakeError>),
    /// The connection ended before a response.
    #[error("connection closed before a response: {0}")]
    Reset(#[source] WireError),
    /// The endpoint says that it did not look at the request (HTTP/2: REFUSED_STREAM, GOAWAY).
    #[error("the request was refused: {0}")]
    Refused(#[source] WireError),
    /// What came back is no HTTP.
    #[error("answer is not HTTP: {0}")]
    BadHttp(#[source] WireError),
    /// Too slow.
    #[error("no {} within {after:?}", match phase { Phase::Connect => "connection", Phase::Response => "response" })]
    Timeout {
        /// On what.
        phase: Phase,
        /// The limit.
        after: Duration,
    },
    /// The caller's side of the body failed: no endpoint is to blame.
    #[error("{0}")]
    Caller(#[source] SourceError),
}

impl SendError {
    /// The word for it in metrics, logs and `failover: { on: [...] }`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Reset(_) | Self::BadHttp(_) | Self::Refused(_) => "reset",
            Self::Timeout {
                phase: Phase::Connect,
                ..
            } => "connect",
            Self::Timeout {
                phase: Phase::Response,
                ..
            } => "timeout",
            Self::Caller(_) => "caller",
        }
    }

    /// Whether the endpoint cannot have seen the request.
    #[must_use]
    pub const fn is_undelivered(&self) -> bool {
        matches!(
            self,
            Self::Connect(_)
                | Self::Tls(_)
                | Self::Refused(_)
                | Self::Timeout {
                    phase: Phase::Connect,
                    ..
                }
        )
    }
}
