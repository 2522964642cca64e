//! A caller's connection: one request after the other, each with its answer.
//!
//! All of it happens in the caller's own task. While a request's body is still coming, it is lent
//! to whoever reads it ([`RequestBody`]); for as long as that is, the two share the connection under
//! a lock that is taken for moments and, but for bodies that outlive their exchange, never waited
//! for.
//!
//! **Invariant:** the next request is read only when the last one's body was read to its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::buffers::{Inbox, Outbox, Stream};
use super::decode::{Decoded, Decoder};
use super::encode::{self, Coder, Told};
use super::error::{BoxError, Error};
use super::framing::{self, Framing};
use super::head::{Limits, RequestHead, read_request};
use super::hold::{Hold, Lent, lock};
use super::timer::Timer;
use super::upgrade::Upgraded;
use crate::fields::{CONNECTION, Response, ResponseParts};
use crate::telemetry::clock;

/// Connections up to which each may read as much at a time as it likes.
const FEW_CONNECTIONS: usize = 256;
/// Bytes read at a time with more connections than that: what is read waits in memory until an
/// endpoint takes it, so a thousand uploads must read small.
const SMALL_READ: usize = 8 * 1024;
/// Most bytes of a request read away behind its answer; a caller with more to send loses its
/// connection. If it were closed at once, the answer could be lost to a reset.
const DISCARDED_MAX: usize = 4 * 1024 * 1024;
/// Longest time spent reading away.
const DISCARDING_MAX: Duration = Duration::from_secs(5);

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
pub struct CallerConnection {
    shared: Hold<Shared<dyn Stream>>,
    outbox: Outbox,
    limits: Limits,
    waits: Waits,
    /// What is waited for (whether a head has begun), and how long.
    reading: Option<(bool, Instant)>,
    /// The last wait for a request was in vain.
    silent: bool,
    read_timer: Timer,
    /// How much had left when the last write had to wait, and how long that may last.
    writing: Option<(u64, Instant)>,
    write_timer: Timer,
    asked: Asked,
    /// Read away since the answer.
    discarded: usize,
    discard_until: Option<Instant>,
}

/// What the answer must know of its request.
#[derive(Debug, Clone, Copy)]
struct Asked {
    version: Version,
    head_only: bool,
    keep_alive: bool,
}

/// A request's body.
#[derive(Debug)]
pub enum RequestBody {
    /// It came with its head.
    Whole(Bytes),
    /// Some of it is still on its way.
    Coming(ComingBody),
}

/// A body that is read from the connection.
#[derive(Debug)]
pub struct ComingBody {
    /// `None` when it is over.
    shared: Option<Lent<Shared<dyn Stream>>>,
    length: Option<u64>,
}

/// What the connection and a body that is lent both use.
struct Shared<S: ?Sized> {
    inbox: Inbox,
    decoder: Decoder,
    /// Somebody else reads.
    lent: bool,
    /// The body was no body.
    broken: bool,
    /// The caller waits to be told to go on.
    expects: bool,
    /// What of that is still to be written.
    interim: &'static [u8],
    /// Waits for the body to come back.
    waker: Option<Waker>,
    open: Arc<AtomicUsize>,
    io: S,
}

impl<S: ?Sized> std::fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("decoder", &self.decoder)
            .field("lent", &self.lent)
            .finish_non_exhaustive()
    }
}

