//! Step 3: get the message to an endpoint, and to the next one when that fails.

use std::pin::pin;
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
use super::values::Values;
use super::worker::Worker;
use crate::fields::ResponseParts;
use crate::net::{Body, Change, Deadline, Incoming, OnOverflow, Patience, Replay};
use crate::routing::{Delivery, EndpointId, Pattern};
use crate::snapshot::{Active, Endpoint, Resend, Service};
use crate::soap::{Dialect, Outcome};
use crate::telemetry::clock;
use crate::upstream::{Group, Progress, Reply, SendError, Turn, Wants};

/// The message's bytes, as often as they are wanted.
#[derive(Debug, Clone)]
pub(super) enum Cargo {
    /// All at hand.
    Whole(Bytes),
    /// Still arriving.
    Stream(Replay),
}

/// The endpoint that answered, its answer, and the place at the server that it comes from.
pub(super) struct Answered {
    pub(super) endpoint: EndpointId,
    pub(super) answer: Answer,
    pub(super) turn: Turn,
}

impl Answered {
    /// Nobody wants the answer: that it came is enough.
    pub(super) fn let_go(self) {
        self.turn.succeeded();
        self.answer.let_go();
    }
}

/// An answer worth handing on.
pub(super) enum Answer {
    /// Still arriving.
    Stream(Reply),
    /// Read whole, to see what it is.
    Whole {
        head: Box<ResponseParts>,
        body: Bytes,
        /// Whether it is a fault that blames the receiver, for the server's health.
        blames_receiver: bool,
    },
    /// Still arriving, and changed while it passes.
    Changed {
        head: Box<ResponseParts>,
        /// Changed already.
        first: Vec<Bytes>,
        inner: Incoming,
        change: Box<dyn Change>,
    },
    /// Taken without a word.
    Accepted,
}

/// What holds for all deliveries of a message.
pub(super) struct Common<'a> {
    pub(super) worker: &'a Worker,
    pub(super) active: &'a Active,
    pub(super) service: &'a Service,
    pub(super) cargo: &'a Cargo,
    /// What says which server of an endpoint gets the message.
    pub(super) values: &'a Values,
    /// Whom answers are for, where they have to be bridged.
    pub(super) caller: Option<&'a Caller>,
    /// When all attempts must be over, and how long that was from the start.
    pub(super) time: Option<(Instant, Duration)>,
    /// Whether somebody reads of attempts that went well.
    pub(super) is_logged: bool,
}

/// All deliveries of a message on their way.
pub(super) struct Trips<'a> {
    first: Trip<'a>,
    others: Vec<Trip<'a>>,
}

/// One delivery on its way through its candidates.
struct Trip<'a> {
    common: &'a Common<'a>,
    outbound: Box<Outbound<'a>>,
    lane: usize,
    attempts: Vec<Attempt>,
    /// A backup was due but the message could not be sent again: its beginning was not held any
    /// more.
    committed: bool,
    /// How long the answer of the last attempt may take.
    patience: Patience,
    /// What came of it.
    result: Result<Answered, Error>,
}

/// An endpoint that a message may go to.
#[derive(Clone, Copy)]
struct Destination<'a> {
    id: EndpointId,
    endpoint: &'a Endpoint,
    group: &'a Arc<Group>,
    /// Whether other endpoints stand behind it.
    has_backups: bool,
}

impl<'a> Trips<'a> {
    /// One for each delivery, its copy of the request's head with it.
    pub(super) fn new(
        common: &'a Common<'a>,
        deliveries: &[Delivery],
        outbound: Box<Outbound<'a>>,
    ) -> Self {
        let others = (1..deliveries.len()).map(|lane| Trip::new(common, outbound.clone(), lane));
        let others = others.collect();
        Self {
            first: Trip::new(common, outbound, 0),
            others,
        }
    }

