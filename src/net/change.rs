//! Bodies that are changed while they pass; what the change is, other rooms know.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::replay::{ReplayReader, SourceError};

/// Changes a body's bytes on their way; an error breaks the body off.
pub trait Change: Send {
    /// The next bytes; what is certain is appended to `out`, piece by piece.
    ///
    /// # Errors
    /// What is wrong with them, for whoever sent them.
    fn next(&mut self, bytes: &Bytes, out: &mut Vec<Bytes>) -> Result<(), ChangeError>;
    /// The end.
    ///
    /// # Errors
    /// What is missing.
    fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), ChangeError>;
    /// Whether all that still comes stays as it is.
    fn passes(&self) -> bool;
}

/// Why bytes cannot be changed as they must be; who made the change knows what this is.
pub type ChangeError = Arc<dyn std::error::Error + Send + Sync>;

/// A request body on its way through a change.
pub struct Changed {
    /// Changed already, and not handed on yet.
    ready: VecDeque<Bytes>,
    inner: Option<ReplayReader>,
    change: Box<dyn Change>,
}

impl std::fmt::Debug for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changed")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl ReplayReader {
    /// The next frame, for whoever must see the beginning before it is sent.
    ///
    /// # Errors
    /// When the caller's side broke.
    pub async fn frame(&mut self) -> Option<Result<Frame<Bytes>, SourceError>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }
}

impl Changed {
    /// Gives `first`, then what `change` makes of what `inner` still has.
    #[must_use]
    pub fn new(first: Vec<Bytes>, inner: ReplayReader, change: Box<dyn Change>) -> Self {
        Self {
            ready: first.into(),
            inner: Some(inner),
            change,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceError>>> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let Some(inner) = &mut self.inner else {
                return Poll::Ready(None);
            };
            let frame = ready!(inner.poll_frame(cx));
            let mut out = Vec::new();
            let over = frame.is_none();
            let changed = match frame {
                None => self.change.end(&mut out),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // Trailers speak about the bytes that came, not about those that leave.
                Some(Ok(frame)) => match frame.into_data() {
                    Err(_trailers) => continue,
                    Ok(data) if self.change.passes() => {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(data) => self.change.next(&data, &mut out),
                },
            };
            if let Err(what) = changed {
                let error = SourceError::Unchangeable(what);
                if let Some(inner) = self.inner.take() {
                    inner.note(error.clone());
                }
                return Poll::Ready(Some(Err(error)));
            }
            if over {
                self.inner = None;
            }
            self.ready = out.into();
        }
    }
}
