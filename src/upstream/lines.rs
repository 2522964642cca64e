//! HTTP/2 connections of one worker: each carries many requests at a time.
//!
//! A connection is filled up to its streams before another one is opened, and only one is opened
//! at a time to a server, so that a burst opens as many as it needs and not as many as it has
//! requests.
//!
//! **Invariant:** a connection that takes no requests any more ends with the last one it has.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connect::Wire;
use super::endpoint::Endpoint;
use super::member::Member;
use super::pool::Key;
use crate::net::Body;
use crate::telemetry::Metrics;

/// Bytes of one answer that may be under way before they are read: a caller that reads slowly must
/// not fill memory with what it does not want yet. The connection's own window has room for that
/// many of each stream, so that those who read slowly never hold the others up.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of one request that wait to be written.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// The largest head of an answer; the same as over HTTP/1.
const HEAD_BYTES_MAX: u32 = 32 * 1024;
/// An endpoint from which nothing comes for so long, while requests are out, is asked for a sign
/// of life.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Without one within this time the connection is dead.
const PING_MAX: Duration = Duration::from_secs(10);
/// Requests after which a connection is let go: far below the number of streams that one can have
/// (RFC 9113 §5.1.1: 2^30 of one side).
const REQUESTS_MAX: u64 = 1 << 29;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    peers: Arc<Mutex<HashMap<Key, Peer>>>,
}

/// Those to one server.
#[derive(Debug)]
struct Peer {
    member: Arc<Member>,
    lines: Vec<Arc<Line>>,
    /// Passed by one at a time, who opens the next connection.
    door: Arc<tokio::sync::Mutex<()>>,
}

/// One connection.
pub(super) struct Line {
    sender: SendRequest<Body>,
    begun: Instant,
    open: AtomicUsize,
    served: AtomicU64,
    /// When the last request ended, milliseconds from the beginning.
    quiet_since: AtomicU64,
    keep_idle: Duration,
    /// Streams that the endpoint allows, as far as it has said.
    allowed: Arc<AtomicUsize>,
    retired: AtomicBool,
}

/// A stream's place on a connection, held to the end of its answer.
#[derive(Debug)]
pub(super) struct Place(Arc<Line>);

/// Counts a connection as open, for as long as one of its tasks lives.
#[derive(Debug)]
struct Counted(Arc<Metrics>);

/// Runs what a connection consists of, and tells when some of it has run.
#[derive(Debug, Clone)]
struct Hands {
    counted: Arc<Counted>,
    beginning: Arc<Beginning>,
}

/// Until the endpoint has spoken.
#[derive(Debug, Default)]
struct Beginning {
    over: AtomicBool,
    ran: Notify,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("open", &self.open)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// A place on a connection that has one.
    pub(super) fn take(&self, key: Key, streams_max: u32) -> Option<Place> {
        let peers = lock(&self.peers);
        let lines = &peers.get(&key)?.lines;
        lines.iter().find_map(|line| line.take(streams_max))
    }

    /// Whoever passes it may open a connection to the server.
    pub(super) fn door(&self, key: Key, member: &Arc<Member>) -> Arc<tokio::sync::Mutex<()>> {
        let mut peers = lock(&self.peers);
        let peer = peers.entry(key).or_insert_with(|| Peer {
            member: Arc::clone(member),
            lines: Vec::new(),
            door: Arc::default(),
        });
        Arc::clone(&peer.door)
    }

    /// Keeps a new connection for others.
    pub(super) fn keep(&self, key: Key, place: &Place) {
        if let Some(peer) = lock(&self.peers).get_mut(&key) {
            peer.lines.push(Arc::clone(&place.0));
        }
    }

    /// Lets go of what nobody wanted for so long, what takes no more requests, and what leads to
    /// servers that get nothing new.
    pub(super) fn sweep(&self) {
        lock(&self.peers).retain(|_, peer| {
            let keeps = peer.member.keeps();
            peer.lines.retain(|line| keeps && line.is_wanted());
            !peer.lines.is_empty() || Arc::strong_count(&peer.door) > 1
        });
    }
}

impl Line {
    fn take(self: &Arc<Self>, streams_max: u32) -> Option<Place> {
        let allowed = self.allowed.load(Ordering::Relaxed).max(1);
        let most = allowed.min(usize::try_from(streams_max).unwrap_or(usize::MAX));
        let full = self.open.load(Ordering::Relaxed) >= most;
        (!full && self.is_usable()).then(|| Place::on(self))
    }