    /// Sends every copy of the message, all at the same time; one that fails stops no other.
    pub(super) async fn run(&mut self, deliveries: &[Delivery]) {
        let Self { first, others } = self;
        match deliveries {
            [] => {}
            [only] => first.run(only).await,
            several => {
                let trips = std::iter::once(first).chain(others);
                let running = trips.zip(several).map(|(trip, to)| trip.run(to));
                join_all(running).await;
            }
        }
    }

    /// Makes the first answer there is the one of all, and tells the record of all attempts; how
    /// long the rest of that answer may take.
    pub(super) fn choose(&mut self, record: &mut Record) -> Patience {
        let Self { first, others } = self;
        first.tell(record);
        for other in others {
            other.tell(record);
            match (&other.result, &first.result) {
                (Ok(_), Err(_)) => std::mem::swap(first, other),
                (Ok(_), Ok(_)) => {
                    if let Ok(surplus) = other.take() {
                        surplus.let_go();
                    }
                }
                (Err(_), _) => {}
            }
        }
        first.patience
    }

    /// What came of it, once it is chosen.
    ///
    /// # Errors
    /// When nobody answered.
    pub(super) fn take(&mut self) -> Result<Answered, Error> {
        self.first.take()
    }
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

/// What came of what was not sent.
const NOTHING_SENT: Result<Answered, Error> = Err(Error::RouterInternal("nothing was sent"));

impl<'a> Trip<'a> {
    fn new(common: &'a Common<'a>, outbound: Box<Outbound<'a>>, lane: usize) -> Self {
        Self {
            common,
            outbound,
            lane,
            attempts: Vec::new(),
            committed: false,
            patience: Patience {
                idle: common.service.limits.body_idle_timeout,
                until: None,
            },
            result: NOTHING_SENT,
        }
    }

    /// The endpoint, then its backups, until one answers or none may be asked any more.
    async fn run(&mut self, delivery: &Delivery) {
        let backups = delivery.backups.as_slice();
        let mut last: Option<Box<Failure>> = None;
        let mut next = Some(delivery.endpoint);
        let mut at = 0;
        while let Some(id) = next {
            next = backups.get(at).copied();
            at += 1;
            let Some(destination) = self.destination(id, next.is_some()) else {
                continue;
            };
            match self.ask(destination).await {
                Ok((answer, turn)) => {
                    self.common.cargo.close(self.lane);
                    self.result = Ok(Answered {
                        endpoint: id,
                        answer,
                        turn,
                    });
                    return;
                }
                Err(failure) => {
                    last = failure.or(last);
                    let goes_on = last
                        .as_ref()
                        .is_some_and(|f| self.may_go_on(destination, f));
                    if self.committed || !goes_on {
                        break;
                    }
                }
            }
        }
        self.common.cargo.close(self.lane);
        self.result = Err(self.error(last));
    }

    fn tell(&mut self, record: &mut Record) {
        if record.attempts.is_empty() {
            std::mem::swap(&mut record.attempts, &mut self.attempts);
        } else {
            record.attempts.append(&mut self.attempts);
        }
        record.committed |= self.committed;
    }

    fn take(&mut self) -> Result<Answered, Error> {
        std::mem::replace(&mut self.result, NOTHING_SENT)
    }

    fn destination(&self, id: EndpointId, has_backups: bool) -> Option<Destination<'a>> {
        let active = self.common.active;
        Some(Destination {
            id,
            endpoint: active.snapshot.endpoint(id)?,
            group: active.group(id)?,
            has_backups,
        })
    }

