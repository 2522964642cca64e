//! Gets one request to one endpoint and its response head back.
//!
//! Each worker has its own client, so connections never cross cores. No retry happens here but
//! one: a kept connection that turns out to be closed before the request was written is
//! replaced by a new one, which RFC 9110 §9.2.2 allows because nothing was sent.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::open;
use super::endpoint::Endpoint;
use super::error::{Phase, SendError};
use super::pool::{Lease, Pool};
use crate::net::tls::HandshakeError;
use crate::net::{Body, Incoming, Replay};
use crate::telemetry::Metrics;

/// How long a kept connection may take to say that it is ready; it has nothing left to do, so
/// it is ready at once or broken.
const READY_MAX: Duration = Duration::from_millis(100);

/// The largest response head accepted, as hyper counts it: the buffer that it must fit in. The
/// same number bounds what waits to be written, so a thousand uploads wait in 32 MiB; HAProxy
/// has half of that by default.
const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most header fields in a response.
const RESPONSE_HEADERS_MAX: usize = 200;

/// Sends requests for one worker.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool,
    metrics: std::sync::Arc<Metrics>,
}

/// A response head, its body still to come, and the connection it comes on.
#[derive(Debug)]
pub struct Reply {
    /// Head and body.
    pub response: Response<Incoming>,
    /// What was read of the body already ([`Reply::begun`]).
    pub first: Option<Frame<Bytes>>,
    /// Give it back when the body was read to the end.
    pub lease: Lease,
}

impl Reply {
    /// Waits until the body has begun: an endpoint that dies right behind the head of its answer,
    /// which many servers send by itself, has given none, and a backup can still be asked.
    ///
    /// # Errors
    /// [`SendError`] when the connection broke, or nothing came within `wait`.
    pub async fn begun(mut self, wait: Duration) -> Result<Self, SendError> {
        if self.response.body().is_end_stream() {
            return Ok(self);
        }
        match timeout(wait, self.response.body_mut().frame()).await {
            Ok(Some(Ok(frame))) => self.first = Some(frame),
            Ok(Some(Err(error))) => return Err(SendError::Reset(error)),
            Ok(None) => {}
            Err(_elapsed) => {
                let phase = Phase::Response;
                return Err(SendError::Timeout { phase, after: wait });
            }
        }
        Ok(self)
    }
}

/// Says whether an attempt still moves: the body that it sends, if that can be watched.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<Replay>);

impl Progress {
    /// Watches a body that is still arriving.
    #[must_use]
    pub const fn of(replay: Replay) -> Self {
        Self(Some(replay))
    }

    fn now(&self) -> u64 {
        self.0.as_ref().map_or(0, Replay::taken)
    }
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(metrics: std::sync::Arc<Metrics>) -> Self {
        Self {
            pool: Pool::default(),
            metrics,
        }
    }

