//! What HTTP is spoken on: TCP, a Unix socket, TLS over either.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection in both directions, whatever it is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
