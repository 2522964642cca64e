//! `check`: every mistake of the configuration, and what each service will do.

use std::io::IsTerminal as _;

use serde_json::{Value, json};

use super::args::{Check, Format};
use super::{Verdict, load};
use crate::config;
use crate::diag::{self, Report};
use crate::filter::{Reading, Registry};
use crate::routing::{EntryId, Pattern};
use crate::snapshot::{self, Resend, RouteOn, Service, Snapshot};

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

/// How a service reads its messages, and why.
struct Mode {
    name: &'static str,
    why: String,
}

fn mode(service: &Service) -> Mode {
    let (name, why) = match service.filters.reading() {
        _ if service.table.pattern == Pattern::OneWay && several_endpoints(service) => (
            "buffered",
            "a one-way message may go to several endpoints".to_owned(),
        ),
        Reading::Nothing => (
            "headers",
            "no filter looks at the envelope beyond its version".into(),
        ),
        Reading::Header => ("headers", "no filter needs the body".into()),
        Reading::Body(filter) => ("streaming", format!("filter `{filter}` needs the body")),
        Reading::Whole(filter, why) => {
            ("buffered", format!("filter `{filter}` needs a tree: {why}"))
        }
    };
    Mode { name, why }
}

fn several_endpoints(service: &Service) -> bool {
    let entries = &service.table.entries;
    entries.iter().enumerate().any(|(at, entry)| {
        entries
            .iter()
            .take(at)
            .any(|other| other.priority == entry.priority && other.endpoint != entry.endpoint)
    })
}

/// What a message may be sent to again, and on what terms.
fn resend(snapshot: &Snapshot, service: &Service) -> Option<String> {
    let with_backups = service
        .table
        .entries
        .iter()
        .find(|entry| !entry.backups.is_empty())?;
    let endpoint = snapshot.endpoint(with_backups.endpoint)?;
    Some(match endpoint.resend {
        Resend::Always => format!(
            "backups are asked after any failure, also a timeout, so a message may be delivered twice; \
             held for it: {} bytes (`replay_buffer`)",
            service.limits.replay_buffer
        ),
        Resend::IfNotDelivered => {
            "backups are asked only when an endpoint cannot have got the message".to_owned()
        }
        Resend::Never => "backups are never asked (`resend: never`)".to_owned(),
    })
}

fn service_text(snapshot: &Snapshot, service: &Service) -> String {
    let Mode { name, why } = mode(service);
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
    if let Some(resend) = resend(snapshot, service) {
        text.push_str("\n  failover: ");
        text.push_str(&resend);
    }
    text
}

fn service_json(snapshot: &Snapshot, service: &Service) -> Value {
    let Mode { name, why } = mode(service);
    let entries: Vec<Value> = (0_u32..)
        .zip(&service.table.entries)
        .map(|(number, entry)| {
            json!({
                "filter": entry.name,
                "priority": entry.priority,
                "strategy": service.filters.strategy(EntryId(number)),
            })
        })
        .collect();
    json!({
        "service": &*service.name,
        "path": service.path.to_string(),
        "mode": name,
        "why": why,
        "failover": resend(snapshot, service),
        "entries": entries,
    })
}
