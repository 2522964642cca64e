//! A connection to an endpoint: one request and its answer at a time.
//!
//! Whoever waits for the answer drives the request, too: an endpoint may answer before it has
//! read everything, and what is left of the request goes on while the answer comes.
//!
//! **Invariant:** a connection is kept only when both messages ended where they said.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body, Frame};
use tokio::time::Instant;

use super::buffers::{Inbox, Outbox, Stream};
use super::decode::{Decoded, Decoder};
use super::encode::{self, Coder};
use super::error::{BoxError, Error, Malformed};
use super::framing::{self, Framing};
use super::head::{Limits, ResponseHead, read_response};
use super::timer::Timer;
use super::upgrade::{PROTOCOL, Upgraded};
use crate::fields::{Request, UPGRADE};

/// Longest time that an endpoint which has answered may take nothing of what is there for it;
/// then its connection is closed, and the request's rest is for nobody.
const STALL_MAX: Duration = Duration::from_secs(2);

/// Interim answers (100, 102, 103) before the one that counts.
const INTERIM_MAX: u32 = 64;

/// Takes connections that may serve again.
pub trait Keeper: Send + Sync {
    /// Keeps the connection, on these terms. Whoever takes it out again gives it its keeper back
    /// ([`EndpointConnection::kept_by`]).
    fn keep(self: Arc<Self>, connection: Box<EndpointConnection>, terms: Terms);
}

/// How long, and how many, unused connections are kept.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long this one.
    pub idle: Duration,
    /// Most of them.
    pub idle_max: usize,
}

/// The connection, with nothing under way.
pub struct EndpointConnection {
    inbox: Inbox,
    outbox: Outbox,
    /// `None` while it is kept.
    keeper: Option<Arc<dyn Keeper>>,
    /// Nothing was there a moment ago, and whoever asked is woken when something is.
    watched: bool,
    /// For whoever waits on it; stays with it, since setting timers is what costs.
    timer: Timer,
    io: Box<dyn Stream>,
}

/// A request on its way, its answer not yet begun.
#[derive(Debug)]
pub struct Sending<B> {
    connection: Box<EndpointConnection>,
    body: Option<B>,
    coder: Coder,
    /// Why the request could not be sent to its end; its answer may be there all the same.
    failed: Option<Error>,
    /// Its body broke off: nobody may ever get an end of it.
    spoilt: bool,
    asked: Method,
    limits: Limits,
    interim: u32,
    /// Another protocol was asked for.
    upgrades: bool,
    terms: Terms,
}

/// An answer's body.
#[derive(Debug)]
pub enum Answer<B> {
    /// It came with its head, and the connection is kept already.
    Whole(Bytes),
    /// Some of it, or of the request, is still on its way.
    Coming(Box<ComingAnswer<B>>),
    /// There is none: the connection is another one from here on.
    Upgraded(Box<Upgraded>),
}

/// A body that is read from the connection.
#[derive(Debug)]
pub struct ComingAnswer<B> {
    /// `None` when all is over.
    sending: Option<Sending<B>>,
    decoder: Decoder,
    keep_alive: bool,
}

impl std::fmt::Debug for EndpointConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointConnection").finish_non_exhaustive()
    }
}

impl EndpointConnection {
    /// Speaks HTTP on `io`.
    pub fn new(io: impl Stream + 'static, keeper: Arc<dyn Keeper>) -> Box<Self> {
        Box::new(Self {
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            keeper: Some(keeper),
            watched: false,
            timer: Timer::default(),
            io: Box::new(io),
        })
    }

    /// It was taken out; next time it goes back there.
    pub fn kept_by(&mut self, keeper: Arc<dyn Keeper>) {
        self.keeper = Some(keeper);
    }

    /// Whether the endpoint has neither closed it nor said anything unasked.
    pub fn is_open(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_unasked(&mut cx).is_pending()
    }

    /// The same for whoever sends a request on it at once: asked with its own waker, the answer
    /// need not be looked for before there can be one.
    pub fn is_open_to(&mut self, cx: &mut Context<'_>) -> bool {
        self.watched = self.poll_unasked(cx).is_pending();
        self.watched
    }

