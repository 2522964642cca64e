//! Who asks, and what endpoints are told of it.
//!
//! What a caller says of itself counts only if it is a proxy that is trusted.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};

use super::arrival::{Arrival, Origin};
use super::worker::ExchangeId;
use crate::fields::{
    APPGW_TRACE_ID, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PROTO, Fields, Known,
    Names, ORIGINAL_HOST, ORIGINAL_URL, as_text,
};
use crate::snapshot::{Door, Forwarded};

/// Whether the other end of the connection is a proxy whose word counts.
pub(super) fn is_trusted(origin: &Origin) -> bool {
    trusts(&origin.door, origin.peer.ip())
}

fn trusts(door: &Door, address: IpAddr) -> bool {
    let address = address.to_canonical();
    door.trusted.iter().any(|net| net.contains(&address))
}

/// The caller's address: that of the connection, or what the proxies in front say, read from the
/// nearest one on as far as each is trusted.
pub(super) fn client(origin: &Origin, headers: &Fields) -> IpAddr {
    let mut client = origin.peer.ip();
    if origin.door.trusted.is_empty() || !is_trusted(origin) {
        return client;
    }
    let said = headers
        .get_all(FORWARDED_FOR)
        .rev()
        .filter_map(as_text)
        .flat_map(|list| list.rsplit(','));
    for one in said {
        let Some(address) = address(one.trim()) else {
            break;
        };
        client = address;
        if !trusts(&origin.door, address) {
            break;
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse::<IpAddr>()
        .ok()
        .or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

/// Takes fields out whose names servers may take for others, where the listener says so.
pub(super) fn drop_odd_names(arrival: &mut Arrival<'_>) {
    if !arrival.origin.door.drops_odd_names {
        return;
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let odd = |name: &[u8]| !name.iter().all(plain);
    arrival.head.headers.remove_where(odd);
}

/// Tells the endpoint; `host` and `uri` are as the caller asked.
pub(super) fn tell(
    headers: &mut Fields,
    origin: &Origin,
    host: Option<&[u8]>,
    uri: &Uri,
    id: ExchangeId,
) {
    let door = &*origin.door;
    if let Some(name) = &door.certificate_header {
        headers.remove(name);
        let shown = origin
            .session
            .as_ref()
            .and_then(|session| session.certificate.as_ref());
        if let Some(value) = shown.and_then(|shown| certificate(&shown.der)) {
            headers.insert(name, &value);
        }
    }
    match door.forwarded {
        Forwarded::Off => {}
        // The common case: nothing that the caller says is kept.
        Forwarded::Plain if door.trusted.is_empty() || !is_trusted(origin) => {
            headers.remove_any(Names::of(&[FORWARDED_FOR, FORWARDED_PROTO]));
            headers.extend(&origin.forwarded);
            if let Some(host) = host {
                headers.insert(FORWARDED_HOST, host);
            }
        }
        Forwarded::Plain => {
            append_for(headers, origin.peer.ip().to_string().as_bytes());
            keep(headers, FORWARDED_PROTO, origin.scheme().as_bytes());
            if let Some(host) = host {
                keep(headers, FORWARDED_HOST, host);
            }
        }
        Forwarded::Gateway => gateway(headers, origin, host, uri, id),
    }
}

fn gateway(headers: &mut Fields, origin: &Origin, host: Option<&[u8]>, uri: &Uri, id: ExchangeId) {
    if !is_trusted(origin) {
        headers.remove_any(Names::of(&[FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_PORT]));
    }
    append_for(headers, origin.peer.to_string().as_bytes());
    keep(headers, FORWARDED_PROTO, origin.scheme().as_bytes());
    keep(headers, FORWARDED_PORT, origin.port.to_string().as_bytes());
    let url = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let trace = trace_id(id);
    let others = [
        (ORIGINAL_HOST, host),
        (ORIGINAL_URL, url.is_ascii().then_some(url.as_bytes())),
        (APPGW_TRACE_ID, Some(trace.as_bytes())),
    ];
    for (name, value) in others {
        // What a caller says of itself does not stay in any case.
        if !value.is_some_and(|value| headers.insert(name, value)) {
            headers.remove(name);
        }
    }
}

/// The exchange's id as 32 hexadecimal digits.
pub(super) fn trace_id(id: ExchangeId) -> String {
    format!("{:0>32}", id.to_string())
}

fn append_for(headers: &mut Fields, one: &[u8]) {
    let all: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).chain([one]).collect();
    let joined = all.join(&b", "[..]);
    headers.insert(FORWARDED_FOR, joined.as_slice());
}

fn keep(headers: &mut Fields, name: Known, value: &[u8]) {
    if !headers.contains(name) {
        headers.insert(name, value);
    }
}

/// A byte sequence of structured fields (RFC 9440 §2.2).
fn certificate(der: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!(":{}:", STANDARD.encode(der))).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_client_is_read_from_the_nearest_proxy_on_as_far_as_each_is_trusted() {
        let mut origin = Origin::new("public".into(), "10.0.0.1:5".parse().unwrap());
        let found = |origin: &Origin, list: &str| {
            let mut headers = Fields::new();
            assert!(headers.insert(FORWARDED_FOR, list));
            client(origin, &headers).to_string()
        };
        assert_eq!(found(&origin, "192.0.2.1"), "10.0.0.1", "nobody is trusted");
        origin.door = Arc::new(Door {
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            ..Door::default()
        });
        let cases = [
            ("192.0.2.1", "192.0.2.1"),
            ("evil, 192.0.2.1:4711, 10.9.9.9", "192.0.2.1"),
            ("203.0.113.9, [2001:db8::7]:443", "2001:db8::7"),
            ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
            ("junk, 10.2.2.2", "10.2.2.2"),
            ("", "10.0.0.1"),
        ];
        for (list, expected) in cases {
            assert_eq!(found(&origin, list), expected, "{list}");
        }
    }
}
