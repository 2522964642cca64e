//! Gets one request to one endpoint and its response head back.
//!
//! Each worker has its own client, so connections never cross cores. No retry happens here but
//! one: a kept connection that turns out to be closed before the request was written is
//! replaced by a new one, which RFC 9110 §9.2.2 allows because nothing was sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::open;
use super::endpoint::Endpoint;
use super::error::{Phase, SendError};
use super::lines::Lines;
use super::member::Member;
use super::multiplexed::connect_limit;
use super::pool::Pool;
use crate::fields::{Fields, KEEP_ALIVE, Request, ResponseParts};
use crate::http1::{self, EndpointConnection, Sending, Terms};
use crate::net::tls::HandshakeError;
use crate::net::{Body, Incoming, Replay, SourceError};
use crate::telemetry::{Metrics, clock};

/// The largest response head accepted.
const RESPONSE_HEAD: http1::Limits = http1::Limits {
    bytes_max: 32 * 1024,
    fields_max: 200,
};

/// Sends requests for one worker.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool,
    lines: Lines,
    metrics: Arc<Metrics>,
}

/// A response head, its body still to come.
#[derive(Debug)]
pub struct Reply {
    /// Its head.
    pub head: Box<ResponseParts>,
    /// Its body. With the body's end its connection is kept for the next request.
    pub body: Incoming,
    /// What was read of the body already ([`Reply::begun`]).
    pub first: Option<Box<Frame<Bytes>>>,
}

impl Reply {
    /// Waits until the body has begun: an endpoint that dies right behind the head of its answer,
    /// which many servers send by itself, has given none, and a backup can still be asked.
    ///
    /// # Errors
    /// [`SendError`] when the connection broke, or nothing came within `wait`.
    pub async fn begun(mut self, wait: Duration) -> Result<Self, SendError> {
        if self.body.is_end_stream() || matches!(self.body, Incoming::Whole(_)) {
            return Ok(self);
        }
        match timeout(wait, self.body.frame()).await {
            Ok(Some(Ok(frame))) => self.first = Some(Box::new(frame)),
            Ok(Some(Err(error))) => return Err(SendError::Reset(error)),
            Ok(None) => {}
            Err(_elapsed) => {
                let phase = Phase::Response;
                return Err(SendError::Timeout { phase, after: wait });
            }
        }
        Ok(self)
    }

    /// Nobody wants the answer. What is left of the request still arrives.
    pub fn let_go(self) {
        if let Incoming::Endpoint(answer) = self.body {
            answer.let_go();
        }
    }
}

/// Says whether an attempt still moves: the body that it sends, if that can be watched.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<(Replay, usize)>);

impl Progress {
    /// Watches a body that is still arriving, and this lane of it.
    #[must_use]
    pub const fn of(replay: Replay, lane: usize) -> Self {
        Self(Some((replay, lane)))
    }

    fn now(&self) -> u64 {
        self.0.as_ref().map_or(0, |(replay, _)| replay.taken())
    }

    /// The body from its first byte, if that is still there.
    pub(super) fn again(&self) -> Option<Body> {
        let (replay, lane) = self.0.as_ref()?;
        replay.reader(*lane).map(Body::Replay)
    }

    /// Why the caller's side failed, if it did.
    pub(super) fn error(&self) -> Option<SourceError> {
        self.0.as_ref().and_then(|(replay, _)| replay.error())
    }

    /// Ready when the lane was cut off, because it held others up for so long.
    fn poll_cut(&self, cx: &Context<'_>) -> Poll<Duration> {
        match &self.0 {
            Some((replay, lane)) => replay.poll_cut(*lane, cx),
            None => Poll::Pending,
        }
    }
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            pool: Pool::default(),
            lines: Lines::default(),
            metrics,
        }
    }

    /// Closes connections that nobody wanted for too long, or that were closed at the other end;
    /// to be called now and then.
    pub fn sweep(&self) {
        self.pool.sweep();
        self.lines.sweep();
    }

    pub(super) const fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(super) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// When an attempt that begins now must be over.
    pub(super) fn deadline(&self, endpoint: &Endpoint) -> Deadline {
        endpoint.timeout.map(|after| (clock::now() + after, after))
    }

    /// Sends the request to one server of the endpoint and waits for the response head.
    ///
    /// # Errors
    /// [`SendError`] says what went wrong and whether the endpoint can have seen the request.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        member: &Arc<Member>,
        request: Request<Body>,
        progress: &Progress,
    ) -> Result<Reply, SendError> {
        if let Some(streams) = endpoint.http2_streams {
            let sent = self.send_multiplexed(endpoint, streams, member, request, progress);
            // Large and seldom: others do not carry room for it.
            return Box::pin(sent).await;
        }
        let deadline = self.deadline(endpoint);
        let take = |cx: &mut Context<'_>| Poll::Ready(self.pool.take(cx, endpoint, member));
        let (connection, kept) = match std::future::poll_fn(take).await {
            Some(connection) => (connection, true),
            None => (self.connect(endpoint, member, deadline).await?, false),
        };
        let terms = Terms {
            idle: endpoint.keep_idle,
            idle_max: endpoint.idle_max,
        };
        let sending = Sending::new(connection, request, RESPONSE_HEAD, terms);
        let mut attempt = Attempt::new(sending, endpoint, progress, deadline);
        let mut result = std::future::poll_fn(|cx| attempt.poll(cx)).await;
        if kept && result.is_err() && attempt.sending.is_unsent() && !attempt.is_late() {
            let connection = self.connect(endpoint, member, deadline).await?;
            attempt = attempt.over(connection);
            result = std::future::poll_fn(|cx| attempt.poll(cx)).await;
        }
        Ok(attempt.reply(result?))
    }

    /// Sends one request to an address, on a connection of its own that is not kept; over TLS that
    /// asks for `name`, if there is one.
    pub(super) async fn once(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
        name: Option<&str>,
        request: Request<Body>,
    ) -> Result<Reply, SendError> {
        let stream = open(endpoint, address, Arc::default(), name).await?;
        if endpoint.http2_streams.is_some() {
            return self.once_multiplexed(endpoint, stream, request).await;
        }
        let connection = self.pool.open(stream, endpoint, None, &self.metrics);
        let terms = Terms {
            idle: Duration::ZERO,
            idle_max: 0,
        };
        let sending = Sending::new(connection, request, RESPONSE_HEAD, terms);
        let progress = Progress::default();
        let mut attempt = Attempt::new(sending, endpoint, &progress, None);
        let result = std::future::poll_fn(|cx| attempt.poll(cx)).await;
        Ok(attempt.reply(result?))
    }

    async fn connect(
        &self,
        endpoint: &Endpoint,
        member: &Arc<Member>,
        deadline: Deadline,
    ) -> Result<Box<EndpointConnection>, SendError> {
        let (limit, after) = connect_limit(endpoint, deadline);
        let name = endpoint.tls_name_of(member.server());
        let opening = open(endpoint, member.address(), member.tie(), name);
        let stream =
            timeout_at(limit, opening)
                .await
                .map_err(|_elapsed| SendError::Timeout {
                    phase: Phase::Connect,
                    after,
                })??;
        let pool = &self.pool;
        Ok(pool.open(stream, endpoint, Some(member), &self.metrics))
    }
}

