//! The servers of each endpoint: two that are one, keys without effect, what would suspend for a caller's mistake.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::endpoint::{Endpoint, FailoverOn, Resend};
use super::super::loaded::Config;
use super::super::servers::{Affinity, EXPECTED_TEXT_MAX, Probe, SameSite, Suspend};
use super::super::written::Spanned;
use crate::diag::{Diagnostic, Report};

/// Checks each endpoint's servers.
pub(super) fn check(config: &Config, report: &mut Report) {
    for (name, endpoint) in config.router.endpoints.iter() {
        twice(name, endpoint, report);
        socket(name, endpoint, report);
        source(name, endpoint, report);
        if let Some(suspend) = &endpoint.suspend {
            suspended(name, suspend, report);
        }
        if let Some(probe) = &endpoint.probe {
            probed(name, probe, report);
        }
        if let Some(affinity) = &endpoint.affinity {
            bound(name, affinity, report);
        }
        for times in &endpoint.operations {
            if times.operation.is_some() == times.action.is_some() {
                let text = format!(
                    "this does not say which operation of endpoint `{}` is meant",
                    name.value
                );
                let told = Diagnostic::error("one-operation", text, times.span)
                    .allowed(["operation", "action"]);
                report.push(told.hint("name one of them"));
            }
        }
        if let (Some(Resend::Always), Some(servers)) = (
            endpoint.resend.as_ref().map(|resend| resend.value),
            &endpoint.servers,
        ) && servers.0.len() > 1
            && let Some(resend) = &endpoint.resend
        {
            let text = format!(
                "endpoint `{}` may get a message twice: after a failure it is sent to another server",
                name.value
            );
            let told = Diagnostic::warning("duplicate-delivery", text, resend.span)
                .label("also after a timeout");
            report.push(told.hint(
                "leave `resend` out: within an endpoint a message is then sent again only if it was not delivered",
            ));
        }
    }
}

fn twice(name: &Spanned<String>, endpoint: &Endpoint, report: &mut Report) {
    let mut known: HashMap<(String, u16), crate::diag::Span> = HashMap::new();
    for server in endpoint.servers.iter().flat_map(|servers| &servers.0) {
        let address = &server.address;
        let port = address.port.unwrap_or(endpoint.url.port);
        let key = (address.host.to_ascii_lowercase(), port);
        if let Some(earlier) = known.get(&key) {
            let text = format!("endpoint `{}` has this server twice", name.value);
            let told = Diagnostic::error("duplicate-server", text, address.span);
            report.push(
                told.other(*earlier, "first here")
                    .hint("give it a `weight` instead"),
            );
        } else {
            known.insert(key, address.span);
        }
    }
}

/// A socket is the one place where messages go.
fn socket(name: &Spanned<String>, endpoint: &Endpoint, report: &mut Report) {
    if endpoint.socket.is_none() {
        return;
    }
    let servers = endpoint.servers.iter().flat_map(|servers| &servers.0);
    let servers = servers
        .map(|server| ("servers", server.address.span))
        .next();
    let source = endpoint.source_address.as_ref();
    let source = source.map(|source| ("source_address", source.span));
    for (key, span) in servers.into_iter().chain(source) {
        let text = format!(
            "`{key}` has no effect at endpoint `{}`, which is at a `socket`",
            name.value
        );
        let told = Diagnostic::warning("no-effect", text, span);
        report.push(told.hint(format!("remove `{key}` or `socket`")));
    }
}

/// From an IPv4 address there is no way to an IPv6 address.
fn source(name: &Spanned<String>, endpoint: &Endpoint, report: &mut Report) {
    let Some(source) = &endpoint.source_address else {
        return;
    };
    let url = [(&endpoint.url.host, endpoint.url.span)];
    let servers = endpoint.servers.iter().flat_map(|servers| &servers.0);
    let servers = servers.map(|server| (&server.address.host, server.address.span));
    let hosts: Vec<_> = match endpoint.servers {
        Some(_) => servers.collect(),
        None => url.into(),
    };
    for (host, span) in hosts {
        let Ok(address) = host.parse::<IpAddr>() else {
            continue;
        };
        if address.is_ipv4() != source.value.is_ipv4() {
            let version = |address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
            let text = format!(
                "from the {} address `{}` endpoint `{}` cannot be reached at the {} address `{host}`",
                version(source.value),
                source.value,
                name.value,
                version(address)
            );
            let told = Diagnostic::error("conflicting-keys", text, source.span);
            report.push(told.other(span, "the server is here"));
        }
    }
}

