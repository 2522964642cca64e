//! HTTP/2 on one connection.
//!
//! hyper speaks it; what it leaves to its users is watched here: connections on which nothing
//! happens, callers that open no window for their answer, and callers that open streams only to
//! reset them (CVE-2023-44487).

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{Serving, refusal};
use crate::exchange::{Arrival, Origin, Worker, handle};
use crate::fields::Response;
use crate::http1::{Malformed, Stream};
use crate::net::{Body, BodyError};
use crate::snapshot::Listener;

/// Bytes of one request's body that may be under way before they are read. A stream that is read
/// slowly must not be able to fill memory with what nobody wants yet.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for a connection with all its streams.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one answer that wait to be written.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// Streams reset by the caller more than those served, at which the connection is given up. A
/// caller in good faith resets when its own caller goes away, which does not come in hundreds.
const RESETS_MAX: usize = 100;
/// Connections are not looked at more often than this.
const LOOK_MIN: Duration = Duration::from_millis(10);
/// How long a connection that was told to go may take.
const GO_AWAY_MAX: Duration = Duration::from_secs(5);

/// Serves requests until the caller leaves, nothing happens for too long, or it is to stop.
pub(super) async fn serve(stream: impl Stream + 'static, origin: Origin, serving: Serving) {
    let Serving {
        listener,
        worker,
        stop,
        ..
    } = serving;
    let counted = worker.connected();
    let traffic = Arc::new(Traffic::new());
    let service = {
        let (listener, traffic) = (Arc::clone(&listener), Arc::clone(&traffic));
        let origin = Arc::new(origin);
        service_fn(move |request: Request<hyper::body::Incoming>| {
            let (head, body) = request.into_parts();
            let refused = refuse(&head, &listener);
            let begun = Begun::new(&traffic);
            let head = Box::new(as_http1(head).into());
            let (worker, origin) = (Arc::clone(&worker), Arc::clone(&origin));
            async move {
                let arrival = Arrival {
                    head,
                    body: body.into(),
                    origin: &origin,
                };
                let response = match refused {
                    Some(response) => response,
                    None => answer(&worker, arrival).await,
                };
                let response = http::Response::from(response);
                Ok::<_, Infallible>(response.map(|body| begun.answer(body)))
            }
        })
    };
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(listener.http2.map_or(1, |http2| http2.streams_max))
        .max_header_list_size(u32::try_from(listener.header_block_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let why = loop {
        let look_again = traffic.look_again(
            listener.header_read_timeout,
            listener.keep_alive,
            listener.write_timeout,
        );
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection of a caller ended");
                }
                return drop(counted);
            }
            () = stop.said() => break Why::Stop,
            () = traffic.resets.notified() => break Why::Resets,
            () = sleep_until(look_again) => {}
        }
        if traffic.is_stuck(listener.write_timeout) {
            break Why::Stuck;
        }
        if traffic.is_over(listener.header_read_timeout, listener.keep_alive) {
            break Why::Idle;
        }
    };
    let peer = origin_peer(&listener.name, why);
    match why {
        // Dropping it is the only way to get rid of what the caller never takes.
        Why::Stuck | Why::Resets => tracing::warn!("{peer}"),
        Why::Idle => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(GO_AWAY_MAX, connection).await;
        }
        Why::Stop => {
            connection.as_mut().graceful_shutdown();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection of a caller ended");
            }
        }
    }
    drop(counted);
}

/// Why a connection is ended from this side.
#[derive(Debug, Clone, Copy)]
enum Why {
    Stop,
    Idle,
    Stuck,
    Resets,
}

fn origin_peer(listener: &str, why: Why) -> String {
    let what = match why {
        Why::Stop => "the router stops",
        Why::Idle => "nothing happened on it (`keep_alive_timeout`)",
        Why::Stuck => "the caller takes no answer (`body_idle_timeout`)",
        Why::Resets => "the caller resets what it asks for, again and again",
    };
    format!("listener `{listener}`: an HTTP/2 connection is closed: {what}")
}

/// The answer to a request. Each has a task of its own here, which must be woken for the last word
/// of a stopping router; the road looks at that by itself.
async fn answer(worker: &Arc<Worker>, arrival: Arrival<'_>) -> Response<Body> {
    let mut answer = pin!(handle(worker, arrival));
    let mut last_word = pin!(worker.closing().cancelled());
    let mut asked = false;
    std::future::poll_fn(|cx| {
        if !std::mem::replace(&mut asked, true) {
            // Only so that it wakes; what it says is no news.
            let _ = last_word.as_mut().poll(cx);
        }
        answer.as_mut().poll(cx)
    })
    .await
}

/// What is no request for us; told before anything is done for it.
fn refuse(head: &Parts, listener: &Listener) -> Option<Response<Body>> {
    let (bytes_max, fields_max) = (listener.header_block_max, listener.header_count_max);
    if head_bytes(head) > bytes_max {
        return Some(refusal(Malformed::HeadBytes(bytes_max), &listener.door));
    }
    if head.headers.len() > fields_max {
        return Some(refusal(Malformed::HeadFields(fields_max), &listener.door));
    }
    if head.method == Method::CONNECT {
        return Some(Response::new(StatusCode::NOT_IMPLEMENTED, Body::Empty));
    }
    None
}

