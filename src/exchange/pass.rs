//! Requests that are not SOAP: a browser's GET, `?wsdl`.
//!
//! They go to the service's default endpoint as they are, and its answer comes back as it is.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::arrival::Arrival;
use super::closing;
use super::deliver::Cargo;
use super::judge::Failure;
use super::outbound::Outbound;
use super::receive::Parcel;
use super::record::{Attempt, Outcome, Record};
use super::reply;
use super::rewrite::Rewriter;
use super::upgrade;
use super::values::Values;
use super::worker::Worker;
use crate::fields::{Response, UPGRADE};
use crate::net::{self, Body, Deadline, Patience, UPGRADE_PROTOCOL};
use crate::routing::EndpointId;
use crate::snapshot::{Active, Endpoint, Limits, Rewrites, Route, Service};
use crate::telemetry::clock;
use crate::upstream::{Group, Progress, Reply, Turn, Wants};

/// Whether the request can carry no envelope.
pub(super) fn is_not_soap(method: &Method) -> bool {
    method != Method::POST
}

/// Where a request goes that is not SOAP, and what is done to it on the way.
pub(super) struct To<'a> {
    endpoint: Option<EndpointId>,
    limits: &'a Limits,
    rewrites: &'a Rewrites,
    prefix: &'a str,
    /// Whether the caller's path goes along.
    keeps_path: bool,
}

impl<'a> To<'a> {
    /// To a service's default endpoint.
    pub(super) fn of_service(service: &'a Service) -> Self {
        Self {
            endpoint: service.default_endpoint,
            limits: &service.limits,
            rewrites: &service.rewrites,
            prefix: service.path.prefix(),
            keeps_path: false,
        }
    }

    /// To a route's endpoint.
    pub(super) fn of_route(route: &'a Route, endpoint: EndpointId, limits: &'a Limits) -> Self {
        Self {
            endpoint: Some(endpoint),
            limits,
            rewrites: &route.rewrites,
            prefix: route.path.prefix(),
            keeps_path: true,
        }
    }
}

/// Whether the path climbs: an endpoint would make another one of it, which nobody let in here.
fn climbs(path: &str) -> bool {
    let dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    path.split(['/', '\\']).any(dots)
}

/// Hands the request on, or says 405.
pub(super) async fn pass(
    worker: &Worker,
    active: &Active,
    to: To<'_>,
    arrival: Arrival<'_>,
    mut record: Record,
) -> Response<Body> {
    let endpoint = to
        .endpoint
        .and_then(|id| Some((id, active.snapshot.endpoint(id)?)));
    let found = endpoint.and_then(|(id, endpoint)| Some((id, endpoint, active.group(id)?)));
    let Some((id, endpoint, group)) = found else {
        return reply::refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "This is a SOAP service: send the envelope with POST.",
            record,
        );
    };
    if to.keeps_path && climbs(arrival.head.uri.path()) {
        let text = "A path with `.` or `..` in it is not passed on.";
        return reply::refuse(StatusCode::BAD_REQUEST, text, record);
    }
    record.outcome = Outcome::Passed;
    let has_body = !http_body::Body::is_end_stream(&arrival.body);
    let values = Values::of_head(active, id, &arrival.head.headers);
    record.endpoints.push(Arc::clone(&endpoint.spec.name));
    let rewriter = Rewriter::begin(to.rewrites, &arrival.head, &record);
    let upgrades = !has_body && upgrade::is_asked_for(&arrival.head);
    let mut outbound = Outbound::new(arrival.head, arrival.origin, record.id);
    outbound.below(to.prefix, to.keeps_path);
    if let Some(rewriter) = &rewriter {
        rewriter.request(&mut outbound);
    }
    if upgrades {
        let headers = outbound.headers_mut();
        headers.insert(UPGRADE, UPGRADE_PROTOCOL);
    }
    record.rewriter = rewriter;
    if upgrades && endpoint.spec.http2_streams.is_some() {
        let text =
            "The service behind this address speaks HTTP/2, over which no WebSocket is passed.";
        return reply::refuse(StatusCode::NOT_IMPLEMENTED, text, record);
    }
    let cargo = has_body.then(|| {
        let mut parcel = Parcel::new(arrival.body, to.limits);
        parcel.take_replay(&[false], net::OnOverflow::Commit, worker.budget.clone())
    });
    let body = || match &cargo {
        Some(replay) => replay.reader(0).map_or(Body::Empty, Body::Replay),
        None => Body::Full(Bytes::new()),
    };
    let progress = cargo
        .as_ref()
        .map_or_else(Progress::default, |replay| Progress::of(replay.clone(), 0));
    let mut trip = Trip {
        progress,
        worker,
        active,
        id,
        endpoint,
        group,
        outbound,
        values,
        patience: Patience {
            idle: endpoint.spec.idle_timeout,
            until: None,
        },
    };
    let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
    loop {
        // A body that is still arriving can be sent once only.
        let again = !has_body && tried.len() + 1 < group.tries();
        let attempted = {
            let attempt = pin!(trip.attempt(body(), &mut tried));
            closing::unless_said(&worker.closing, attempt).await
        };
        let Some(attempted) = attempted else {
            let text = "The router is shutting down.";
            return reply::refuse(StatusCode::SERVICE_UNAVAILABLE, text, record);
        };
        match attempted {
            Ok((answer, turn)) => {
                let patience = trip.patience;
                record.turn = Some(turn);
                let cargo = cargo.map(Cargo::Stream);
                return upgrade::answer(answer, patience, cargo, record);
            }
            Err(failed) => {
                record.attempts.push(failed.attempt);
                if !(again && failed.undelivered) {
                    return reply::refuse(failed.status, failed.text, record);
                }
            }
        }
    }
}