    /// Ready when there is something, be it the end, that was not asked for.
    fn poll_unasked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.inbox.bytes.is_empty() {
            return Poll::Ready(());
        }
        let filled = self.inbox.poll_fill(&mut *self.io, cx, 0, 1024);
        filled.map(|_anything| ())
    }
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Begins a request. Nothing is written before the first poll.
    pub fn new(
        mut connection: Box<EndpointConnection>,
        request: Request<B>,
        limits: Limits,
        terms: Terms,
    ) -> Self {
        let Request { head, body } = request;
        let text = connection.outbox.text();
        let coder = encode::request(&head, &body.size_hint(), text);
        let upgrades = encode::upgrades(&head);
        Self {
            connection,
            body: (coder != Coder::Nothing).then_some(body),
            coder,
            failed: None,
            spoilt: false,
            asked: head.method,
            limits,
            interim: 0,
            upgrades,
            terms,
        }
    }

    /// Whether it may go elsewhere, because it is whole and nothing of it has left.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.connection.outbox.is_untouched() && !self.spoilt
    }

    /// The same request on another connection.
    #[must_use]
    pub fn over(mut self, mut connection: Box<EndpointConnection>) -> Self {
        connection.outbox = std::mem::take(&mut self.connection.outbox);
        Self {
            connection,
            failed: None,
            ..self
        }
    }

    /// Ready when it is `until`: to be asked when there is no head yet.
    pub fn poll_time(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        self.connection.timer.poll(cx, until)
    }

    /// The head of the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Error>> {
        self.drive(cx)?;
        // No answer comes before the request has left; this poll's waker is known already.
        if std::mem::take(&mut self.connection.watched) && self.failed.is_none() {
            return Poll::Pending;
        }
        loop {
            let Inbox { bytes, scanned, .. } = &mut self.connection.inbox;
            if let Some(head) = read_response(bytes, scanned, self.limits, &self.asked)? {
                let status = head.parts.status;
                if status == StatusCode::SWITCHING_PROTOCOLS && !self.may_switch(&head) {
                    return Poll::Ready(Err(Malformed::Upgrade.into()));
                }
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(head));
                }
                self.interim += 1;
                if self.interim > INTERIM_MAX {
                    return Poll::Ready(Err(Malformed::Interim.into()));
                }
                continue;
            }
            let filled = match self.connection.poll_fill(cx, 0) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(filled) => filled,
            };
            match (filled, self.failed.take()) {
                (Ok(1..), failed) => self.failed = failed,
                (_, Some(failed)) => return Poll::Ready(Err(failed)),
                (Err(error), None) => return Poll::Ready(Err(error.into())),
                (Ok(0), None) if self.connection.inbox.bytes.is_empty() => {
                    return Poll::Ready(Err(Error::Closed));
                }
                (Ok(0), None) => return Poll::Ready(Err(Error::Truncated)),
            }
        }
    }

    /// Whether the answer's protocol is the one that was asked for, by a request that is over.
    fn may_switch(&self, head: &ResponseHead) -> bool {
        let mut named = head.parts.headers.get_all(UPGRADE);
        self.upgrades && self.is_sent() && named.any(|value| framing::has_word(value, PROTOCOL))
    }

    /// The answer's body, behind this head; `keep_idle` is how long the endpoint keeps the
    /// connection, if it said so.
    pub fn answer(mut self, head: &ResponseHead, keep_idle: Option<Duration>) -> Answer<B> {
        if let Some(idle) = keep_idle {
            self.terms.idle = idle;
        }
        if head.parts.status == StatusCode::SWITCHING_PROTOCOLS {
            let EndpointConnection {
                inbox, keeper, io, ..
            } = *self.connection;
            let upgraded = Upgraded::new(inbox.bytes.freeze(), io, keeper);
            return Answer::Upgraded(Box::new(upgraded));
        }
        let keep_alive = head.keep_alive;
        let mut decoder = Decoder::new(head.framing);
        if let Framing::Length(length) = head.framing
            && self.body.is_none()
            && self.connection.outbox.is_empty()
            && length <= self.connection.inbox.bytes.len() as u64
        {
            let whole = match decoder.decode(&mut self.connection.inbox.bytes) {
                Ok(Decoded::Data(data)) => data,
                _ => Bytes::new(),
            };
            self.let_go(keep_alive);
            return Answer::Whole(whole);
        }
        Answer::Coming(Box::new(ComingAnswer {
            sending: Some(self),
            decoder,
            keep_alive,
        }))
    }

    /// Sends what can be sent now.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.failed.is_some() || self.spoilt || self.is_sent() {
            return Ok(());
        }
        match self.poll_send(cx) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(Error::Io(error))) => {
                self.failed = Some(Error::Io(error));
                self.body = None;
                Ok(())
            }
            Poll::Ready(Err(error)) => {
                self.spoilt = true;
                Err(error)
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let EndpointConnection { outbox, io, .. } = &mut *self.connection;
            encode::gather(cx, &mut self.body, &mut self.coder, outbox)?;
            if outbox.is_empty() {
                return if self.body.is_none() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            ready!(outbox.poll_flush(&mut **io, cx))?;
        }
    }

    fn is_sent(&self) -> bool {
        self.body.is_none() && self.connection.outbox.is_empty()
    }

    const fn is_broken(&self) -> bool {
        self.spoilt || self.failed.is_some()
    }

    /// The answer is over, or nobody wants the rest of it. What is left of the request still
    /// arrives, for as long as the endpoint takes it.
    fn let_go(self, keep: bool) {
        if !self.is_sent() && !self.is_broken() {
            tokio::spawn(self.finish(keep));
            return;
        }
        let clean = self.is_sent() && !self.is_broken() && self.connection.is_clean();
        let keeps = keep && clean && !self.terms.idle.is_zero() && self.terms.idle_max > 0;
        let Self {
            mut connection,
            terms,
            ..
        } = self;
        if let Some(keeper) = connection.keeper.take().filter(|_| keeps) {
            connection.outbox.renew();
            keeper.keep(connection, terms);
        }
    }
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends the request to its end. A wait for its body is bounded by the body itself.
    async fn finish(mut self, keep: bool) {
        let mut timer = Timer::default();
        let mut waiting = None;
        std::future::poll_fn(|cx| {
            if self.drive(cx).is_err() || self.is_broken() || self.is_sent() {
                return Poll::Ready(());
            }
            if self.connection.outbox.is_empty() {
                waiting = None;
                return Poll::Pending;
            }
            let sent = self.connection.outbox.sent();
            let until = match waiting {
                Some((known, until)) if known == sent => until,
                _ => Instant::now() + STALL_MAX,
            };
            waiting = Some((sent, until));
            timer.poll(cx, until)
        })
        .await;
        if self.is_sent() {
            self.let_go(keep);
        }
    }
}