impl CallerConnection {
    /// Speaks HTTP on `io`, which is one of `open` connections.
    pub fn new(
        io: impl Stream + 'static,
        limits: Limits,
        waits: Waits,
        open: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            shared: Hold::Own(Box::new(Shared::new(io, open))),
            outbox: Outbox::default(),
            limits,
            waits,
            reading: None,
            silent: false,
            read_timer: Timer::default(),
            writing: None,
            write_timer: Timer::default(),
            asked: Asked::NOTHING,
            discarded: 0,
            discard_until: None,
        }
    }

    /// Whether nothing of a request is there.
    #[must_use]
    pub fn is_idle(&mut self) -> bool {
        self.shared.get().inbox.bytes.is_empty()
    }

    /// Whether there was no next request because the caller said nothing for [`Waits::idle`].
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Waits on for so long; says whether there is something again, be it the end.
    pub async fn wakes(&mut self, within: Duration) -> bool {
        self.silent = false;
        self.reading = None;
        let until = Instant::now() + within;
        std::future::poll_fn(|cx| match self.shared.get().poll_fill(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending => self.read_timer.poll(cx, until).map(|()| false),
        })
        .await
    }

    /// The next request; `None` when there will be none.
    ///
    /// # Errors
    /// When what comes is no request, or stops coming.
    pub fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(RequestHead, RequestBody)>, Error>> {
        self.shared.reclaim(Shared::stand_in);
        let mut shared = self.shared.get();
        loop {
            let Inbox { bytes, scanned, .. } = &mut shared.inbox;
            match read_request(bytes, scanned, self.limits) {
                Ok(Some(head)) => {
                    self.reading = None;
                    self.asked = Asked::of(&head);
                    drop(shared);
                    let body = self.lend(&head);
                    return Poll::Ready(Ok(Some((head, body))));
                }
                Ok(None) => {}
                Err(error) => {
                    shared.broken = true;
                    self.asked = Asked::NOTHING;
                    return Poll::Ready(Err(error.into()));
                }
            }
            match shared.poll_fill(cx) {
                Poll::Ready(Ok(0)) if shared.inbox.bytes.is_empty() => {
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Error::Truncated)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    let begun = !shared.inbox.bytes.is_empty();
                    drop(shared);
                    return self.poll_reading(cx, begun);
                }
            }
        }
    }

    /// Waits no longer than what is being waited for may take. The time runs on through several
    /// reads of one head, so trickling bytes in does not help.
    fn poll_reading<T>(
        &mut self,
        cx: &mut Context<'_>,
        begun: bool,
    ) -> Poll<Result<Option<T>, Error>> {
        let until = match self.reading {
            Some((known, until)) if known == begun => until,
            _ if begun => clock::now() + self.waits.head,
            _ => clock::now() + self.waits.idle,
        };
        self.reading = Some((begun, until));
        ready!(self.read_timer.poll_as_owner(cx, until));
        if !begun {
            self.silent = true;
            return Poll::Ready(Ok(None));
        }
        self.shared.get().broken = true;
        self.asked = Asked::NOTHING;
        Poll::Ready(Err(Error::Slow))
    }

    fn lend(&mut self, head: &RequestHead) -> RequestBody {
        let mut shared = self.shared.get();
        self.discarded = 0;
        self.discard_until = None;
        shared.expects = head.expects && head.framing != Framing::Length(0);
        shared.decoder = Decoder::new(head.framing);
        if let Framing::Length(length) = head.framing
            && length <= shared.inbox.bytes.len() as u64
        {
            shared.expects = false;
            let Shared { decoder, inbox, .. } = &mut *shared;
            return match decoder.decode(&mut inbox.bytes) {
                Ok(Decoded::Data(data)) => RequestBody::Whole(data),
                _ => RequestBody::Whole(Bytes::new()),
            };
        }
        shared.lent = true;
        let length = shared.decoder.length();
        drop(shared);
        RequestBody::Coming(ComingBody {
            shared: Some(self.shared.lend(Shared::stand_in)),
            length,
        })
    }

    /// Ready when the caller has gone, while its request is being worked on.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared.get();
        if shared.lent {
            shared.wait(cx);
            return Poll::Pending;
        }
        if !shared.decoder.is_done() {
            drop(shared);
            self.discard_some(cx);
            return Poll::Pending;
        }
        // A caller that has sent ahead is there.
        if !shared.inbox.bytes.is_empty() {
            return Poll::Pending;
        }
        match shared.poll_fill(cx) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Writes an answer to the request at hand; says whether the connection may go on.
    ///
    /// # Errors
    /// When the answer breaks off, or the caller does not take it.
    pub async fn answer<B>(&mut self, response: Response<B>, last: bool) -> Result<bool, Error>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let Response { head, body } = response;
        let mut closes = last || !self.asked.keep_alive || self.cannot_go_on();
        closes |= head
            .headers
            .get_all(CONNECTION)
            .any(|value| framing::has_word(value, "close"));
        let told = match (closes, self.asked.version) {
            (true, _) => Told::Close,
            (false, Version::HTTP_10) => Told::KeepAlive,
            (false, _) => Told::Nothing,
        };
        let asked = (self.asked.version, self.asked.head_only);
        let hint = body.size_hint();
        let mut coder = encode::response(&head, &hint, asked, told, self.outbox.text());
        drop(head);
        closes |= coder == Coder::UntilClose;
        let mut body = (coder != Coder::Nothing).then_some(body);
        std::future::poll_fn(|cx| self.poll_answer(cx, &mut body, &mut coder)).await?;
        Ok(!closes && std::future::poll_fn(|cx| self.poll_rest(cx)).await)
    }

    /// Tells the caller that what it asked for is spoken from here on, and gives the connection
    /// for it. Nothing more is read or written here then but its end.
    ///
    /// # Errors
    /// When the caller does not take it.
    pub async fn switch(&mut self, head: &ResponseParts) -> Result<Upgraded, Error> {
        let (hint, asked) = (SizeHint::with_exact(0), (Version::HTTP_11, false));
        encode::response(head, &hint, asked, Told::Upgrade, self.outbox.text());
        std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
        let ahead = std::mem::take(&mut self.shared.get().inbox.bytes).freeze();
        let io = Box::new(Handed(self.shared.lend(Shared::stand_in)));
        Ok(Upgraded::new(ahead, io, None))
    }

    /// Whether the request's end cannot be found any more, or will not come.
    fn cannot_go_on(&mut self) -> bool {
        let shared = self.shared.get();
        shared.broken || (shared.expects && !shared.lent)
    }

    fn poll_answer<B>(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Option<B>,
        coder: &mut Coder,
    ) -> Poll<Result<(), Error>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        loop {
            let gathered = encode::gather(cx, body, coder, &mut self.outbox);
            if let Err(error) = gathered {
                // What there is goes out; without its end it is seen to be broken.
                let _ = self.poll_flush(cx);
                return Poll::Ready(Err(error));
            }
            if !self.outbox.is_empty() {
                if self.poll_flush(cx)?.is_pending() {
                    self.discard_some(cx);
                    return Poll::Pending;
                }
                continue;
            }
            if body.is_none() {
                return Poll::Ready(Ok(()));
            }
            return self.poll_gone(cx).map(|()| Err(Error::Closed));
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut shared = self.shared.get();
        ready!(shared.poll_interim(cx))?;
        match self.outbox.poll_flush(&mut shared.io, cx) {
            Poll::Ready(result) => {
                self.writing = None;
                Poll::Ready(result.map_err(Error::from))
            }
            Poll::Pending => {
                drop(shared);
                let sent = self.outbox.sent();
                let until = match self.writing {
                    Some((known, until)) if known == sent => until,
                    _ => clock::now() + self.waits.write,
                };
                self.writing = Some((sent, until));
                ready!(self.write_timer.poll(cx, until));
                Poll::Ready(Err(timed_out("the caller takes no answer").into()))
            }
        }
    }

    /// A caller that is still sending may not read before it is done.
    fn discard_some(&mut self, cx: &mut Context<'_>) {
        let mut shared = self.shared.get();
        if !shared.lent && !shared.decoder.is_done() && self.discarded <= DISCARDED_MAX {
            let _ = shared.poll_discard(cx, &mut self.discarded);
        }
    }

    /// Behind the answer: waits for whoever still reads the request, or reads away what nobody
    /// wanted; ready with whether the connection may go on.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut shared = self.shared.get();
        if shared.lent {
            shared.wait(cx);
            return Poll::Pending;
        }
        if shared.decoder.is_done() {
            return Poll::Ready(!shared.broken);
        }
        if shared.broken || shared.expects {
            return Poll::Ready(false);
        }
        match shared.poll_discard(cx, &mut self.discarded) {
            Poll::Ready(done) => return Poll::Ready(done),
            Poll::Pending => drop(shared),
        }
        let until = *self
            .discard_until
            .get_or_insert_with(|| Instant::now() + DISCARDING_MAX);
        self.read_timer.poll(cx, until).map(|()| false)
    }

    /// Ends the connection so that what was written last is not lost to a reset.
    pub async fn close(mut self) {
        let until = Instant::now() + DISCARDING_MAX;
        std::future::poll_fn(|cx| {
            let mut shared = self.shared.get();
            if ready!(Pin::new(&mut shared.io).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            if shared.lent || (shared.decoder.is_done() && !shared.broken) {
                return Poll::Ready(());
            }
            loop {
                shared.inbox.bytes.clear();
                match shared.poll_fill(cx) {
                    Poll::Ready(Ok(bytes)) if bytes > 0 && self.discarded < DISCARDED_MAX => {
                        self.discarded += bytes;
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => {
                        drop(shared);
                        return self.read_timer.poll(cx, until);
                    }
                }
            }
        })
        .await;
    }
}

impl Asked {
    /// For an answer to what was no request.
    const NOTHING: Self = Self {
        version: Version::HTTP_11,
        head_only: false,
        keep_alive: false,
    };

    fn of(head: &RequestHead) -> Self {
        Self {
            version: head.parts.version,
            head_only: head.parts.method == Method::HEAD,
            keep_alive: head.keep_alive,
        }
    }
}

impl Shared<dyn Stream> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let most = if self.open.load(Ordering::Relaxed) <= FEW_CONNECTIONS {
            usize::MAX
        } else {
            SMALL_READ
        };
        let wanted = self.decoder.wanted();
        self.inbox.poll_fill(&mut self.io, cx, wanted, most)
    }

    /// Tells a caller that waits for it to go on.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let wrote = ready!(Pin::new(&mut self.io).poll_write(cx, self.interim))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim = self.interim.get(wrote..).unwrap_or_default();
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        if std::mem::take(&mut self.expects) {
            self.interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        }
        ready!(self.poll_interim(cx))?;
        loop {
            match self.decoder.decode(&mut self.inbox.bytes)? {
                Decoded::Data(data) => return Poll::Ready(Ok(Some(Frame::data(data)))),
                Decoded::Trailers(fields) => {
                    return Poll::Ready(Ok(Some(Frame::trailers(fields))));
                }
                Decoded::End => return Poll::Ready(Ok(None)),
                Decoded::More => {}
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(Error::Truncated));
            }
        }
    }

    /// Reads the body away; ready with whether its end was reached.
    fn poll_discard(&mut self, cx: &mut Context<'_>, discarded: &mut usize) -> Poll<bool> {
        loop {
            match ready!(self.poll_frame(cx)) {
                Err(_) => {
                    self.broken = true;
                    return Poll::Ready(false);
                }
                Ok(None) => return Poll::Ready(true),
                Ok(Some(frame)) => *discarded += frame.data_ref().map_or(0, Bytes::len),
            }
            if self.decoder.is_done() {
                return Poll::Ready(true);
            }
            if *discarded > DISCARDED_MAX {
                return Poll::Ready(false);
            }
        }
    }
}

