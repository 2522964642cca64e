//! Who asks, and what endpoints are told of it.
//!
//! What a caller says of itself counts only if it is a proxy that is trusted.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::arrival::{Arrival, Origin};
use super::worker::ExchangeId;
use crate::snapshot::{Door, Forwarded};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-original-host");
const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const TRACE_ID: HeaderName = HeaderName::from_static("x-appgw-trace-id");

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
pub(super) fn client(origin: &Origin, headers: &HeaderMap) -> IpAddr {
    let mut client = origin.peer.ip();
    if origin.door.trusted.is_empty() || !is_trusted(origin) {
        return client;
    }
    let lists: Vec<&HeaderValue> = headers.get_all(FOR).iter().collect();
    let said = lists
        .iter()
        .rev()
        .filter_map(|list| list.to_str().ok())
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
pub(super) fn drop_odd_names(arrival: &mut Arrival) {
    if !arrival.origin.door.drops_odd_names {
        return;
    }
    let headers = &mut arrival.head.headers;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let odd = |name: &&HeaderName| !name.as_str().bytes().all(plain);
    let names: Vec<HeaderName> = headers.keys().filter(odd).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Tells the endpoint; `host` and `uri` are as the caller asked.
pub(super) fn tell(
    headers: &mut HeaderMap,
    origin: &Origin,
    host: Option<&HeaderValue>,
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
            headers.insert(name, value);
        }
    }
    match door.forwarded {
        Forwarded::Off => {}
        // The common case: nothing that the caller says is kept.
        Forwarded::Plain if door.trusted.is_empty() || !is_trusted(origin) => {
            headers.insert(FOR, origin.forwarded_for.clone());
            headers.insert(PROTO, HeaderValue::from_static(origin.scheme()));
            if let Some(host) = host {
                headers.insert(HOST, host.clone());
            }
        }
        Forwarded::Plain => {
            append_for(headers, &origin.forwarded_for);
            keep(headers, PROTO, || {
                Some(HeaderValue::from_static(origin.scheme()))
            });
            keep(headers, HOST, || host.cloned());
        }
        Forwarded::Gateway => gateway(headers, origin, host, uri, id),
    }
}

fn gateway(
    headers: &mut HeaderMap,
    origin: &Origin,
    host: Option<&HeaderValue>,
    uri: &Uri,
    id: ExchangeId,
) {
    let text = |text: String| HeaderValue::from_str(&text).ok();
    if !is_trusted(origin) {
        for name in [FOR, PROTO, PORT] {
            headers.remove(name);
        }
    }
    if let Some(peer) = text(origin.peer.to_string()) {
        append_for(headers, &peer);
    }
    keep(headers, PROTO, || {
        Some(HeaderValue::from_static(origin.scheme()))
    });
    keep(headers, PORT, || Some(HeaderValue::from(origin.port)));
    let url = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let others = [
        (ORIGINAL_HOST, host.cloned()),
        (ORIGINAL_URL, text(url.to_owned())),
        (TRACE_ID, text(trace_id(id))),
    ];
    for (name, value) in others {
        match value {
            Some(value) => _ = headers.insert(name, value),
            None => _ = headers.remove(name),
        }
    }
}

/// The exchange's id as 32 hexadecimal digits.
pub(super) fn trace_id(id: ExchangeId) -> String {
    format!("{:0>32}", id.to_string())
}

fn append_for(headers: &mut HeaderMap, one: &HeaderValue) {
    let all: Vec<&[u8]> = headers
        .get_all(FOR)
        .iter()
        .chain([one])
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b", "[..])) {
        headers.insert(FOR, joined);
    }
}

fn keep(headers: &mut HeaderMap, name: HeaderName, value: impl FnOnce() -> Option<HeaderValue>) {
    if !headers.contains_key(&name)
        && let Some(value) = value()
    {
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
            let mut headers = HeaderMap::new();
            headers.insert(FOR, HeaderValue::from_str(list).unwrap());
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
