//! HTTP/1 on one connection: requests in, answers out.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use super::stop::Stop;
use crate::exchange::{Arrival, Origin, Worker, handle};
use crate::fields::{CONTENT_TYPE, Response};
use crate::http1::{
    CallerConnection, Error, Limits, Malformed, RequestBody, RequestHead, Stream, Waits,
};
use crate::net::Body;
use crate::snapshot::{Door, Listener};
use crate::telemetry::clock;

/// What serving a connection needs besides the connection.
pub(super) struct Serving {
    /// The settings that were in force when it was accepted.
    pub(super) listener: Arc<Listener>,
    /// Connections open on the listener.
    pub(super) open: Arc<AtomicUsize>,
    pub(super) worker: Arc<Worker>,
    /// Told to stop.
    pub(super) stop: Stop,
}

/// What serving takes is let go of when a caller has said nothing for so long: ten thousand idle
/// connections are no reason to hold a hundred mebibytes. Shorter than anybody is idle who is
/// about to go on.
const SILENT: Duration = Duration::from_secs(1);

/// Serves requests until the caller leaves, or until the one at hand when told to stop.
pub(super) async fn serve(stream: impl Stream + 'static, origin: Origin, serving: Serving) {
    let Serving {
        listener,
        open,
        worker,
        stop,
    } = serving;
    let waits = Waits {
        idle: listener.keep_alive.min(SILENT),
        head: listener.header_read_timeout,
        write: listener.write_timeout,
    };
    let limits = Limits {
        bytes_max: listener.header_block_max,
        fields_max: listener.header_count_max,
    };
    let counted = worker.connected();
    let mut connection = CallerConnection::new(stream, limits, waits, open);
    let origin = Arc::new(origin);
    let ended = loop {
        let mut all = Box::pin(serve_all(&mut connection, &origin, &worker, &stop));
        let ended = poll_fn(|cx| {
            let _held = clock::hold();
            all.as_mut().poll(cx)
        })
        .await;
        drop(all);
        if ended.is_err() || !connection.is_silent() {
            break ended;
        }
        let rest = listener.keep_alive.saturating_sub(SILENT);
        let woken = tokio::select! {
            biased;
            woken = connection.wakes(rest) => woken,
            () = stop.said() => false,
        };
        if !woken {
            break Ok(());
        }
    };
    match ended {
        Ok(()) => connection.close().await,
        Err(error) => tracing::debug!(%error, "connection of a caller ended"),
    }
    drop(counted);
}

async fn serve_all(
    connection: &mut CallerConnection,
    origin: &Arc<Origin>,
    worker: &Arc<Worker>,
    stop: &Stop,
) -> Result<(), Error> {
    let mut stopped = pin!(stop.said());
    let mut stopping = false;
    // Both are asked once, so that this task is woken; what they say is looked at where it matters.
    let mut last_word = pin!(worker.closing().cancelled());
    let mut asked = false;
    loop {
        let next = poll_fn(|cx| {
            if !asked {
                asked = true;
                let _ = stopped.as_mut().poll(cx);
                let _ = last_word.as_mut().poll(cx);
            }
            stopping = stopping || stop.is_said();
            poll_next(cx, connection, stopping)
        });
        let (head, body) = match next.await {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(Error::Malformed(what)) => {
                connection.answer(refusal(what, &origin.door), true).await?;
                return Ok(());
            }
            Err(Error::Slow) => {
                let text = "The request did not come in time (`header_read_timeout`).\n";
                let answer = refuse(StatusCode::REQUEST_TIMEOUT, text.to_owned(), &origin.door);
                connection.answer(answer, true).await?;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let arrival = Arrival {
            head: head.parts,
            body: body.into(),
            origin,
        };
        let mut exchange = pin!(handle(worker, arrival));
        let answer = poll_fn(|cx| match exchange.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => connection.poll_gone(cx).map(|()| None),
        });
        let Some(answer) = answer.await else {
            return Err(Error::Closed);
        };
        if answer.head.status == StatusCode::SWITCHING_PROTOCOLS {
            return switch(connection, answer, worker, stop).await;
        }
        stopping = stopping || stop.is_said();
        if !connection.answer(answer, stopping).await? {
            return Ok(());
        }
    }
}

/// Speaks something else from here on, for as long as both ends want to; when the listener closes,
/// for as long as the router waits for what is under way.
async fn switch(
    connection: &mut CallerConnection,
    answer: Response<Body>,
    worker: &Worker,
    stop: &Stop,
) -> Result<(), Error> {
    let Response { head, body } = answer;
    let Body::Tunnel(tunnel) = body else {
        return Err(Error::Closed);
    };
    let caller = connection.switch(&head).await?;
    let leave = async {
        stop.said().await;
        // Whoever has the last word may have it sooner.
        let _ = timeout(worker.drain(), worker.closing().cancelled()).await;
        "its listener closed"
    };
    tunnel.join(caller, leave).await;
    Ok(())
}

/// The next request, or none when the router stops and none has begun.
fn poll_next(
    cx: &mut Context<'_>,
    connection: &mut CallerConnection,
    stopping: bool,
) -> Poll<Result<Option<(RequestHead, RequestBody)>, Error>> {
    match connection.poll_request(cx) {
        Poll::Pending if stopping && connection.is_idle() => Poll::Ready(Ok(None)),
        polled => polled,
    }
}

/// What is no request gets a plain status: who sends it speaks no SOAP that could be answered.
pub(super) fn refusal(what: Malformed, door: &Door) -> Response<Body> {
    let (status, text) = match what {
        Malformed::HeadBytes(_) => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The head of the request is larger than the limit `header_block`.\n".to_owned(),
        ),
        Malformed::HeadFields(_) => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The request has more header fields than the limit `header_count`.\n".to_owned(),
        ),
        what => (StatusCode::BAD_REQUEST, format!("Bad request: {what}.\n")),
    };
    refuse(status, text, door)
}

/// A plain status, with the page that there is for it.
fn refuse(status: StatusCode, text: String, door: &Door) -> Response<Body> {
    let page = door.pages.get(&status.as_u16());
    let (body, kind) = match page {
        Some(page) => (page.body.clone(), page.media),
        None => (text.into(), "text/plain; charset=utf-8"),
    };
    let mut response = Response::new(status, Body::Full(body));
    response.head.headers.insert(CONTENT_TYPE, kind);
    response
}
