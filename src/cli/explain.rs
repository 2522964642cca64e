//! `explain`: what would happen to a message, and why.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};

use super::args::{Explain, Format};
use super::verdict::Verdict;
use super::{load, message};
use crate::exchange::{Explanation, explain};
use crate::filter::Registry;
use crate::snapshot::{Bind, PathPattern, ServiceId, Snapshot};

pub(super) fn run(args: &Explain, registry: &Registry) -> anyhow::Result<Verdict> {
    let Some(usable) = load::load(&args.config.config, registry) else {
        return Ok(Verdict::No);
    };
    let bytes = message::read(&args.message)?;
    let explanation = explain_message(
        &usable.snapshot,
        args.service.as_deref(),
        args.url.as_deref(),
        args.listener.as_deref(),
        &args.headers,
        &bytes,
    )?;
    match args.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&explanation)?),
        Format::Human | Format::Concise => print!("{}", human(&explanation)),
    }
    Ok(if explanation.fault.is_none() {
        Verdict::Fine
    } else {
        Verdict::No
    })
}

/// Explains one message; `test` uses the same.
pub(super) fn explain_message(
    snapshot: &Snapshot,
    service: Option<&str>,
    url: Option<&str>,
    listener: Option<&str>,
    headers: &[String],
    bytes: &[u8],
) -> anyhow::Result<Explanation> {
    let id = match (service, url) {
        (Some(name), _) => {
            let known = || {
                let names: Vec<&str> = snapshot.services.iter().map(|s| &*s.name).collect();
                format!(
                    "there is no service `{name}`; services: {}",
                    names.join(", ")
                )
            };
            Some(snapshot.service_named(name).with_context(known)?)
        }
        (None, None) if snapshot.services.len() == 1 => Some(ServiceId(0)),
        (None, None) => bail!("there are several services: name one with --service or --url"),
        (None, Some(_)) => None,
    };
    let listener = match (listener, id.and_then(|id| snapshot.service(id))) {
        (Some(name), _) => name.to_owned(),
        (None, Some(service)) if !service.listeners.is_empty() => service
            .listeners
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
        _ => snapshot
            .listeners
            .first()
            .map(|l| l.name.to_string())
            .unwrap_or_default(),
    };
    let url = url.map_or_else(|| default_url(snapshot, id, &listener), str::to_owned);
    let head = message::head(&url, message::headers(headers, bytes)?)?;
    Ok(explain(
        snapshot,
        id,
        &head,
        &message::origin(&listener, &url),
        bytes,
    ))
}

/// The URL that a caller of this service would use on this machine.
fn default_url(snapshot: &Snapshot, id: Option<ServiceId>, listener: &str) -> String {
    let bind = snapshot
        .listeners
        .iter()
        .find(|l| &*l.name == listener)
        .map(|l| &l.bind);
    let authority = match bind {
        Some(Bind::Tcp(address)) => address.to_string(),
        Some(Bind::Unix(_)) | None => "localhost".to_owned(),
    };
    let path = match id
        .and_then(|id| snapshot.service(id))
        .map(|service| &service.path)
    {
        Some(PathPattern::Exact(path)) => path.clone(),
        Some(PathPattern::Below(path)) => format!("{path}/"),
        None => "/".to_owned(),
    };
    format!("http://{authority}{path}")
}

fn human(explanation: &Explanation) -> String {
    let mut out = String::new();
    let none = || "none".to_owned();
    let text = |value: &Option<String>| value.clone().unwrap_or_else(none);
    let _ = writeln!(out, "service    {}", text(&explanation.service));
    let _ = writeln!(out, "soap       {}", explanation.soap.unwrap_or("unknown"));
    let _ = writeln!(out, "action     {}", text(&explanation.action));
    let _ = writeln!(out, "to         {}", text(&explanation.to));
    let _ = writeln!(out, "operation  {}", text(&explanation.operation));
    let _ = writeln!(
        out,
        "decided    after {} of {} bytes\n",
        explanation.decided_after_bytes, explanation.message_bytes
    );
    for filter in &explanation.considered {
        let mark = match filter.matched {
            Some(true) => "yes ",
            Some(false) => "no  ",
            None => "open",
        };
        let _ = writeln!(
            out,
            "{mark} {} (priority {}, {}): {}",
            filter.filter, filter.priority, filter.strategy, filter.why
        );
    }
    out.push('\n');
    for send in &explanation.sends {
        let _ = write!(out, "send to {} because of {}", send.endpoint, send.filter);
        if !send.backups.is_empty() {
            let _ = write!(out, ", then {}", send.backups.join(", "));
        }
        if let Some(bridge) = &send.bridge {
            let _ = write!(out, "; bridged from {} to {}", bridge.from, bridge.to);
            let lost: Vec<&str> = bridge.losses.iter().map(crate::soap::Loss::name).collect();
            if !lost.is_empty() {
                let _ = write!(out, ", without {}", lost.join(", "));
            }
        }
        out.push('\n');
    }
    if let Some(fault) = &explanation.fault {
        let _ = writeln!(out, "fault {}: {}", fault.reason, fault.text);
    }
    out
}
