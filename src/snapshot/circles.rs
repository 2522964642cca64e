//! Redirects that lead back: to themselves, or in a circle through others.
//!
//! Follows each redirect as a caller would, by a path that its route takes, for as long as it stays on this router.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::Uri;

use super::model::{Bind, Place, Route, RouteId, RouteTo, Snapshot};
use super::place::{PathPattern, RoutePath, host_name};
use super::rewrite::{Redirect, Target};
use crate::config::Config;
use crate::diag::{Diagnostic, Report};

/// Most redirects that are followed: browsers give up at twenty.
const HOPS_MAX: usize = 20;

/// Where a caller asks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    listener: String,
    host: String,
    path: String,
}

/// Tells the circles among the redirects.
pub(super) fn check(snapshot: &Snapshot, config: &Config, report: &mut Report) {
    let mut told: BTreeSet<u32> = BTreeSet::new();
    for (number, route) in (0_u32..).zip(&snapshot.routes) {
        let starts = starts(snapshot, route);
        let circle = starts
            .into_iter()
            .find_map(|asked| circle(snapshot, RouteId(number), asked));
        let Some(circle) = circle.filter(|circle| circle.iter().all(|id| !told.contains(&id.0)))
        else {
            continue;
        };
        told.extend(circle.iter().map(|id| id.0));
        let names: Vec<&str> = circle
            .iter()
            .filter_map(|id| Some(&*snapshot.route(*id)?.name))
            .collect();
        let text = match names.as_slice() {
            [only] => format!("route `{only}` sends callers back to itself"),
            several => format!(
                "the redirects of routes `{}` lead in a circle",
                several.join("`, `")
            ),
        };
        let first = names.first().copied().unwrap_or_default();
        let written = config.router.routes.get(first);
        let Some(redirect) = written.and_then(|route| route.redirect.as_ref()) else {
            continue;
        };
        let found = Diagnostic::error("redirect-circle", text, redirect.span)
            .label("callers follow it and come back");
        report.push(found.hint(
            "lead it elsewhere, or narrow by `listeners`, `hosts` or `path` what the route takes",
        ));
    }
}

/// Requests that come to a route: on each of its listeners, by one of its paths.
fn starts(snapshot: &Snapshot, route: &Route) -> Vec<Asked> {
    let path = match &route.path {
        RoutePath::Plain(PathPattern::Exact(path)) | RoutePath::Prefix(path) => path.clone(),
        RoutePath::Plain(PathPattern::Below(path)) => format!("{path}/x"),
        // What an expression fits cannot be made up.
        RoutePath::Matches(_) => return Vec::new(),
    };
    let host = route
        .hosts
        .first()
        .map_or_else(String::new, |host| host.replace(['*', '?'], "x"));
    let listeners = snapshot.listeners.iter().map(|listener| &listener.name);
    listeners
        .filter(|name| route.listeners.is_empty() || route.listeners.contains(name))
        .map(|name| Asked {
            listener: name.to_string(),
            host: host.clone(),
            path: path.clone(),
        })
        .collect()
}

/// The routes of the circle that begins here, if there is one.
fn circle(snapshot: &Snapshot, start: RouteId, mut asked: Asked) -> Option<Vec<RouteId>> {
    let mut seen: Vec<(RouteId, Asked)> = Vec::new();
    for _ in 0..HOPS_MAX {
        let place = snapshot.place(&asked.listener, &asked.host, &asked.path)?;
        let Place::Route(id) = place else { return None };
        let RouteTo::Redirect(redirect) = &snapshot.route(id)?.to else {
            return None;
        };
        if seen.is_empty() && id != start {
            return None;
        }
        if let Some(at) = seen.iter().position(|one| *one == (id, asked.clone())) {
            let ids: BTreeSet<u32> = seen.iter().skip(at).map(|(id, _)| id.0).collect();
            return Some(ids.into_iter().map(RouteId).collect());
        }
        seen.push((id, asked.clone()));
        asked = follow(snapshot, redirect, &asked)?;
    }
    None
}

/// Where a redirect leads, if that is this router.
fn follow(snapshot: &Snapshot, redirect: &Redirect, asked: &Asked) -> Option<Asked> {
    match &redirect.target {
        Target::Listener { name, .. } => Some(Asked {
            listener: name.to_string(),
            path: if redirect.path { &asked.path } else { "/" }.to_owned(),
            ..asked.clone()
        }),
        Target::Url(url) if url.starts_with('/') => Some(Asked {
            path: url.split('?').next().unwrap_or_default().to_owned(),
            ..asked.clone()
        }),
        Target::Url(url) => ours(snapshot, &url.parse().ok()?, asked),
    }
}

/// The place of a URL on this router: its port is a listener's, and its host is one that is
/// listened at, one that the caller came by, or one that a service or route answers to.
fn ours(snapshot: &Snapshot, url: &Uri, asked: &Asked) -> Option<Asked> {
    let secure = url.scheme_str() == Some("https");
    let host = url.host()?;
    let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip: Option<IpAddr> = match bare {
        "localhost" => Some([127, 0, 0, 1].into()),
        _ => bare.parse().ok(),
    };
    let listener = snapshot.listeners.iter().find(|listener| {
        let Bind::Tcp(bind) = &listener.bind else {
            return false;
        };
        let here =
            ip.is_none_or(|ip| bind.ip() == ip || (bind.ip().is_unspecified() && ip.is_loopback()));
        bind.port() == port && listener.tls.is_some() == secure && here
    })?;
    let name = host_name(host);
    let known = ip.is_some()
        || name.eq_ignore_ascii_case(host_name(&asked.host))
        || snapshot.answers_to(name);
    known.then(|| Asked {
        listener: listener.name.to_string(),
        host: host.to_owned(),
        path: url.path().to_owned(),
    })
}
