//! Readers over one body: one after the other for failover, side by side for several endpoints.
//!
//! Each delivery has a lane. A lane may be read again from the first byte until it is committed;
//! lanes side by side share the window, so the slowest holds the others up, but only until it
//! has not moved for the idle time: then it is cut off.
//!
//! **Invariant:** a reader gives the bytes in the order in which they came, from the first on;
//! only the newest reader of a lane may read.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::incoming::{Incoming, WireError};
use super::budget::Budget;
use super::window::Window;

/// Why a reader ended before the body's end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The caller closed or broke the framing.
    #[error("the caller's body broke off: {0}")]
    Broken(Arc<WireError>),
    /// Nothing came for too long.
    #[error("no byte from the caller for {0:?}")]
    Idle(Duration),
    /// More than the service allows.
    #[error("the message is longer than {max} bytes (limit `message_bytes`)")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// The temporary file failed.
    #[error("the message could not be spooled: {0}")]
    Spool(Arc<io::Error>),
    /// What comes behind the deciding byte is not well-formed (`verify: full`).
    #[error("{0}")]
    Malformed(String),
    /// What comes cannot be changed as it must be.
    #[error("{0}")]
    Unchangeable(Arc<dyn std::error::Error + Send + Sync>),
    /// A newer attempt reads the body now.
    #[error("the attempt was given up")]
    Superseded,
    /// The endpoint had answered, and took no more of what was there for it.
    #[error("the endpoint answered before it had the whole message")]
    Abandoned,
    /// This endpoint was so slow that it held the others up.
    #[error("the endpoint took nothing for {0:?} while others waited")]
    TooSlow(Duration),
}

/// What happens when more would have to be held than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOverflow {
    /// Nothing more is held: the exchange is committed to the endpoint it is at.
    Commit,
    /// The rest is held in a temporary file.
    Spool,
}

impl OnOverflow {
    /// The word in the log, in metrics and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Spool => "spool",
        }
    }
}

/// What a body may cost.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Most bytes held in memory.
    pub held_max: u64,
    /// Memory shared with other bodies.
    pub budget: Budget,
    /// What happens beyond.
    pub on_overflow: OnOverflow,
    /// Most bytes of the whole body.
    pub received_max: u64,
    /// Longest wait for the caller's next byte, and for a lane that holds others up.
    pub idle: Duration,
}

/// Looks at every byte that is passed on, once, in order; an error breaks the body off.
pub trait Inspect: Send {
    /// The next bytes.
    ///
    /// # Errors
    /// What is wrong, for the caller.
    fn next(&mut self, bytes: &[u8]) -> Result<(), String>;
    /// The end.
    ///
    /// # Errors
    /// What is missing, for the caller.
    fn end(&mut self) -> Result<(), String>;
}

/// The shared body; readers are made from it.
#[derive(Debug, Clone)]
pub struct Replay {
    shared: Arc<Mutex<Shared>>,
}

/// One pass over a [`Replay`].
#[derive(Debug)]
pub struct ReplayReader {
    shared: Arc<Mutex<Shared>>,
    lane: usize,
    generation: u32,
    length: Option<u64>,
    over: bool,
}

#[derive(Debug, Default)]
struct Lane {
    generation: u32,
    position: u64,
    /// May be read again from the first byte.
    replayable: bool,
    /// Nobody reads it any more.
    closed: bool,
    cut: bool,
    waker: Option<Waker>,
    /// Waits for [`Replay::poll_cut`].
    writer: Option<Waker>,
}

