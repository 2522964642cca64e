//! Where things stand: sockets, hosts and paths that two want at once, and what reaches too far.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::endpoint::{Addressing, OnSigned, SoapVersion};
use super::super::loaded::Config;
use super::super::network::Bind;
use super::super::request::HostPattern;
use super::super::router::{Listener, Router};
use super::super::service::{Pattern, Service};
use super::super::values::OneOrMany;
use super::super::written::Spanned;
use crate::diag::{Diagnostic, FileId, Report, Span};

/// Checks sockets, services and endpoints against each other.
pub(super) fn check(config: &Config, report: &mut Report) {
    let router = &config.router;
    nothing_declared(router, report);
    sockets(router, report);
    services(router, report);
    priorities(router, report);
    endpoints(router, report);
    signatures(router, report);
    for (name, listener) in router.listeners.iter() {
        streams(name, listener, report);
    }
    for (name, service) in router.services.iter() {
        patterns(name, service, report);
        buffers(name, service, report);
    }
}

fn nothing_declared(router: &Router, report: &mut Report) {
    // The main file is the first that was added, whoever loads it.
    let whole = Span::whole(FileId::default());
    let empty = [
        ("listener", router.listeners.is_empty()),
        ("service", router.services.is_empty()),
        ("endpoint", router.endpoints.is_empty()),
    ];
    for (what, _) in empty.into_iter().filter(|(_, empty)| *empty) {
        let text = format!("no {what} is declared");
        report.push(
            Diagnostic::error("nothing-declared", text, whole)
                .hint("a router needs one listener, one service and one endpoint"),
        );
    }
}

fn sockets(router: &Router, report: &mut Report) {
    let listeners = router.listeners.iter().map(|(name, listener)| {
        let title = format!("listener `{}`", name.value);
        (title, listener.bind.value.clone(), listener.bind.span)
    });
    let admin = router.admin.iter().map(|admin| {
        let bind = Bind::Tcp(admin.bind.value);
        ("admin".to_owned(), bind, admin.bind.span)
    });
    let mut taken: Vec<(String, Bind, Span)> = Vec::new();
    for (title, bind, span) in listeners.chain(admin) {
        let clash = taken.iter().find(|(_, other, _)| overlap(&bind, other));
        if let Some((other, _, earlier)) = clash {
            let text = format!("{title} and {other} want the same address `{bind}`");
            report
                .push(Diagnostic::error("address-taken", text, span).other(*earlier, "taken here"));
        }
        taken.push((title, bind, span));
    }
    if let Some(admin) = &router.admin
        && !admin.bind.ip().is_loopback()
        && admin.token_file.is_none()
    {
        let text = format!(
            "the admin address `{}` can be reached from outside",
            admin.bind.value
        );
        let told = Diagnostic::warning("admin-exposed", text, admin.bind.span)
            .label("not a loopback address");
        report.push(told.hint("bind it to 127.0.0.1, or name a `token_file`; without one nothing can be changed through it"));
    }
}

fn overlap(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        // Port 0 asks the system for any free one.
        (Bind::Tcp(one), Bind::Tcp(other)) => {
            let any = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() != 0 && one.port() == other.port() && (any || one.ip() == other.ip())
        }
        (one, other) => one == other,
    }
}

/// A service or a route, by where it is reached.
struct Place<'c> {
    title: String,
    path: String,
    ignore_case: bool,
    priority: Option<&'c Spanned<u32>>,
    span: Span,
    hosts: &'c Option<OneOrMany<Spanned<HostPattern>>>,
    listeners: &'c Option<OneOrMany<Spanned<String>>>,
}

fn places(router: &Router) -> impl Iterator<Item = Place<'_>> {
    let services = router.services.iter().map(|(name, service)| Place {
        title: format!("service `{}`", name.value),
        path: service.path.value.to_string(),
        ignore_case: service.ignore_case,
        priority: service.priority.as_ref(),
        span: service.path.span,
        hosts: &service.hosts,
        listeners: &service.listeners,
    });
    let routes = router.routes.iter().map(|(name, route)| Place {
        title: format!("route `{}`", name.value),
        path: route.path.value.to_string(),
        ignore_case: route.ignore_case,
        priority: route.priority.as_ref(),
        span: route.path.span,
        hosts: &route.hosts,
        listeners: &route.listeners,
    });
    services.chain(routes)
}

fn services(router: &Router, report: &mut Report) {
    let mut by_path: HashMap<String, Vec<Place<'_>>> = HashMap::new();
    for place in places(router) {
        let same_path = by_path.entry(place.path.to_ascii_lowercase()).or_default();
        let same = |other: &&Place<'_>| {
            (place.path == other.path || place.ignore_case || other.ignore_case)
                && both_reached(&place, other)
        };
        if let Some(other) = same_path.iter().find(same) {
            let text = format!(
                "{} and {} have the same path `{}` on the same host and listener",
                place.title, other.title, place.path
            );
            let told = Diagnostic::error("service-overlap", text, place.span);
            report.push(
                told.other(other.span, "taken here")
                    .hint("give them different paths, `hosts` or `listeners`"),
            );
        }
        same_path.push(place);
    }
}

