//! A caller's connection, watched: how it spells header names, and whether it keeps moving.
//!
//! hyper has one timer for the head, which would also end idle connections; callers are used to
//! longer keep-alive times. So the waiting is timed here, by what is being waited for: a
//! request at all, the rest of its head, or room to write the answer.
//!
//! **Invariant:** bytes pass unchanged and in order.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The name to look for in raw bytes: a caller that spells this one right spells all as meant.
const MARK: &[u8] = b"SOAPAction";

/// What the connection is waiting for.
const IDLE: u8 = 0;
/// A head has begun; it does not spell the name right so far.
const HEAD: u8 = 1;
/// A head has begun and spells it right.
const SPELLED: u8 = 2;
/// A request is being worked on; what comes is its body.
const BODY: u8 = 3;

/// Connections up to which each may read as much at a time as it likes.
const FEW_CONNECTIONS: usize = 256;
/// Bytes read at a time with more connections than that: what is read waits in memory until an
/// endpoint takes it, so a thousand uploads must read small.
const SMALL_READ: usize = 8 * 1024;

/// Longest waits on a caller.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For the first byte of a request.
    pub idle: Duration,
    /// From its first byte to the end of its head.
    pub head: Duration,
    /// For room to write some of an answer.
    pub write: Duration,
}

/// The connection.
#[derive(Debug)]
pub struct Caller<T> {
    inner: T,
    watch: CallerWatch,
    waits: Waits,
    /// Connections open on the listener.
    open: Arc<AtomicUsize>,
    /// When the wait at hand is over, and what it is for.
    read_until: Option<(u8, Instant)>,
    read_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

/// Tells the connection where in a request it is.
#[derive(Debug, Clone, Default)]
pub struct CallerWatch {
    state: Arc<AtomicU8>,
}

impl CallerWatch {
    /// A head has arrived: says whether it spells `SOAPAction` so. What follows is its body.
    #[must_use]
    pub fn head_arrived(&self) -> bool {
        self.state.swap(BODY, Ordering::Relaxed) == SPELLED
    }

    /// The answer's head is made: the next thing that comes is another request.
    pub fn answered(&self) {
        self.state.store(IDLE, Ordering::Relaxed);
    }
}

impl<T> Caller<T> {
    /// Watches `inner`, one of `open` connections.
    pub fn new(inner: T, waits: Waits, open: Arc<AtomicUsize>) -> (Self, CallerWatch) {
        let watch = CallerWatch::default();
        let caller = Self {
            inner,
            watch: watch.clone(),
            waits,
            open,
            read_until: None,
            read_timer: None,
            write_timer: None,
        };
        (caller, watch)
    }

    /// Waits no longer than what is being waited for may take. The time runs on through
    /// several reads of one head, so trickling bytes in does not help.
    fn poll_read_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = match self.watch.state.load(Ordering::Relaxed) {
            BODY => {
                self.read_until = None;
                return Poll::Pending;
            }
            SPELLED => HEAD,
            state => state,
        };
        let until = match self.read_until {
            Some((known, until)) if known == state => until,
            _ => {
                let wait = if state == IDLE {
                    self.waits.idle
                } else {
                    self.waits.head
                };
                Instant::now() + wait
            }
        };
        self.read_until = Some((state, until));
        let timer = self
            .read_timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        // A timer that is set for earlier is left as it is and set anew when it fires: most
        // requests come long before, and setting timers is what would cost.
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        ready!(timer.as_mut().poll(cx));
        if Instant::now() < until {
            timer.as_mut().reset(until);
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the caller sent no request in time",
        )))
    }

    fn note(&self, fresh: &[u8]) {
        let state = self.watch.state.load(Ordering::Relaxed);
        if fresh.is_empty() || !(state == IDLE || state == HEAD) {
            return;
        }
        let spelled = memchr::memmem::find(fresh, MARK).is_some();
        self.watch
            .state
            .store(if spelled { SPELLED } else { HEAD }, Ordering::Relaxed);
    }

    fn poll_write_wait<R>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.write_timer = None;
            return polled;
        }
        let wait = self.waits.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + wait)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the caller takes no answer",
        )))
    }
}

impl<T: AsyncRead + Unpin> Caller<T> {
    /// Reads what fits, or little where memory is shared by many.
    fn poll_some(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = Pin::new(&mut self.inner);
        if self.open.load(Ordering::Relaxed) <= FEW_CONNECTIONS || buffer.remaining() <= SMALL_READ
        {
            return inner.poll_read(cx, buffer);
        }
        let mut small = ReadBuf::new(buffer.initialize_unfilled_to(SMALL_READ));
        ready!(inner.poll_read(cx, &mut small))?;
        let bytes = small.filled().len();
        buffer.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Caller<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match self.poll_some(cx, buffer) {
            Poll::Pending => self.poll_read_wait(cx),
            Poll::Ready(result) => {
                if self.watch.state.load(Ordering::Relaxed) == IDLE {
                    // The next wait for a request is another one, even if nothing in between
                    // was waited for.
                    self.read_until = None;
                }
                self.note(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(result)
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Caller<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.poll_write_wait(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.poll_write_wait(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        // A reader that found nothing while the answer was being made does not look again until
        // something comes: so it is here, behind the answer, that the wait for the next request
        // begins.
        if self.watch.state.load(Ordering::Relaxed) == IDLE
            && let Poll::Ready(Err(error)) = self.poll_read_wait(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