    /// Closes connections that nobody wanted for too long; to be called now and then.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Sends the request and waits for the response head.
    ///
    /// # Errors
    /// [`SendError`] says what went wrong and whether the endpoint can have seen the request.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        mut request: Request<Body>,
        progress: &Progress,
    ) -> Result<Reply, SendError> {
        let deadline = endpoint
            .timeout
            .map(|after| (Instant::now() + after, after));
        while let Some(mut lease) = self.pool.take(endpoint) {
            if !is_ready(&mut lease).await {
                continue;
            }
            match exchange(endpoint, lease, request, progress, deadline).await {
                Err(Failure::Unsent(unsent)) => request = *unsent,
                Err(Failure::Failed(error)) => return Err(error),
                Ok(reply) => return Ok(reply),
            }
        }
        let lease = self.connect(endpoint, deadline).await?;
        match exchange(endpoint, lease, request, progress, deadline).await {
            Ok(reply) => Ok(reply),
            Err(Failure::Failed(error)) => Err(error),
            Err(Failure::Unsent(_)) => Err(SendError::Connect(io::Error::from(
                io::ErrorKind::ConnectionReset,
            ))),
        }
    }

    async fn connect(
        &self,
        endpoint: &Endpoint,
        deadline: Option<(Instant, Duration)>,
    ) -> Result<Lease, SendError> {
        let start = Instant::now();
        let limit = start + endpoint.connect_timeout;
        let (limit, after) = match deadline {
            Some((total, after)) if total < limit => (total, after),
            _ => (limit, endpoint.connect_timeout),
        };
        let stream = timeout_at(limit, open(endpoint))
            .await
            .map_err(|_elapsed| SendError::Timeout {
                phase: Phase::Connect,
                after,
            })??;
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .writev(false)
            .title_case_headers(true)
            .max_headers(RESPONSE_HEADERS_MAX)
            .max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| SendError::Reset(error.into()))?;
        let (opened, open_now) = self.metrics.endpoint_connections.clone();
        opened.inc();
        open_now.inc();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to an endpoint ended");
            }
            open_now.dec();
        });
        Ok(self.pool.fresh(sender, endpoint))
    }
}

enum Failure {
    /// Nothing was written: the request is whole and may go elsewhere.
    Unsent(Box<Request<Body>>),
    Failed(SendError),
}

async fn is_ready(lease: &mut Lease) -> bool {
    lease.sender.is_ready() || matches!(timeout(READY_MAX, lease.sender.ready()).await, Ok(Ok(())))
}

async fn exchange(
    endpoint: &Endpoint,
    mut lease: Lease,
    request: Request<Body>,
    progress: &Progress,
    deadline: Option<(Instant, Duration)>,
) -> Result<Reply, Failure> {
    let mut sending = std::pin::pin!(lease.sender.try_send_request(request));
    loop {
        let moved = progress.now();
        let quiet = Instant::now() + endpoint.response_timeout;
        let (limit, after, hard) = match deadline {
            Some((total, after)) if total < quiet => (total, after, true),
            _ => (quiet, endpoint.response_timeout, false),
        };
        match timeout_at(limit, sending.as_mut()).await {
            Ok(Ok(response)) => {
                lease.keep_idle = keep_idle(&response, lease.keep_idle);
                return Ok(Reply {
                    response: response.map(Incoming::from),
                    first: None,
                    lease,
                });
            }
            Ok(Err(mut error)) => {
                return Err(match error.take_message() {
                    Some(unsent) if lease.reused => Failure::Unsent(Box::new(unsent)),
                    _ => Failure::Failed(classify(error.into_error(), progress)),
                });
            }
            // A long upload that still moves is not a slow endpoint.
            Err(_elapsed) if !hard && progress.now() > moved => {}
            Err(_elapsed) => {
                let phase = Phase::Response;
                return Err(Failure::Failed(SendError::Timeout { phase, after }));
            }
        }
    }
}

fn classify(error: hyper::Error, progress: &Progress) -> SendError {
    if let Some(source) = progress.0.as_ref().and_then(Replay::error) {
        return SendError::Caller(source);
    }
    // With TLS 1.3 an endpoint refuses our certificate only after the handshake.
    if let Some(refused) = HandshakeError::within(&error) {
        return SendError::Tls(Box::new(refused));
    }
    if error.is_parse() {
        SendError::BadHttp(error.into())
    } else {
        SendError::Reset(error.into())
    }
}

/// How long this connection may idle: below what the endpoint announces, because its clock
/// started earlier than ours.
fn keep_idle<B>(response: &Response<B>, default: Duration) -> Duration {
    let announced = response
        .headers()
        .get("keep-alive")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            value
                .split(',')
                .find_map(|part| part.trim().strip_prefix("timeout=")?.parse().ok())
        });
    match announced {
        Some(seconds) => Duration::from_secs(u64::saturating_sub(seconds, 1)),
        None => default,
    }
}
