//! What was read and not yet used, and what is to be written and not yet taken.
//!
//! Reads go into one space that all connections of a thread share and are copied out at their
//! size, so that a connection that waits holds no memory; only what is certain to be long is
//! read in place. What is to be written is put together in a space that is lent in the same way.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Bytes read at a time.
const READ_MAX: usize = 64 * 1024;
/// From here on a body's bytes are read in place.
const LARGE: usize = 16 * 1024;
/// Data up to this is copied behind what waits already, to leave in one write with it.
const COPIED_MAX: usize = 4 * 1024;
/// What waits beyond this is written before more is asked for.
const WAITING_MAX: usize = 16 * 1024;
/// Spaces larger than this are not kept.
const SPACE_MAX: usize = 128 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection in both directions, whatever it is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) bytes: BytesMut,
    /// How far a head that is not complete was looked at.
    pub(super) scanned: usize,
    pub(super) ended: bool,
}

/// What is to be written: text first, then data as it came, then what closes it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    text: Vec<u8>,
    /// Bytes of the text that have left.
    written: usize,
    sent: u64,
    data: Bytes,
    behind: &'static [u8],
}

impl Inbox {
    /// Reads some; 0 means that nothing will come any more. `wanted` bytes are certain to come,
    /// and at most `most` are read at a time.
    pub(super) fn poll_fill<S: Stream + ?Sized>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        wanted: usize,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let most = most.min(READ_MAX);
        let read = if wanted >= LARGE && self.bytes.is_empty() {
            self.read_in_place(io, cx, wanted.min(most))
        } else {
            self.read_and_copy(io, cx, most)
        };
        let bytes = ready!(read)?;
        self.ended = bytes == 0;
        Poll::Ready(Ok(bytes))
    }

    fn read_in_place<S: Stream + ?Sized>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        self.bytes = BytesMut::with_capacity(most);
        let read = poll_read_buf(Pin::new(io), cx, &mut self.bytes);
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
        read
    }

    fn read_and_copy<S: Stream + ?Sized>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        READ.with_borrow_mut(|space| {
            space.resize(READ_MAX, 0);
            let mut buffer = ReadBuf::new(space.get_mut(..most).unwrap_or_default());
            ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
            if self.bytes.is_empty() {
                // What the last message took may be let go with it.
                self.bytes = BytesMut::from(buffer.filled());
            } else {
                self.bytes.extend_from_slice(buffer.filled());
            }
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

impl Outbox {
    /// Where text is written to.
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        if self.text.capacity() == 0 {
            self.text = WRITE.take();
        }
        if !self.data.is_empty() {
            // Nobody asks while data waits (`is_full`); the order would hold all the same.
            self.text.extend_from_slice(&std::mem::take(&mut self.data));
            self.text
                .extend_from_slice(std::mem::take(&mut self.behind));
        }
        &mut self.text
    }

    /// Adds data, and what must stand behind it.
    pub(super) fn push(&mut self, data: Bytes, behind: &'static [u8]) {
        let text = self.text();
        if data.len() <= COPIED_MAX {
            text.extend_from_slice(&data);
            text.extend_from_slice(behind);
        } else {
            (self.data, self.behind) = (data, behind);
        }
    }

    /// Whether it should be written before more is added.
    pub(super) const fn is_full(&self) -> bool {
        !self.data.is_empty() || !self.behind.is_empty() || self.text.len() >= WAITING_MAX
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.written == self.text.len() && self.data.is_empty() && self.behind.is_empty()
    }

    /// Counts from nothing again.
    pub(super) const fn renew(&mut self) {
        self.sent = 0;
    }

    /// Whether none of it has left yet.
    pub(super) const fn is_untouched(&self) -> bool {
        self.sent == 0
    }

    /// Bytes that have left, all together.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes everything.
    pub(super) fn poll_flush<S: Stream + ?Sized>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let text = self.text.get(self.written..).unwrap_or_default();
            let wrote = if self.data.is_empty() && self.behind.is_empty() {
                Pin::new(&mut *io).poll_write(cx, text)
            } else if io.is_write_vectored() {
                let slices = [text, &self.data, self.behind].map(IoSlice::new);
                Pin::new(&mut *io).poll_write_vectored(cx, &slices)
            } else {
                let first = [text, &self.data, self.behind]
                    .into_iter()
                    .find(|slice| !slice.is_empty());
                Pin::new(&mut *io).poll_write(cx, first.unwrap_or_default())
            };
            match ready!(wrote)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.advance(bytes),
            }
        }
        self.give_space_back();
        Pin::new(io).poll_flush(cx)
    }

    fn advance(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        let of_text = bytes.min(self.text.len() - self.written);
        self.written += of_text;
        let of_data = (bytes - of_text).min(self.data.len());
        let _ = self.data.split_to(of_data);
        let behind = bytes - of_text - of_data;
        self.behind = self.behind.get(behind..).unwrap_or_default();
    }

    fn give_space_back(&mut self) {
        self.written = 0;
        let mut space = std::mem::take(&mut self.text);
        if space.capacity() > 0 && space.capacity() <= SPACE_MAX {
            space.clear();
            WRITE.set(space);
        }
    }
}
