//! The stages of the road, in order.
//!
//! 1. the snapshot and the service that answers here
//! 2. read until its filters have decided
//! 3. which endpoints
//! 4. send, and ask the next one where that fails
//! 5. answer

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use smallvec::{SmallVec, smallvec};
use tokio::time::{Instant, timeout_at};

use super::admit;
use super::arrival::{self, Arrival, HeadFacts, Origin, Slip};
use super::bridging::Caller;
use super::closing;
use super::deliver::{Answered, Cargo, Common, Trips};
use super::drain::drain;
use super::error::Error;
use super::forwarded;
use super::outbound::Outbound;
use super::pass;
use super::receive::Parcel;
use super::record::Record;
use super::reply::{self, Dialect};
use super::rewrite::Rewriter;
use super::root_part::RootPart;
use super::values::{self, Values};
use super::verify::Verifier;
use super::way;
use super::worker::Worker;
use crate::fields::{RequestParts, Response};
use crate::filter::{self, Around, Probe};
use crate::net::{self, Body};
use crate::routing::{self, Decision, EndpointId, Pattern};
use crate::snapshot::{Active, OnOverflow, Place, Service, ServiceId};
use crate::soap::{MediaKind, MediaType, Stage};

/// Takes one request and gives its answer; never fails, since every failure is an answer.
pub async fn handle(worker: &Arc<Worker>, mut arrival: Arrival<'_>) -> Response<Body> {
    forwarded::drop_odd_names(&mut arrival);
    let active = worker.live.load();
    let record = Record::new(worker, arrival.origin, &arrival.head);
    match way::find(&active, &mut arrival, &record) {
        Ok(Place::Service(id)) => serve(worker, &active, id, arrival, record).await,
        // Large and seldom: messages do not carry room for it.
        Ok(Place::Route(id)) => Box::pin(way::follow(worker, &active, id, arrival, record)).await,
        Err(lost) => way::refuse(&lost, arrival, record),
    }
}

/// At a service.
async fn serve(
    worker: &Worker,
    active: &Active,
    id: ServiceId,
    arrival: Arrival<'_>,
    mut record: Record,
) -> Response<Body> {
    let Some(service) = active.snapshot.service(id) else {
        return admit::refuse(&Error::SenderUnknownService, arrival, record);
    };
    if !record.enter(active, Place::Service(id)) {
        return admit::refuse(&Error::RouterOverloaded, arrival, record);
    }
    if let Some(gate) = active.gate(Place::Service(id))
        && let Err(error) = admit::admit(gate, arrival.client(), &mut record).await
    {
        return admit::refuse(&error, arrival, record);
    }
    if pass::is_not_soap(&arrival.head.method) {
        let to = pass::To::of_service(service);
        return Box::pin(pass::pass(worker, active, to, arrival, record)).await;
    }
    let version = Some(arrival::likely_version(&arrival.head.headers));
    let dialect = Dialect {
        version,
        ..Dialect::default()
    };
    let journey = Journey {
        worker,
        active,
        id,
        service,
        dialect,
        record,
        caller: None,
    };
    // Pinned where they are made, as what they call: futures are awaited by moving them, and these
    // are kilobytes.
    pin!(journey.run(arrival)).await
}

/// What is known of a message when it can be sent.
struct Routed {
    decision: Decision,
    /// Looks at what is still to come (`verify: full`).
    verify: Option<Box<Verifier>>,
    /// What says which server it goes to.
    values: Values,
}

/// One SOAP request under way.
struct Journey<'a> {
    worker: &'a Worker,
    active: &'a Active,
    id: ServiceId,
    service: &'a Service,
    dialect: Dialect,
    record: Record,
    /// For endpoints that speak versions of their own.
    caller: Option<Box<Caller>>,
}

impl<'a> Journey<'a> {
    async fn run(mut self, arrival: Arrival<'_>) -> Response<Body> {
        let Arrival { head, body, origin } = arrival;
        let mut parcel = Parcel::new(body, &self.service.limits);
        let time = self
            .service
            .timeout
            .map(|after| (Instant::now() + after, after));
        let routed = {
            let route = pin!(self.route(&head, origin, &mut parcel));
            match time {
                None => Ok(route.await),
                Some((until, after)) => timeout_at(until, route).await.map_err(|_elapsed| after),
            }
        };
        let routed = routed.unwrap_or_else(|after| {
            let bytes = parcel.bytes();
            Err(Error::SenderSlow { after, bytes })
        });
        match routed {
            Ok(routed) => {
                self.note_choice(&routed.decision);
                let outbound = self.outbound(head, origin);
                pin!(self.send(routed, &mut parcel, outbound, time)).await
            }
            Err(error) => {
                self.record.request_bytes = parcel.bytes();
                drain(parcel.take_rest());
                reply::fault(&error, &self.dialect, self.record)
            }
        }
    }

