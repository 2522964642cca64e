//! The stages of the road, in order.
//!
//! 1. the snapshot and the service that answers here
//! 2. read until its filters have decided
//! 3. which endpoints
//! 4. send, and ask the next one where that fails
//! 5. answer

use std::sync::Arc;

use http::Response;
use smallvec::SmallVec;

use super::arrival::{self, Arrival, HeadFacts};
use super::deliver::{self, Cargo, Delivered};
use super::drain::drain;
use super::error::Error;
use super::outbound::Outbound;
use super::pass;
use super::receive::Parcel;
use super::record::Record;
use super::reply::{self, Dialect};
use super::root_part::RootPart;
use super::verify::Verifier;
use super::worker::Worker;
use crate::filter::Probe;
use crate::net::{self, Body};
use crate::routing::{self, Decision, Pattern};
use crate::snapshot::{Active, OnOverflow, Service, ServiceId};
use crate::soap::MediaKind;

/// What a SOAP request became before it is sent.
struct Routed {
    decision: Decision,
    parcel: Parcel,
    dialect: Dialect,
}

/// Takes one request and gives its answer; never fails, since every failure is an answer.
pub async fn handle(worker: &Worker, arrival: Arrival) -> Response<Body> {
    let active = worker.live.load();
    let mut record = begin(worker, &arrival);
    let host = arrival::host(&arrival.head).to_owned();
    let found = active
        .snapshot
        .find(&arrival.origin.listener, &host, arrival.head.uri.path());
    let Some((id, service)) = found.and_then(|id| Some((id, active.snapshot.service(id)?))) else {
        return unknown(arrival, record);
    };
    record.enter(&service.name, active.service_meter(id));
    if pass::is_not_soap(&arrival.head.method) {
        return pass::pass(worker, &active, service, arrival, record).await;
    }
    soap(worker, &active, id, service, arrival, record).await
}

async fn soap(
    worker: &Worker,
    active: &Active,
    id: ServiceId,
    service: &Service,
    arrival: Arrival,
    mut record: Record,
) -> Response<Body> {
    let likely = arrival::likely_version(&arrival.head.headers);
    let Arrival {
        head,
        body,
        origin,
        spelled,
    } = arrival;
    let length = head.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut parcel = Parcel::new(body, length, service.limits);
    let mut dialect = Dialect {
        version: Some(likely),
        ..Dialect::default()
    };
    let url = arrival::request_url(&head, &origin);
    let routed = route(
        worker,
        service,
        &head,
        &origin,
        &url,
        &mut parcel,
        &mut dialect,
        &mut record,
    )
    .await;
    let decision = match routed {
        Ok(decision) => decision,
        Err(error) => {
            record.request_bytes = parcel.bytes();
            drain(parcel.into_rest());
            return reply::fault(&error, &dialect, record);
        }
    };
    note_choice(active, id, service, &decision, &mut record);
    let spelling = (!spelled).then(|| worker.spelling.template());
    let outbound = Outbound::new(head, &origin, spelling);
    send(
        worker,
        active,
        service,
        Routed {
            decision,
            parcel,
            dialect,
        },
        &outbound,
        record,
    )
    .await
}

/// Steps 2 and 3.
async fn route(
    worker: &Worker,
    service: &Service,
    head: &http::request::Parts,
    origin: &arrival::Origin,
    url: &str,
    parcel: &mut Parcel,
    dialect: &mut Dialect,
    record: &mut Record,
) -> Result<Decision, Error> {
    let facts = HeadFacts::read(&head.headers)?;
    let media = facts.media?;
    if let Some(coding) = arrival::coding(&head.headers) {
        return Err(Error::SenderCoding(coding));
    }
    let mut root = match media.kind {
        MediaKind::Multipart => Some(RootPart::new(&media)?),
        MediaKind::Envelope(_) => None,
    };
    let mut probe = Probe::start(
        &service.filters,
        crate::filter::Arrival {
            headers: &head.headers,
            action: facts.action.as_deref(),
            url,
            listener: &origin.listener,
            service: &service.name,
            charset: media.charset.as_deref(),
            limits: service.limits.xml,
            draw: worker.draw(),
            now: worker.now(),
        },
    )?;
    let read = parcel.until_decided(&mut probe, root.as_mut()).await;
    note_facts(&probe, dialect, record);
    record.decided_after = Some(match &root {
        Some(root) => root.decided_after(&probe),
        None => probe.decided_after(),
    });
    read?;
    let decision = routing::decide(&service.table, probe.matched())?;
    if service.on_overflow == OnOverflow::Refuse && is_wanted_again(&decision) {
        parcel.until_held().await?;
    }
    Ok(decision)
}