    /// One server of the endpoint after the other, as far as the message may be sent again.
    async fn ask(&mut self, to: Destination<'a>) -> Result<(Answer, Turn), Option<Box<Failure>>> {
        let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
        let mut last: Option<Box<Failure>> = None;
        to.group.pay_in();
        loop {
            let turn = match self.turn(to, &tried).await {
                Ok(turn) => turn,
                // What failed says more than that nobody else is there.
                Err(_) if last.is_some() => return Err(last),
                Err(failure) => {
                    self.note_failure(to, None, &failure, Duration::ZERO);
                    return Err(Some(failure));
                }
            };
            let Some(body) = self.common.cargo.body(self.lane) else {
                self.committed = true;
                return Err(last);
            };
            tried.push(turn.member().id());
            let several = to.group.may_be_several();
            let has_servers = several && tried.len() < to.group.tries();
            let failure = match self.attempt(to, &turn, body, has_servers).await {
                Ok(answer) => return Ok((answer, turn)),
                Err(failure) => failure,
            };
            let again = has_servers && self.may_try_another(to, &failure);
            last = Some(failure);
            if !again {
                return Err(last);
            }
        }
    }

    /// A place at a server, within the service's own time.
    async fn turn(&mut self, to: Destination<'a>, tried: &[u64]) -> Result<Turn, Box<Failure>> {
        let (hash, bound) = self.common.values.of(to.id);
        let wants = Wants {
            draw: self.common.worker.draw(),
            hash,
            bound,
            headers: self.outbound.headers(),
        };
        let turn = to.group.turn(&wants, tried);
        let turn = match self.common.time {
            None => turn.await,
            Some((until, after)) => timeout_at(until, turn)
                .await
                .map_err(|_elapsed| Box::new(Failure::out_of_time(after)))?,
        };
        turn.map_err(|why| Box::new(Failure::no_server(why)))
    }

    async fn attempt(
        &mut self,
        to: Destination<'a>,
        turn: &Turn,
        body: Body,
        has_servers: bool,
    ) -> Result<Answer, Box<Failure>> {
        let start = clock::now();
        self.patience = self.patience(to, start);
        let until = self.patience.until;
        let mut verdict = {
            // Pinned here: it is large, and would be moved.
            let sent = pin!(self.send(to, turn, body, has_servers));
            match until {
                None => sent.await,
                Some(deadline) => timeout_at(deadline.at, sent)
                    .await
                    .unwrap_or_else(|_elapsed| Err(Box::new(Failure::late(deadline)))),
            }
        };
        let took = clock::now() - start;
        match &mut verdict {
            Ok(answer) => {
                answer.credit(turn);
                self.note_answer(to, turn, answer, took);
            }
            Err(failure) => {
                // Neither a caller that broke off nor the service's own time is the server's fault.
                if failure.is_the_servers() {
                    turn.failed(&failure.name, &failure.why, failure.status);
                }
                self.note_failure(to, Some(turn), failure, took);
            }
        }
        verdict
    }

    /// How long an attempt that starts now may take: as long as the endpoint has for the
    /// operation, within the service's own time.
    fn patience(&self, to: Destination<'a>, start: Instant) -> Patience {
        let spec = to.endpoint.spec_for(self.common.values.operation(to.id));
        let own = spec.timeout.map(|after| Deadline {
            at: start + after,
            after,
            is_the_endpoints: true,
        });
        let services = self.common.time.map(|(at, after)| Deadline {
            at,
            after,
            is_the_endpoints: false,
        });
        let deadlines = [own, services].into_iter().flatten();
        Patience {
            idle: spec.idle_timeout,
            until: deadlines.min_by_key(|deadline| deadline.at),
        }
    }

    /// Counts an attempt that went well and, where there is one, keeps it for the log.
    fn note_answer(&mut self, to: Destination<'a>, turn: &Turn, answer: &Answer, took: Duration) {
        if let Some(meter) = self.common.active.endpoint_meter(to.id) {
            let sheet = &*self.common.worker.sheet;
            meter.answered(sheet);
            meter.seconds.observe(sheet, took.as_secs_f64());
        }
        if self.common.is_logged {
            let attempt = Attempt {
                outcome: "ok".into(),
                why: None,
                status: answer.status(),
                ..attempt(to, Some(turn), took)
            };
            self.attempts.push(attempt);
        }
    }

