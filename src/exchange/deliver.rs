//! Step 3: get the message to an endpoint, and to the next one when that fails.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout_at};

use super::bridging::{Back, Caller};
use super::error::Error;
use super::judge::{Bounds, Failure, Verdict, judge};
use super::outbound::Outbound;
use super::record::{Attempt, Record};
use super::worker::Worker;
use crate::net::{Body, Change, Incoming, OnOverflow, Replay};
use crate::routing::{Decision, Delivery, EndpointId, Pattern};
use crate::snapshot::{Active, Endpoint, Resend, Service};
use crate::soap::Outcome;
use crate::telemetry::clock;
use crate::upstream::{Progress, Reply, SendError};

/// The message's bytes, as often as they are wanted.
#[derive(Debug, Clone)]
pub(super) enum Cargo {
    /// All at hand.
    Whole(Bytes),
    /// Still arriving.
    Stream(Replay),
}

/// What came of one delivery.
pub(super) struct Delivered {
    pub(super) attempts: Vec<Attempt>,
    /// A backup was due but the message could not be sent again.
    pub(super) committed: bool,
    /// The endpoint that answered, and its answer.
    pub(super) result: Result<(EndpointId, Answer), Error>,
}

/// An answer worth handing on.
#[allow(
    clippy::large_enum_variant,
    reason = "one an exchange, nearly always the large one: an allocation would cost more"
)]
pub(super) enum Answer {
    /// Still arriving.
    Stream(Reply),
    /// Read whole, to see what it is.
    Whole(http::Response<Bytes>),
    /// Still arriving, and changed while it passes.
    Changed {
        head: Box<http::response::Parts>,
        /// Changed already.
        first: Bytes,
        inner: Incoming,
        change: Box<dyn Change>,
    },
    /// Taken without a word.
    Accepted,
}

/// One delivery on its way through its candidates.
struct Trip<'a> {
    worker: &'a Worker,
    active: &'a Active,
    outbound: Outbound,
    cargo: &'a Cargo,
    service: &'a Service,
    /// For endpoints that speak versions of their own.
    caller: Option<&'a Caller>,
    /// When all attempts together must be over, and how long that was from the start.
    time: Option<(Instant, Duration)>,
    lane: usize,
    attempts: Vec<Attempt>,
    /// No other attempt was possible, because the message's beginning was not held any more.
    committed: bool,
}

/// What holds for all attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common<'a> {
    /// Whom answers are for, where they have to be bridged.
    pub(super) caller: Option<&'a Caller>,
    /// When all attempts must be over, and how long that was from the start.
    pub(super) time: Option<(Instant, Duration)>,
}

/// Sends every copy of the message, all at the same time; one that fails stops no other.
pub(super) async fn all(
    worker: &Worker,
    active: &Active,
    decision: &Decision,
    outbound: Outbound,
    service: &Service,
    cargo: &Cargo,
    common: Common<'_>,
) -> Vec<Delivered> {
    let Common { caller, time } = common;
    let trip = |outbound, lane| {
        let (attempts, committed) = (Vec::with_capacity(1), false);
        Trip {
            worker,
            active,
            outbound,
            cargo,
            service,
            caller,
            time,
            lane,
            attempts,
            committed,
        }
    };
    let deliveries = decision.deliveries.as_slice();
    if let [only] = deliveries {
        return vec![trip(outbound, 0).run(only).await];
    }
    let mut trips = Vec::with_capacity(deliveries.len());
    for (lane, delivery) in deliveries.iter().enumerate() {
        trips.push(trip(outbound.clone(), lane).run(delivery));
    }
    join_all(trips).await
}

impl Cargo {
    pub(super) fn of(replay: Replay) -> Self {
        match replay.whole() {
            Some(bytes) => Self::Whole(bytes),
            None => Self::Stream(replay),
        }
    }

    /// A body for another attempt of this delivery, if one is possible.
    fn body(&self, lane: usize) -> Option<Body> {
        match self {
            Self::Whole(bytes) => Some(Body::Full(bytes.clone())),
            Self::Stream(replay) => replay.reader(lane).map(Body::Replay),
        }
    }

