//! `bridge`: a message in another version of SOAP or WS-Addressing, by the code that serves.

use std::io::Write as _;
use std::sync::Arc;

use serde_json::json;

use super::args::{BridgeArgs, Format};
use super::message;
use super::verdict::Verdict;
use crate::fields::{CONTENT_TYPE, Fields, SOAP_ACTION};
use crate::soap::{
    Addressing, Arriving, Bridge, BridgeError, Carrier, HttpHead, MediaType, OnSigned, Outcome,
    Plan, Target, Version, soap_action,
};

/// Bytes fed at a time, as they would come from a connection.
const CHUNK: usize = 64 * 1024;

pub(super) fn run(args: &BridgeArgs) -> anyhow::Result<Verdict> {
    let bytes = message::read(&args.message)?;
    let headers = message::headers(&args.headers, &bytes)?;
    let stated = !args.headers.is_empty();
    match bridge(args, &headers, stated, &bytes) {
        Ok(bridged) => print(args, &bridged)?,
        Err(error) => {
            refuse(args, &error);
            return Ok(Verdict::No);
        }
    }
    Ok(Verdict::Fine)
}

/// A message in its other version.
struct Bridged {
    message: Vec<u8>,
    outcome: Outcome,
    /// What HTTP says of it.
    head: HttpHead,
}

fn bridge(
    args: &BridgeArgs,
    headers: &Fields,
    stated: bool,
    bytes: &[u8],
) -> Result<Bridged, BridgeError> {
    let media = headers
        .text(CONTENT_TYPE)
        .and_then(|value| MediaType::parse(value).ok())
        .filter(|_| stated);
    let header = headers.text(SOAP_ACTION);
    let header = header.and_then(|value| soap_action(value).ok().flatten());
    let arriving = Arriving {
        charset: media.as_ref().and_then(|media| media.charset.clone()),
        action: media.as_ref().and_then(MediaType::stated_action).or(header),
        one_way: args.one_way,
        languages: None,
        within: None,
        unique: unique(),
    };
    let plan = Arc::new(plan(args));
    let mut bridge = match &media {
        Some(media) => Carrier::request(plan, arriving, media)?,
        None => Carrier::Plain(Box::new(Bridge::request(plan, arriving)?)),
    };
    let mut message = Vec::with_capacity(bytes.len() + 1024);
    for chunk in bytes.chunks(CHUNK) {
        bridge.feed(chunk, &mut message)?;
    }
    bridge.finish(&mut message)?;
    // Invariant: a message that was finished has had its head decided.
    let outcome = bridge.outcome().cloned();
    let outcome = outcome.ok_or_else(|| BridgeError::Cannot("it has no head".into()))?;
    let head = bridge.request_head(&outcome);
    Ok(Bridged {
        message,
        outcome,
        head,
    })
}

fn plan(args: &BridgeArgs) -> Plan {
    Plan {
        soap: args.to.as_deref().map(|to| match to {
            "1.1" => Version::Soap11,
            _ => Version::Soap12,
        }),
        addressing: match args.addressing.as_deref() {
            None => Target::Keep,
            Some("none") => Target::None,
            Some("2004/08") => Target::To(Addressing::August2004),
            Some(_) => Target::To(Addressing::V10),
        },
        on_signed: match args.on_signed.as_str() {
            "forward_unchanged" => OnSigned::ForwardUnchanged,
            "bridge_anyway" => OnSigned::BridgeAnyway,
            _ => OnSigned::Fault,
        },
        url: args.url.as_str().into(),
        roles: args.roles.clone().into(),
        transparent_headers: args.transparent_headers,
        ..Plan::default()
    }
}

/// A number that no other run has; the verb's message identifiers need no more.
fn unique() -> u128 {
    use std::hash::{BuildHasher as _, RandomState};
    let half = || u128::from(RandomState::new().hash_one(0));
    half() << 64 | half()
}

fn print(args: &BridgeArgs, bridged: &Bridged) -> anyhow::Result<()> {
    let Bridged {
        message,
        outcome,
        head,
    } = bridged;
    let mut fields = vec![("Content-Type", head.content_type.as_str())];
    let action = head.soap_action.as_deref();
    fields.extend(action.map(|action| ("SOAPAction", action)));
    let losses: Vec<&str> = outcome.losses.iter().map(crate::soap::Loss::name).collect();
    let status = outcome.fault.map(|_| outcome.status(500, 400));
    if args.format == Format::Json {
        let headers: serde_json::Map<_, _> = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let told = json!({
            "changed": outcome.changed,
            "from": outcome.from.to_string(),
            "to": outcome.to.to_string(),
            "headers": headers,
            "fault_status": status,
            "losses": losses,
            "unchanged_because": outcome.unchanged_because,
            "message": String::from_utf8_lossy(message),
        });
        println!("{}", serde_json::to_string_pretty(&told)?);
        return Ok(());
    }
    for (name, value) in fields {
        eprintln!("{name}: {value}");
    }
    if let Some(status) = status {
        eprintln!("a fault: an answer with it has status {status}");
    }
    if let Some(why) = outcome.unchanged_because {
        eprintln!("unchanged: {why}");
    }
    if !losses.is_empty() {
        eprintln!("lost: {}", losses.join(", "));
    }
    std::io::stdout().write_all(message)?;
    Ok(())
}

fn refuse(args: &BridgeArgs, error: &BridgeError) {
    let (reason, text) = (error.reason().name(), error.to_string());
    if args.format == Format::Json {
        println!("{}", json!({ "fault": { "reason": reason, "text": text } }));
    } else {
        eprintln!("fault {reason}: {text}");
    }
}
