//! What an endpoint speaks, compiled into the plan of its bridge.

use std::sync::Arc;

use super::model::Limits;
use crate::config::{self, Carried, Dropped};
use crate::soap::{Addressing, OnSigned, Plan, Target, Version, Within};

/// The plan; nothing for an endpoint that takes messages as they come.
pub(super) fn plan(
    written: &config::Endpoint,
    limits: &Limits,
    header_max: usize,
) -> Option<Arc<Plan>> {
    let soap = match written.soap {
        config::SoapVersion::Keep => None,
        config::SoapVersion::V11 => Some(Version::Soap11),
        config::SoapVersion::V12 => Some(Version::Soap12),
    };
    let addressing = match written.addressing {
        config::Addressing::Keep => Target::Keep,
        config::Addressing::None => Target::None,
        config::Addressing::August2004 => Target::To(Addressing::August2004),
        config::Addressing::V10 => Target::To(Addressing::V10),
    };
    if soap.is_none() && addressing == Target::Keep {
        return None;
    }
    let more = &written.bridge;
    let text = |field: &Option<config::Spanned<String>>| {
        field.as_ref().map(|field| Arc::from(field.value.as_str()))
    };
    Some(Arc::new(Plan {
        soap,
        addressing,
        on_signed: match written.on_signed.as_ref().map(|stated| stated.value) {
            None | Some(config::OnSigned::Fault) => OnSigned::Fault,
            Some(config::OnSigned::ForwardUnchanged) => OnSigned::ForwardUnchanged,
            Some(config::OnSigned::BridgeAnyway) => OnSigned::BridgeAnyway,
        },
        to: text(&more.to),
        url: written.url.value.to_string().into(),
        default_action: text(&more.default_action),
        transparent_headers: more.transparent_headers,
        roles: more.roles.iter().map(|role| role.value.clone()).collect(),
        keep_none_headers: more.keep_none_headers,
        drop_trailers: more.trailers == Dropped::Drop,
        drop_unqualified_headers: more.unqualified_headers == Dropped::Drop,
        forward_body_addresses: more.addresses_in_body == Carried::Forward,
        header_max,
        within: Within {
            fault_max: usize::try_from(limits.fault_bytes).unwrap_or(usize::MAX),
            xml: limits.xml,
        },
    }))
}
