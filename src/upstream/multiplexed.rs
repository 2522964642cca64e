//! One request over HTTP/2.
//!
//! What an endpoint surely did not look at is sent again where that can be done: requests that
//! never left because the connection was closing, and those that it says it did not process
//! (RFC 9113 §6.8, §8.7). Whoever closes connections after so many requests, as most servers do,
//! would otherwise lose some of them.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, Version, request};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};

use super::client::{Client, Deadline, Patience, Progress, Reply};
use super::connect::open;
use super::endpoint::Endpoint;
use super::error::{Phase, SendError};
use super::lines::Place;
use super::member::Member;
use super::pool::Key;
use crate::fields;
use crate::net::{Body, Incoming, WireError};

/// Times that a request is sent which the endpoint refuses.
const REFUSALS_MAX: usize = 4;
/// The same where the endpoint closes the connection: of many requests at a time each connection
/// may take but a few, and the next one is open already. Far below what the attempt's own time
/// lets pass.
const CLOSINGS_MAX: usize = 64;
/// Those that are followed at once. Behind them there is a pause: an endpoint that closes every
/// connection is not to be asked for one after the other as fast as they can be opened.
const CLOSINGS_AT_ONCE: usize = 8;
/// The pause.
const CLOSING_PAUSE: Duration = Duration::from_millis(20);

/// A request in case that it has to be sent again.
struct Spare {
    head: request::Parts,
    /// `None` for a body that only its [`Progress`] can give again.
    body: Option<Bytes>,
}

/// An attempt without an answer.
enum Failed {
    /// It never left.
    Unsent(Box<Request<Body>>),
    /// The endpoint did not look at it; it may be that it closes the connection.
    Refused(WireError, bool),
    Error(SendError),
}

/// A wait that can be set again.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Client {
    /// Sends the request to one server, beside others on a connection of this worker.
    pub(super) async fn send_multiplexed(
        &self,
        endpoint: &Endpoint,
        streams_max: u32,
        member: &Arc<Member>,
        request: fields::Request<Body>,
        progress: &Progress,
    ) -> Result<Reply, SendError> {
        let deadline = self.deadline(endpoint);
        let mut request = as_http2(request, endpoint)?;
        let spare = Spare::of(&request);
        let (mut refusals, mut closings) = (0, 0);
        loop {
            let place = self.place(endpoint, streams_max, member, deadline).await?;
            match ask(&place, request, endpoint, progress, deadline).await {
                Ok(response) => return Ok(reply(response, place)),
                Err(Failed::Error(error)) => return Err(error),
                Err(Failed::Unsent(unsent)) => {
                    place.retire();
                    closings += 1;
                    if closings == CLOSINGS_MAX {
                        let closed = std::io::ErrorKind::ConnectionAborted.into();
                        return Err(SendError::Connect(closed));
                    }
                    request = *unsent;
                }
                Err(Failed::Refused(error, closes)) => {
                    if closes {
                        place.retire();
                        closings += 1;
                    } else {
                        refusals += 1;
                    }
                    let may = refusals < REFUSALS_MAX && closings < CLOSINGS_MAX;
                    let again = may.then(|| spare.again(progress));
                    let Some(again) = again.flatten() else {
                        return Err(SendError::Refused(error));
                    };
                    request = again;
                }
            }
            if closings > CLOSINGS_AT_ONCE {
                sleep(CLOSING_PAUSE).await;
            }
        }
    }

    /// The same on a connection of its own that nobody else gets.
    pub(super) async fn once_multiplexed(
        &self,
        endpoint: &Endpoint,
        stream: super::connect::Wire,
        request: fields::Request<Body>,
    ) -> Result<Reply, SendError> {
        let request = as_http2(request, endpoint)?;
        let place = Place::open(stream, endpoint, 1, self.metrics()).await;
        let place = place.map_err(SendError::Connect)?;
        let asked = ask(&place, request, endpoint, &Progress::default(), None).await;
        match asked {
            Ok(response) => Ok(reply(response, place)),
            Err(Failed::Error(error)) => Err(error),
            Err(Failed::Refused(error, _)) => Err(SendError::Refused(error)),
            Err(Failed::Unsent(_)) => {
                let closed = std::io::ErrorKind::ConnectionAborted.into();
                Err(SendError::Connect(closed))
            }
        }
    }

    /// A place on a connection that is there, or on a new one.
    async fn place(
        &self,
        endpoint: &Endpoint,
        streams_max: u32,
        member: &Arc<Member>,
        deadline: Deadline,
    ) -> Result<Place, SendError> {
        let key = Key::of(endpoint, member);
        if let Some(place) = self.lines().take(key, streams_max) {
            return Ok(place);
        }
        let (limit, after) = connect_limit(endpoint, deadline);
        let phase = Phase::Connect;
        let opened = timeout_at(limit, async {
            let door = self.lines().door(key, member);
            let _passed = door.lock().await;
            if let Some(place) = self.lines().take(key, streams_max) {
                return Ok(place);
            }
            let name = endpoint.tls_name_of(member.server());
            let stream = open(endpoint, member.address(), member.tie(), name).await?;
            let place = Place::open(stream, endpoint, streams_max, self.metrics()).await;
            let place = place.map_err(SendError::Connect)?;
            if endpoint.idle_max > 0 && !endpoint.keep_idle.is_zero() {
                self.lines().keep(key, &place);
            }
            Ok(place)
        });
        opened
            .await
            .map_err(|_elapsed| SendError::Timeout { phase, after })?
    }
}