/// One request on its way through an endpoint's servers.
struct Trip<'a> {
    progress: Progress,
    worker: &'a Worker,
    active: &'a Active,
    id: EndpointId,
    endpoint: &'a Endpoint,
    group: &'a Arc<Group>,
    outbound: Box<Outbound<'a>>,
    values: Values,
    /// How long the answer of the last attempt may take.
    patience: Patience,
}

/// An attempt without an answer.
struct Failed {
    attempt: Attempt,
    undelivered: bool,
    status: StatusCode,
    text: &'static str,
}

impl Trip<'_> {
    async fn attempt(
        &mut self,
        body: Body,
        tried: &mut SmallVec<[u64; 4]>,
    ) -> Result<(Reply, Turn), Failed> {
        let start = Instant::now();
        let (hash, bound) = self.values.of(self.id);
        let wants = Wants {
            draw: self.worker.draw(),
            hash,
            bound,
            headers: self.outbound.headers(),
        };
        let turn = self.group.turn(&wants, tried).await;
        let turn = turn.map_err(|why| {
            let failure = Failure::no_server(why);
            self.failed(None, &failure, false, start)
        })?;
        tried.push(turn.member().id());
        let Some(mut request) =
            self.outbound
                .request(&self.endpoint.spec, turn.member().server(), body, false)
        else {
            let failure = Failure::router("this query cannot be passed on");
            return Err(Failed {
                status: StatusCode::BAD_REQUEST,
                text: "This query cannot be passed on.",
                ..self.failed(Some(&turn), &failure, false, start)
            });
        };
        if let Some(cookie) = self.group.cookie().filter(|cookie| cookie.strip) {
            cookie.strip(&mut request.head.headers);
        }
        let (spec, member) = (&self.endpoint.spec, turn.member());
        self.patience.until = spec.timeout.map(|after| Deadline {
            at: clock::now() + after,
            after,
            is_the_endpoints: true,
        });
        match self
            .worker
            .client
            .send(spec, member, request, &self.progress)
            .await
        {
            Ok(mut answer) => {
                turn.bind(&mut answer.head.headers);
                if let Some(meter) = self.active.endpoint_meter(self.id) {
                    meter.answered(&self.worker.sheet);
                }
                Ok((answer, turn))
            }
            Err(error) => {
                let failure = Failure::send(error);
                turn.failed(&failure.name, &failure.why, None);
                Err(self.failed(Some(&turn), &failure, failure.undelivered, start))
            }
        }
    }

    fn failed(
        &self,
        turn: Option<&Turn>,
        failure: &Failure,
        undelivered: bool,
        start: Instant,
    ) -> Failed {
        if let Some(meter) = self.active.endpoint_meter(self.id) {
            meter.failed(&failure.name);
        }
        let several = self.group.may_be_several();
        Failed {
            attempt: Attempt {
                endpoint: Arc::clone(&self.endpoint.spec.name),
                server: turn.filter(|_| several).map(|t| t.member().address()),
                outcome: failure.name.clone().into(),
                why: Some(failure.why.clone()),
                status: None,
                took: start.elapsed(),
            },
            undelivered,
            status: match failure.name.as_str() {
                "timeout" => StatusCode::GATEWAY_TIMEOUT,
                "busy" | "lost" => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_GATEWAY,
            },
            text: "The service behind this address does not answer.",
        }
    }
}
