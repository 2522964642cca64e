//! What would happen to a message, without sending it.
//!
//! Walks the same stages as the road, with the same probe and the same decision; only sending
//! is left out. It never decides anew.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;

use super::arrival::{self, HeadFacts, Origin};
use super::bridging::Caller;
use super::error::Error;
use super::road::is_wanted_again;
use super::root_part::RootPart;
use super::verify::Verifier;
use crate::fields::RequestParts;
use crate::filter::{self, Considered, Probe};
use crate::routing::{self, Decision, Pattern};
use crate::snapshot::{OnOverflow, Service, ServiceId, Snapshot};
use crate::soap::{Facts, Losses, MediaKind, MediaType};

/// The answer, shaped as the contract says.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// Service.
    pub service: Option<String>,
    /// `1.1` or `1.2`.
    pub soap: Option<&'static str>,
    /// The action that filters saw.
    pub action: Option<String>,
    /// The address that filters saw.
    pub to: Option<String>,
    /// First child of Body, if it was read.
    pub operation: Option<String>,
    /// Bytes after which nothing could change any more.
    pub decided_after_bytes: u64,
    /// Bytes of the whole message.
    pub message_bytes: u64,
    /// Every filter down to the priority that won.
    pub considered: Vec<ConsideredFilter>,
    /// What would be sent.
    pub sends: Vec<Send>,
    /// What the caller would get instead.
    pub fault: Option<FaultText>,
}

/// One filter.
#[derive(Debug, Serialize)]
pub struct ConsideredFilter {
    /// Its name.
    pub filter: String,
    /// Its entry's priority.
    pub priority: i32,
    /// `null` if it was open when the decision fell.
    pub matched: Option<bool>,
    /// The value that was looked at.
    pub why: String,
    /// `head`, `streaming` or `tree`.
    pub strategy: &'static str,
}

/// One copy of the message.
#[derive(Debug, Serialize)]
pub struct Send {
    /// Asked first.
    pub endpoint: String,
    /// The filter that chose it.
    pub filter: String,
    /// Its entry's priority.
    pub priority: i32,
    /// Asked next.
    pub backups: Vec<String>,
    /// What would be bridged.
    pub bridge: Option<BridgeText>,
}

/// A bridging.
#[derive(Debug, Serialize)]
pub struct BridgeText {
    /// The versions that came.
    pub from: String,
    /// Those that leave.
    pub to: String,
    /// `Content-Type` that leaves.
    pub content_type: String,
    /// `SOAPAction` that leaves.
    pub soap_action: Option<String>,
    /// What cannot be kept.
    pub losses: Losses,
}

/// A fault.
#[derive(Debug, Serialize)]
pub struct FaultText {
    /// Its name.
    pub reason: &'static str,
    /// Its sentence.
    pub text: String,
}

impl Explanation {
    fn nothing(message_bytes: u64) -> Self {
        Self {
            service: None,
            soap: None,
            action: None,
            to: None,
            operation: None,
            decided_after_bytes: 0,
            message_bytes,
            considered: Vec::new(),
            sends: Vec::new(),
            fault: None,
        }
    }

    fn fault(mut self, error: &Error) -> Self {
        self.fault = Some(FaultText {
            reason: error.reason().name(),
            text: error.to_string(),
        });
        self
    }
}

/// Explains what would happen to the message with this head on this listener. `service` names
/// the service when the head's path does not.
#[must_use]
pub fn explain(
    snapshot: &Snapshot,
    service: Option<ServiceId>,
    head: &RequestParts,
    origin: &Origin,
    message: &[u8],
) -> Explanation {
    let nothing = Explanation::nothing(message.len() as u64);
    let found = service
        .or_else(|| snapshot.find(&origin.listener, arrival::host(head), head.uri.path()))
        .and_then(|id| snapshot.service(id));
    let Some(service) = found else {
        return nothing.fault(&Error::SenderUnknownService);
    };
    let mut explanation = Explanation {
        service: Some(service.name.to_string()),
        ..nothing
    };
    let url = arrival::request_url(head, origin);
    let facts = match HeadFacts::read(&head.headers) {
        Ok(facts) => facts,
        Err(error) => return explanation.fault(&error),
    };
    let media = match facts.media.clone() {
        Ok(media) => media,
        Err(error) => return explanation.fault(&error.into()),
    };
    if let Some(coding) = arrival::coding(&head.headers) {
        return explanation.fault(&Error::SenderCoding(coding));
    }
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
            draw: 0,
            now: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        },
    );
    if let Err(error) = probe.begin() {
        return explanation.fault(&error.into());
    }
    let mut root = match media.kind {
        MediaKind::Multipart => match RootPart::new(&media) {
            Ok(root) => Some(root.keep_whole()),
            Err(error) => return explanation.fault(&error),
        },
        MediaKind::Envelope(_) => None,
    };
    let read = read(&mut probe, root.as_mut(), service, message);
    explanation.note(probe.facts(), &url);
    explanation.decided_after_bytes = match &root {
        Some(root) => root.decided_after(&probe),
        None => probe.decided_after(),
    };
    let envelope = root.as_ref().map_or(message, RootPart::whole);
    explanation.considered = probe
        .considered(envelope)
        .into_iter()
        .filter_map(|c| named(service, c))
        .collect();
    if read.is_err() {
        let open = explanation.considered.iter_mut();
        for filter in open.filter(|filter| filter.matched.is_none()) {
            "the message was refused before this was known".clone_into(&mut filter.why);
        }
    }
    let decided = read
        .and_then(|()| routing::decide(&service.table, probe.matched()).map_err(Error::from))
        .and_then(|decision| check_rest(service, &media, &decision, message).map(|()| decision));
    match decided {
        Ok(decision) => {
            explanation.sends = sends(snapshot, service, &decision);
            let caller = Caller::new(
                &head.headers,
                probe.facts(),
                false,
                &media,
                &service.limits,
                is_one_way(service),
                0,
            );
            if let Err(error) = explanation.bridge(snapshot, &decision, &caller, message) {
                return explanation.fault(&error);
            }
        }
        Err(error) => return explanation.fault(&error),
    }
    explanation
}