    /// The same for one that brought no answer.
    #[cold]
    fn note_failure(
        &mut self,
        to: Destination<'a>,
        turn: Option<&Turn>,
        failure: &Failure,
        took: Duration,
    ) {
        if let Some(meter) = self.common.active.endpoint_meter(to.id) {
            meter.failed(&failure.name);
        }
        self.attempts.push(Attempt {
            outcome: failure.name.clone().into(),
            why: Some(failure.why.clone()),
            status: failure.status,
            ..attempt(to, turn, took)
        });
    }

    async fn send(
        &mut self,
        to: Destination<'a>,
        turn: &Turn,
        body: Body,
        has_servers: bool,
    ) -> Verdict {
        let Destination {
            endpoint, group, ..
        } = to;
        let (body, bridged) = match (&endpoint.bridge, self.common.caller) {
            (Some(plan), Some(caller)) => {
                let losing = self.common.active.endpoint_meter(to.id);
                // Large and seldom: messages that are not bridged do not carry room for it.
                let mut prepared = Box::pin(caller.prepare(plan, body, losing.cloned())).await?;
                let body = std::mem::take(&mut prepared.body);
                self.count(to.id, "request", prepared.trip.outcome.as_ref());
                (body, Some((plan, prepared)))
            }
            _ => (body, None),
        };
        let spec = endpoint.spec_for(self.common.values.operation(to.id));
        let is_last = !has_servers && !to.has_backups;
        let Some(mut request) = self
            .outbound
            .request(spec, turn.member().server(), body, is_last)
        else {
            return Err(Box::new(Failure::router(
                "the endpoint's address cannot be used with this query",
            )));
        };
        if let Some((_, prepared)) = &bridged {
            prepared.dress(&mut request.head.headers);
        }
        if let Some(cookie) = group.cookie().filter(|cookie| cookie.strip) {
            cookie.strip(&mut request.head.headers);
        }
        let progress = self.common.cargo.progress(self.lane);
        let client = &self.common.worker.client;
        let sent = client.send(spec, turn.member(), request, &progress).await;
        let reply = sent.map_err(|error| Box::new(Failure::send(error)))?;
        let bounds = Bounds {
            bytes_max: self.common.service.limits.fault_bytes,
            idle: spec.idle_timeout,
            minds_receiver_faults: turn.minds_receiver_faults(),
        };
        let one_way = self.common.service.table.pattern == Pattern::OneWay;
        // Once the caller has the head, nobody else can answer any more.
        let may_resend = (has_servers && endpoint.resend_within == Resend::Always)
            || (to.has_backups && endpoint.resend == Resend::Always);
        let answer = judge(reply, &endpoint.failover, one_way, bounds).await?;
        let answer = match bridged.filter(|_| !one_way) {
            Some((plan, prepared)) => {
                let settings = Back {
                    idle: spec.idle_timeout,
                    sender_fault: self.common.service.sender_fault_status,
                    losing: self.common.active.endpoint_meter(to.id).cloned(),
                };
                let back = Box::pin(prepared.trip.back(plan, answer, settings));
                let (answer, outcome) = back.await?;
                self.count(to.id, "reply", outcome.as_ref());
                answer
            }
            None => answer,
        };
        match answer {
            Answer::Stream(reply) if may_resend => {
                let begun = reply.begun(spec.response_timeout).await;
                begun
                    .map(Answer::Stream)
                    .map_err(|error| Box::new(Failure::send(error)))
            }
            answer => Ok(answer),
        }
    }

    /// Counts a message that was bridged, and what it lost.
    fn count(&self, id: EndpointId, direction: &'static str, outcome: Option<&Outcome>) {
        let (Some(outcome), Some(meter)) = (outcome, self.common.active.endpoint_meter(id)) else {
            return;
        };
        if !outcome.changed {
            return;
        }
        let (from, to) = (outcome.from, outcome.to);
        let way = if direction == "request" { 0 } else { 1 };
        let number =
            (way * Dialect::NAMES.len() + from.number()) * Dialect::NAMES.len() + to.number();
        meter.bridged(number, direction, from.name(), to.name());
        for loss in outcome.losses.iter() {
            meter.lost(loss.name());
        }
    }

