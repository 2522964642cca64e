//! What is told about an exchange when it is over: its log line and its counters.
//!
//! Filled in along the road, closed exactly once: at the last byte of the answer, or when the
//! caller goes away before it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::arrival::Origin;
use super::deliver::Cargo;
use super::drain::drain;
use super::forwarded;
use super::rewrite::Rewriter;
use super::settle::settle;
use super::worker::{ExchangeId, Worker};
use crate::admission::Pass;
use crate::fields::RequestParts;
use crate::net::{BodyError, Deadline, OnEnd};
use crate::snapshot::{Active, Place};
use crate::soap::{Reason, Version};
use crate::telemetry::{Line, ServiceMeter, clock};
use crate::upstream::Turn;

/// How an exchange ended, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An endpoint's answer.
    Reply,
    /// An endpoint's SOAP fault.
    EndpointFault,
    /// A fault of the router.
    RouterFault,
    /// One-way, handed over.
    Accepted,
    /// Not SOAP, handed to the default endpoint.
    Passed,
    /// Not SOAP, answered with a plain status.
    Refused,
}

/// One try at one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) endpoint: Arc<str>,
    /// The server, where the endpoint has several.
    pub(super) server: Option<SocketAddr>,
    pub(super) outcome: Cow<'static, str>,
    pub(super) why: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) took: Duration,
}

/// The story of one exchange. It goes along from hand to hand, so its contents stay where they
/// are.
#[derive(Debug)]
pub(super) struct Record(Box<Story>);

/// What is told.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) id: ExchangeId,
    start: Instant,
    worker: Arc<Worker>,
    /// Where it came in.
    pub(super) origin: Arc<Origin>,
    /// The series of the service or route that it came to. Not the snapshot itself: a tunnel's record
    /// stays open through many reloads.
    meter: Option<Arc<ServiceMeter>>,
    /// Who asked for what, where it is logged.
    asked: Option<(SocketAddr, Method, Uri)>,
    pub(super) soap: Option<Version>,
    pub(super) action: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) message_id: Option<String>,
    /// `wsa:To`, where rewrites may ask for it.
    pub(super) to: Option<String>,
    /// The entries that won, where somebody asks (`tells_facts` in `road.rs`).
    pub(super) entries: SmallVec<[Arc<str>; 1]>,
    /// The endpoints that were chosen, then the one that answered, where somebody asks.
    pub(super) endpoints: SmallVec<[Arc<str>; 1]>,
    /// Those that failed; those that did not where it is logged.
    pub(super) attempts: Vec<Attempt>,
    pub(super) decided_after: Option<u64>,
    pub(super) request_bytes: u64,
    pub(super) spooled: u64,
    /// What was done when the message outgrew `replay_buffer`.
    pub(super) overflow: Option<&'static str>,
    pub(super) committed: bool,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<Reason>,
    pub(super) error: Option<String>,
    /// Whether it holds one of the places for exchanges, given back when the record is closed.
    holds_place: bool,
    /// The place at the server that answers, given back with it.
    pub(super) turn: Option<Turn>,
    /// A turn at the gate, given back with the place.
    pub(super) pass: Option<Pass>,
    /// Changes the endpoint's answer.
    pub(super) rewriter: Option<Box<Rewriter>>,
    closed: bool,
}

/// Who asks, for the log: behind trusted proxies somebody whose port nobody knows.
fn caller(origin: &Origin, head: &RequestParts) -> SocketAddr {
    let address = forwarded::client(origin, &head.headers);
    if address == origin.peer.ip() {
        origin.peer
    } else {
        SocketAddr::new(address, 0)
    }
}

impl Record {
    pub(super) fn new(worker: &Arc<Worker>, origin: &Arc<Origin>, head: &RequestParts) -> Self {
        let is_logged = worker.access.is_on();
        let asked = || (caller(origin, head), head.method.clone(), head.uri.clone());
        Self(Box::new(Story {
            id: worker.next_id(),
            start: clock::now(),
            worker: Arc::clone(worker),
            origin: Arc::clone(origin),
            meter: None,
            asked: is_logged.then(asked),
            soap: None,
            action: None,
            operation: None,
            message_id: None,
            to: None,
            entries: SmallVec::new(),
            endpoints: SmallVec::new(),
            attempts: Vec::new(),
            decided_after: None,
            request_bytes: 0,
            spooled: 0,
            overflow: None,
            committed: false,
            status: 0,
            outcome: Outcome::Refused,
            reason: None,
            error: None,
            holds_place: false,
            turn: None,
            pass: None,
            rewriter: None,
            closed: false,
        }))
    }

