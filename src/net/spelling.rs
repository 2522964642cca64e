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
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

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

/// The name to look for in raw bytes: a caller that spells this one right spells all as meant.
const MARK: &[u8] = b"SOAPAction";

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

/// What the probe is doing: a head is due, one with the right spelling came, or none is due.
const LOOKING: u8 = 0;
const SEEN: u8 = 1;
const RESTING: u8 = 2;

/// Watches what a caller sends and remembers whether `SOAPAction` came spelled so.
#[derive(Debug)]
pub struct SpellingProbe<T> {
    inner: T,
    watch: SpellingWatch,
}

/// The reading end of a [`SpellingProbe`].
#[derive(Debug, Clone, Default)]
pub struct SpellingWatch {
    state: Arc<AtomicU8>,
}

impl SpellingWatch {
    /// Whether the head that has just arrived spells the name right; the probe then rests,
    /// because what follows is a body.
    #[must_use]
    pub fn take(&self) -> bool {
        self.state.swap(RESTING, Ordering::Relaxed) == SEEN
    }

    /// The next head is due.
    pub fn look(&self) {
        self.state.store(LOOKING, Ordering::Relaxed);
    }
}

impl<T> SpellingProbe<T> {
    /// Watches `inner`.
    pub fn new(inner: T) -> (Self, SpellingWatch) {
        let watch = SpellingWatch::default();
        (
            Self {
                inner,
                watch: watch.clone(),
            },
            watch,
        )
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for SpellingProbe<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if polled.is_ready() && self.watch.state.load(Ordering::Relaxed) == LOOKING {
            let fresh = buffer.filled().get(before..).unwrap_or_default();
            if memchr::memmem::find(fresh, MARK).is_some() {
                self.watch.state.store(SEEN, Ordering::Relaxed);
            }
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for SpellingProbe<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
