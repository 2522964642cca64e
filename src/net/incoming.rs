//! A body on its way in, whichever HTTP brings it; and how that can go wrong.

use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::body::Body;
use crate::http1::{self, Answer, ComingAnswer, ComingBody, RequestBody, Upgraded};

/// A body that is still arriving: a caller's message or an endpoint's answer.
///
/// An end before the end is an error, never a shorter body: what a receiver gets without an
/// error is whole.
#[derive(Debug)]
pub enum Incoming {
    /// It is all there.
    Whole(Bytes),
    /// A caller's, over HTTP/1.
    Caller(ComingBody),
    /// An endpoint's, over HTTP/1; it also drives what is left of the request.
    Endpoint(Box<ComingAnswer<Body>>),
    /// None: an endpoint's connection that speaks something else now.
    Upgraded(Box<Upgraded>),
    /// hyper reads it.
    Hyper(hyper::body::Incoming),
    /// The same, on a connection with others.
    Shared(Box<SharedBody>),
}

/// A body with its place on a connection, which is given back with its end.
pub struct SharedBody {
    body: hyper::body::Incoming,
    place: Option<Box<dyn Send + Sync>>,
}

impl fmt::Debug for SharedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBody")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl Incoming {
    /// A body that holds a place until it is over.
    #[must_use]
    pub fn shared(body: hyper::body::Incoming, place: Box<dyn Send + Sync>) -> Self {
        let place = (!body.is_end_stream()).then_some(place);
        Self::Shared(Box::new(SharedBody { body, place }))
    }
}

/// A connection that broke, or whose peer does not keep to HTTP.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// On a connection of our own.
    #[error(transparent)]
    Http1(#[from] http1::Error),
    /// Said by hyper, whose own words leave the cause out.
    #[error("{error}{cause}", error = .0, cause = Cause(.0))]
    Hyper(#[from] hyper::Error),
}

/// What is behind an error.
struct Cause<'a>(&'a hyper::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl WireError {
    /// Whether the peer sent something that is not HTTP, as opposed to nothing.
    #[must_use]
    pub fn is_parse(&self) -> bool {
        match self {
            Self::Http1(error) => error.is_malformed(),
            Self::Hyper(error) => error.is_parse(),
        }
    }
}

impl From<hyper::body::Incoming> for Incoming {
    fn from(body: hyper::body::Incoming) -> Self {
        Self::Hyper(body)
    }
}

impl From<RequestBody> for Incoming {
    fn from(body: RequestBody) -> Self {
        match body {
            RequestBody::Whole(bytes) => Self::Whole(bytes),
            RequestBody::Coming(body) => Self::Caller(body),
        }
    }
}

impl From<Answer<Body>> for Incoming {
    fn from(answer: Answer<Body>) -> Self {
        match answer {
            Answer::Whole(bytes) => Self::Whole(bytes),
            Answer::Coming(answer) => Self::Endpoint(answer),
            Answer::Upgraded(connection) => Self::Upgraded(connection),
        }
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
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Caller(body) => body
                .poll_frame(cx)
                .map(|frame| Some(frame?.map_err(WireError::Http1))),
            Self::Endpoint(answer) => answer
                .poll_frame(cx)
                .map(|frame| Some(frame?.map_err(WireError::Http1))),
            Self::Upgraded(_) => Poll::Ready(None),
            Self::Hyper(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| Some(frame?.map_err(WireError::Hyper))),
            Self::Shared(shared) => {
                let polled = ready!(Pin::new(&mut shared.body).poll_frame(cx));
                if !matches!(polled, Some(Ok(_))) || shared.body.is_end_stream() {
                    shared.place = None;
                }
                Poll::Ready(polled.map(|frame| frame.map_err(WireError::Hyper)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Caller(body) => body.is_over(),
            Self::Endpoint(answer) => answer.is_over(),
            Self::Upgraded(_) => true,
            Self::Hyper(body) => body.is_end_stream(),
            Self::Shared(shared) => shared.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Caller(body) => body.length(),
            Self::Endpoint(answer) => answer.length(),
            Self::Upgraded(_) => Some(0),
            Self::Hyper(body) => return body.size_hint(),
            Self::Shared(shared) => return shared.body.size_hint(),
        };
        length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
