//! Step 4: the answer as the caller gets it.

use bytes::Bytes;
use http::StatusCode;

use super::deliver::{Answer, Cargo};
use super::error::Error;
use super::record::{CloseAtEnd, Outcome, Record};
use super::settle::settle;
use crate::fields::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, Fields, LOCATION, RETRY_AFTER, ROUTER_FAULT,
    Response, ResponseParts,
};
use crate::net::{Body, Incoming, Patience, Relay, strip_hop_by_hop};
use crate::soap::{Addressing, Fault, Reason, Version};
use crate::upstream::Reply;

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
        Answer::Whole { mut head, body, .. } => {
            strip_hop_by_hop(&mut head.headers);
            head.headers.remove(CONTENT_LENGTH);
            record.status = head.status.as_u16();
            record.outcome = Outcome::of_reply(head.status);
            rewrite(&mut record, &mut head);
            settle(record, cargo, body.len() as u64);
            Response {
                head,
                body: Body::Full(body),
            }
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
            let body = Body::Relay(Box::new(relay));
            Response { head, body }
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
    Response::new(StatusCode::ACCEPTED, Body::Empty)
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
            let body = Body::Full(bytes);
            return Response { head, body };
        }
        (body, _) => body,
    };
    let on_end = Box::new(CloseAtEnd::new(record, cargo));
    let relay = Relay::new(first.map(|first| *first), body, patience, on_end);
    let body = Body::Relay(Box::new(relay));
    Response { head, body }
}

/// What rewrites make of an endpoint's answer.
pub(super) fn rewrite(record: &mut Record, head: &mut ResponseParts) {
    if let Some(mut rewriter) = record.rewriter.take() {
        rewriter.response(head, record.endpoints.first());
    }
}

/// The caller is sent elsewhere.
pub(super) fn redirect(status: StatusCode, location: &str, mut record: Record) -> Response<Body> {
    let mut response = Response::new(status, Body::Empty);
    if !response.head.headers.insert(LOCATION, location) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "This address cannot be used.",
            record,
        );
    }
    record.outcome = Outcome::Refused;
    record.status = status.as_u16();
    record.close(0, None);
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
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(status, Body::Full(body));
    let headers = &mut response.head.headers;
    headers.insert(CONTENT_TYPE, content_type);
    fault_headers(headers, reason, error.retry_after());
    response
}

fn fault_headers(headers: &mut Fields, reason: Reason, retry_after: Option<&str>) {
    headers.insert(ROUTER_FAULT, reason.name());
    if let Some(after) = retry_after {
        headers.insert(RETRY_AFTER, after);
    }
    if reason == Reason::ShuttingDown {
        headers.insert(CONNECTION, "close");
    }
}

/// A plain status for what is not SOAP.
pub(super) fn refuse(status: StatusCode, text: &str, mut record: Record) -> Response<Body> {
    record.outcome = Outcome::Refused;
    record.status = status.as_u16();
    let page = record.origin.door.pages.get(&status.as_u16());
    let (body, media) = match page {
        Some(page) => (page.body.clone(), page.media),
        None => (
            Bytes::from(format!("{text}\n")),
            "text/plain; charset=utf-8",
        ),
    };
    record.close(body.len() as u64, None);
    let mut response = Response::new(status, Body::Full(body));
    let headers = &mut response.head.headers;
    headers.insert(CONTENT_TYPE, media);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, "POST");
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
