//! Messages with their fields: what `http`'s own types are for those that hyper reads and writes.

use http::{Method, StatusCode, Uri, Version};

use super::held::Fields;

/// What stands before a request's body.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestParts {
    /// What is to be done.
    pub method: Method,
    /// With what: mostly a path and a query.
    pub uri: Uri,
    /// As its sender speaks it.
    pub version: Version,
    /// Its fields.
    pub headers: Fields,
}

/// What stands before an answer's body.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseParts {
    /// How it went.
    pub status: StatusCode,
    /// Its fields.
    pub headers: Fields,
}

/// A request. Its head is boxed because it goes from hand to hand.
#[derive(Debug)]
pub struct Request<B> {
    /// Line and fields.
    pub head: Box<RequestParts>,
    /// What is sent.
    pub body: B,
}

/// An answer. Its head is boxed because it goes from hand to hand.
#[derive(Debug)]
pub struct Response<B> {
    /// Status and fields.
    pub head: Box<ResponseParts>,
    /// What is answered.
    pub body: B,
}

impl RequestParts {
    /// A request of HTTP/1.1 without fields.
    #[must_use]
    pub fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            version: Version::HTTP_11,
            headers: Fields::new(),
        }
    }
}

impl ResponseParts {
    /// An answer without fields.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: Fields::new(),
        }
    }
}

impl<B> Response<B> {
    /// An answer without fields.
    #[must_use]
    pub fn new(status: StatusCode, body: B) -> Self {
        Self {
            head: Box::new(ResponseParts::new(status)),
            body,
        }
    }
}

impl From<http::request::Parts> for RequestParts {
    fn from(parts: http::request::Parts) -> Self {
        Self {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: Fields::from_map(&parts.headers),
        }
    }
}

impl From<http::response::Parts> for ResponseParts {
    fn from(parts: http::response::Parts) -> Self {
        Self {
            status: parts.status,
            headers: Fields::from_map(&parts.headers),
        }
    }
}

/// For hyper.
impl<B> From<Request<B>> for http::Request<B> {
    fn from(request: Request<B>) -> Self {
        let mut other = Self::new(request.body);
        *other.method_mut() = request.head.method;
        *other.uri_mut() = request.head.uri;
        *other.version_mut() = request.head.version;
        *other.headers_mut() = request.head.headers.to_map();
        other
    }
}

/// For hyper.
impl<B> From<Response<B>> for http::Response<B> {
    fn from(response: Response<B>) -> Self {
        let mut other = Self::new(response.body);
        *other.status_mut() = response.head.status;
        *other.headers_mut() = response.head.headers.to_map();
        other
    }
}
