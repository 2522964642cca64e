//! Where a request belongs, and routes: what is handed on without being SOAP, or sent elsewhere.

use http::{StatusCode, Uri};

use super::admit;
use super::arrival::{self, Arrival};
use super::error::Error;
use super::pass;
use super::record::Record;
use super::reply;
use super::rewrite::Rewriter;
use super::worker::Worker;
use crate::fields::Response;
use crate::net::Body;
use crate::snapshot::{Active, Place, Rewrites, RouteId, RouteTo, host_name};

/// How often a rewritten path may be looked for again: more is a circle.
const REROUTES_MAX: usize = 8;

/// Why a request belongs nowhere.
pub(super) enum Lost {
    /// Nobody answers here.
    Unknown,
    /// Rewrites lead in a circle.
    Circle,
}

/// The service or route of a request.
///
/// # Errors
/// When there is none.
pub(super) fn find(
    active: &Active,
    arrival: &mut Arrival<'_>,
    record: &Record,
) -> Result<Place, Lost> {
    for _ in 0..=REROUTES_MAX {
        let place = active.snapshot.place(
            &arrival.origin.listener,
            arrival::host(&arrival.head),
            arrival.head.uri.path(),
        );
        let place = place.ok_or(Lost::Unknown)?;
        let Some(uri) = rerouted(active, place, arrival, record) else {
            return Ok(place);
        };
        arrival.head.uri = uri;
    }
    Err(Lost::Circle)
}

/// What is said to a request that belongs nowhere.
#[cold]
pub(super) fn refuse(why: &Lost, arrival: Arrival<'_>, record: Record) -> Response<Body> {
    match why {
        Lost::Unknown => admit::refuse(&Error::SenderUnknownService, arrival, record),
        Lost::Circle => {
            let text = "The rewrites of this address lead in a circle.";
            reply::refuse(StatusCode::INTERNAL_SERVER_ERROR, text, record)
        }
    }
}

fn rewrites(active: &Active, place: Place) -> Option<&Rewrites> {
    match place {
        Place::Service(id) => Some(&active.snapshot.service(id)?.rewrites),
        Place::Route(id) => Some(&active.snapshot.route(id)?.rewrites),
    }
}

/// The address by which the place is to be looked for again.
fn rerouted(active: &Active, place: Place, arrival: &Arrival<'_>, record: &Record) -> Option<Uri> {
    let rewrites = rewrites(active, place)?;
    if !rewrites.iter().any(|rewrite| rewrite.reroute) {
        return None;
    }
    let head = &arrival.head;
    let rewriter = Rewriter::begin(rewrites, head, record)?;
    let path = rewriter.rerouted()?;
    if path == head.uri.path() {
        return None;
    }
    let target = match head.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// At a route.
pub(super) async fn follow(
    worker: &Worker,
    active: &Active,
    id: RouteId,
    arrival: Arrival<'_>,
    mut record: Record,
) -> Response<Body> {
    let Some(route) = active.snapshot.route(id) else {
        return admit::refuse(&Error::SenderUnknownService, arrival, record);
    };
    if !record.enter(active, Place::Route(id)) {
        return admit::refuse(&Error::RouterOverloaded, arrival, record);
    }
    if let Some(gate) = active.gate(Place::Route(id))
        && let Err(error) = admit::admit(gate, arrival.client(), &mut record).await
    {
        return admit::refuse(&error, arrival, record);
    }
    match &route.to {
        RouteTo::Redirect(redirect) => {
            let uri = &arrival.head.uri;
            let host = host_name(arrival::host(&arrival.head));
            let location = redirect.location(host, uri.path(), uri.query());
            reply::redirect(redirect.status, &location, record)
        }
        RouteTo::Endpoint(endpoint) => {
            let to = pass::To::of_route(route, *endpoint, &active.snapshot.limits);
            pass::pass(worker, active, to, arrival, record).await
        }
    }
}