/// Until when a connection must be there, and how long that is.
pub(super) fn connect_limit(endpoint: &Endpoint, deadline: Deadline) -> (Instant, Duration) {
    let limit = Instant::now() + endpoint.connect_timeout;
    match deadline {
        Some((total, after)) if total < limit => (total, after),
        _ => (limit, endpoint.connect_timeout),
    }
}

fn reply(response: Response<hyper::body::Incoming>, place: Place) -> Reply {
    let (head, body) = response.into_parts();
    let body = Incoming::shared(body, Box::new(place));
    Reply {
        head: Box::new(head.into()),
        body,
        first: None,
    }
}

/// Sends it and waits for the head of the answer.
async fn ask(
    place: &Place,
    request: Request<Body>,
    endpoint: &Endpoint,
    progress: &Progress,
    deadline: Deadline,
) -> Result<Response<hyper::body::Incoming>, Failed> {
    let mut sender = place.sender();
    let mut answer = std::pin::pin!(sender.try_send_request(request));
    let mut patience = Patience::new(endpoint, progress, deadline);
    let mut timer = Timer::default();
    std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
        Poll::Ready(Err(mut failed)) => Poll::Ready(Err(match failed.take_message() {
            Some(request) => Failed::Unsent(Box::new(request)),
            None => judge(failed.into_error(), progress),
        })),
        Poll::Pending => patience
            .poll(cx, |cx, until| timer.poll(cx, until))
            .map(|late| Err(Failed::Error(late))),
    })
    .await
}

fn judge(error: hyper::Error, progress: &Progress) -> Failed {
    if let Some(source) = progress.error() {
        return Failed::Error(SendError::Caller(source));
    }
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    let told = cause.filter(|cause| cause.is_remote());
    // After GOAWAY this is what streams get that come behind the last one it names.
    let closes = told.is_some_and(h2::Error::is_go_away);
    let refused = told.and_then(h2::Error::reason) == Some(h2::Reason::REFUSED_STREAM);
    let malformed = cause.is_some_and(h2::Error::is_library);
    let error = WireError::from(error);
    match (refused || closes, malformed) {
        (true, _) => Failed::Refused(error, closes),
        (_, true) => Failed::Error(SendError::BadHttp(error)),
        _ => Failed::Error(SendError::Reset(error)),
    }
}

/// The request as HTTP/2 has it: the host beside the path, and lengths told by whoever frames.
fn as_http2(
    request: fields::Request<Body>,
    endpoint: &Endpoint,
) -> Result<Request<Body>, SendError> {
    let (mut head, body) = Request::from(request).into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let host = head.headers.remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut uri = head.uri.into_parts();
    uri.scheme = Some(match endpoint.tls {
        Some(_) => Scheme::HTTPS,
        None => Scheme::HTTP,
    });
    uri.authority = authority;
    head.uri = Uri::from_parts(uri).map_err(|error| {
        let what = format!("the request cannot be sent over HTTP/2: {error}");
        SendError::Connect(std::io::Error::other(what))
    })?;
    head.version = Version::HTTP_2;
    Ok(Request::from_parts(head, body))
}

impl Spare {
    fn of(request: &Request<Body>) -> Self {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = request.method().clone();
        head.uri = request.uri().clone();
        head.version = request.version();
        head.headers = request.headers().clone();
        let body = match request.body() {
            Body::Full(bytes) => Some(bytes.clone()),
            Body::Empty => Some(Bytes::new()),
            _ => None,
        };
        Self { head, body }
    }

    /// The request once more, if its body can be had again.
    fn again(&self, progress: &Progress) -> Option<Request<Body>> {
        let body = match &self.body {
            Some(bytes) if bytes.is_empty() => Body::Empty,
            Some(bytes) => Body::Full(bytes.clone()),
            None => progress.again()?,
        };
        Some(Request::from_parts(self.head.clone(), body))
    }
}

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(())
    }
}
