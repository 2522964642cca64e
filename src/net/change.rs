//! Bodies that are changed while they pass; what the change is, other rooms know.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::replay::{ReplayReader, SourceError};

/// Changes a body's bytes on their way; an error breaks the body off.
pub trait Change: Send {
    /// The next bytes; what is certain is appended to `out`.
    ///
    /// # Errors
    /// What is wrong with them, for whoever sent them.
    fn next(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String>;
    /// The end.
    ///
    /// # Errors
    /// What is missing.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), String>;
    /// Whether all that still comes stays as it is.
    fn passes(&self) -> bool;
}

/// A request body on its way through a change.
pub struct Changed {
    /// Changed already, and not handed on yet.
    first: Bytes,
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
    pub fn new(first: Bytes, inner: ReplayReader, change: Box<dyn Change>) -> Self {
        Self {
            first,
            inner: Some(inner),
            change,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        loop {
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
                    Ok(data) => {
                        out.reserve(data.len() + 64);
                        self.change.next(&data, &mut out)
                    }
                },
            };
            if let Err(what) = changed {
                let error = SourceError::Malformed(what);
                if let Some(inner) = self.inner.take() {
                    inner.note(error.clone());
                }
                return Poll::Ready(Some(Err(error)));
            }
            if over {
                self.inner = None;
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
    }
}