    /// This delivery will not be tried again.
    fn close(&self, lane: usize) {
        if let Self::Stream(replay) = self {
            replay.close(lane);
        }
    }

    /// Notes what is known of the message now.
    pub(super) fn note(&self, record: &mut Record) {
        record.request_bytes = self.bytes();
        if let Self::Stream(replay) = self {
            record.spooled = replay.spooled();
            record.overflow = replay.overflowed().map(OnOverflow::name);
        }
    }

    /// What nobody read of the caller's body.
    pub(super) fn take_rest(&self) -> Option<Incoming> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(replay) => replay.take_rest(),
        }
    }

    /// The message, while some endpoint still takes it.
    pub(super) fn under_way(&self) -> Option<Replay> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(replay) => replay.is_under_way().then(|| replay.clone()),
        }
    }

    fn progress(&self, lane: usize) -> Progress {
        match self {
            Self::Whole(_) => Progress::default(),
            Self::Stream(replay) => Progress::of(replay.clone(), lane),
        }
    }

    /// Bytes that came from the caller.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Stream(replay) => replay.received(),
        }
    }
}

impl Trip<'_> {
    async fn run(mut self, delivery: &Delivery) -> Delivered {
        let candidates: SmallVec<[EndpointId; 4]> = [delivery.endpoint]
            .into_iter()
            .chain(delivery.backups.iter().copied())
            .collect();
        let mut last: Option<Failure> = None;
        for (at, &id) in candidates.iter().enumerate() {
            let is_last = at + 1 == candidates.len();
            let Some(endpoint) = self.active.snapshot.endpoint(id).cloned() else {
                continue;
            };
            let Some(body) = self.cargo.body(self.lane) else {
                self.committed = true;
                break;
            };
            match self.attempt(id, &endpoint, body, is_last).await {
                Ok(answer) => {
                    self.cargo.close(self.lane);
                    return self.done(Ok((id, answer)));
                }
                Err(failure) => {
                    let goes_on = may_go_on(&endpoint, &failure);
                    last = Some(failure);
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        self.cargo.close(self.lane);
        let error = self.error(last);
        self.done(Err(error))
    }

    async fn attempt(
        &mut self,
        id: EndpointId,
        endpoint: &Arc<Endpoint>,
        body: Body,
        is_last: bool,
    ) -> Result<Answer, Failure> {
        let start = clock::now();
        let verdict = match self.time {
            None => self.send(id, endpoint, body, is_last).await,
            Some((until, after)) => timeout_at(until, self.send(id, endpoint, body, is_last))
                .await
                .unwrap_or_else(|_elapsed| Err(Failure::out_of_time(after))),
        };
        let took = clock::now() - start;
        let (outcome, why, status) = match &verdict {
            Ok(answer) => ("ok".to_owned(), None, answer.status()),
            Err(failure) => (
                failure.name.clone(),
                Some(failure.why.clone()),
                failure.status,
            ),
        };
        if let Some(meter) = self.active.endpoint_meter(id) {
            meter.attempt(&outcome);
            if verdict.is_ok() {
                meter.seconds.observe(took.as_secs_f64());
            }
        }
        let name: Arc<str> = endpoint.spec.name.as_str().into();
        self.attempts.push(Attempt {
            endpoint: name,
            outcome,
            why,
            status,
            took,
        });
        verdict
    }

    async fn send(
        &mut self,
        id: EndpointId,
        endpoint: &Endpoint,
        body: Body,
        is_last: bool,
    ) -> Verdict {
        let (body, bridged) = match (&endpoint.bridge, self.caller) {
            (Some(plan), Some(caller)) => {
                let mut prepared = caller.prepare(plan, body).await?;
                let body = std::mem::take(&mut prepared.body);
                self.count(id, "request", prepared.trip.outcome.as_ref());
                (body, Some((plan, prepared)))
            }
            _ => (body, None),
        };
        let Some(mut request) = self.outbound.request(&endpoint.spec, body, is_last) else {
            return Err(Failure::router(
                "the endpoint's address cannot be used with this query",
            ));
        };
        if let Some((_, prepared)) = &bridged {
            prepared.dress(request.headers_mut());
        }
        let sent = self
            .worker
            .client
            .send(&endpoint.spec, request, &self.cargo.progress(self.lane))
            .await;
        let reply = sent.map_err(Failure::send)?;
        let bounds = Bounds {
            bytes_max: self.service.limits.fault_bytes,
            idle: endpoint.spec.idle_timeout,
        };
        let one_way = self.service.table.pattern == Pattern::OneWay;
        let answer = judge(reply, &endpoint.failover, one_way, bounds).await?;
        let answer = match bridged.filter(|_| !one_way) {
            Some((plan, prepared)) => {
                let settings = Back {
                    idle: endpoint.spec.idle_timeout,
                    sender_fault: self.service.sender_fault_status,
                };
                let (answer, outcome) = prepared.trip.back(plan, answer, settings).await?;
                self.count(id, "reply", outcome.as_ref());
                answer
            }
            None => answer,
        };
        match answer {
            // Once the caller has the head, no backup can answer any more.
            Answer::Stream(reply) if !is_last => {
                let begun = reply.begun(endpoint.spec.response_timeout).await;
                begun.map(Answer::Stream).map_err(Failure::send)
            }
            answer => Ok(answer),
        }
    }

    /// Counts a message that was bridged, and what it lost.
    fn count(&self, id: EndpointId, direction: &'static str, outcome: Option<&Outcome>) {
        let (Some(outcome), Some(meter)) = (outcome, self.active.endpoint_meter(id)) else {
            return;
        };
        if !outcome.changed {
            return;
        }
        meter.bridged(
            direction,
            &outcome.from.to_string(),
            &outcome.to.to_string(),
        );
        for loss in outcome.losses.iter() {
            meter.lost(loss.name());
        }
    }

    fn error(&self, last: Option<Failure>) -> Error {
        let Some(last) = last else {
            return Error::RouterInternal("no endpoint to send to");
        };
        if let Some(SendError::Caller(source)) = &last.error {
            return Error::from_source(source, self.cargo.bytes());
        }
        if let Some(error) = last.bridge {
            return Error::SenderBridge(*error);
        }
        if last.out_of_time {
            return Error::EndpointTimeout;
        }
        // With several endpoints asked, no single one's trouble describes what happened.
        match (self.attempts.len(), last.name.as_str()) {
            (1, "timeout") => Error::EndpointTimeout,
            (1, "not-soap") => Error::EndpointReply,
            (_, "cannot-bridge-back") => Error::EndpointBridge,
            _ => Error::EndpointsUnavailable {
                retry_after: last.retry_after,
            },
        }
    }

    fn done(self, result: Result<(EndpointId, Answer), Error>) -> Delivered {
        Delivered {
            attempts: self.attempts,
            committed: self.committed,
            result,
        }
    }
}

/// Whether the next candidate may be asked after this failure.
fn may_go_on(endpoint: &Endpoint, failure: &Failure) -> bool {
    if failure.out_of_time || matches!(failure.error, Some(SendError::Caller(_))) {
        return false;
    }
    let resendable = match endpoint.resend {
        Resend::Always => true,
        Resend::Never => false,
        Resend::IfNotDelivered => failure
            .error
            .as_ref()
            .is_some_and(SendError::is_undelivered),
    };
    resendable && failure.triggers(&endpoint.failover)
}

impl Answer {
    /// Nobody wants it.
    pub(super) fn let_go(self) {
        if let Self::Stream(reply) = self {
            reply.let_go();
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Stream(reply) => Some(reply.response.status().as_u16()),
            Self::Whole(response) => Some(response.status().as_u16()),
            Self::Changed { head, .. } => Some(head.status.as_u16()),
            Self::Accepted => None,
        }
    }
}
