//! Requests that are not SOAP: a browser's GET, `?wsdl`.
//!
//! They go to the service's default endpoint as they are, and its answer comes back as it is.

use bytes::Bytes;
use http::{Method, Response, StatusCode};

use super::arrival::{self, Arrival};
use super::outbound::Outbound;
use super::receive::Parcel;
use super::record::{Attempt, Outcome, Record};
use super::reply;
use super::worker::Worker;
use crate::net::{self, Body};
use crate::snapshot::{Active, Service};
use crate::upstream::Progress;

/// Whether the request can carry no envelope.
pub(super) fn is_not_soap(method: &Method) -> bool {
    method != Method::POST
}

/// Hands the request to the default endpoint, or says 405.
pub(super) async fn pass(
    worker: &Worker,
    active: &Active,
    service: &Service,
    arrival: Arrival,
    mut record: Record,
) -> Response<Body> {
    let endpoint = service
        .default_endpoint
        .and_then(|id| Some((id, active.snapshot.endpoint(id)?)));
    let Some((id, endpoint)) = endpoint else {
        return reply::refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "This is a SOAP service: send the envelope with POST.",
            record,
        );
    };
    record.outcome = Outcome::Passed;
    let length = arrival::content_length(&arrival.head.headers);
    let has_body = !http_body::Body::is_end_stream(&arrival.body);
    let mut outbound = Outbound::new(arrival.head, &arrival.origin);
    let cargo = has_body.then(|| {
        let parcel = Parcel::new(arrival.body, length, service.limits);
        parcel.into_replay(&[false], net::OnOverflow::Commit, worker.budget.clone())
    });
    let body = match &cargo {
        Some(replay) => replay.reader(0).map_or(Body::Empty, Body::Replay),
        None => Body::Full(Bytes::new()),
    };
    let Some(request) = outbound.request(&endpoint.spec, body, true) else {
        return reply::refuse(
            StatusCode::BAD_REQUEST,
            "This query cannot be passed on.",
            record,
        );
    };
    record.endpoints.push(endpoint.spec.name.as_str().into());
    let start = tokio::time::Instant::now();
    let progress = cargo
        .as_ref()
        .map_or_else(Progress::default, |replay| Progress::of(replay.clone(), 0));
    match worker.client.send(&endpoint.spec, request, &progress).await {
        Ok(answer) => {
            if let Some(meter) = active.endpoint_meter(id) {
                meter.attempt("ok");
            }
            reply::answer(
                super::deliver::Answer::Stream(answer),
                endpoint.spec.idle_timeout,
                cargo.map(super::deliver::Cargo::Stream),
                record,
            )
        }
        Err(error) => {
            if let Some(meter) = active.endpoint_meter(id) {
                meter.attempt(error.name());
            }
            record.attempts.push(Attempt {
                endpoint: endpoint.spec.name.as_str().into(),
                outcome: error.name().to_owned(),
                why: Some(error.to_string()),
                status: None,
                took: start.elapsed(),
            });
            let status = match error.name() {
                "timeout" => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            };
            reply::refuse(
                status,
                "The service behind this address does not answer.",
                record,
            )
        }
    }
}
