//! The one body type that leaves the router, towards callers and towards endpoints.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::change::{Change, ChangeError, Changed};
use super::incoming::{Incoming, WireError};
use super::replay::{ReplayReader, SourceError};
use super::tunnel::Tunnel;

/// A body on its way out.
#[derive(Debug, Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// All bytes at hand.
    Full(Bytes),
    /// The same in pieces.
    Pieces(VecDeque<Bytes>),
    /// A request body that may be sent again.
    Replay(ReplayReader),
    /// A request body that is changed while it passes.
    Changed(Box<Changed>),
    /// An answer handed on as it comes.
    Relay(Box<Relay>),
    /// None: behind this answer's head something else is spoken.
    Tunnel(Box<Tunnel>),
}

/// Why a body broke off. The receiver sees a broken message, never a shorter one that looks
/// whole: its connection is closed without the last chunk.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The request's source failed.
    #[error("the request body broke off")]
    Source(#[source] SourceError),
    /// The answer's source failed.
    #[error("the answer broke off")]
    Reply(#[source] WireError),
    /// Nothing came for too long.
    #[error("no byte of the answer for {0:?}")]
    Idle(Duration),
    /// It took too long in all.
    #[error("the answer is not whole within {0}")]
    Late(Deadline),
    /// The answer cannot be changed as it must be.
    #[error("the answer cannot be handed on: {0}")]
    Change(ChangeError),
}

impl From<Vec<Bytes>> for Body {
    fn from(mut pieces: Vec<Bytes>) -> Self {
        match pieces.pop() {
            None => Self::Empty,
            Some(only) if pieces.is_empty() => Self::Full(only),
            Some(last) => {
                pieces.push(last);
                Self::Pieces(pieces.into())
            }
        }
    }
}

/// When something must be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// Then.
    pub at: Instant,
    /// How long that was from the start.
    pub after: Duration,
    /// Whether it is the endpoint's time that is over then, or that of the service.
    pub is_the_endpoints: bool,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between two of its bytes.
    pub idle: Duration,
    /// In all, if that is bounded.
    pub until: Option<Deadline>,
}

impl std::fmt::Display for Deadline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = if self.is_the_endpoints {
            "endpoint"
        } else {
            "service"
        };
        write!(f, "the {whose}'s `timeout` of {:?}", self.after)
    }
}

impl From<Infallible> for BodyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Told once how a relayed body ended.
pub trait OnEnd: Send {
    /// `bytes` were handed on; `error` says why it broke off, if it did. Also called, without
    /// an error but `complete == false`, when the receiver went away before the end.
    fn ended(&mut self, bytes: u64, complete: bool, error: Option<&BodyError>);
}

/// Hands an endpoint's answer on, watches that it keeps coming, and tells when it is over.
pub struct Relay {
    /// Read already, and not handed on yet.
    first: Option<Frame<Bytes>>,
    /// Changed already, and not handed on yet.
    ready: VecDeque<Bytes>,
    inner: Option<Incoming>,
    change: Option<Box<dyn Change>>,
    patience: Patience,
    timer: Option<Pin<Box<Sleep>>>,
    bytes: u64,
    on_end: Option<Box<dyn OnEnd>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Relays `first`, if it was read already, and `inner`; what takes longer than `patience`
    /// allows is broken off.
    #[must_use]
    pub fn new(
        first: Option<Frame<Bytes>>,
        inner: Incoming,
        patience: Patience,
        on_end: Box<dyn OnEnd>,
    ) -> Self {
        let mut relay = Self {
            first,
            ready: VecDeque::new(),
            inner: Some(inner),
            change: None,
            patience,
            timer: None,
            bytes: 0,
            on_end: Some(on_end),
        };
        if relay.first.is_none() {
            relay.end_with_inner();
        }
        relay
    }

    /// Relays `first` and then what `change` makes of what `inner` still has.
    #[must_use]
    pub fn changed(
        first: Vec<Bytes>,
        inner: Incoming,
        change: Box<dyn Change>,
        patience: Patience,
        on_end: Box<dyn OnEnd>,
    ) -> Self {
        Self {
            first: None,
            ready: first.into(),
            inner: Some(inner),
            change: Some(change),
            patience,
            timer: None,
            bytes: 0,
            on_end: Some(on_end),
        }
    }

    /// The receiver may not poll again after the last byte of a known length.
    fn end_with_inner(&mut self) {
        if self
            .inner
            .as_ref()
            .is_some_and(http_body::Body::is_end_stream)
        {
            self.end(true, None);
        }
    }