    /// Steps 2 and 3.
    async fn route(
        &mut self,
        head: &RequestParts,
        origin: &Origin,
        parcel: &mut Parcel<'_>,
    ) -> Result<Routed, Error> {
        let facts = HeadFacts::read(&head.headers)?;
        let media = facts.media.as_ref().map_err(Clone::clone)?;
        self.tolerate(&facts.slips)?;
        if let Some(coding) = arrival::coding(&head.headers) {
            return Err(Error::SenderCoding(coding));
        }
        let mut root = match media.kind {
            MediaKind::Multipart => Some(RootPart::new(media)?),
            MediaKind::Envelope(_) => None,
        };
        let service = self.service;
        let (url, now) = (arrival::request_url(head, origin), self.worker.now());
        let mut probe = Probe::new(
            &service.filters,
            filter::Arrival {
                headers: &head.headers,
                action: facts.action.as_deref(),
                url: &url,
                listener: &origin.listener,
                service: &service.name,
                certificate: origin.certificate.as_deref(),
                charset: media.charset.as_deref(),
                limits: service.limits.xml,
                draw: self.worker.draw(),
                now,
            },
        );
        probe.begin()?;
        let read = parcel.until_decided(&mut probe, root.as_mut()).await;
        self.note_facts(&probe);
        self.record.decided_after = Some(match &root {
            Some(root) => root.decided_after(&probe),
            None => probe.decided_after(),
        });
        read?;
        self.compare(media, &probe)?;
        let decision = routing::decide(&service.table, probe.matched())?;
        if let Some(gate) = self.active.gate(Place::Service(self.id)) {
            let name = self
                .record
                .operation
                .as_ref()
                .or(self.record.action.as_ref());
            gate.operation(name.map_or("", String::as_str))
                .map_err(admit::error)?;
        }
        if self.bridges(&decision) {
            let head_known = probe.stage() >= Stage::Body;
            let one_way = service.table.pattern == Pattern::OneWay;
            let unique = u128::from(self.worker.draw()) << 64 | u128::from(self.worker.draw_more());
            let headers = &head.headers;
            let facts = probe.facts();
            let limits = &service.limits;
            let caller = Caller::new(headers, facts, head_known, media, limits, one_way, unique);
            self.caller = Some(Box::new(caller));
        }
        if service.on_overflow == OnOverflow::Refuse && is_wanted_again(&decision) {
            let held = parcel.until_held().await;
            if let Err(Error::SenderReplay { .. }) = held {
                self.record.overflow = Some("refuse");
            }
            held?;
        }
        // Of a multipart message what the decision took to read must do.
        if root.is_none() && values::wants_operation(self.active, &decision) {
            parcel.until_operation(&mut probe).await?;
            self.note_facts(&probe);
        }
        let around = Around {
            action: facts.action.as_deref(),
            url: &url,
            charset: media.charset.as_deref(),
            limits: service.limits.xml,
            now,
        };
        let headers = &head.headers;
        let values = Values::read(
            self.active,
            &decision,
            headers,
            probe.facts(),
            parcel,
            media,
            &around,
        )
        .await?;
        let routed = |verify| Routed {
            decision,
            verify,
            values,
        };
        if !service.verify_full {
            return Ok(routed(None));
        }
        let mut verify = Box::new(Verifier::new(service.limits.xml, media, parcel.held()));
        if parcel.is_complete() {
            verify.finish()?;
            return Ok(routed(None));
        }
        Ok(routed(Some(verify)))
    }

