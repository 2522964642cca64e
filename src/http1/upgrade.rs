//! A connection on which both ends agreed to speak something else (RFC 9110 §7.8): bytes from here
//! on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffers::Stream;
use super::endpoint::Keeper;

/// The only protocol that is changed to. Another one may mean that what follows is HTTP again,
/// which nobody would look at (RFC 9110 §7.8 leaves it to the server what it understands).
pub const PROTOCOL: &str = "websocket";

/// The connection, behind the head that changed it.
pub struct Upgraded {
    /// Came in one read with the head.
    ahead: Bytes,
    io: Box<dyn Stream>,
    /// Knows the connection as open, for as long as it is.
    _keeper: Option<Arc<dyn Keeper>>,
}

impl Upgraded {
    pub(super) fn new(ahead: Bytes, io: Box<dyn Stream>, keeper: Option<Arc<dyn Keeper>>) -> Self {
        Self {
            ahead,
            io,
            _keeper: keeper,
        }
    }
}

impl std::fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upgraded")
            .field("ahead", &self.ahead.len())
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(self.ahead.get(..count).unwrap_or_default());
        self.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