struct Shared {
    window: Window,
    lanes: SmallVec<[Lane; 1]>,
    bounds: Bounds,
    source: Option<Incoming>,
    inspect: Option<Box<dyn Inspect>>,
    trailers: Option<HeaderMap>,
    error: Option<SourceError>,
    /// A lane that might have been read again cannot be any more, for want of room.
    committed: bool,
    /// What was wrong with the bytes for one lane, whose attempt broke off for it.
    noted: Option<SourceError>,
    received: u64,
    /// Bytes that readers took, all together: says whether an attempt makes progress.
    taken: u64,
    length: Option<u64>,
    timer: Option<Pin<Box<Sleep>>>,
    stall: Option<Pin<Box<Sleep>>>,
    /// Waits for [`Replay::settled`].
    watcher: Option<Waker>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, SourceError>>>;

impl Replay {
    /// A body of which `read` was read already and `source`, if any, is still to come. There
    /// is a lane for each item of `replayable`, which says whether the lane may be read again.
    #[must_use]
    pub fn new(
        read: Vec<Bytes>,
        source: Option<Incoming>,
        trailers: Option<HeaderMap>,
        length: Option<u64>,
        replayable: &[bool],
        bounds: Bounds,
    ) -> Self {
        let received = read.iter().map(|chunk| chunk.len() as u64).sum();
        let lanes = replayable
            .iter()
            .map(|&replayable| Lane {
                replayable,
                ..Lane::default()
            })
            .collect();
        let shared = Shared {
            window: Window::new(read, bounds.held_max, bounds.budget.clone()),
            lanes,
            bounds,
            source,
            inspect: None,
            trailers,
            error: None,
            committed: false,
            noted: None,
            received,
            taken: 0,
            length,
            timer: None,
            stall: None,
            watcher: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Lets `inspect` look at everything that is still to come.
    pub fn inspect(&self, inspect: Box<dyn Inspect>) {
        lock(&self.shared).inspect = Some(inspect);
    }

    /// A new pass of a lane from the first byte, or `None` when the first bytes are gone.
    /// Readers that the lane had before end with [`SourceError::Superseded`].
    #[must_use]
    pub fn reader(&self, lane: usize) -> Option<ReplayReader> {
        let mut shared = lock(&self.shared);
        let (start, length) = (shared.window.start(), shared.length);
        let own = shared.lanes.get_mut(lane)?;
        let first = own.generation == 0;
        if start > 0 || own.cut || !(first || own.replayable) {
            return None;
        }
        own.generation += 1;
        own.position = 0;
        own.closed = false;
        let generation = own.generation;
        Some(ReplayReader {
            shared: Arc::clone(&self.shared),
            lane,
            generation,
            length,
            over: false,
        })
    }

    /// The lane will not be read again: what only it wanted may be let go.
    pub fn close(&self, lane: usize) {
        let mut shared = lock(&self.shared);
        if let Some(own) = shared.lanes.get_mut(lane) {
            own.replayable = false;
        }
        shared.forget();
    }

    /// All bytes, when the body is complete and in memory: for sending without sharing.
    #[must_use]
    pub fn whole(&self) -> Option<Bytes> {
        let shared = lock(&self.shared);
        if shared.source.is_some() || shared.trailers.is_some() {
            return None;
        }
        shared.window.whole()
    }

    /// Ready when this lane was cut off, because it held others up for so long. Its reader may
    /// not be asked for more while nothing can be written, so that it cannot say so itself.
    pub fn poll_cut(&self, lane: usize, cx: &Context<'_>) -> Poll<Duration> {
        let mut shared = lock(&self.shared);
        let (idle, several) = (shared.bounds.idle, shared.lanes.len() > 1);
        match shared.lanes.get_mut(lane) {
            Some(own) if own.cut => return Poll::Ready(idle),
            Some(own) if several => own.writer = Some(cx.waker().clone()),
            _ => {}
        }
        Poll::Pending
    }

    /// Why the caller's side failed, if it did.
    #[must_use]
    pub fn error(&self) -> Option<SourceError> {
        let shared = lock(&self.shared);
        shared.error.clone().or_else(|| shared.noted.clone())
    }

    /// Bytes received from the caller so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        lock(&self.shared).received
    }

    /// Bytes that went to a temporary file.
    #[must_use]
    pub fn spooled(&self) -> u64 {
        lock(&self.shared).window.spilled()
    }

    /// What was done when more would have had to be held than may be, if that happened.
    #[must_use]
    pub fn overflowed(&self) -> Option<OnOverflow> {
        let shared = lock(&self.shared);
        match (shared.committed, shared.window.spilled()) {
            (true, _) => Some(OnOverflow::Commit),
            (false, 1..) => Some(OnOverflow::Spool),
            (false, 0) => None,
        }
    }

    /// Bytes that attempts have taken so far, all together.
    #[must_use]
    pub fn taken(&self) -> u64 {
        lock(&self.shared).taken
    }

    /// What has not been read of the caller's body, taken away: nobody wants it any more.
    #[must_use]
    pub fn take_rest(&self) -> Option<Incoming> {
        let mut shared = lock(&self.shared);
        let rest = shared.source.take()?;
        // Whoever reads on must not take this for the message's end.
        shared.fail(SourceError::Abandoned);
        Some(rest)
    }

    /// Whether some reader has not taken all of it yet.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        lock(&self.shared).is_under_way()
    }

