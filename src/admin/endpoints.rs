//! `/api/v1/endpoints`: how every endpoint and server stands, and what the operator wants of them.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde_json::{Value, json};

use crate::upstream::{EndpointView, Fleet, MemberView, Order, OrderError, State};

/// Where the endpoints are.
pub(super) const PATH: &str = "/api/v1/endpoints";

/// What a path below [`PATH`] asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// All endpoints.
    All,
    /// One of them.
    One(&'a str),
    /// An order to one of them, or to one of its servers.
    Order(&'a str, Order),
}

/// Reads a path; `None` if it is none of ours.
pub(super) fn asked(path: &str) -> Option<Asked<'_>> {
    let rest = path.strip_prefix(PATH)?;
    let mut parts = rest.strip_prefix('/').unwrap_or(rest).split('/');
    let asked = match (parts.next()?, parts.next()) {
        ("", None) => Asked::All,
        (name, None) if rest.starts_with('/') => Asked::One(name),
        (name, Some(word)) if rest.starts_with('/') => Asked::Order(name, order(word)?),
        _ => return None,
    };
    parts.next().is_none().then_some(asked)
}

fn order(word: &str) -> Option<Order> {
    match word {
        "drain" => Some(Order::Drain),
        "disable" => Some(Order::Disable),
        "enable" => Some(Order::Enable),
        _ => None,
    }
}

/// All endpoints, or one.
pub(super) fn show(fleet: &Fleet, name: Option<&str>) -> (StatusCode, Value) {
    let views = fleet.view();
    match name {
        None => {
            let all: Vec<Value> = views.iter().map(endpoint).collect();
            (StatusCode::OK, json!({ "endpoints": all }))
        }
        Some(name) => match views.iter().find(|view| view.name == name) {
            Some(view) => (StatusCode::OK, endpoint(view)),
            None => {
                let known: Vec<&str> = views.iter().map(|view| view.name.as_str()).collect();
                let text = format!("no endpoint `{name}`");
                let body = json!({ "error": text, "known": known });
                (StatusCode::NOT_FOUND, body)
            }
        },
    }
}

/// Gives an order; `server` names one of the endpoint's servers as `server=10.0.0.1:9101` does.
pub(super) fn give(
    fleet: &Fleet,
    name: &str,
    order: Order,
    query: Option<&str>,
) -> (StatusCode, Value) {
    let mut server = None;
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
        if key != "server" {
            let text = format!("unknown parameter `{key}`; `server` names one server");
            return (StatusCode::BAD_REQUEST, json!({ "error": text }));
        }
        server = Some(value.into_owned());
    }
    let why = match order {
        Order::Enable => "enabled by the operator",
        Order::Drain => "drained by the operator",
        Order::Disable => "disabled by the operator",
    };
    match fleet.order(name, server.as_deref(), order, why) {
        Ok(()) => show(fleet, Some(name)),
        Err(error @ (OrderError::Endpoint(_) | OrderError::Server { .. })) => {
            let body = json!({ "error": error.to_string() });
            (StatusCode::NOT_FOUND, body)
        }
    }
}

fn endpoint(view: &EndpointView) -> Value {
    let members: Vec<Value> = view.members.iter().map(member).collect();
    let mut value = json!({
        "name": view.name,
        "url": view.url,
        "state": overall(view),
        "waiting": view.waiting,
        "servers": members,
    });
    if let (Some(problem), Some(object)) = (&view.problem, value.as_object_mut()) {
        object.insert("problem".into(), problem.as_str().into());
    }
    value
}

/// The state of the whole: the best of its servers'.
fn overall(view: &EndpointView) -> &'static str {
    let has = |state: &State| view.members.iter().any(|member| member.state == *state);
    State::ALL
        .iter()
        .find(|state| has(state))
        .map_or("unresolved", |state| state.name())
}

fn member(view: &MemberView) -> Value {
    let mut value = json!({
        "server": view.server,
        "address": view.address.to_string(),
        "state": view.state.name(),
        "why": view.why,
        "since": seconds(view.since),
        "in_flight": view.in_flight,
        "requests": view.requests,
        "failures": view.failures,
    });
    let times = [("next_try", view.next_try), ("drained_by", view.drained_by)];
    if let Some(object) = value.as_object_mut() {
        for (key, at) in times {
            if let Some(at) = at {
                object.insert(key.into(), seconds(at).into());
            }
        }
    }
    value
}

/// Unix seconds, with milliseconds behind the point.
fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_ask_for_one_thing_each() {
        let cases = [
            ("/api/v1/endpoints", Some(Asked::All)),
            ("/api/v1/endpoints/", Some(Asked::All)),
            ("/api/v1/endpoints/a.b", Some(Asked::One("a.b"))),
            (
                "/api/v1/endpoints/a/drain",
                Some(Asked::Order("a", Order::Drain)),
            ),
            ("/api/v1/endpoints/a/explode", None),
            ("/api/v1/endpoints/a/drain/x", None),
            ("/api/v1/endpointsa", None),
            ("/api/v1/config", None),
        ];
        for (path, expected) in cases {
            assert_eq!(asked(path), expected, "{path}");
        }
    }
}