    fn end(&mut self, complete: bool, error: Option<&BodyError>) {
        self.inner = None;
        if let Some(mut on_end) = self.on_end.take() {
            on_end.ended(self.bytes, complete, error);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(late) = self.late() {
                return Poll::Ready(Some(Err(late)));
            }
            if let Some(data) = self.ready.pop_front() {
                // Behind the end all bytes are counted already.
                if self.inner.is_some() {
                    self.bytes += data.len() as u64;
                }
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let Some(inner) = &mut self.inner else {
                return Poll::Ready(None);
            };
            let polled = match self.first.take() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => Pin::new(&mut *inner).poll_frame(cx),
            };
            let result = match polled {
                Poll::Pending => return self.poll_idle(cx),
                Poll::Ready(None) if self.change.is_some() => return self.end_changed(),
                Poll::Ready(None) => {
                    self.end(true, None);
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(result)) => result,
            };
            self.timer = None;
            match result {
                // Then comes what is certain by now, or more must be read.
                Ok(frame) if self.change.is_some() => {
                    if let Some(error) = self.change(frame) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Ok(frame) => {
                    self.bytes += length(&frame);
                    self.end_with_inner();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Err(error) => {
                    return Poll::Ready(Some(Err(self.broke(BodyError::Reply(error)))));
                }
            }
        }
    }

    fn change(&mut self, frame: Frame<Bytes>) -> Option<BodyError> {
        let change = self.change.as_mut()?;
        // Trailers speak about the bytes that came.
        let data = frame.into_data().ok()?;
        if change.passes() {
            self.ready.push_back(data);
            return None;
        }
        let mut out = Vec::new();
        let changed = change.next(&data, &mut out);
        self.ready = out.into();
        changed
            .err()
            .map(|what| self.broke(BodyError::Change(what)))
    }

    fn end_changed(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut out = Vec::new();
        let ended = self
            .change
            .as_mut()
            .map_or(Ok(()), |change| change.end(&mut out));
        if let Err(what) = ended {
            return Poll::Ready(Some(Err(self.broke(BodyError::Change(what)))));
        }
        self.bytes += out.iter().map(|data| data.len() as u64).sum::<u64>();
        self.end(true, None);
        self.ready = out.into();
        Poll::Ready(self.ready.pop_front().map(|data| Ok(Frame::data(data))))
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Patience { idle, until } = self.patience;
        let timer = self.timer.get_or_insert_with(|| {
            let silent = Instant::now() + idle;
            let first = until.map_or(silent, |deadline| deadline.at.min(silent));
            Box::pin(sleep_until(first))
        });
        ready!(timer.as_mut().poll(cx));
        let error = self.late();
        let error = error.unwrap_or_else(|| self.broke(BodyError::Idle(idle)));
        Poll::Ready(Some(Err(error)))
    }

    /// Breaks off what is not over in time.
    fn late(&mut self) -> Option<BodyError> {
        let deadline = self.patience.until?;
        let late = self.inner.is_some() && deadline.at <= Instant::now();
        late.then(|| self.broke(BodyError::Late(deadline)))
    }

    fn size_hint(&self) -> SizeHint {
        if self.change.is_some() {
            return SizeHint::default();
        }
        let mut hint = self
            .inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint);
        let first = self.first.as_ref().map_or(0, length);
        // The upper bound first: it may never be below the lower one.
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint.set_lower(hint.lower().saturating_add(first));
        hint
    }

    fn broke(&mut self, error: BodyError) -> BodyError {
        self.end(false, Some(&error));
        error
    }
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end(false, None);
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty | Self::Tunnel(_) => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Pieces(pieces) => {
                Poll::Ready(pieces.pop_front().map(|data| Ok(Frame::data(data))))
            }
            Self::Replay(reader) => reader
                .poll_frame(cx)
                .map(|frame| Some(frame?.map_err(BodyError::Source))),
            Self::Changed(changed) => changed
                .poll(cx)
                .map(|frame| Some(frame?.map_err(BodyError::Source))),
            Self::Relay(relay) => relay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Tunnel(_) => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Pieces(pieces) => pieces.is_empty(),
            Self::Replay(_) | Self::Changed(_) => false,
            Self::Relay(relay) => relay.inner.is_none() && relay.ready.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Tunnel(_) => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(pieces) => {
                SizeHint::with_exact(pieces.iter().map(|data| data.len() as u64).sum())
            }
            Self::Replay(reader) => reader
                .length()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Changed(_) => SizeHint::default(),
            Self::Relay(relay) => relay.size_hint(),
        }
    }
}
