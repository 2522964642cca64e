//! At the gate of a service or route, and what is said to those who are not let in.

use std::net::IpAddr;

use http::StatusCode;

use super::arrival::{self, Arrival};
use super::drain::drain;
use super::error::Error;
use super::pass;
use super::record::Record;
use super::reply::{self, Dialect};
use crate::admission::{Gate, Refusal};
use crate::fields::{RETRY_AFTER, Response};
use crate::net::Body;

/// Lets the exchange of this client in.
///
/// # Errors
/// When it has to stay out.
pub(super) async fn admit(gate: &Gate, client: IpAddr, record: &mut Record) -> Result<(), Error> {
    let entered = match gate.knock(client) {
        Ok(()) => gate.enter().await,
        Err(refusal) => Err(refusal),
    };
    record.pass = Some(entered.map_err(error)?);
    Ok(())
}

/// Why somebody is not let in, as it is told.
pub(super) fn error(refusal: Refusal) -> Error {
    let busy = |what, after: u64| Error::RouterBusy {
        what,
        after: after.to_string(),
    };
    match refusal {
        Refusal::NotAllowed => Error::SenderNotAllowed,
        Refusal::Full => busy("the service is busy", 1),
        Refusal::Waited(wait) => busy("the service is busy", wait.as_secs().max(1)),
        Refusal::TooFast(wait) => busy(
            "too many requests within a time",
            // Whole seconds, and none of them too early.
            wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
        ),
        Refusal::Closing => Error::RouterShuttingDown,
    }
}

/// A fault before anything of the message was read; for what is no SOAP, a plain status.
#[cold]
pub(super) fn refuse(error: &Error, arrival: Arrival<'_>, record: Record) -> Response<Body> {
    if pass::is_not_soap(&arrival.head.method) || record.is_of_route() {
        return plainly(error, record);
    }
    let version = Some(arrival::likely_version(&arrival.head.headers));
    drain(Some(arrival.body));
    let dialect = Dialect {
        version,
        ..Dialect::default()
    };
    reply::fault(error, &dialect, record)
}

fn plainly(error: &Error, record: Record) -> Response<Body> {
    let (status, text) = match error {
        Error::SenderUnknownService => (StatusCode::NOT_FOUND, "No service at this address."),
        Error::SenderNotAllowed => (
            StatusCode::FORBIDDEN,
            "This address is not open to where you call from.",
        ),
        Error::RouterBusy { what, .. } if what.starts_with("too many") => {
            (StatusCode::TOO_MANY_REQUESTS, "Too many requests.")
        }
        Error::RouterShuttingDown => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The router is shutting down.",
        ),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "The router is busy."),
    };
    let mut response = reply::refuse(status, text, record);
    if let Some(after) = error.retry_after() {
        response.head.headers.insert(RETRY_AFTER, after);
    }
    response
}
