//! A body on its way in, whichever HTTP brings it; and how that can go wrong.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A body that is still arriving: a caller's message or an endpoint's answer.
///
/// An end before the end is an error, never a shorter body: what a receiver gets without an
/// error is whole.
#[derive(Debug)]
pub enum Incoming {
    /// hyper reads it.
    Hyper(hyper::body::Incoming),
}

/// A connection that broke, or whose peer does not keep to HTTP.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Said by hyper.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

impl WireError {
    /// Whether the peer sent something that is not HTTP, as opposed to nothing.
    #[must_use]
    pub fn is_parse(&self) -> bool {
        match self {
            Self::Hyper(error) => error.is_parse(),
        }
    }
}

impl From<hyper::body::Incoming> for Incoming {
    fn from(body: hyper::body::Incoming) -> Self {
        Self::Hyper(body)
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        match self.get_mut() {
            Self::Hyper(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| Some(frame?.map_err(WireError::Hyper))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Hyper(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Hyper(body) => body.size_hint(),
        }
    }
}