/// The size of a head as HTTP/1 would send it.
fn head_bytes(head: &Parts) -> usize {
    let line = head.method.as_str().len() + head.uri.path().len();
    let query = head.uri.query().map_or(0, str::len);
    let fields = head.headers.iter();
    line + query
        + fields
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
}

/// The head as everybody behind it knows heads: one `Cookie` (RFC 9113 §8.2.3), and no field that
/// only means something on a connection of its own.
fn as_http1(mut head: Parts) -> Parts {
    head.version = Version::HTTP_11;
    let mut cookies = head.headers.get_all(COOKIE).iter();
    if cookies.next().is_some() && cookies.next().is_some() {
        let all: Vec<&[u8]> = head
            .headers
            .get_all(COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            head.headers.insert(COOKIE, joined);
        }
    }
    head.headers.remove(HeaderName::from_static("te"));
    head
}

/// What happens on one connection.
#[derive(Debug)]
struct Traffic {
    begun: Instant,
    /// Streams that are being served.
    open: AtomicUsize,
    /// Streams ever served.
    seen: AtomicUsize,
    /// When the last one ended, milliseconds from the beginning.
    quiet_since: AtomicU64,
    /// Streams that the caller reset, less those that were served to their end.
    reset: AtomicUsize,
    resets: Notify,
    outflows: Mutex<Vec<Weak<Outflow>>>,
}

/// An answer under way.
#[derive(Debug)]
struct Outflow {
    /// When the last piece of it was handed over, milliseconds from the connection's beginning,
    /// while another one could be; zero while the answer itself is waited for.
    given: AtomicU64,
}

impl Traffic {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            open: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            reset: AtomicUsize::new(0),
            resets: Notify::new(),
            outflows: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wait that is allowed now: for the first request as for a head, later as between
    /// requests.
    fn idle_max(&self, first: Duration, idle: Duration) -> Duration {
        if self.seen.load(Ordering::Relaxed) == 0 {
            first
        } else {
            idle
        }
    }

    /// When something may be over next: between requests when that has lasted too long, during
    /// them when an answer may have been waiting for the caller too long.
    fn look_again(&self, first: Duration, idle: Duration, write: Duration) -> Instant {
        if self.open.load(Ordering::Relaxed) > 0 || self.seen.load(Ordering::Relaxed) == 0 {
            return Instant::now() + first.min(idle).min(write).max(LOOK_MIN);
        }
        let since = Duration::from_millis(self.quiet_since.load(Ordering::Relaxed));
        (self.begun + since + idle).max(Instant::now() + LOOK_MIN)
    }

    fn is_over(&self, first: Duration, idle: Duration) -> bool {
        let quiet = self
            .now()
            .saturating_sub(self.quiet_since.load(Ordering::Relaxed));
        self.open.load(Ordering::Relaxed) == 0
            && Duration::from_millis(quiet) >= self.idle_max(first, idle)
    }

    /// Whether some answer is not taken by the caller for so long.
    fn is_stuck(&self, wait: Duration) -> bool {
        let now = self.now();
        let mut outflows = self.outflows.lock().unwrap_or_else(PoisonError::into_inner);
        outflows.retain(|flow| flow.strong_count() > 0);
        outflows.iter().filter_map(Weak::upgrade).any(|flow| {
            let given = flow.given.load(Ordering::Relaxed);
            given > 0 && Duration::from_millis(now.saturating_sub(given)) >= wait
        })
    }
}

/// A request that is being served; told how it ends by being dropped.
struct Begun {
    traffic: Arc<Traffic>,
    served: bool,
}

impl Begun {
    fn new(traffic: &Arc<Traffic>) -> Self {
        traffic.open.fetch_add(1, Ordering::Relaxed);
        traffic.seen.fetch_add(1, Ordering::Relaxed);
        Self {
            traffic: Arc::clone(traffic),
            served: false,
        }
    }

    fn answer(self, body: Body) -> Answer {
        let flow = Arc::new(Outflow {
            given: AtomicU64::new(0),
        });
        if !body.is_end_stream() {
            let mut outflows = self
                .traffic
                .outflows
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            outflows.retain(|flow| flow.strong_count() > 0);
            outflows.push(Arc::downgrade(&flow));
        }
        let mut begun = self;
        begun.served = body.is_end_stream();
        Answer { body, flow, begun }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let traffic = &self.traffic;
        traffic.quiet_since.store(traffic.now(), Ordering::Relaxed);
        traffic.open.fetch_sub(1, Ordering::Relaxed);
        if self.served {
            let less = |count: usize| count.checked_sub(1);
            // None means that there is nothing to make up for.
            let _ = traffic
                .reset
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        } else if traffic.reset.fetch_add(1, Ordering::Relaxed) >= RESETS_MAX {
            traffic.resets.notify_one();
        }
    }
}

/// An answer's body, watched.
struct Answer {
    body: Body,
    flow: Arc<Outflow>,
    begun: Begun,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let given = match &polled {
            Poll::Pending => 0,
            Poll::Ready(Some(Ok(_))) => self.begun.traffic.now().max(1),
            Poll::Ready(None | Some(Err(_))) => 0,
        };
        self.flow.given.store(given, Ordering::Relaxed);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.begun.served = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