    /// Whether another server of the same endpoint may be asked after this failure.
    fn may_try_another(&self, to: Destination<'a>, failure: &Failure) -> bool {
        allows(to.endpoint.resend_within, failure)
            && failure.triggers(&to.endpoint.failover)
            && self.has_budget(to, failure)
    }

    /// Whether the next backup may be asked after this failure.
    fn may_go_on(&self, to: Destination<'a>, failure: &Failure) -> bool {
        to.has_backups
            && allows(to.endpoint.resend, failure)
            && failure.triggers(&to.endpoint.failover)
            && (!to.endpoint.budget_along_list || self.has_budget(to, failure))
    }

    /// What was surely not delivered costs servers nothing and is always sent again.
    fn has_budget(&self, to: Destination<'a>, failure: &Failure) -> bool {
        let allowed = failure.undelivered || to.group.may_resend();
        if let Some(meter) = self.common.active.endpoint_meter(to.id) {
            meter.resend(allowed);
        }
        allowed
    }

    #[cold]
    fn error(&self, last: Option<Box<Failure>>) -> Error {
        let Some(last) = last else {
            return Error::RouterInternal("no endpoint to send to");
        };
        if let Some(SendError::Caller(source)) = &last.error {
            return Error::from_source(source, self.common.cargo.bytes());
        }
        if let Some(error) = last.bridge {
            return Error::SenderBridge(*error);
        }
        if last.out_of_time {
            return Error::EndpointTimeout;
        }
        // With several endpoints asked, no single one's trouble describes what happened.
        match (self.attempts.len(), last.name.as_str()) {
            (1, "busy") => Error::EndpointBusy,
            (1, "lost") => Error::EndpointLost,
            (1, "timeout") => Error::EndpointTimeout,
            (1, "not-soap") => Error::EndpointReply,
            (_, "cannot-bridge-back") => Error::EndpointBridge,
            _ => Error::EndpointsUnavailable {
                retry_after: last.retry_after,
            },
        }
    }
}

/// An attempt, for the log.
fn attempt(to: Destination<'_>, turn: Option<&Turn>, took: Duration) -> Attempt {
    let several = to.group.may_be_several();
    Attempt {
        endpoint: Arc::clone(&to.endpoint.spec.name),
        server: turn.filter(|_| several).map(|turn| turn.member().address()),
        outcome: "".into(),
        why: None,
        status: None,
        took,
    }
}

/// Whether the message may be sent again by this policy.
const fn allows(resend: Resend, failure: &Failure) -> bool {
    if failure.out_of_time || matches!(failure.error, Some(SendError::Caller(_))) {
        return false;
    }
    match resend {
        Resend::Always => true,
        Resend::Never => false,
        Resend::IfNotDelivered => failure.undelivered,
    }
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
            Self::Stream(reply) => Some(reply.head.status.as_u16()),
            Self::Whole { head, .. } | Self::Changed { head, .. } => Some(head.status.as_u16()),
            Self::Accepted => None,
        }
    }

    /// Puts it down to the server, and binds the caller to it.
    fn credit(&mut self, turn: &Turn) {
        match self {
            Self::Whole {
                head,
                blames_receiver: true,
                ..
            } if turn.minds_receiver_faults() => {
                let why = "it answered with a fault that blames the receiver";
                turn.failed("receiver-fault", why, Some(head.status.as_u16()));
            }
            // Whether the rest of it comes is told when the exchange is closed.
            Self::Stream(_) | Self::Changed { .. } => {}
            _ => turn.succeeded(),
        }
        match self {
            Self::Stream(reply) => turn.bind(&mut reply.head.headers),
            Self::Whole { head, .. } | Self::Changed { head, .. } => turn.bind(&mut head.headers),
            Self::Accepted => {}
        }
    }
}
