//! The request head as an endpoint gets it.

use http::header::{CONTENT_LENGTH, HOST, HeaderName};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Uri, Version};

use super::arrival::{Origin, host};
use crate::net::{Body, strip_hop_by_hop};
use crate::upstream::Endpoint;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What every attempt's head is made from.
#[derive(Debug)]
pub(super) struct Outbound {
    method: Method,
    headers: HeaderMap,
    extensions: Extensions,
    query: Option<String>,
}

impl Outbound {
    /// Takes a caller's head and makes it ours: hop-by-hop fields go, `X-Forwarded-*` say who
    /// asked. They are set, not appended to, since what a caller claims cannot be trusted.
    pub(super) fn new(head: Parts, origin: &Origin, spelling: Option<Extensions>) -> Self {
        let forwarded_host = HeaderValue::from_str(host(&head)).ok();
        let query = head.uri.query().map(str::to_owned);
        let Parts {
            method,
            mut headers,
            extensions,
            ..
        } = head;
        strip_hop_by_hop(&mut headers);
        if let Ok(peer) = HeaderValue::from_str(&origin.peer.ip().to_string()) {
            headers.insert(FORWARDED_FOR, peer);
        }
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(origin.scheme()));
        if let Some(host) = forwarded_host {
            headers.insert(FORWARDED_HOST, host);
        }
        Self {
            method,
            headers,
            extensions: spelling.unwrap_or(extensions),
            query,
        }
    }

    /// The request for one endpoint.
    pub(super) fn request(&self, endpoint: &Endpoint, body: Body) -> Option<Request<Body>> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target(endpoint)?;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers.clone();
        request
            .headers_mut()
            .insert(HOST, endpoint.authority.clone());
        *request.extensions_mut() = self.extensions.clone();
        Some(request)
    }

    /// The endpoint's own path; the caller's query goes along unless the endpoint has one.
    fn target(&self, endpoint: &Endpoint) -> Option<Uri> {
        match &self.query {
            Some(query) if !endpoint.path.contains('?') => {
                format!("{}?{query}", endpoint.path).parse().ok()
            }
            _ => endpoint.path.parse().ok(),
        }
    }

    /// The body is of another length than the caller announced.
    #[allow(dead_code, reason = "bridging changes lengths")]
    pub(super) fn forget_length(&mut self) {
        self.headers.remove(CONTENT_LENGTH);
    }
}
