//! Step 4: the answer as the caller gets it.

use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::deliver::{Answer, Cargo};
use super::error::Error;
use super::record::{CloseAtEnd, Outcome, Record};
use super::settle::settle;
use crate::net::{Body, Incoming, Patience, Relay, strip_hop_by_hop};
use crate::soap::{Addressing, Fault, Reason, Version};
use crate::upstream::Reply;

/// Marks a fault as the router's own, so that nobody searches an endpoint for it.
const FAULT_MARK: HeaderName = HeaderName::from_static("x-soap-router-fault");

/// What a fault must know of the caller.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialect {
    pub(super) version: Option<Version>,
    pub(super) addressing: Option<Addressing>,
    pub(super) message_id: Option<String>,
}

/// Hands an endpoint's answer on.
pub(super) fn answer(
    answer: Answer,
    patience: Patience,
    cargo: Option<Cargo>,
    mut record: Record,
) -> Response<Body> {
    match answer {
        Answer::Stream(reply) => relay(reply, patience, cargo, record),
        Answer::Whole(mut head, body) => {
            strip_hop_by_hop(&mut head.headers);
            head.headers.remove(CONTENT_LENGTH);
            record.status = head.status.as_u16();
            record.outcome = Outcome::of_reply(head.status);
            rewrite(&mut record, &mut head);
            settle(record, cargo, body.len() as u64);
            Response::from_parts(*head, Body::Full(body))
        }
        Answer::Changed {
            mut head,
            first,
            inner,
            change,
        } => {
            strip_hop_by_hop(&mut head.headers);
            record.status = head.status.as_u16();
            record.outcome = Outcome::of_reply(head.status);
            rewrite(&mut record, &mut head);
            let on_end = Box::new(CloseAtEnd::new(record, cargo));
            let relay = Relay::changed(first, inner, change, patience, on_end);
            Response::from_parts(*head, Body::Relay(Box::new(relay)))
        }
        // An empty answer is 202 for the caller, whatever success it was (BP R1112; H40).
        Answer::Accepted => accepted(cargo, record),
    }
}

/// 202 without a body: a one-way message was taken.
pub(super) fn accepted(cargo: Option<Cargo>, mut record: Record) -> Response<Body> {
    record.status = StatusCode::ACCEPTED.as_u16();
    record.outcome = Outcome::Accepted;
    settle(record, cargo, 0);
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn relay(
    reply: Reply,
    patience: Patience,
    cargo: Option<Cargo>,
    mut record: Record,
) -> Response<Body> {
    let Reply {
        mut head,
        body,
        first,
    } = reply;
    record.status = head.status.as_u16();
    if record.outcome != Outcome::Passed {
        record.outcome = Outcome::of_reply(head.status);
    }
    strip_hop_by_hop(&mut head.headers);
    rewrite(&mut record, &mut head);
    let body = match (body, &first) {
        (Incoming::Whole(bytes), None) => {
            settle(record, cargo, bytes.len() as u64);
            return Response::from_parts(*head, Body::Full(bytes));
        }
        (body, _) => body,
    };
    let on_end = Box::new(CloseAtEnd::new(record, cargo));
    let relay = Relay::new(first.map(|first| *first), body, patience, on_end);
    Response::from_parts(*head, Body::Relay(Box::new(relay)))
}

/// What rewrites make of an endpoint's answer.
pub(super) fn rewrite(record: &mut Record, head: &mut http::response::Parts) {
    if let Some(mut rewriter) = record.rewriter.take() {
        rewriter.response(head, record.endpoints.first());
    }
}

/// The caller is sent elsewhere.
pub(super) fn redirect(status: StatusCode, location: &str, mut record: Record) -> Response<Body> {
    let Ok(value) = HeaderValue::from_str(location) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "This address cannot be used.",
            record,
        );
    };
    record.outcome = Outcome::Refused;
    record.status = status.as_u16();
    record.close(0, None);
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, value);
    response
}

/// A fault in the caller's dialect.
pub(super) fn fault(error: &Error, dialect: &Dialect, mut record: Record) -> Response<Body> {
    let reason = error.reason();
    let version = dialect.version.unwrap_or(Version::Soap11);
    let text = sentence(&error.to_string());
    let fault = Fault {
        version,
        reason,
        text: &text,
        exchange: &record.id.to_string(),
        relates_to: dialect
            .addressing
            .map(|version| (version, dialect.message_id.as_deref())),
        not_understood: error.not_understood(),
    };
    let body = Bytes::from(fault.write());
    let content_type = fault.content_type();
    let status = error.http_status(fault.http_status());
    record.reason = Some(reason);
    record.error = Some(error.detail().map_or_else(|| text.clone(), str::to_owned));
    record.outcome = Outcome::RouterFault;
    record.status = status;
    record.soap = record.soap.or(dialect.version);
    record.close(body.len() as u64, None);
    let mut response = Response::new(Body::Full(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    fault_headers(headers, reason, error.retry_after());
    response
}

fn fault_headers(headers: &mut HeaderMap, reason: Reason, retry_after: Option<&str>) {
    headers.insert(FAULT_MARK, HeaderValue::from_static(reason.name()));
    if let Some(value) = retry_after.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(RETRY_AFTER, value);
    }
    if reason == Reason::ShuttingDown {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A plain status for what is not SOAP.
pub(super) fn refuse(status: StatusCode, text: &str, mut record: Record) -> Response<Body> {
    record.outcome = Outcome::Refused;
    record.status = status.as_u16();
    let page = record.door.pages.get(&status.as_u16());
    let (body, media) = match page {
        Some(page) => (page.body.clone(), page.media),
        None => (
            Bytes::from(format!("{text}\n")),
            "text/plain; charset=utf-8",
        ),
    };
    record.close(body.len() as u64, None);
    let mut response = Response::new(Body::Full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// Error texts are fragments; a fault's reason is a sentence.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let mut sentence: String = characters
        .next()
        .map(char::to_uppercase)
        .into_iter()
        .flatten()
        .collect();
    sentence.push_str(characters.as_str());
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}