fn suspended(name: &Spanned<String>, suspend: &Suspend, report: &mut Report) {
    for on in &suspend.on {
        let what = match on.value {
            FailoverOn::Status(status) if status < 500 => format!("status {status}"),
            FailoverOn::Busy => "`busy`".to_owned(),
            FailoverOn::Down => "`down`".to_owned(),
            FailoverOn::Dns => "`dns`".to_owned(),
            _ => continue,
        };
        let text = format!(
            "{what} cannot suspend a server of endpoint `{}`",
            name.value
        );
        let told =
            Diagnostic::error("bad-suspend", text, on.span).label("not what a server did wrong");
        report.push(told.hint("list failures of the server: `connect`, `tls`, `reset`, `timeout`, `not-soap`, 500 to 599, `fault: receiver`"));
    }
    if suspend.maximum.0 < suspend.initial.0 {
        let text = format!(
            "endpoint `{}` suspends for {} at first and {} at most",
            name.value, suspend.initial, suspend.maximum
        );
        report.push(
            Diagnostic::error("bad-suspend", text, name.span)
                .hint("make `maximum` at least `initial`"),
        );
    }
}

fn probed(name: &Spanned<String>, probe: &Probe, report: &mut Report) {
    if let Some(text) = &probe.expect.text {
        let length = text.chars().count();
        if length > EXPECTED_TEXT_MAX || length == 0 {
            let told = format!("a probe cannot expect a text of {length} characters");
            report.push(
                Diagnostic::error("bad-probe", told, text.span)
                    .label(format!("1 to {EXPECTED_TEXT_MAX} characters")),
            );
        }
    }
    let sends = probe.body.is_some();
    let method = probe
        .method
        .as_ref()
        .map(|method| (method.value.word(), method.span));
    if let Some((method @ ("GET" | "HEAD"), span)) = method
        && sends
    {
        let text = format!(
            "the probe of endpoint `{}` sends a body with {method}",
            name.value
        );
        report.push(
            Diagnostic::error("bad-probe", text, span).hint("leave `method` out: it is then POST"),
        );
    }
    if let Some((_, span)) = method
        && probe
            .method
            .as_ref()
            .is_some_and(|m| m.value.word() == "HEAD")
        && (probe.expect.text.is_some() || probe.expect.xpath.is_some())
    {
        let text = format!(
            "the probe of endpoint `{}` looks into the body of an answer to HEAD, which has none",
            name.value
        );
        report.push(Diagnostic::error("bad-probe", text, span).hint("use GET"));
    }
}

fn bound(name: &Spanned<String>, affinity: &Affinity, report: &mut Report) {
    let ways = [
        affinity.cookie.is_some(),
        affinity.header.is_some(),
        affinity.xpath.is_some(),
    ];
    if ways.iter().filter(|way| **way).count() != 1 {
        let text = format!(
            "the affinity of endpoint `{}` names not exactly one thing that binds callers",
            name.value
        );
        let told = Diagnostic::error("bad-affinity", text, name.span)
            .allowed(["cookie", "header", "xpath"]);
        report.push(told.hint("name one of them: `affinity: { cookie: {} }`"));
    }
    if let Some(cookie) = &affinity.cookie
        && cookie.same_site == Some(SameSite::None)
        && !cookie.secure
    {
        let text = format!(
            "the cookie of endpoint `{}` has `same_site: none` without `secure`",
            name.value
        );
        report.push(
            Diagnostic::error("bad-cookie", text, cookie.name.span)
                .label("browsers refuse it")
                .hint("add `secure: true`"),
        );
    }
}
