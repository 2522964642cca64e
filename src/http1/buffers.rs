//! What was read and not yet used, and what is to be written and not yet taken.
//!
//! Reads go into one space that all connections of a thread share and are copied out at their
//! size, so that a connection that waits holds no memory. What is certain to be long is read in
//! place; where messages are of middling length, the next is read into a block that it keeps.
//! What is to be written is put together in a space that is lent in the same way.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Bytes read at a time.
const READ_MAX: usize = 64 * 1024;
/// From here on a body's bytes are read in place.
const LARGE: usize = 16 * 1024;
/// Data up to this is copied: what was read out of the space, and what is written behind what
/// waits already, to leave in one write with it.
const COPIED_MAX: usize = 4 * 1024;
/// The block that a message of middling length is read into, and keeps.
const BLOCK: usize = 16 * 1024;
/// What waits beyond this is written before more is asked for.
const WAITING_MAX: usize = 16 * 1024;
/// Spaces larger than this are not kept.
const SPACE_MAX: usize = 128 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_MAX]);
    /// The block for the next message, which most looks for one do not take.
    static NEXT: RefCell<BytesMut> = RefCell::new(BytesMut::new());
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
    /// How much the last message brought with its first read; the next is likely to be like it.
    last: usize,
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
        let read = if !self.bytes.is_empty() {
            self.read_and_copy(io, cx, most)
        } else if wanted >= LARGE {
            self.read_in_place(io, cx, wanted.min(most))
        } else if most >= BLOCK && self.last > COPIED_MAX && self.last < BLOCK {
            self.read_block(io, cx)
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

    /// Reads into the block at hand, which goes along with what is worth no copy.
    fn read_block<S: Stream + ?Sized>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        NEXT.with_borrow_mut(|block| {
            block.reserve(BLOCK);
            let mut room = (&mut *block).limit(BLOCK);
            let bytes = ready!(poll_read_buf(Pin::new(io), cx, &mut room))?;
            self.last = bytes;
            if bytes > COPIED_MAX {
                self.bytes = std::mem::take(block);
            } else {
                self.bytes = BytesMut::from(&**block);
                block.clear();
            }
            Poll::Ready(Ok(bytes))
        })
    }

    fn read_and_copy<S: Stream + ?Sized>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        READ.with_borrow_mut(|space| {
            let mut buffer = ReadBuf::new(space.get_mut(..most).unwrap_or_default());
            ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
            if self.bytes.is_empty() {
                // What the last message took may be let go with it.
                self.bytes = BytesMut::from(buffer.filled());
                self.last = buffer.filled().len();
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn fill(inbox: &mut Inbox, mut io: impl Stream) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match inbox.poll_fill(&mut io, &mut cx, 0, usize::MAX) {
            Poll::Ready(Ok(bytes)) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn behind_a_message_of_middling_length_the_next_keeps_the_block_it_was_read_into() {
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(2 * BLOCK).collect();
        let mut inbox = Inbox::default();
        let cases = [
            (10_000, false),
            (COPIED_MAX + 1, true),
            (COPIED_MAX, false),
            (10_000, false),
            (2 * BLOCK, true),
            (10_000, false),
            (0, false),
        ];
        for (length, in_block) in cases {
            let sent = sent.get(..length).unwrap();
            let mut io = tokio::io::join(sent, tokio::io::sink());
            let first = fill(&mut inbox, &mut io);
            assert_eq!(first, length.min(if in_block { BLOCK } else { READ_MAX }));
            assert_eq!(inbox.bytes.capacity() >= BLOCK, in_block, "{length}");
            while inbox.bytes.len() < length {
                fill(&mut inbox, &mut io);
            }
            assert_eq!(std::mem::take(&mut inbox.bytes), sent);
        }
    }
}