    /// The service or route is known: it is in flight from here on. Says whether there was a place
    /// for one more.
    pub(super) fn enter(&mut self, active: &Active, at: Place) -> bool {
        let meter = match at {
            Place::Service(id) => active.service_meter(id),
            Place::Route(id) => active.route_meter(id),
        };
        self.meter = meter.cloned();
        if let Some(meter) = &self.meter {
            meter.in_flight.up(&self.worker.sheet);
        }
        self.holds_place = true;
        self.worker.take_place(active.snapshot.exchanges_max)
    }

    /// Closes the record with what went back to the caller.
    pub(super) fn close(&mut self, response_bytes: u64, broken: Option<&str>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if self.holds_place {
            self.worker.give_place_back();
        }
        if let Some(turn) = self.turn.take().filter(|_| broken.is_none()) {
            turn.succeeded();
        }
        self.pass = None;
        let took = clock::now() - self.start;
        if let Some(meter) = self.meter() {
            let sheet = &*self.worker.sheet;
            meter.in_flight.down(sheet);
            meter.seconds.observe(sheet, took.as_secs_f64());
            meter.request_bytes.add(sheet, self.request_bytes);
            meter.response_bytes.add(sheet, response_bytes);
            meter.spooled_bytes.add(sheet, self.spooled);
            if let Some(action) = self.overflow {
                meter.overflow(action);
            }
            if let Some(bytes) = self.decided_after {
                meter.decided_bytes.add(sheet, bytes);
            }
            let outcome = if broken.is_some() {
                "aborted"
            } else {
                self.outcome.name()
            };
            meter.ended(sheet, self.soap.map_or("none", Version::as_str), outcome);
            if let Some(reason) = self.reason {
                meter.fault(reason.name());
            }
        }
        if self.is_logged() {
            self.write_line(took, response_bytes, broken);
        }
    }

    #[inline(never)]
    fn write_line(&self, took: Duration, response_bytes: u64, broken: Option<&str>) {
        let Worker {
            access, metrics, ..
        } = &*self.worker;
        let Some(mut line) = access.line() else {
            return;
        };
        self.fill(&mut line, took, response_bytes, broken);
        if access.write(line).is_err() {
            metrics.access_dropped.inc();
        }
    }

    fn fill(&self, line: &mut Line, took: Duration, response_bytes: u64, broken: Option<&str>) {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        line.field("time", milliseconds(time))
            .field("exchange", self.id.to_string());
        if let Some((peer, method, uri)) = &self.asked {
            line.field("client", peer.to_string())
                .field("method", method.as_str())
                .field("path", uri.path());
        }
        let kind = if self.is_of_route() {
            "route"
        } else {
            "service"
        };
        line.field(kind, self.name())
            .field("soap", self.soap.map(Version::as_str))
            .field("action", self.action.as_deref())
            .field("operation", self.operation.as_deref())
            .field("message_id", self.message_id.as_deref());
        match self.entries.as_slice() {
            [] => {}
            [only] => _ = line.field("entry", &**only),
            several => _ = line.field("entry", several.iter().map(|e| &**e).collect::<Vec<_>>()),
        }
        match self.endpoints.as_slice() {
            [] => {}
            [only] => _ = line.field("endpoint", &**only),
            several => _ = line.field("endpoint", several.iter().map(|e| &**e).collect::<Vec<_>>()),
        }
        let answered = self.attempts.iter().filter(|a| a.outcome == "ok");
        let servers: Vec<String> = answered
            .filter_map(|a| Some(a.server?.to_string()))
            .collect();
        match servers.as_slice() {
            [] => {}
            [only] => _ = line.field("server", only.as_str()),
            several => _ = line.field("server", several),
        }
        // A first try that worked says nothing that `endpoint` and `status` do not say.
        if self.attempts.len() > 1 || self.attempts.iter().any(|a| a.outcome != "ok") {
            line.field(
                "attempts",
                self.attempts
                    .iter()
                    .map(Attempt::to_json)
                    .collect::<Vec<_>>(),
            );
        }
        line.field("outcome", self.outcome.name())
            .field("status", self.status)
            .field("reason", self.reason.map(Reason::name))
            .field("error", self.error.as_deref())
            .field("broken", broken)
            .field("decided_after_bytes", self.decided_after)
            .field("overflow", self.overflow)
            .field("committed", self.committed.then_some(true))
            .field("spooled_bytes", (self.spooled > 0).then_some(self.spooled))
            .field("request_bytes", self.request_bytes)
            .field("response_bytes", response_bytes)
            .field("duration_ms", milliseconds(took));
    }
}

