//! Values of a message that say which server it goes to (`balance: { hash }`, `affinity`).
//!
//! Fields and cookies stand in the head and cost nothing more. An XPath's value may stand
//! anywhere, so the envelope is then read whole, within `buffered_body`.

use bytes::Bytes;
use smallvec::SmallVec;

use super::error::Error;
use super::receive::Parcel;
use crate::fields::Fields;
use crate::filter::Around;
use crate::routing::{Decision, EndpointId};
use crate::snapshot::{Active, Endpoint, OperationIs, ValueOf};
use crate::soap::{Facts, MediaKind, MediaType, RootFinder};
use crate::upstream;

/// What an endpoint's servers are chosen by.
#[derive(Debug, Clone, Copy, Default)]
struct Chosen {
    hash: Option<u64>,
    bound: Option<u64>,
    /// Number of the operation, where it has timeouts of its own.
    operation: Option<usize>,
}

/// The values of one message, hashed, by the endpoints that it may go to.
#[derive(Debug, Default)]
pub(super) struct Values {
    of: SmallVec<[(EndpointId, Chosen); 1]>,
}

impl Values {
    /// The values for all endpoints of a decision, as they were asked for.
    ///
    /// # Errors
    /// When the envelope cannot be read whole, and has to be.
    pub(super) async fn read(
        active: &Active,
        decision: &Decision,
        headers: &Fields,
        facts: &Facts,
        parcel: &mut Parcel<'_>,
        media: &MediaType,
        around: &Around<'_>,
    ) -> Result<Self, Error> {
        let mut values = Self::default();
        let mut envelope: Option<Bytes> = None;
        for id in endpoints(decision) {
            let Some(endpoint) = active.snapshot.endpoint(id) else {
                continue;
            };
            let (hash, bound) = (&endpoint.balance_on, &endpoint.bound_by);
            let operation = operation_of(endpoint, facts);
            let nothing = hash.is_none() && bound.is_none() && operation.is_none();
            if nothing || values.of.iter().any(|(own, _)| *own == id) {
                continue;
            }
            let by_xpath = |value: &Option<ValueOf>| matches!(value, Some(ValueOf::XPath(_)));
            if envelope.is_none() && (by_xpath(hash) || by_xpath(bound)) {
                envelope = Some(read_envelope(parcel, media).await?);
            }
            let envelope = envelope.as_deref().unwrap_or_default();
            let chosen = Chosen {
                hash: hashed(hash.as_ref(), headers, envelope, around)?,
                bound: hashed(bound.as_ref(), headers, envelope, around)?,
                operation,
            };
            values.of.push((id, chosen));
        }
        Ok(values)
    }

    /// The same for a request that is no SOAP: an XPath has no value there.
    pub(super) fn of_head(active: &Active, id: EndpointId, headers: &Fields) -> Self {
        let mut values = Self::default();
        if let Some(endpoint) = active.snapshot.endpoint(id) {
            let of = |value: &Option<ValueOf>| {
                let bytes = in_head(value.as_ref()?, headers)?;
                Some(upstream::hash(bytes))
            };
            let (hash, bound) = (of(&endpoint.balance_on), of(&endpoint.bound_by));
            let operation = None;
            let chosen = Chosen {
                hash,
                bound,
                operation,
            };
            values.of.push((id, chosen));
        }
        values
    }

    /// The number of the operation at this endpoint, where it has timeouts of its own.
    pub(super) fn operation(&self, id: EndpointId) -> Option<usize> {
        let found = self.of.iter().find(|(own, _)| *own == id)?;
        found.1.operation
    }

    /// The hashes by which a server of this endpoint is chosen, and by which the caller is bound.
    pub(super) fn of(&self, id: EndpointId) -> (Option<u64>, Option<u64>) {
        let found = self.of.iter().find(|(own, _)| *own == id);
        found.map_or((None, None), |(_, chosen)| (chosen.hash, chosen.bound))
    }
}

/// Whether some endpoint must know the operation by its name, to know how long it may take.
pub(super) fn wants_operation(active: &Active, decision: &Decision) -> bool {
    let by_name = |id| {
        let endpoint = active.snapshot.endpoint(id);
        let operations = endpoint.iter().flat_map(|endpoint| &endpoint.operations);
        let mut named = operations.filter(|own| matches!(own.is, OperationIs::Named(_)));
        named.next().is_some()
    };
    endpoints(decision).any(by_name)
}

fn operation_of(endpoint: &Endpoint, facts: &Facts) -> Option<usize> {
    endpoint.operations.iter().position(|own| match &own.is {
        OperationIs::Named(name) => facts.operation.as_ref() == Some(name),
        OperationIs::Action(action) => facts.action() == Some(action),
    })
}

fn endpoints(decision: &Decision) -> impl Iterator<Item = EndpointId> {
    decision.deliveries.iter().flat_map(|delivery| {
        let backups = delivery.backups.iter().copied();
        std::iter::once(delivery.endpoint).chain(backups)
    })
}

fn hashed(
    value: Option<&ValueOf>,
    headers: &Fields,
    envelope: &[u8],
    around: &Around<'_>,
) -> Result<Option<u64>, Error> {
    Ok(match value {
        None => None,
        Some(ValueOf::XPath(value)) => {
            let found = value.of(envelope, around)?;
            found.map(|text| upstream::hash(text.as_bytes()))
        }
        Some(head) => in_head(head, headers).map(upstream::hash),
    })
}

fn in_head<'a>(value: &ValueOf, headers: &'a Fields) -> Option<&'a [u8]> {
    match value {
        ValueOf::Header(name) => headers.get(name),
        ValueOf::Cookie(name) => upstream::cookie(headers, name),
        ValueOf::XPath(_) => None,
    }
}

/// The envelope whole: the message, or its root part.
async fn read_envelope(parcel: &mut Parcel<'_>, media: &MediaType) -> Result<Bytes, Error> {
    if matches!(media.kind, MediaKind::Envelope(_)) {
        while parcel.read().await?.is_some() {}
        return Ok(parcel.whole());
    }
    let mut finder = RootFinder::new(media)?;
    let mut envelope = Vec::new();
    for chunk in parcel.held() {
        finder.feed(chunk, &mut envelope)?;
    }
    while !finder.is_done() {
        match parcel.read().await? {
            Some(chunk) => finder.feed(chunk, &mut envelope)?,
            None => {
                finder.finish()?;
                break;
            }
        }
    }
    Ok(envelope.into())
}