/// Steps 4 and 5.
async fn send(
    worker: &Worker,
    active: &Active,
    service: &Service,
    routed: Routed,
    outbound: &Outbound,
    mut record: Record,
) -> Response<Body> {
    let Routed {
        decision,
        parcel,
        dialect,
    } = routed;
    let one_way = service.table.pattern == Pattern::OneWay;
    let meter = record.meter.as_ref();
    if let Some(meter) = meter {
        meter.mode(if parcel.is_complete() {
            "buffered"
        } else {
            "streaming"
        });
    }
    let cargo = load(worker, service, &decision, parcel);
    let delivered = deliver::all(worker, active, &decision, outbound, &cargo, one_way).await;
    record.request_bytes = cargo.bytes();
    let mut chosen = None;
    let mut error = None;
    record.spooled = cargo.spooled();
    for Delivered { attempts, committed, result } in delivered {
        record.attempts.extend(attempts);
        record.committed |= committed;
        match result {
            Ok(answer) => chosen = chosen.or(Some(answer)),
            Err(failed) => error = error.or(Some(failed)),
        }
    }
    let Some((endpoint, answer)) = chosen else {
        let error = error.unwrap_or(Error::RouterInternal("nothing was sent"));
        drain(cargo.take_rest());
        return reply::fault(&error, &dialect, record);
    };
    let endpoint = active.snapshot.endpoint(endpoint);
    if let (Some(endpoint), false) = (endpoint, one_way) {
        record.endpoints = vec![endpoint.spec.name.as_str().into()];
    }
    if one_way {
        return reply::accepted(record);
    }
    let idle = endpoint.map_or(service.limits.body_idle_timeout, |e| e.spec.idle_timeout);
    reply::answer(answer, idle, Some(cargo), record)
}

/// Whether some of the message's bytes may have to be sent twice.
fn is_wanted_again(decision: &Decision) -> bool {
    decision.deliveries.len() > 1 || decision.deliveries.iter().any(|d| !d.backups.is_empty())
}

/// The message made ready for sending: whole, or with a lane for each delivery.
fn load(worker: &Worker, service: &Service, decision: &Decision, parcel: Parcel) -> Cargo {
    let lanes: SmallVec<[bool; 4]> =
        decision.deliveries.iter().map(|delivery| !delivery.backups.is_empty()).collect();
    let on_overflow = match service.on_overflow {
        OnOverflow::Spool => net::OnOverflow::Spool,
        OnOverflow::Commit | OnOverflow::Refuse => net::OnOverflow::Commit,
    };
    let verify = service.verify_full.then(|| Verifier::new(service.limits.xml, parcel.held()));
    let replay = parcel.into_replay(&lanes, on_overflow, worker.budget.clone());
    if let Some(verify) = verify {
        replay.inspect(Box::new(verify));
    }
    Cargo::of(replay)
}

fn begin(worker: &Worker, arrival: &Arrival) -> Record {
    let mut record = Record::new(
        worker.next_id(),
        worker.access.clone(),
        Arc::clone(&worker.metrics),
    );
    record.peer = arrival.origin.peer.to_string();
    record.method = arrival.head.method.as_str().to_owned();
    record.path = arrival.head.uri.path().to_owned();
    record
}

/// Nothing answers at this address: a SOAP caller gets a fault, anyone else 404.
fn unknown(arrival: Arrival, record: Record) -> Response<Body> {
    if pass::is_not_soap(&arrival.head.method) {
        let text = "No service at this address.";
        return reply::refuse(http::StatusCode::NOT_FOUND, text, record);
    }
    let version = Some(arrival::likely_version(&arrival.head.headers));
    drain(Some(arrival.body));
    let dialect = Dialect {
        version,
        ..Dialect::default()
    };
    reply::fault(&Error::SenderUnknownService, &dialect, record)
}

/// What the envelope said of itself, for the answer and for the log.
fn note_facts(probe: &Probe<'_>, dialect: &mut Dialect, record: &mut Record) {
    let facts = probe.facts();
    if let Some(version) = facts.version {
        dialect.version = Some(version);
        record.soap = Some(version);
    }
    dialect.addressing = facts.addressing;
    dialect.message_id.clone_from(&facts.message_id);
    record.message_id.clone_from(&facts.message_id);
    record.action = facts.action().map(str::to_owned);
    record.operation = facts.operation.as_ref().map(ToString::to_string);
}

fn note_choice(
    active: &Active,
    id: ServiceId,
    service: &Service,
    decision: &Decision,
    record: &mut Record,
) {
    for delivery in &decision.deliveries {
        let Some(entry) = service.table.entry(delivery.entry) else {
            continue;
        };
        let Some(endpoint) = active.snapshot.endpoint(delivery.endpoint) else {
            continue;
        };
        if let Some(meter) = active.service_meter(id) {
            meter.entry(&entry.name, &endpoint.spec.name);
        }
        record.entries.push(entry.name.clone());
        record.endpoints.push(endpoint.spec.name.as_str().into());
    }
}