    fn is_usable(&self) -> bool {
        !self.sender.is_closed()
            && !self.retired.load(Ordering::Relaxed)
            && self.served.load(Ordering::Relaxed) < REQUESTS_MAX
    }

    fn is_wanted(&self) -> bool {
        let quiet = self.begun.elapsed();
        let quiet = quiet.saturating_sub(Duration::from_millis(
            self.quiet_since.load(Ordering::Relaxed),
        ));
        let busy = self.open.load(Ordering::Relaxed) > 0;
        self.is_usable() && (busy || quiet < self.keep_idle)
    }
}

impl Place {
    fn on(line: &Arc<Line>) -> Self {
        line.open.fetch_add(1, Ordering::Relaxed);
        line.served.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(line))
    }

    /// Speaks HTTP/2 on a new connection, and gives the first place on it. Waits for the endpoint's
    /// own first word: only then is it known how many requests it takes at a time, and whether it
    /// speaks HTTP/2 at all, while nothing was sent that could be lost.
    ///
    /// # Errors
    /// When it ends the connection instead.
    pub(super) async fn open(
        stream: Wire,
        endpoint: &Endpoint,
        streams_max: u32,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let hands = Hands {
            counted: Arc::new(Counted::new(metrics)),
            beginning: Arc::default(),
        };
        let window = STREAM_WINDOW.saturating_mul(streams_max.max(1));
        let (sender, mut connection) = http2::Builder::new(hands.clone())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(window.min(i32::MAX.unsigned_abs()))
            .max_send_buf_size(SEND_BUFFER_MAX)
            .max_header_list_size(HEAD_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_MAX)
            // None until it has said how many.
            .initial_max_send_streams(0)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        loop {
            let ran = hands.beginning.ran.notified();
            if connection.current_max_send_streams() > 0 {
                break;
            }
            tokio::select! {
                () = ran => {}
                ended = &mut connection => return Err(no_http2(ended.err())),
            }
        }
        hands.beginning.over.store(true, Ordering::Relaxed);
        let allowed = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
        let told = Arc::clone(&allowed);
        hyper::rt::Executor::execute(&hands, async move {
            let ended = std::future::poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                told.store(connection.current_max_send_streams(), Ordering::Relaxed);
                polled
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "HTTP/2 connection to an endpoint ended");
            }
        });
        Ok(Self::on(&Arc::new(Line {
            sender,
            begun: Instant::now(),
            open: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            quiet_since: AtomicU64::new(0),
            keep_idle: endpoint.keep_idle,
            allowed,
            retired: AtomicBool::new(false),
        })))
    }

    /// What sends.
    pub(super) fn sender(&self) -> SendRequest<Body> {
        self.0.sender.clone()
    }

    /// The connection takes no more requests.
    pub(super) fn retire(&self) {
        self.0.retired.store(true, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let line = &self.0;
        let now = u64::try_from(line.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        line.quiet_since.store(now, Ordering::Relaxed);
        line.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counted {
    fn new(metrics: &Arc<Metrics>) -> Self {
        let (opened, open) = &metrics.endpoint_connections;
        opened.inc();
        open.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.endpoint_connections.1.dec();
    }
}

impl<F> hyper::rt::Executor<F> for Hands
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, work: F) {
        let Self { counted, beginning } = self.clone();
        tokio::spawn(async move {
            let mut work = std::pin::pin!(work);
            std::future::poll_fn(|cx| {
                let polled = work.as_mut().poll(cx);
                if !beginning.over.load(Ordering::Relaxed) {
                    beginning.ran.notify_one();
                }
                polled
            })
            .await;
            drop(counted);
        });
    }
}

fn no_http2(error: Option<hyper::Error>) -> io::Error {
    let why = error.map_or_else(|| "it ended the connection".to_owned(), |e| e.to_string());
    io::Error::other(format!("the endpoint does not speak HTTP/2: {why}"))
}

/// A panic while the lock was held leaves the map whole; so poisoning is passed over.
fn lock(peers: &Mutex<HashMap<Key, Peer>>) -> MutexGuard<'_, HashMap<Key, Peer>> {
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}
