//! What the admin interface answers.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use serde_json::json;

use super::endpoints::{self, Asked};
use super::server::Admin;
use crate::reload::Outcome;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// The Prometheus text format, version 1.0.0 of OpenMetrics as the library writes it.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub(super) async fn answer(
    admin: &Arc<Admin>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let asked = endpoints::asked(&path);
    let changes = path == "/api/v1/reload" || matches!(asked, Some(Asked::Order(..)));
    let shown = request.headers().get(AUTHORIZATION);
    if method == Method::POST && changes && !may_change(admin, peer, shown) {
        let text = "this call needs `Authorization: Bearer` with the token of `admin.token_file`";
        return reply(
            StatusCode::FORBIDDEN,
            JSON,
            json!({ "error": text }).to_string(),
        );
    }
    let fleet = admin.reloader.router().fleet();
    let found = match (&method, asked) {
        (&Method::GET | &Method::HEAD, Some(Asked::All)) => Some(endpoints::show(fleet, None)),
        (&Method::GET | &Method::HEAD, Some(Asked::One(name))) => {
            Some(endpoints::show(fleet, Some(name)))
        }
        (&Method::POST, Some(Asked::Order(name, order))) => {
            let query = request.uri().query();
            Some(endpoints::give(fleet, name, order, query))
        }
        (_, Some(_)) => {
            let body = json!({ "error": "wrong method" });
            Some((StatusCode::METHOD_NOT_ALLOWED, body))
        }
        (_, None) => None,
    };
    if let Some((status, body)) = found {
        return reply(status, JSON, body.to_string());
    }
    match (method, path.as_str()) {
        (Method::GET | Method::HEAD, path) => look(admin, path),
        (Method::POST, "/api/v1/reload") => reload(admin).await,
        (_, path) if KNOWN.contains(&path) => reply(
            StatusCode::METHOD_NOT_ALLOWED,
            JSON,
            json!({ "error": "wrong method" }).to_string(),
        ),
        _ => not_found(),
    }
}

const KNOWN: [&str; 7] = [
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/config",
    "/api/v1/endpoints",
    "/api/v1/reload",
];

fn look(admin: &Admin, path: &str) -> Answer {
    match path {
        "/healthz" => reply(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" if admin.is_ready() => reply(StatusCode::OK, TEXT, "ready\n".into()),
        "/readyz" => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".into()),
        "/metrics" => {
            let router = admin.reloader.router();
            router.fleet().observe();
            let text = router.metrics().render();
            reply(StatusCode::OK, METRICS, text)
        }
        "/api/v1/config" => config(admin),
        "/" => index(),
        "/api/v1/reload" => reply(
            StatusCode::METHOD_NOT_ALLOWED,
            JSON,
            json!({ "error": "use POST" }).to_string(),
        ),
        _ => not_found(),
    }
}

/// The running configuration in summary, and whether the files agree with it.
fn config(admin: &Admin) -> Answer {
    let snapshot = admin.reloader.snapshot();
    let name_of = |id| {
        snapshot
            .endpoint(id)
            .map_or("?", |endpoint| &*endpoint.spec.name)
    };
    let services: Vec<_> = snapshot
        .services
        .iter()
        .map(|service| {
            let entries: Vec<_> = service
                .table
                .entries
                .iter()
                .map(|entry| {
                    let backups: Vec<_> = entry.backups.iter().map(|id| name_of(*id)).collect();
                    json!({
                        "filter": &*entry.name,
                        "priority": entry.priority,
                        "endpoint": name_of(entry.endpoint),
                        "backups": backups,
                    })
                })
                .collect();
            json!({ "name": &*service.name, "path": service.path.to_string(), "entries": entries })
        })
        .collect();
    let endpoints: Vec<_> = snapshot
        .endpoints
        .iter()
        .map(|endpoint| json!({ "name": &*endpoint.spec.name, "url": endpoint.spec.url }))
        .collect();
    let listeners: Vec<_> = admin
        .reloader
        .router()
        .addresses()
        .into_iter()
        .map(|(name, address)| json!({ "name": &*name, "address": address.to_string() }))
        .collect();
    let body = json!({
        "status": admin.reloader.status(),
        "listeners": listeners,
        "services": services,
        "endpoints": endpoints,
    });
    reply(StatusCode::OK, JSON, body.to_string())
}

async fn reload(admin: &Arc<Admin>) -> Answer {
    let reloader = Arc::clone(&admin.reloader);
    let done = tokio::task::spawn_blocking(move || reloader.reload()).await;
    match done {
        Ok(Outcome::Applied(changes)) => reply(
            StatusCode::OK,
            JSON,
            json!({ "applied": true, "changes": changes }).to_string(),
        ),
        Ok(Outcome::Refused(errors)) => {
            let body = json!({ "applied": false, "errors": errors });
            reply(StatusCode::UNPROCESSABLE_ENTITY, JSON, body.to_string())
        }
        Err(error) => {
            let body = json!({ "applied": false, "errors": [error.to_string()] });
            reply(StatusCode::INTERNAL_SERVER_ERROR, JSON, body.to_string())
        }
    }
}

/// Loopback may change things, others with the token only.
fn may_change(admin: &Admin, peer: SocketAddr, shown: Option<&HeaderValue>) -> bool {
    let Some(file) = &admin.token_file else {
        return peer.ip().is_loopback();
    };
    let Ok(token) = std::fs::read_to_string(file) else {
        return false;
    };
    let token = token.trim();
    let shown = shown.and_then(|value| value.to_str().ok()).unwrap_or("");
    !token.is_empty() && same(shown.strip_prefix("Bearer ").unwrap_or(""), token)
}

/// Compares in a time that does not tell how much was right.
fn same(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left
            .bytes()
            .zip(right.bytes())
            .fold(0, |differs, (a, b)| differs | (a ^ b))
            == 0
}

fn index() -> Answer {
    let text = "soap-router\n\n/healthz\n/readyz\n/metrics\n/api/v1/config\n/api/v1/endpoints\nPOST /api/v1/endpoints/NAME/{drain,disable,enable}\nPOST /api/v1/reload\n";
    reply(StatusCode::OK, TEXT, text.into())
}

fn not_found() -> Answer {
    reply(
        StatusCode::NOT_FOUND,
        JSON,
        json!({ "error": "not found", "known": KNOWN }).to_string(),
    )
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