impl EndpointConnection {
    fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.inbox.poll_fill(&mut *self.io, cx, wanted, usize::MAX)
    }

    fn is_clean(&self) -> bool {
        self.inbox.bytes.is_empty() && !self.inbox.ended
    }
}

impl<B> ComingAnswer<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Whether the body was read to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sending.is_none() || self.decoder.is_done()
    }

    /// Bytes still to come, where that is known.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.decoder.length()
    }

    /// The next of the body.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = ready!(self.poll_next(cx));
        if self.decoder.is_done() || polled.is_err() {
            let whole = polled.is_ok();
            if let Some(sending) = self.sending.take()
                && whole
            {
                sending.let_go(self.keep_alive);
            }
        }
        Poll::Ready(polled.transpose())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(None));
        };
        sending.drive(cx)?;
        loop {
            match self.decoder.decode(&mut sending.connection.inbox.bytes)? {
                Decoded::Data(data) => return Poll::Ready(Ok(Some(Frame::data(data)))),
                Decoded::Trailers(fields) => {
                    return Poll::Ready(Ok(Some(Frame::trailers(fields))));
                }
                Decoded::End => return Poll::Ready(Ok(None)),
                Decoded::More => {}
            }
            if ready!(sending.connection.poll_fill(cx, self.decoder.wanted()))? == 0
                && !self.decoder.close()
            {
                return Poll::Ready(Err(Error::Truncated));
            }
        }
    }

    /// Nobody wants the answer, but what is left of the request must arrive.
    pub fn let_go(self) {
        if let Some(sending) = self.sending {
            sending.let_go(self.keep_alive && self.decoder.is_done());
        }
    }
}
