//! HTTP on one connection.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use hyper::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use crate::exchange::{Arrival, Origin, Worker, handle};
use crate::net::{Body, Caller, Stream, Waits};
use crate::snapshot::Listener;

/// Smallest read buffer that hyper accepts.
const BUFFER_MIN: usize = 8 * 1024;

/// What serving a connection needs besides the connection.
pub(super) struct Serving {
    /// The settings that were in force when it was accepted.
    pub(super) listener: Arc<Listener>,
    /// Connections open on the listener.
    pub(super) open: Arc<AtomicUsize>,
    pub(super) worker: Arc<Worker>,
    /// Told to stop.
    pub(super) stop: CancellationToken,
}

/// Serves requests until the caller leaves, or until the one at hand when told to stop.
pub(super) async fn serve(stream: impl Stream + 'static, origin: Origin, serving: Serving) {
    let Serving {
        listener,
        open,
        worker,
        stop,
    } = serving;
    let waits = Waits {
        idle: listener.keep_alive,
        head: listener.header_read_timeout,
        write: listener.write_timeout,
    };
    let (stream, watch) = Caller::new(stream, waits, open);
    let counted = worker.connected();
    let (header_count_max, buffer_max) = (
        listener.header_count_max,
        listener.header_block_max.max(BUFFER_MIN),
    );
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (head, body) = request.into_parts();
        let too_large = head_bytes(&head) > listener.header_block_max;
        let arrival = Arrival {
            head,
            body: body.into(),
            origin: origin.clone(),
            spelled: watch.head_arrived(),
        };
        let (worker, watch) = (Arc::clone(&worker), watch.clone());
        async move {
            let response = if too_large {
                head_too_large()
            } else {
                handle(&worker, arrival).await
            };
            watch.answered();
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        // Waiting for heads is timed by `Caller`.
        .header_read_timeout(None)
        .max_headers(header_count_max)
        .max_buf_size(buffer_max)
        .preserve_header_case(true)
        .writev(false)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection of a caller ended");
    }
    drop(counted);
}

/// The size of a head as it was sent, give or take the spaces around values.
fn head_bytes(head: &Parts) -> usize {
    let line = head.method.as_str().len() + head.uri.path().len();
    let query = head.uri.query().map_or(0, str::len);
    let fields = head.headers.iter();
    line + query
        + fields
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
}

/// hyper lets heads pass that arrive in one piece with what fills its buffer; the limit that
/// users set is held here, to the byte.
fn head_too_large() -> Response<Body> {
    let text = "The head of the request is larger than the limit `header_block`.\n";
    let mut response = Response::new(Body::Full(text.into()));
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