/// What the road checks between the decision and sending.
fn check_rest(
    service: &Service,
    media: &MediaType,
    decision: &Decision,
    message: &[u8],
) -> Result<(), Error> {
    let max = service.limits.replay_buffer;
    let refuses = service.on_overflow == OnOverflow::Refuse && is_wanted_again(decision);
    if refuses && message.len() as u64 > max {
        return Err(Error::SenderReplay { max });
    }
    if service.verify_full {
        let whole = [Bytes::copy_from_slice(message)];
        Verifier::new(service.limits.xml, media, &whole).finish()?;
    }
    Ok(())
}

fn read(
    probe: &mut Probe<'_>,
    root: Option<&mut RootPart>,
    service: &Service,
    message: &[u8],
) -> Result<(), Error> {
    let max = service.limits.message_bytes.unwrap_or(u64::MAX);
    if message.len() as u64 > max {
        return Err(Error::SenderTooLarge { max });
    }
    match root {
        None => {
            probe.feed(message)?;
            if !probe.is_decided() {
                probe.finish(message)?;
            }
        }
        Some(root) => {
            root.feed(message, probe)?;
            if !probe.is_decided() {
                root.finish(probe)?;
            }
        }
    }
    if probe.decided_after() > service.limits.buffered_body {
        return Err(Error::SenderBuffer {
            max: service.limits.buffered_body,
        });
    }
    Ok(())
}

fn is_one_way(service: &Service) -> bool {
    service.table.pattern == Pattern::OneWay
}

impl Explanation {
    /// Bridges the message to each endpoint that is asked first, as the road would.
    fn bridge(
        &mut self,
        snapshot: &Snapshot,
        decision: &Decision,
        caller: &Caller,
        message: &[u8],
    ) -> Result<(), Error> {
        for (send, delivery) in self.sends.iter_mut().zip(&decision.deliveries) {
            let endpoint = snapshot.endpoint(delivery.endpoint);
            let Some(plan) = endpoint.and_then(|endpoint| endpoint.bridge.as_ref()) else {
                continue;
            };
            let (outcome, head) = caller.trial(plan, message).map_err(Error::SenderBridge)?;
            send.bridge = outcome.changed.then(|| BridgeText {
                from: outcome.from.to_string(),
                to: outcome.to.to_string(),
                content_type: head.content_type,
                soap_action: head.soap_action,
                losses: outcome.losses,
            });
        }
        Ok(())
    }

    fn note(&mut self, facts: &Facts, url: &str) {
        self.soap = facts.version.map(crate::soap::Version::as_str);
        self.action = facts.action().map(str::to_owned);
        self.to = Some(facts.to.clone().unwrap_or_else(|| url.to_owned()));
        self.operation = facts.operation.as_ref().map(ToString::to_string);
    }
}

fn named(service: &Service, considered: Considered) -> Option<ConsideredFilter> {
    let entry = service.table.entry(considered.entry)?;
    Some(ConsideredFilter {
        filter: entry.name.to_string(),
        priority: entry.priority,
        matched: considered.matched,
        why: considered.why,
        strategy: considered.strategy,
    })
}

fn sends(snapshot: &Snapshot, service: &Service, decision: &Decision) -> Vec<Send> {
    let name = |id| {
        snapshot
            .endpoint(id)
            .map_or_else(String::new, |e| e.spec.name.to_string())
    };
    decision
        .deliveries
        .iter()
        .filter_map(|delivery| {
            let entry = service.table.entry(delivery.entry)?;
            Some(Send {
                endpoint: name(delivery.endpoint),
                filter: entry.name.to_string(),
                priority: entry.priority,
                backups: delivery.backups.iter().map(|id| name(*id)).collect(),
                bridge: None,
            })
        })
        .collect()
}
