//! A connection whose first bytes can be looked at before anybody reads them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// Bytes read at a time while looking.
const LOOK_BYTES: usize = 512;

/// The connection, and what was read of it and not taken yet.
#[derive(Debug)]
pub struct Ahead<T> {
    inner: T,
    seen: BytesMut,
}

impl<T> Ahead<T> {
    /// Nothing looked at yet.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            seen: BytesMut::new(),
        }
    }

    /// What was seen and not taken.
    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Takes bytes that were seen: nobody reads them any more.
    pub fn take(&mut self, count: usize) {
        self.seen.advance(count.min(self.seen.len()));
    }
}

impl<T: AsyncRead + Unpin> Ahead<T> {
    /// Looks further; says whether there was something.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn look(&mut self) -> io::Result<bool> {
        self.seen.reserve(LOOK_BYTES);
        Ok((&mut self.inner)
            .take(LOOK_BYTES as u64)
            .read_buf(&mut self.seen)
            .await?
            > 0)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Ahead<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seen.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let count = self.seen.len().min(buffer.remaining());
        buffer.put_slice(self.seen.get(..count).unwrap_or_default());
        self.seen.advance(count);
        if self.seen.is_empty() {
            // Its memory is not held for the connection's life.
            self.seen = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Ahead<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