/// A host's priority says before which others it is looked at, so there is one; and only hosts that
/// others may fit too need it.
fn priorities(router: &Router, report: &mut Report) {
    let mut known: HashMap<&HostPattern, (Option<u32>, String, Span)> = HashMap::new();
    for place in places(router) {
        let hosts = place.hosts.iter().flat_map(|hosts| &hosts.0);
        let several: Vec<_> = hosts.filter(|host| host.value.is_pattern()).collect();
        if let (Some(priority), true) = (place.priority, several.is_empty()) {
            let text = format!(
                "`priority` has no effect at {}: no two hosts without `*` and `?` fit at once",
                place.title
            );
            let told = Diagnostic::warning("no-effect", text, priority.span);
            report.push(told.hint("remove it; paths are ordered by how specific they are"));
        }
        let own = place.priority.map(|priority| priority.value);
        for host in several {
            let span = place.priority.map_or(host.span, |priority| priority.span);
            let first = known
                .entry(&host.value)
                .or_insert_with(|| (own, place.title.clone(), span));
            if first.0 != own {
                let text = format!(
                    "{} and {} give host `{}` different priorities",
                    place.title, first.1, host.value
                );
                let told = Diagnostic::error("priority-differs", text, span);
                report.push(
                    told.other(first.2, "the other one")
                        .hint("write the same `priority` at all services and routes of this host"),
                );
            }
        }
    }
}

/// Left out stands for all; the hosts of one with a list are found before those of one without.
fn both_reached(one: &Place<'_>, other: &Place<'_>) -> bool {
    let listeners = match (one.listeners, other.listeners) {
        (Some(one), Some(other)) => one.0.iter().any(|listener| other.0.contains(listener)),
        _ => true,
    };
    let hosts = match (one.hosts, other.hosts) {
        (Some(one), Some(other)) => one.0.iter().any(|host| other.0.contains(host)),
        (None, None) => true,
        _ => false,
    };
    listeners && hosts
}

/// What is said of signed messages, where none is bridged or where they will not be believed.
fn signatures(router: &Router, report: &mut Report) {
    for (name, endpoint) in router.endpoints.iter() {
        let Some(stated) = &endpoint.on_signed else {
            continue;
        };
        let keeps = endpoint.soap == SoapVersion::Keep && endpoint.addressing == Addressing::Keep;
        if keeps {
            let text = format!(
                "`on_signed` has no effect at endpoint `{}`: messages go there as they came",
                name.value
            );
            let told = Diagnostic::warning("no-effect", text, stated.span);
            report.push(
                told.hint("remove it, or say what the endpoint speaks: `soap`, `addressing`"),
            );
        } else if stated.value == OnSigned::BridgeAnyway {
            let text = format!(
                "signed messages that are bridged for endpoint `{}` arrive with broken signatures",
                name.value
            );
            let told = Diagnostic::warning("signatures-break", text, stated.span);
            report
                .push(told.hint("the endpoint must not check them; `fault` refuses such messages"));
        }
    }
}

/// A message that the router sends to itself goes round until a timeout ends it.
fn endpoints(router: &Router, report: &mut Report) {
    for (name, endpoint) in router.endpoints.iter() {
        let url = &endpoint.url;
        let ip: Option<IpAddr> = if url.host == "localhost" {
            Some([127, 0, 0, 1].into())
        } else {
            url.host.parse().ok()
        };
        let Some(ip) = ip else { continue };
        let own = |bind: IpAddr| bind == ip || (bind.is_unspecified() && ip.is_loopback());
        let listener = router.listeners.iter().find(|(_, listener)| {
            let bind = listener.bind.tcp();
            bind.is_some_and(|bind| bind.port() == url.port && own(bind.ip()))
        });
        if let Some((listener, found)) = listener {
            let text = format!(
                "endpoint `{}` is the router's own listener `{}`",
                name.value, listener.value
            );
            let told = Diagnostic::warning("endpoint-is-listener", text, url.span)
                .label("a message sent here comes back");
            report.push(told.other(found.bind.span, "the listener is here"));
        }
    }
}

fn streams(name: &Spanned<String>, listener: &Listener, report: &mut Report) {
    if let (Some(streams), false) = (&listener.http2_streams, listener.http2) {
        let text = format!(
            "`http2_streams` has no effect at listener `{}`, which speaks HTTP/1.1 only",
            name.value
        );
        let told = Diagnostic::warning("no-effect", text, streams.span);
        report.push(told.hint("add `http2: true`, or remove it"));
    }
}

fn patterns(name: &Spanned<String>, service: &Service, report: &mut Report) {
    if let (Pattern::OneWay, Some(several)) = (service.pattern, &service.several_matches) {
        let text = format!(
            "`several_matches` has no effect in service `{}`: one-way messages go to every match",
            name.value
        );
        report.push(
            Diagnostic::warning("no-effect", text, several.span)
                .hint("remove it, or set `pattern: request-reply`"),
        );
    }
}

fn buffers(name: &Spanned<String>, service: &Service, report: &mut Report) {
    let (Some(size), Some(_)) = (&service.replay_buffer, &service.limits.replay_buffer) else {
        return;
    };
    let text = format!("service `{}` sets its replay buffer twice", name.value);
    let told = Diagnostic::error("conflicting-keys", text, size.span).label("and in `limits`");
    report.push(told.hint("keep `replay_buffer` or `limits.replay_buffer`"));
}
