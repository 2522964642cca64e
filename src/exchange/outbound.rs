//! The request head as an endpoint gets it.

use std::borrow::Cow;

use http::header::HOST;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Uri, Version};

use super::arrival::Origin;
use super::forwarded;
use super::worker::ExchangeId;
use crate::net::{Body, strip_hop_by_hop};
use crate::snapshot::override_path;
use crate::upstream::{Endpoint, HostField};

/// What every attempt's head is made from.
#[derive(Debug, Clone)]
pub(super) struct Outbound {
    method: Method,
    headers: HeaderMap,
    extensions: Extensions,
    /// As the caller asked.
    uri: Uri,
    host: Option<HeaderValue>,
    /// The part of the path that the service or route stands for.
    prefix: String,
    /// Whether an endpoint without a path of its own is asked for the caller's.
    keeps_path: bool,
    /// What rewrites made of them.
    path: Option<String>,
    query: Option<String>,
    /// A `Host` that rewrites set goes before the endpoint's.
    host_is_set: bool,
}

impl Outbound {
    /// Takes a caller's head and makes it ours: hop-by-hop fields go, and the endpoint is told
    /// who asked.
    pub(super) fn new(head: Box<Parts>, origin: &Origin, id: ExchangeId) -> Box<Self> {
        let Parts {
            method,
            uri,
            mut headers,
            extensions,
            ..
        } = *head;
        strip_hop_by_hop(&mut headers);
        let host = match uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => headers.get(HOST).cloned(),
        };
        forwarded::tell(&mut headers, origin, host.as_ref(), &uri, id);
        Box::new(Self {
            method,
            headers,
            extensions,
            uri,
            host,
            prefix: String::new(),
            keeps_path: false,
            path: None,
            query: None,
            host_is_set: false,
        })
    }

    /// The caller's fields, for who looks a cookie up; gone once the last request was made.
    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// For a service or route that stands for the beginning of the path.
    pub(super) fn below(&mut self, prefix: &str, keeps_path: bool) {
        prefix.clone_into(&mut self.prefix);
        self.keeps_path = keeps_path;
    }

    pub(super) fn rewrite_path(&mut self, path: String) {
        self.path = Some(path);
    }

    pub(super) fn rewrite_query(&mut self, query: String) {
        self.query = Some(query);
    }

    pub(super) const fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// After rewriting: whether `Host` is now another one.
    pub(super) fn settle_host(&mut self) {
        let now = self.headers.get(HOST);
        self.host_is_set = now.is_some() && now != self.host.as_ref();
    }

    /// The request for one endpoint. `last` says that there will be no other, so nothing has
    /// to be kept.
    pub(super) fn request(
        &mut self,
        endpoint: &Endpoint,
        server: &str,
        body: Body,
        last: bool,
    ) -> Option<Request<Body>> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target(endpoint)?;
        *request.version_mut() = Version::HTTP_11;
        let (headers, extensions) = if last {
            (
                std::mem::take(&mut self.headers),
                std::mem::take(&mut self.extensions),
            )
        } else {
            (self.headers.clone(), self.extensions.clone())
        };
        *request.headers_mut() = headers;
        *request.extensions_mut() = extensions;
        if !self.host_is_set {
            let host = match &endpoint.host_field {
                HostField::Endpoint => endpoint.authority.clone(),
                HostField::Caller => self.host.as_ref().unwrap_or(&endpoint.authority).clone(),
                HostField::Server => endpoint.host_of(server),
                HostField::Fixed(host) => host.clone(),
            };
            request.headers_mut().insert(HOST, host);
        }
        Some(request)
    }

    /// The endpoint's own path, or what overrides and rewrites make of the caller's; the caller's
    /// query goes along unless the endpoint has one.
    fn target(&self, endpoint: &Endpoint) -> Option<Uri> {
        let query = match &self.query {
            Some(query) => Some(query.as_str()).filter(|query| !query.is_empty()),
            None => self.uri.query(),
        };
        let path = self.path_for(endpoint);
        match (&path, endpoint.target.query(), query) {
            (Cow::Borrowed(own), _, None) if *own == endpoint.target.path() => {
                Some(endpoint.target.clone())
            }
            (_, Some(query), _) | (_, None, Some(query)) => format!("{path}?{query}").parse().ok(),
            (_, None, None) => path.parse().ok(),
        }
    }

    fn path_for<'a>(&'a self, endpoint: &'a Endpoint) -> Cow<'a, str> {
        let asked = self.path.as_deref().unwrap_or_else(|| self.uri.path());
        let own = endpoint.target.path();
        match &endpoint.override_path {
            Some(over) => Cow::Owned(override_path(&self.prefix, over, asked)),
            None if self.path.is_some() || (self.keeps_path && own == "/") => Cow::Borrowed(asked),
            None if self.keeps_path => Cow::Owned(override_path(&self.prefix, own, asked)),
            None => Cow::Borrowed(own),
        }
    }
}