impl Story {
    /// Whether anybody will read it.
    pub(super) fn is_logged(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether it came to a route, where nobody expects SOAP.
    pub(super) fn is_of_route(&self) -> bool {
        self.meter.as_ref().is_some_and(|meter| meter.is_of_route())
    }

    /// The name of the service or route.
    pub(super) fn name(&self) -> Option<&str> {
        self.meter.as_ref().map(|meter| meter.name())
    }

    /// Its series.
    pub(super) fn meter(&self) -> Option<&Arc<ServiceMeter>> {
        self.meter.as_ref()
    }
}

impl Deref for Record {
    type Target = Story;

    fn deref(&self) -> &Story {
        &self.0
    }
}

impl DerefMut for Record {
    fn deref_mut(&mut self) -> &mut Story {
        &mut self.0
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Still open here means that the exchange was given up: the caller went away.
        self.close(0, Some("the caller went away before an answer"));
    }
}

impl Attempt {
    fn to_json(&self) -> Value {
        let mut value = json!({
            "endpoint": &*self.endpoint,
            "outcome": self.outcome,
            "duration_ms": milliseconds(self.took),
        });
        if let (Some(server), Some(object)) = (self.server, value.as_object_mut()) {
            object.insert("server".into(), server.to_string().into());
        }
        if let (Some(why), Some(object)) = (&self.why, value.as_object_mut()) {
            object.insert("why".into(), why.as_str().into());
        }
        if let (Some(status), Some(object)) = (self.status, value.as_object_mut()) {
            object.insert("status".into(), status.into());
        }
        value
    }
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::EndpointFault => "endpoint_fault",
            Self::RouterFault => "router_fault",
            Self::Accepted => "accepted",
            Self::Passed => "passed",
            Self::Refused => "refused",
        }
    }

    /// What an answer with this status is: 500 and 400 are how faults travel.
    pub(super) fn of_reply(status: StatusCode) -> Self {
        if status.is_success() {
            Self::Reply
        } else {
            Self::EndpointFault
        }
    }
}

/// Three decimals are what a reader of logs needs.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// Closes a record when the answer's last byte left.
pub(super) struct CloseAtEnd {
    record: Option<Record>,
    /// The request, which may still be on its way while its answer is.
    cargo: Option<Cargo>,
}

impl CloseAtEnd {
    pub(super) const fn new(record: Record, cargo: Option<Cargo>) -> Self {
        Self {
            record: Some(record),
            cargo,
        }
    }
}

impl OnEnd for CloseAtEnd {
    fn ended(&mut self, bytes: u64, complete: bool, error: Option<&BodyError>) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        let cargo = self.cargo.take();
        if complete {
            return settle(record, cargo, bytes);
        }
        if let Some(cargo) = cargo {
            drain(cargo.take_rest());
            cargo.note(&mut record);
        }
        if let Some(turn) = &record.turn {
            match error {
                Some(error @ BodyError::Reply(_)) => turn.failed("reset", &error.to_string(), None),
                Some(
                    error @ (BodyError::Idle(_)
                    | BodyError::Late(Deadline {
                        is_the_endpoints: true,
                        ..
                    })),
                ) => {
                    turn.failed("timeout", &error.to_string(), None);
                }
                _ => {}
            }
        }
        let broken = match error {
            Some(error) => error.to_string(),
            None => "the caller went away before the end of the answer".into(),
        };
        record.close(bytes, Some(&broken));
    }
}
