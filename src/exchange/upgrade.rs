//! WebSocket: a request to speak something else, passed on, and the tunnel that comes of it.
//!
//! Any answer but 101 is an answer like others. The exchange lasts as long as the tunnel: it keeps
//! its places, and its line in the log has the bytes that went either way.

use std::time::Duration;

use http::{Method, Version};

use super::deliver::{Answer, Cargo};
use super::record::Record;
use super::reply;
use crate::fields::{CONNECTION, Known, RequestParts, Response, ResponseParts, UPGRADE};
use crate::net::{
    Body, Incoming, OnClose, Patience, Tunnel, UPGRADE_PROTOCOL, Upgraded, has_word,
    strip_hop_by_hop,
};
use crate::upstream::Reply;

/// Whether the caller asks for WebSocket. Other protocols are not asked for in its name: a request
/// that offers them is answered as if it had not, as RFC 9110 §7.8 wants it.
pub(super) fn is_asked_for(head: &RequestParts) -> bool {
    let says = |name: Known, word| {
        let mut values = head.headers.get_all(name);
        values.any(|value| has_word(value, word))
    };
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && says(UPGRADE, UPGRADE_PROTOCOL)
        && says(CONNECTION, "upgrade")
}

/// An endpoint's answer as the caller gets it: 101 has the tunnel behind it, which may last as long as
/// something moves.
pub(super) fn answer(
    reply: Reply,
    patience: Patience,
    cargo: Option<Cargo>,
    record: Record,
) -> Response<Body> {
    let Reply { head, body, first } = reply;
    match body {
        Incoming::Upgraded(endpoint) => tunnel(head, *endpoint, patience.idle, record),
        body => {
            let answer = Answer::Stream(Reply { head, body, first });
            reply::answer(answer, patience, cargo, record)
        }
    }
}

fn tunnel(
    mut head: Box<ResponseParts>,
    endpoint: Upgraded,
    idle: Duration,
    mut record: Record,
) -> Response<Body> {
    strip_hop_by_hop(&mut head.headers);
    record.status = head.status.as_u16();
    if let Some(turn) = &record.turn {
        turn.succeeded();
    }
    reply::rewrite(&mut record, &mut head);
    head.headers.insert(UPGRADE, UPGRADE_PROTOCOL);
    let on_close = Box::new(CloseRecord(record));
    let tunnel = Tunnel::new(endpoint, idle, on_close);
    let body = Body::Tunnel(Box::new(tunnel));
    Response { head, body }
}

/// Closes the record with the tunnel.
struct CloseRecord(Record);

impl OnClose for CloseRecord {
    fn closed(self: Box<Self>, from_caller: u64, to_caller: u64, why: Option<&str>) {
        let mut record = self.0;
        record.request_bytes = from_caller;
        record.close(to_caller, why);
    }
}
