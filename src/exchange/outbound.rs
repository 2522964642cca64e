//! The request head as an endpoint gets it.

use std::borrow::Cow;

use http::Uri;
use smallvec::SmallVec;

use super::arrival::Origin;
use super::forwarded;
use super::worker::ExchangeId;
use crate::fields::{Fields, HOST, Request, RequestParts};
use crate::net::{Body, strip_hop_by_hop};
use crate::snapshot::override_path;
use crate::upstream::{Endpoint, HostField};

/// What every attempt's head is made from.
#[derive(Debug, Clone)]
pub(super) struct Outbound<'a> {
    /// Line and fields; the address is as the caller asked.
    head: Box<RequestParts>,
    host: Option<SmallVec<[u8; 32]>>,
    /// The part of the path that the service or route stands for.
    prefix: &'a str,
    /// Whether an endpoint without a path of its own is asked for the caller's.
    keeps_path: bool,
    /// What rewrites made of them.
    path: Option<String>,
    query: Option<String>,
    /// A `Host` that rewrites set goes before the endpoint's.
    host_is_set: bool,
}

impl<'p> Outbound<'p> {
    /// Takes a caller's head and makes it ours: hop-by-hop fields go, and the endpoint is told
    /// who asked.
    pub(super) fn new(mut head: Box<RequestParts>, origin: &Origin, id: ExchangeId) -> Box<Self> {
        let RequestParts { uri, headers, .. } = &mut *head;
        strip_hop_by_hop(headers);
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str().as_bytes()),
            None => headers.get(HOST),
        };
        let host: Option<SmallVec<[u8; 32]>> = host.map(SmallVec::from_slice);
        forwarded::tell(headers, origin, host.as_deref(), uri, id);
        Box::new(Self {
            head,
            host,
            prefix: "",
            keeps_path: false,
            path: None,
            query: None,
            host_is_set: false,
        })
    }

    /// The caller's fields, for who looks a cookie up; gone once the last request was made.
    pub(super) const fn headers(&self) -> &Fields {
        &self.head.headers
    }

    /// For a service or route that stands for the beginning of the path.
    pub(super) const fn below(&mut self, prefix: &'p str, keeps_path: bool) {
        self.prefix = prefix;
        self.keeps_path = keeps_path;
    }

    pub(super) fn rewrite_path(&mut self, path: String) {
        self.path = Some(path);
    }

    pub(super) fn rewrite_query(&mut self, query: String) {
        self.query = Some(query);
    }

    pub(super) const fn headers_mut(&mut self) -> &mut Fields {
        &mut self.head.headers
    }

    /// After rewriting: whether `Host` is now another one.
    pub(super) fn settle_host(&mut self) {
        let now = self.head.headers.get(HOST);
        self.host_is_set = now.is_some() && now != self.host.as_deref();
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
        let uri = self.target(endpoint)?;
        let mut headers = if last {
            std::mem::take(&mut self.head.headers)
        } else {
            self.head.headers.clone()
        };
        if !self.host_is_set {
            match &endpoint.host_field {
                HostField::Endpoint => headers.insert(HOST, &endpoint.authority),
                HostField::Caller => match self.host.as_deref() {
                    Some(host) => headers.insert(HOST, host),
                    None => headers.insert(HOST, &endpoint.authority),
                },
                HostField::Server => headers.insert(HOST, &endpoint.host_of(server)),
                HostField::Fixed(host) => headers.insert(HOST, host),
            };
        }
        let head = Box::new(RequestParts {
            headers,
            ..RequestParts::new(self.head.method.clone(), uri)
        });
        Some(Request { head, body })
    }

    /// The endpoint's own path, or what overrides and rewrites make of the caller's; the caller's
    /// query goes along unless the endpoint has one.
    fn target(&self, endpoint: &Endpoint) -> Option<Uri> {
        let query = match &self.query {
            Some(query) => Some(query.as_str()).filter(|query| !query.is_empty()),
            None => self.head.uri.query(),
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
        let asked = self.path.as_deref().unwrap_or_else(|| self.head.uri.path());
        let own = endpoint.target.path();
        match &endpoint.override_path {
            Some(over) => Cow::Owned(override_path(self.prefix, over, asked)),
            None if self.path.is_some() || (self.keeps_path && own == "/") => Cow::Borrowed(asked),
            None if self.keeps_path => Cow::Owned(override_path(self.prefix, own, asked)),
            None => Cow::Borrowed(own),
        }
    }
}
