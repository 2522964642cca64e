//! The request head as an endpoint gets it.

use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Uri, Version};

use super::arrival::Origin;
use crate::net::{Body, strip_hop_by_hop};
use crate::upstream::Endpoint;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What every attempt's head is made from.
#[derive(Debug, Clone)]
pub(super) struct Outbound {
    method: Method,
    headers: HeaderMap,
    extensions: Extensions,
    query: Option<String>,
}

impl Outbound {
    /// Takes a caller's head and makes it ours: hop-by-hop fields go, `X-Forwarded-*` say who
    /// asked. They are set, not appended to, since what a caller claims cannot be trusted.
    pub(super) fn new(head: Parts, origin: &Origin) -> Self {
        let query = head.uri.query().map(str::to_owned);
        let Parts {
            method,
            uri,
            mut headers,
            extensions,
            ..
        } = head;
        strip_hop_by_hop(&mut headers);
        let host = match uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => headers.get(HOST).cloned(),
        };
        headers.insert(FORWARDED_FOR, origin.forwarded_for.clone());
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(origin.scheme()));
        if let Some(host) = host {
            headers.insert(FORWARDED_HOST, host);
        }
        Self {
            method,
            headers,
            extensions,
            query,
        }
    }

    /// The caller's fields, for who looks a cookie up; gone once the last request was made.
    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The request for one endpoint. `last` says that there will be no other, so nothing has
    /// to be kept.
    pub(super) fn request(
        &mut self,
        endpoint: &Endpoint,
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
        request
            .headers_mut()
            .insert(HOST, endpoint.authority.clone());
        Some(request)
    }

    /// The endpoint's own path; the caller's query goes along unless the endpoint has one.
    fn target(&self, endpoint: &Endpoint) -> Option<Uri> {
        match &self.query {
            Some(query) if endpoint.target.query().is_none() => {
                format!("{}?{query}", endpoint.target.path()).parse().ok()
            }
            _ => Some(endpoint.target.clone()),
        }
    }
}
