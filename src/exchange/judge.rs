//! Is what came back an answer, or a failure that the next endpoint may make good?
//!
//! A SOAP fault is an answer, whatever its status. The status alone decides nothing, because
//! faults travel with 500, with 400 and, from old servers, with 200 (rule H37).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::arrival::with_media;
use super::deliver::Answer;
use crate::fields::{CONTENT_LENGTH, CONTENT_TYPE, Fields, RETRY_AFTER, WWW_AUTHENTICATE};
use crate::net::{Deadline, Incoming};
use crate::soap::{BridgeError, FaultClass, read_fault};
use crate::upstream::{NoServer, Reply, SendError, Triggers};

/// What reading an answer may cost, to see whether it is a fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most bytes (`fault_bytes`).
    pub(super) bytes_max: u64,
    /// Longest silence.
    pub(super) idle: Duration,
    /// Whether it matters for the server's health that a fault blames the receiver.
    pub(super) minds_receiver_faults: bool,
}

/// The judgement.
pub(super) type Verdict = Result<Answer, Box<Failure>>;

/// An attempt that brought no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// The word for it in logs and metrics: `connect`, `timeout`, `status-503`, `not-soap`, ...
    pub(super) name: String,
    /// For operators.
    pub(super) why: String,
    pub(super) status: Option<u16>,
    pub(super) retry_after: Option<String>,
    pub(super) error: Option<SendError>,
    /// The message cannot have reached anybody.
    pub(super) undelivered: bool,
    /// The service's own time was over: no other endpoint is asked.
    pub(super) out_of_time: bool,
    /// The message, or the answer to it, cannot be bridged.
    pub(super) bridge: Option<Box<BridgeError>>,
}

impl Failure {
    pub(super) fn send(error: SendError) -> Self {
        Self {
            name: error.name().to_owned(),
            why: error.to_string(),
            status: None,
            retry_after: None,
            undelivered: error.is_undelivered(),
            error: Some(error),
            out_of_time: false,
            bridge: None,
        }
    }

    pub(super) fn router(why: &str) -> Self {
        Self {
            name: "router".into(),
            why: why.into(),
            status: None,
            retry_after: None,
            error: None,
            undelivered: false,
            out_of_time: false,
            bridge: None,
        }
    }

    /// There was no server to ask.
    pub(super) fn no_server(why: NoServer) -> Self {
        let (name, text) = match &why {
            NoServer::Dns(problem) => ("dns", problem.as_str()),
            NoServer::Down(_) => ("down", "no server may be asked"),
            NoServer::Busy => (
                "busy",
                "all places are taken, and the queue gave none in time",
            ),
            NoServer::Lost => ("lost", "the server that the caller is bound to is gone"),
            NoServer::Tried => ("down", "every server was asked already"),
        };
        let seconds = |wait: &Duration| wait.as_secs().max(1).to_string();
        Self {
            name: name.into(),
            undelivered: true,
            retry_after: match &why {
                NoServer::Down(wait) => wait.as_ref().map(seconds),
                NoServer::Busy => Some("1".into()),
                _ => None,
            },
            ..Self::router(text)
        }
    }

    /// All attempts together took longer than the service allows.
    pub(super) fn out_of_time(after: Duration) -> Self {
        let why = format!("the service's `timeout` of {after:?} is over");
        Self {
            name: "timeout".into(),
            out_of_time: true,
            ..Self::router(&why)
        }
    }

    /// One attempt took longer than it may.
    pub(super) fn late(deadline: Deadline) -> Self {
        if !deadline.is_the_endpoints {
            return Self::out_of_time(deadline.after);
        }
        Self {
            name: "timeout".into(),
            ..Self::router(&format!("{deadline} is over"))
        }
    }

    /// The message cannot be brought into the endpoint's versions.
    pub(super) fn bridge(error: BridgeError) -> Self {
        Self {
            name: "cannot-bridge".into(),
            why: error.to_string(),
            bridge: Some(Box::new(error)),
            ..Self::router("")
        }
    }

    /// The answer cannot be brought into the caller's versions: it is none of SOAP's, or it may
    /// not change.
    pub(super) fn back(error: &BridgeError, status: StatusCode) -> Self {
        let name = match error {
            BridgeError::Cannot(_) => "cannot-bridge-back",
            _ => "not-soap",
        };
        Self {
            name: name.into(),
            why: format!("status {}: {error}", status.as_u16()),
            status: Some(status.as_u16()),
            ..Self::router("")
        }
    }

