//! A request body that can be sent again as long as all of it that was sent is still held.
//!
//! What was read for the decision is held; more is held as it passes, up to a limit. Beyond the
//! limit the held bytes are let go: the exchange is committed to the endpoint it is at.
//!
//! **Invariant:** bytes leave in the order in which they came, each reader from the first byte;
//! only the newest reader may read.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

/// Why the caller's body ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The caller closed or broke the framing.
    #[error("the caller's body broke off: {0}")]
    Broken(Arc<hyper::Error>),
    /// Nothing came for too long.
    #[error("no byte from the caller for {0:?}")]
    Idle(Duration),
    /// More than the service allows.
    #[error("the message is longer than {max} bytes (limit `{name}`)")]
    TooLarge {
        /// Name of the limit.
        name: &'static str,
        /// Its value.
        max: u64,
    },
    /// A newer attempt reads the body now.
    #[error("the attempt was given up")]
    Superseded,
}

/// The shared body; readers are made from it, one after the other.
#[derive(Debug, Clone)]
pub struct Replay {
    shared: Arc<Mutex<Shared>>,
}

/// One pass over a [`Replay`].
#[derive(Debug)]
pub struct ReplayReader {
    shared: Arc<Mutex<Shared>>,
    generation: u32,
    next: usize,
    length: Option<u64>,
    over: bool,
}

#[derive(Debug)]
struct Shared {
    held: Vec<Bytes>,
    held_bytes: u64,
    held_max: u64,
    committed: bool,
    source: Option<Incoming>,
    trailers: Option<HeaderMap>,
    error: Option<SourceError>,
    /// Bytes that came from the caller so far.
    received: u64,
    received_max: u64,
    /// Bytes that readers took: says whether an attempt makes progress.
    taken: u64,
    length: Option<u64>,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    generation: u32,
}

/// What a body may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most bytes held for another attempt.
    pub held_max: u64,
    /// Most bytes of the whole body.
    pub received_max: u64,
    /// Longest wait for the caller's next byte.
    pub idle: Duration,
}

impl Replay {
    /// A body of which `held` was read already and `source`, if any, is still to come.
    /// `length` is the caller's Content-Length.
    #[must_use]
    pub fn new(
        held: Vec<Bytes>,
        source: Option<Incoming>,
        trailers: Option<HeaderMap>,
        length: Option<u64>,
        bounds: Bounds,
    ) -> Self {
        let held_bytes = held.iter().map(|chunk| chunk.len() as u64).sum();
        let shared = Shared {
            held,
            held_bytes,
            held_max: bounds.held_max,
            committed: false,
            source,
            trailers,
            error: None,
            received: held_bytes,
            received_max: bounds.received_max,
            taken: 0,
            length,
            idle: bounds.idle,
            timer: None,
            generation: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// A new pass from the first byte, or `None` when the first bytes are gone. Readers made
    /// before end with [`SourceError::Superseded`].
    #[must_use]
    pub fn reader(&self) -> Option<ReplayReader> {
        let mut shared = lock(&self.shared);
        if shared.committed {
            return None;
        }
        shared.generation += 1;
        Some(ReplayReader {
            shared: Arc::clone(&self.shared),
            generation: shared.generation,
            next: 0,
            length: shared.length,
            over: false,
        })
    }

    /// All bytes, when the body is complete and still held: for sending without sharing.
    #[must_use]
    pub fn whole(&self) -> Option<Bytes> {
        let shared = lock(&self.shared);
        if shared.source.is_some() || shared.committed || shared.trailers.is_some() {
            return None;
        }
        match shared.held.as_slice() {
            [] => Some(Bytes::new()),
            [only] => Some(only.clone()),
            chunks => Some(chunks.concat().into()),
        }
    }

    /// Whether the first bytes are gone, so that no other attempt is possible.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        lock(&self.shared).committed
    }

    /// Why the caller's side failed, if it did.
    #[must_use]
    pub fn error(&self) -> Option<SourceError> {
        lock(&self.shared).error.clone()
    }

    /// Bytes received from the caller so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        lock(&self.shared).received
    }

    /// Bytes that attempts have taken so far, all together.
    #[must_use]
    pub fn taken(&self) -> u64 {
        lock(&self.shared).taken
    }
}

impl ReplayReader {
    /// The body's length where the caller announced it.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut shared = lock(&self.shared);
        if shared.generation != self.generation {
            self.over = true;
            return Poll::Ready(Some(Err(SourceError::Superseded)));
        }
        if let Some(chunk) = shared.held.get(self.next).cloned() {
            self.next += 1;
            shared.taken += chunk.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if shared.source.is_some() {
            return shared.poll_source(cx).map(|polled| match polled {
                Some(Ok(frame)) => {
                    self.next += usize::from(frame.is_data());
                    Some(Ok(frame))
                }
                other => {
                    self.over = true;
                    other
                }
            });
        }
        self.over = true;
        match (&shared.error, &shared.trailers) {
            (Some(error), _) => Poll::Ready(Some(Err(error.clone()))),
            (None, Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers.clone())))),
            (None, None) => Poll::Ready(None),
        }
    }
}

impl Shared {
    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceError>>> {
        loop {
            let Some(source) = &mut self.source else {
                return Poll::Ready(None);
            };
            let frame = match Pin::new(source).poll_frame(cx) {
                Poll::Pending => return self.poll_idle(cx),
                Poll::Ready(None) => {
                    self.source = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(self.fail(SourceError::Broken(error.into())))));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            self.timer = None;
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(self.accept(data))),
                Err(other) => {
                    if let Ok(trailers) = other.into_trailers() {
                        self.trailers = Some(trailers.clone());
                        self.source = None;
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                }
            }
        }
    }

    fn accept(&mut self, data: Bytes) -> Result<Frame<Bytes>, SourceError> {
        let bytes = data.len() as u64;
        self.received += bytes;
        if self.received > self.received_max {
            let max = self.received_max;
            return Err(self.fail(SourceError::TooLarge {
                name: "message_bytes",
                max,
            }));
        }
        self.taken += bytes;
        if !self.committed && self.held_bytes + bytes <= self.held_max {
            self.held_bytes += bytes;
            self.held.push(data.clone());
        } else if !self.committed {
            self.committed = true;
            self.held = Vec::new();
        }
        Ok(Frame::data(data))
    }

    fn poll_idle(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceError>>> {
        let idle = self.idle;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
        match timer.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Some(Err(self.fail(SourceError::Idle(idle))))),
        }
    }

    fn fail(&mut self, error: SourceError) -> SourceError {
        self.source = None;
        self.error = Some(error.clone());
        error
    }
}

/// A panic while the lock was held cannot leave the state half changed in a way that matters
/// more than going on; so poisoning is passed over.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