    /// Waits until no reader is under way.
    pub async fn settled(&self) {
        std::future::poll_fn(|cx| {
            let mut shared = lock(&self.shared);
            if shared.is_under_way() {
                shared.watcher = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl ReplayReader {
    /// Remembers why an attempt had to break its message off, for whoever asks what went wrong.
    pub(in super::super) fn note(&self, error: SourceError) {
        lock(&self.shared).noted = Some(error);
    }

    /// The body's length where the caller announced it.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    pub(in super::super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.over {
            return Poll::Ready(None);
        }
        let polled = lock(&self.shared).poll_lane(self.lane, self.generation, cx);
        self.over = matches!(polled, Poll::Ready(None | Some(Err(_))))
            || matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_trailers());
        polled
    }
}

impl Drop for ReplayReader {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        if let Some(lane) = shared.lanes.get_mut(self.lane)
            && lane.generation == self.generation
        {
            lane.closed = true;
        }
        shared.forget();
        // The source may hold this reader's waker: somebody else must ask it now.
        shared.wake_others(self.lane);
        shared.wake_watcher();
    }
}

impl Shared {
    fn poll_lane(&mut self, lane: usize, generation: u32, cx: &mut Context<'_>) -> Polled {
        let Some(own) = self.lanes.get(lane) else {
            return Poll::Ready(None);
        };
        if own.generation != generation {
            return Poll::Ready(Some(Err(SourceError::Superseded)));
        }
        if own.cut {
            return Poll::Ready(Some(Err(SourceError::TooSlow(self.bounds.idle))));
        }
        match self.window.read(own.position) {
            Ok(Some(chunk)) => return self.hand_out(lane, chunk),
            Ok(None) => {}
            Err(error) => {
                return Poll::Ready(Some(Err(self.fail(SourceError::Spool(error.into())))));
            }
        }
        if self.source.is_some() {
            return self.poll_source(lane, cx);
        }
        match (&self.error, &self.trailers) {
            (Some(error), _) => Poll::Ready(Some(Err(error.clone()))),
            (None, Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers.clone())))),
            (None, None) => Poll::Ready(None),
        }
    }

    fn hand_out(&mut self, lane: usize, chunk: Bytes) -> Polled {
        let bytes = chunk.len() as u64;
        self.taken += bytes;
        if let Some(own) = self.lanes.get_mut(lane) {
            own.position += bytes;
        }
        self.forget();
        if self.watcher.is_some() && !self.is_under_way() {
            self.wake_watcher();
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    /// Reads on for a lane that has everything there is.
    fn poll_source(&mut self, lane: usize, cx: &mut Context<'_>) -> Polled {
        if self.is_held_up(lane) {
            return self.poll_stall(lane, cx);
        }
        loop {
            let Some(source) = &mut self.source else {
                // Ended while we looked; ask again from the top.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            };
            let frame = match Pin::new(source).poll_frame(cx) {
                Poll::Pending => return self.poll_idle(lane, cx),
                Poll::Ready(None) => return self.ended(lane, None),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(self.fail(SourceError::Broken(error.into())))));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            self.timer = None;
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return self.accept(lane, data),
                Err(other) => {
                    if let Ok(trailers) = other.into_trailers() {
                        return self.ended(lane, Some(trailers));
                    }
                }
            }
        }
    }

    /// Takes a chunk from the source on behalf of a lane.
    fn accept(&mut self, lane: usize, data: Bytes) -> Polled {
        self.received += data.len() as u64;
        if self.received > self.bounds.received_max {
            let max = self.bounds.received_max;
            return Poll::Ready(Some(Err(self.fail(SourceError::TooLarge { max }))));
        }
        if let Some(inspect) = &mut self.inspect
            && let Err(what) = inspect.next(&data)
        {
            return Poll::Ready(Some(Err(self.fail(SourceError::Malformed(what)))));
        }
        // With a known length the end is known with the last byte, and nobody may ask again.
        // Judged before anyone gets that byte, which would make the message whole.
        if self
            .source
            .as_ref()
            .is_some_and(http_body::Body::is_end_stream)
            && let Poll::Ready(Some(Err(error))) = self.ended(lane, None)
        {
            return Poll::Ready(Some(Err(error)));
        }
        if let Err(error) = self.keep(lane, &data) {
            return Poll::Ready(Some(Err(self.fail(SourceError::Spool(error.into())))));
        }
        self.wake_others(lane);
        self.hand_out(lane, data)
    }

    /// Holds a chunk for whoever may want it; the lane that read it has it already.
    fn keep(&mut self, lane: usize, data: &Bytes) -> io::Result<()> {
        let own_again = self.lanes.get(lane).is_some_and(|own| own.replayable);
        let others = self.others_reading(lane);
        if (own_again || others) && self.window.push(data.clone()).is_ok() {
            return Ok(());
        }
        if (own_again || others) && self.bounds.on_overflow == OnOverflow::Spool {
            return self.window.spill(data);
        }
        // Committed: nothing is held for another attempt any more. Lanes side by side have
        // room for one chunk more than the bound, since a full window stops them before.
        self.commit();
        if others {
            self.window.overfill(data.clone());
        } else if self.window.is_empty() {
            self.window.pass(data.len() as u64);
        }
        Ok(())
    }

    /// Whether the window is full because another lane has not come along.
    fn is_held_up(&mut self, lane: usize) -> bool {
        self.bounds.on_overflow == OnOverflow::Commit
            && self.window.is_full()
            && {
                self.commit();
                self.window.is_full()
            }
            && self.others_reading(lane)
    }

    /// No lane can be read again from here on.
    fn commit(&mut self) {
        for own in &mut self.lanes {
            self.committed |= own.replayable;
            own.replayable = false;
        }
        self.forget();
    }

    fn others_reading(&self, lane: usize) -> bool {
        self.lanes
            .iter()
            .enumerate()
            .any(|(at, own)| at != lane && own.is_wanted())
    }

    /// Waits for the slowest lane, and cuts it off when it has not moved for too long.
    fn poll_stall(&mut self, lane: usize, cx: &mut Context<'_>) -> Polled {
        let idle = self.bounds.idle;
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
        if stall.as_mut().poll(cx).is_ready() {
            self.stall = None;
            let start = self.window.start();
            for own in self.lanes.iter_mut().filter(|own| own.is_wanted()) {
                own.cut |= own.position <= start;
                if own.cut
                    && let Some(writer) = own.writer.take()
                {
                    writer.wake();
                }
            }
            self.forget();
            cx.waker().wake_by_ref();
        }
        self.remember(lane, cx);
        Poll::Pending
    }

    fn poll_idle(&mut self, lane: usize, cx: &mut Context<'_>) -> Polled {
        let idle = self.bounds.idle;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(self.fail(SourceError::Idle(idle)))));
        }
        self.remember(lane, cx);
        Poll::Pending
    }

    fn remember(&mut self, lane: usize, cx: &Context<'_>) {
        if let Some(own) = self.lanes.get_mut(lane) {
            own.waker = Some(cx.waker().clone());
        }
    }

    fn ended(&mut self, lane: usize, trailers: Option<HeaderMap>) -> Polled {
        self.source = None;
        if let Some(inspect) = &mut self.inspect
            && let Err(what) = inspect.end()
        {
            return Poll::Ready(Some(Err(self.fail(SourceError::Malformed(what)))));
        }
        self.trailers.clone_from(&trailers);
        self.wake_others(lane);
        self.wake_watcher();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn fail(&mut self, error: SourceError) -> SourceError {
        self.source = None;
        self.error = Some(error.clone());
        self.wake_others(usize::MAX);
        self.wake_watcher();
        error
    }

    fn is_under_way(&self) -> bool {
        let (ended, end) = (self.source.is_none(), self.window.end());
        self.error.is_none()
            && self
                .lanes
                .iter()
                .any(|lane| lane.is_reading() && !(ended && lane.position >= end))
    }

    fn wake_watcher(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }

    fn wake_others(&mut self, lane: usize) {
        for (at, own) in self.lanes.iter_mut().enumerate() {
            if at != lane
                && let Some(waker) = own.waker.take()
            {
                waker.wake();
            }
        }
    }

    /// Lets go of what no lane will read any more.
    fn forget(&mut self) {
        let wanted = self.lanes.iter().filter_map(Lane::wants_from).min();
        let before = wanted.unwrap_or_else(|| self.window.end());
        let start = self.window.start();
        self.window.forget(before);
        if self.window.start() > start {
            self.stall = None;
            self.wake_others(usize::MAX);
        }
    }
}

impl Lane {
    /// Whether its reader will want more.
    const fn is_wanted(&self) -> bool {
        !self.cut && (!self.closed || self.replayable)
    }

    /// Whether a reader of it is under way.
    const fn is_reading(&self) -> bool {
        self.generation > 0 && !self.closed && !self.cut
    }

    /// The first byte that it may still want.
    fn wants_from(&self) -> Option<u64> {
        let unread = self.generation == 0;
        self.is_wanted().then_some(if self.replayable || unread {
            0
        } else {
            self.position
        })
    }
}

/// A panic while the lock was held cannot leave the state half changed in a way that matters
/// more than going on; so poisoning is passed over.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