    /// The answer began and did not go on.
    pub(super) fn silent(after: Duration, status: StatusCode) -> Self {
        Self {
            name: "timeout".into(),
            why: format!("no byte of the answer for {after:?}"),
            status: Some(status.as_u16()),
            ..Self::router("")
        }
    }

    pub(super) fn reply(name: String, why: String, status: StatusCode, headers: &Fields) -> Self {
        let retry_after = headers.text(RETRY_AFTER).map(str::to_owned);
        Self {
            name,
            why,
            status: Some(status.as_u16()),
            retry_after,
            error: None,
            undelivered: false,
            out_of_time: false,
            bridge: None,
        }
    }

    /// Whether the server is to blame: no caller that broke off, no time of the service's own.
    pub(super) const fn is_the_servers(&self) -> bool {
        let callers = matches!(self.error, Some(SendError::Caller(_)));
        !callers && !self.out_of_time && self.bridge.is_none()
    }

    /// Whether the configuration lists this failure.
    pub(super) fn triggers(&self, failover: &Triggers) -> bool {
        failover.hit(&self.name, self.status)
    }
}

/// Judges an answer by its head, and by its body where the head leaves it open.
pub(super) async fn judge(
    reply: Reply,
    failover: &Triggers,
    one_way: bool,
    bounds: Bounds,
) -> Verdict {
    let status = reply.head.status;
    let headers = &reply.head.headers;
    if is_empty(&reply) && status.is_success() {
        reply.let_go();
        return Ok(Answer::Accepted);
    }
    if is_challenge(status, headers) || (one_way && status.is_success()) {
        return Ok(Answer::Stream(reply));
    }
    let listed = failover.statuses.contains(&status.as_u16());
    if !is_soap(headers) {
        let kind = headers.get(CONTENT_TYPE).map_or_else(
            || "no Content-Type".into(),
            |value| format!("Content-Type `{}`", String::from_utf8_lossy(value)),
        );
        let name = if listed {
            format!("status-{}", status.as_u16())
        } else {
            "not-soap".into()
        };
        let why = format!("status {} with {kind} is no SOAP answer", status.as_u16());
        return Err(Box::new(Failure::reply(name, why, status, headers)));
    }
    let minds = failover.receiver_fault || bounds.minds_receiver_faults;
    if listed || (minds && !status.is_success()) {
        return look_inside(reply, failover, bounds).await;
    }
    Ok(Answer::Stream(reply))
}

/// Reads an answer that may be a fault, to know.
async fn look_inside(reply: Reply, failover: &Triggers, bounds: Bounds) -> Verdict {
    let Reply { head, body, .. } = reply;
    let (status, headers) = (head.status, &head.headers);
    let fail = |name: String, why: &str| {
        let why = format!("status {}: {why}", status.as_u16());
        Err(Box::new(Failure::reply(name, why, status, headers)))
    };
    let Some(bytes) = read_whole(body, bounds).await else {
        return fail(
            format!("status-{}", status.as_u16()),
            "the answer is longer than `fault_bytes`, too slow, or broke off",
        );
    };
    match read_fault(&bytes) {
        Some(FaultClass::Receiver) if failover.receiver_fault => fail(
            "receiver-fault".into(),
            "a Receiver fault, which is listed in `failover`",
        ),
        Some(class) => {
            let blames_receiver = class == FaultClass::Receiver;
            Ok(Answer::Whole {
                head,
                body: bytes,
                blames_receiver,
            })
        }
        None if failover.statuses.contains(&status.as_u16()) => {
            fail(format!("status-{}", status.as_u16()), "no SOAP fault in it")
        }
        None => Ok(Answer::Whole {
            head,
            body: bytes,
            blames_receiver: false,
        }),
    }
}

async fn read_whole(mut body: Incoming, bounds: Bounds) -> Option<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = timeout(bounds.idle, body.frame()).await.ok()? {
        if let Ok(data) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() as u64 > bounds.bytes_max {
            return None;
        }
    }
    Some(bytes.freeze())
}

fn is_empty(reply: &Reply) -> bool {
    reply.body.is_end_stream()
        || reply
            .head
            .headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length == b"0")
}

/// A demand for credentials is for the caller, who has them.
fn is_challenge(status: StatusCode, headers: &Fields) -> bool {
    status == StatusCode::UNAUTHORIZED && headers.contains(WWW_AUTHENTICATE)
}

fn is_soap(headers: &Fields) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| with_media(value, Result::is_ok))
}