    /// The request's head, rewritten where that is asked for.
    fn outbound(&mut self, head: Box<RequestParts>, origin: &Origin) -> Box<Outbound<'a>> {
        let service = self.service;
        let rewriter = Rewriter::begin(&service.rewrites, &head, &self.record);
        let mut outbound = Outbound::new(head, origin, self.record.id);
        outbound.below(service.path.prefix(), false);
        if let Some(rewriter) = &rewriter {
            rewriter.request(&mut outbound);
        }
        self.record.rewriter = rewriter;
        outbound
    }

    /// Steps 4 and 5.
    async fn send(
        mut self,
        routed: Routed,
        parcel: &mut Parcel<'_>,
        outbound: Box<Outbound<'_>>,
        time: Option<(Instant, Duration)>,
    ) -> Response<Body> {
        let Routed {
            decision,
            verify,
            values,
        } = routed;
        let one_way = self.service.table.pattern == Pattern::OneWay;
        if let Some(meter) = self.record.meter() {
            let (sheet, mode) = (&*self.worker.sheet, self.service.mode.kind);
            meter.mode(sheet, mode as usize, mode.name());
            meter.held_bytes.add(sheet, parcel.bytes());
        }
        let cargo = self.load(&decision, verify, parcel);
        let common = Common {
            worker: self.worker,
            active: self.active,
            service: self.service,
            cargo: &cargo,
            values: &values,
            caller: self.caller.as_deref(),
            time,
            is_logged: self.record.is_logged(),
        };
        let mut trips = Trips::new(&common, &decision.deliveries, outbound);
        let said = {
            let delivering = pin!(trips.run(&decision.deliveries));
            closing::unless_said(&self.worker.closing, delivering).await
        };
        cargo.note(&mut self.record);
        if said.is_none() {
            return reply::fault(&Error::RouterShuttingDown, &self.dialect, self.record);
        }
        let patience = trips.choose(&mut self.record);
        let Answered {
            endpoint,
            answer,
            turn,
        } = match trips.take() {
            Ok(answered) => answered,
            Err(error) => {
                drain(cargo.take_rest());
                return reply::fault(&error, &self.dialect, self.record);
            }
        };
        if one_way {
            turn.succeeded();
            answer.let_go();
            return reply::accepted(Some(cargo), self.record);
        }
        if self.tells_facts()
            && let Some(endpoint) = self.active.snapshot.endpoint(endpoint)
        {
            self.record.endpoints = smallvec![Arc::clone(&endpoint.spec.name)];
        }
        self.record.turn = Some(turn);
        reply::answer(answer, patience, Some(cargo), self.record)
    }

    /// Slips that are let pass are counted, so that one knows whom to talk to before being strict.
    fn tolerate(&self, slips: &[Slip]) -> Result<(), Error> {
        for slip in slips {
            if self.service.strict {
                return Err(Error::SenderStrict(slip.text().to_owned()));
            }
            if let Some(meter) = self.record.meter() {
                meter.tolerated(slip.name());
            }
        }
        Ok(())
    }

    /// HTTP and the envelope may say different things; the envelope decides (H5, H30), unless the
    /// service is strict.
    fn compare(&self, media: &MediaType, probe: &Probe<'_>) -> Result<(), Error> {
        let facts = probe.facts();
        if let (Some(said), Some(found)) = (media.version(), facts.version)
            && said != found
        {
            if self.service.strict {
                return Err(Error::SenderVersion { said, found });
            }
            self.tolerate(&[Slip::MediaType])?;
        }
        if let (Some(stated), Some(action)) = (&facts.http_action, &facts.wsa_action)
            && stated != action
        {
            self.tolerate(&[Slip::OtherAction])?;
        }
        Ok(())
    }

    /// Whether an endpoint that may be asked speaks versions of its own.
    fn bridges(&self, decision: &Decision) -> bool {
        let speaks = |id: &EndpointId| {
            let endpoint = self.active.snapshot.endpoint(*id);
            endpoint.is_some_and(|endpoint| endpoint.bridge.is_some())
        };
        let all = decision.deliveries.iter();
        all.flat_map(|delivery| std::iter::once(&delivery.endpoint).chain(&delivery.backups))
            .any(speaks)
    }

    /// The message made ready for sending: whole, or with a lane for each delivery.
    fn load(
        &self,
        decision: &Decision,
        verify: Option<Box<Verifier>>,
        parcel: &mut Parcel<'_>,
    ) -> Cargo {
        if let (true, None) = (parcel.is_small(), &verify) {
            return Cargo::Whole(parcel.take_whole());
        }
        let lanes: SmallVec<[bool; 4]> = decision
            .deliveries
            .iter()
            .map(|delivery| {
                let group = self.active.group(delivery.endpoint);
                !delivery.backups.is_empty() || group.is_some_and(|group| group.may_be_several())
            })
            .collect();
        let on_overflow = match self.service.on_overflow {
            OnOverflow::Spool => net::OnOverflow::Spool,
            OnOverflow::Commit | OnOverflow::Refuse => net::OnOverflow::Commit,
        };
        let replay = parcel.take_replay(&lanes, on_overflow, self.worker.budget.clone());
        if let Some(verify) = verify {
            replay.inspect(verify);
        }
        Cargo::of(replay)
    }

    /// What the envelope said of itself, for the answer and for the log.
    fn note_facts(&mut self, probe: &Probe<'_>) {
        let facts = probe.facts();
        if facts.version.is_some() {
            self.dialect.version = facts.version;
            self.record.soap = facts.version;
        }
        self.dialect.addressing = facts.addressing;
        self.dialect.message_id.clone_from(&facts.message_id);
        if self.tells_facts() {
            self.record.message_id.clone_from(&facts.message_id);
            self.record.to.clone_from(&facts.to);
            self.record.action = facts.action().map(str::to_owned);
            self.record.operation = facts.operation.as_ref().map(ToString::to_string);
        }
    }

    /// Whether anybody asks what the envelope says and who was chosen: the log, rewrites, or a gate
    /// that counts operations.
    fn tells_facts(&self) -> bool {
        self.record.is_logged()
            || !self.service.rewrites.is_empty()
            || self.service.admission.is_some()
    }

    fn note_choice(&mut self, decision: &Decision) {
        for delivery in &decision.deliveries {
            self.active
                .count_entry(&self.worker.sheet, self.id, delivery.entry);
            if !self.tells_facts() {
                continue;
            }
            let entry = self.service.table.entry(delivery.entry);
            let endpoint = self.active.snapshot.endpoint(delivery.endpoint);
            if let (Some(entry), Some(endpoint)) = (entry, endpoint) {
                self.record.entries.push(entry.name.clone());
                self.record.endpoints.push(Arc::clone(&endpoint.spec.name));
            }
        }
    }
}

/// Whether some of the message's bytes may have to be sent twice.
pub(super) fn is_wanted_again(decision: &Decision) -> bool {
    decision.deliveries.len() > 1 || decision.deliveries.iter().any(|d| !d.backups.is_empty())
}