/// When all must be over, and how long that is.
pub(super) type Deadline = Option<(Instant, Duration)>;

/// How long an answer may take to begin.
pub(super) struct Patience<'a> {
    endpoint: &'a Endpoint,
    progress: &'a Progress,
    /// Bytes of the body that had moved when `until` was set.
    moved: u64,
    until: Option<Instant>,
    deadline: Deadline,
}

/// One request on one connection, and how long it may take.
struct Attempt<'a> {
    sending: Sending<Body>,
    patience: Patience<'a>,
    late: bool,
}

impl<'a> Patience<'a> {
    pub(super) const fn new(
        endpoint: &'a Endpoint,
        progress: &'a Progress,
        deadline: Deadline,
    ) -> Self {
        Self {
            endpoint,
            progress,
            moved: 0,
            until: None,
            deadline,
        }
    }

    /// Ready when the endpoint has taken too long; `timer` waits until it is so late.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: impl FnMut(&mut Context<'_>, Instant) -> Poll<()>,
    ) -> Poll<SendError> {
        if let Poll::Ready(after) = self.progress.poll_cut(cx) {
            let phase = Phase::Response;
            return Poll::Ready(SendError::Timeout { phase, after });
        }
        loop {
            let until = match self.until {
                Some(until) => until,
                None => {
                    self.moved = self.progress.now();
                    clock::now() + self.endpoint.response_timeout
                }
            };
            self.until = Some(until);
            let (limit, after, hard) = match self.deadline {
                Some((total, after)) if total < until => (total, after, true),
                _ => (until, self.endpoint.response_timeout, false),
            };
            ready!(timer(cx, limit));
            // A long upload that still moves is not a slow endpoint.
            if hard || self.progress.now() <= self.moved {
                let phase = Phase::Response;
                return Poll::Ready(SendError::Timeout { phase, after });
            }
            self.until = None;
        }
    }
}

impl<'a> Attempt<'a> {
    const fn new(
        sending: Sending<Body>,
        endpoint: &'a Endpoint,
        progress: &'a Progress,
        deadline: Deadline,
    ) -> Self {
        Self {
            sending,
            patience: Patience::new(endpoint, progress, deadline),
            late: false,
        }
    }

    /// The same on another connection.
    fn over(self, connection: Box<EndpointConnection>) -> Self {
        let Patience {
            endpoint,
            progress,
            deadline,
            ..
        } = self.patience;
        Self::new(self.sending.over(connection), endpoint, progress, deadline)
    }

    /// The head came; the body is still to come.
    fn reply(self, head: http1::ResponseHead) -> Reply {
        let keep_idle = keep_idle(&head.parts.headers);
        let body = self.sending.answer(&head, keep_idle);
        Reply {
            head: head.parts,
            body: body.into(),
            first: None,
        }
    }

    const fn is_late(&self) -> bool {
        self.late
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<http1::ResponseHead, SendError>> {
        match self.sending.poll_head(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(|error| self.classify(error))),
            Poll::Pending => {
                let sending = &mut self.sending;
                let late = self
                    .patience
                    .poll(cx, |cx, until| sending.poll_time(cx, until));
                let late = ready!(late);
                self.late = true;
                Poll::Ready(Err(late))
            }
        }
    }

    fn classify(&self, error: http1::Error) -> SendError {
        if let Some(source) = self.patience.progress.error() {
            return SendError::Caller(source);
        }
        // With TLS 1.3 an endpoint refuses our certificate only after the handshake.
        if let http1::Error::Io(io) = &error
            && let Some(refused) = HandshakeError::within(io)
        {
            return SendError::Tls(Box::new(refused));
        }
        if error.is_malformed() {
            SendError::BadHttp(error.into())
        } else {
            SendError::Reset(error.into())
        }
    }
}

/// How long the endpoint keeps the connection, if it says so: a little less, because its clock
/// started earlier than ours.
fn keep_idle(headers: &Fields) -> Option<Duration> {
    let value = headers.text(KEEP_ALIVE)?;
    let seconds = value
        .split(',')
        .find_map(|part| part.trim().strip_prefix("timeout=")?.parse().ok())?;
    Some(Duration::from_secs(u64::saturating_sub(seconds, 1)))
}
