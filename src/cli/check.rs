//! `check`: every mistake of the configuration, and what each service will do.

use std::io::IsTerminal as _;

use serde_json::{Value, json};

use super::args::{Check, Format};
use super::load;
use super::verdict::Verdict;
use crate::config;
use crate::diag::{self, Report};
use crate::filter::Registry;
use crate::routing::EntryId;
use crate::snapshot::{self, OnOverflow, Resend, RouteOn, Service, Snapshot};

pub(super) fn run(args: &Check, registry: &Registry) -> anyhow::Result<Verdict> {
    let loaded = config::load(&args.config.config);
    let (snapshot, report) = snapshot::compile(&loaded, registry);
    match args.format {
        Format::Json => {
            let services: Vec<Value> = snapshot
                .iter()
                .flat_map(|snapshot| snapshot.services.iter().map(|s| service_json(snapshot, s)))
                .collect();
            let body = json!({
                "ok": !report.has_errors(),
                "errors": report.errors(),
                "warnings": report.warnings(),
                "diagnostics": diag::to_json(&report, &loaded.sources),
                "services": services,
            });
            println!("{}", serde_json::to_string_pretty(&body)?);
        }
        Format::Concise => print!("{}", diag::concise(&report, &loaded.sources)),
        Format::Human => {
            let colour = load::colour(std::io::stdout().is_terminal());
            print!("{}", diag::human(&report, &loaded.sources, colour));
            if let Some(snapshot) = &snapshot {
                for service in &snapshot.services {
                    println!("{}", service_text(snapshot, service));
                }
            }
        }
    }
    Ok(verdict(&report, args.strict))
}

fn verdict(report: &Report, strict: bool) -> Verdict {
    let bad = report.has_errors() || (strict && report.warnings() > 0);
    if bad { Verdict::No } else { Verdict::Fine }
}

/// What a message may be sent to again, and on what terms: what that means for duplicates.
fn resend(snapshot: &Snapshot, service: &Service) -> Option<String> {
    let entries = &service.table.entries;
    let with_backups = entries.iter().find(|entry| !entry.backups.is_empty());
    let along_list = with_backups
        .and_then(|entry| snapshot.endpoint(entry.endpoint))
        .map(|endpoint| match endpoint.resend {
            Resend::Always => "backups are asked after any failure, also a timeout, so a message may be delivered twice",
            Resend::IfNotDelivered => {
                "backups are asked only when an endpoint cannot have got the message"
            }
            Resend::Never => "backups are never asked (`resend: never`)",
        });
    let endpoints = entries
        .iter()
        .flat_map(|entry| std::iter::once(&entry.endpoint).chain(&entry.backups));
    let within = endpoints
        .filter_map(|id| snapshot.endpoint(*id))
        .find(|endpoint| endpoint.spec.servers.all.len() > 1)
        .map(|endpoint| match endpoint.resend_within {
            Resend::Always => "another server of an endpoint is asked after any failure, also a timeout, so a message may be delivered twice",
            Resend::IfNotDelivered => {
                "another server of an endpoint is asked only when the first cannot have got the message"
            }
            Resend::Never => "no other server of an endpoint is asked (`resend: never`)",
        });
    let told: Vec<&str> = [along_list, within].into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Filters that are listed as needing a tree.
const TREES_SHOWN: usize = 10;

/// What is held of a message beyond the decision, and why.
fn held(service: &Service) -> Option<String> {
    let why = match (service.may_multicast(), service.may_fail_over()) {
        (false, false) => return None,
        (true, false) => "it may go to several endpoints",
        (false, true) => "a backup may need it again",
        (true, true) => "it may go to several endpoints, and a backup may need it again",
    };
    let beyond = match service.on_overflow {
        OnOverflow::Commit => "beyond that it is committed to the endpoint that it is at",
        OnOverflow::Refuse => "longer messages are refused",
        OnOverflow::Spool => "the rest goes to a temporary file",
    };
    let bytes = service.limits.replay_buffer;
    Some(format!(
        "up to {bytes} bytes (`replay_buffer`), because {why}; {beyond}"
    ))
}

fn service_text(snapshot: &Snapshot, service: &Service) -> String {
    let (name, why) = (service.mode.kind.name(), &service.mode.why);
    let route_on = match service.route_on {
        RouteOn::Auto => "auto",
        RouteOn::Headers => "headers",
        RouteOn::Body => "body",
    };
    let entries = service.table.entries.len();
    let mut text = format!(
        "service `{}` at {}: {entries} {}, route_on {route_on}, mode {name} ({why})",
        service.name,
        service.path,
        if entries == 1 { "entry" } else { "entries" },
    );
    // The mode names the first one.
    let trees = trees(service);
    for (filter, why) in trees.iter().take(TREES_SHOWN).skip(1) {
        text.push_str(&format!("\n  filter `{filter}` needs a tree, too: {why}"));
    }
    if trees.len() > TREES_SHOWN {
        let more = trees.len() - TREES_SHOWN;
        text.push_str(&format!("\n  and {more} more (`--format json` has all)"));
    }
    if let Some(held) = held(service) {
        text.push_str("\n  held: ");
        text.push_str(&held);
    }
    if let Some(resend) = resend(snapshot, service) {
        text.push_str("\n  failover: ");
        text.push_str(&resend);
    }
    text
}

/// The filters that need the whole message, and why.
fn trees(service: &Service) -> Vec<(&str, String)> {
    let entries = (0_u32..).zip(&service.table.entries);
    let reasons = entries.filter_map(|(number, entry)| {
        let why = service.filters.tree_reason(EntryId(number))?;
        Some((&*entry.name, why))
    });
    let mut seen = std::collections::HashSet::new();
    reasons.filter(|(name, _)| seen.insert(*name)).collect()
}

fn service_json(snapshot: &Snapshot, service: &Service) -> Value {
    let (name, why) = (service.mode.kind.name(), &service.mode.why);
    let entries: Vec<Value> = (0_u32..)
        .zip(&service.table.entries)
        .map(|(number, entry)| {
            json!({
                "filter": &*entry.name,
                "priority": entry.priority,
                "strategy": service.filters.strategy(EntryId(number)),
                "tree_reason": service.filters.tree_reason(EntryId(number)),
            })
        })
        .collect();
    json!({
        "service": &*service.name,
        "path": service.path.to_string(),
        "mode": name,
        "why": why,
        "held": held(service),
        "failover": resend(snapshot, service),
        "entries": entries,
    })
}