impl<S> Shared<S> {
    fn new(io: S, open: Arc<AtomicUsize>) -> Self {
        Self {
            inbox: Inbox::default(),
            decoder: Decoder::new(Framing::Length(0)),
            lent: false,
            broken: false,
            expects: false,
            interim: b"",
            waker: None,
            open,
            io,
        }
    }
}

impl Shared<tokio::io::Empty> {
    /// Takes a connection's place while it is lent.
    fn stand_in() -> Box<Shared<dyn Stream>> {
        Box::new(Self::new(tokio::io::empty(), Arc::default()))
    }
}

impl<S: ?Sized> Shared<S> {
    fn wait(&mut self, cx: &Context<'_>) {
        if !self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Whoever is to be woken when it is back.
    const fn come_back(&mut self) -> Option<Waker> {
        self.lent = false;
        self.waker.take()
    }
}

impl ComingBody {
    /// Bytes still to come, where that is known.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether it was read to its end.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.shared.is_none()
    }

    /// Nothing more is read.
    fn end(&mut self) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        let waker = lock(&shared).come_back();
        // Whoever is woken finds it unshared.
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next of the body.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(lent) = &self.shared else {
            return Poll::Ready(None);
        };
        let mut shared = lock(lent);
        let polled = ready!(shared.poll_frame(cx));
        shared.broken |= polled.is_err();
        let over = !matches!(polled, Ok(Some(_))) || shared.decoder.is_done();
        self.length = shared.decoder.length();
        drop(shared);
        if over {
            self.end();
        }
        Poll::Ready(polled.transpose())
    }
}

impl Drop for ComingBody {
    fn drop(&mut self) {
        self.end();
    }
}

/// The stream of a connection that speaks something else now.
struct Handed(Lent<Shared<dyn Stream>>);

impl AsyncRead for Handed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Handed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(&self.0).io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).io).poll_shutdown(cx)
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
