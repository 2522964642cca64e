//! How header names are spelled on the wire.
//!
//! HTTP/1 names are case-insensitive, yet old SOAP servers refuse `soapaction` and
//! `Soapaction`. hyper keeps the caller's spelling when the request's extensions go along, and
//! capitalises after hyphens otherwise, which is wrong for a dozen names. So a template of the
//! odd ones is harvested once from hyper itself, by parsing a request that carries them, and
//! used whenever the caller's own spelling cannot be trusted.
//!
//! **Invariant:** a request leaves with `SOAPAction` spelled so, whatever the caller wrote.

use std::cell::Cell;
use std::rc::Rc;

use http::{Extensions, Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

/// Names whose usual spelling is not "a capital after each hyphen".
const ODD_NAMES: [&str; 12] = [
    "SOAPAction",
    "MIME-Version",
    "WWW-Authenticate",
    "Content-MD5",
    "Content-ID",
    "ETag",
    "TE",
    "DNT",
    "X-SOAP-Router-Fault",
    "X-Request-ID",
    "X-Correlation-ID",
    "Sec-WebSocket-Key",
];

/// The harvested spelling, put into requests as extensions.
#[derive(Debug, Clone, Default)]
pub struct Spelling {
    template: Extensions,
}

impl Spelling {
    /// Harvests the template. Costs one parse over a pipe in memory; done once a worker.
    pub async fn harvest() -> Self {
        let found: Rc<Cell<Option<Extensions>>> = Rc::default();
        let (mut near, far) = tokio::io::duplex(2048);
        let mut head = String::from("GET / HTTP/1.1\r\nHost: template\r\nConnection: close\r\n");
        for name in ODD_NAMES {
            head.push_str(name);
            head.push_str(": x\r\n");
        }
        head.push_str("\r\n");
        let keep = Rc::clone(&found);
        let service = service_fn(move |request: Request<Incoming>| {
            keep.set(Some(request.extensions().clone()));
            async { Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new())) }
        });
        let serve = hyper::server::conn::http1::Builder::new()
            .preserve_header_case(true)
            .serve_connection(TokioIo::new(far), service);
        // The pipe is larger than the head and the answer is never read: neither side waits.
        let _ = near.write_all(head.as_bytes()).await;
        let _ = serve.await;
        Self {
            template: found.take().unwrap_or_default(),
        }
    }

    /// The extensions for a request whose caller's spelling is not to be used.
    #[must_use]
    pub fn template(&self) -> Extensions {
        self.template.clone()
    }
}
