//! How field names are spelled on the wire.
//!
//! HTTP/1 names are case-insensitive, yet old SOAP servers refuse `soapaction` and `Soapaction`,
//! and some clients look for what they know letter by letter. So a sender's spelling goes along
//! with its fields where it is not the usual one, and everything else is spelled the usual way:
//! a capital after each hyphen, but for a list of names that the world spells differently.

use bytes::Bytes;
use http::HeaderName;
use http::header::{self};

/// Names whose usual spelling is not "a capital after each hyphen".
const ODD_NAMES: [&str; 12] = [
    "SOAPAction",
    "MIME-Version",
    "WWW-Authenticate",
    "Content-MD5",
    "Content-ID",
    "ETag",
    "TE",
    "DNT",
    "X-SOAP-Router-Fault",
    "X-Request-ID",
    "X-Correlation-ID",
    "Sec-WebSocket-Key",
];

/// `SOAPAction`, which is no name that `http` knows.
pub(super) const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");

/// A head's own spelling of its names, kept in its extensions where it is not the usual one.
#[derive(Debug, Clone, Default)]
pub(super) struct Spelled(pub(super) Vec<Bytes>);

/// The name, as `http` has it; the names that every message of ours carries cost no allocation.
pub(super) fn parse(written: &[u8]) -> Option<HeaderName> {
    match written.len() {
        4 if written.eq_ignore_ascii_case(b"host") => Some(header::HOST),
        6 if written.eq_ignore_ascii_case(b"accept") => Some(header::ACCEPT),
        10 if written.eq_ignore_ascii_case(b"soapaction") => Some(SOAP_ACTION),
        12 if written.eq_ignore_ascii_case(b"content-type") => Some(header::CONTENT_TYPE),
        14 if written.eq_ignore_ascii_case(b"content-length") => Some(header::CONTENT_LENGTH),
        _ => HeaderName::from_bytes(written).ok(),
    }
}

/// Whether a name is written the usual way.
pub(super) fn is_usual(written: &[u8]) -> bool {
    if let Some(odd) = odd(written) {
        return odd.as_bytes() == written;
    }
    let mut first = true;
    written.iter().all(|byte| {
        let fits = if first {
            !byte.is_ascii_lowercase()
        } else {
            !byte.is_ascii_uppercase()
        };
        first = *byte == b'-';
        fits
    })
}

/// Writes a name: as its sender did, if that is known, else the usual way.
pub(super) fn write(name: &HeaderName, spelled: Option<&Spelled>, out: &mut Vec<u8>) {
    let lower = name.as_str().as_bytes();
    if let Some(Spelled(all)) = spelled
        && let Some(written) = all.iter().find(|own| own.eq_ignore_ascii_case(lower))
    {
        return out.extend_from_slice(written);
    }
    if let Some(odd) = odd(lower) {
        return out.extend_from_slice(odd.as_bytes());
    }
    let from = out.len();
    out.extend_from_slice(lower);
    let mut first = true;
    for byte in out.iter_mut().skip(from) {
        if first {
            byte.make_ascii_uppercase();
        }
        first = *byte == b'-';
    }
}

fn odd(written: &[u8]) -> Option<&'static str> {
    // The lengths of the names in the list, as bits: most names are none of them.
    const LENGTHS: u32 = lengths();
    if written.len() > 31 || LENGTHS >> written.len() & 1 == 0 {
        return None;
    }
    ODD_NAMES
        .into_iter()
        .find(|odd| odd.as_bytes().eq_ignore_ascii_case(written))
}

const fn lengths() -> u32 {
    let (mut bits, mut at) = (0, 0);
    while at < ODD_NAMES.len() {
        bits |= 1 << ODD_NAMES[at].len();
        at += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_servers_know_them() {
        let names = [
            ("soapaction", "SOAPAction"),
            ("content-type", "Content-Type"),
            ("etag", "ETag"),
            ("x-forwarded-for", "X-Forwarded-For"),
            ("x--a", "X--A"),
        ];
        for (lower, usual) in names {
            let name = HeaderName::from_static(lower);
            let mut out = Vec::new();
            write(&name, None, &mut out);
            assert_eq!(out, usual.as_bytes());
            assert!(is_usual(usual.as_bytes()), "{usual}");
            assert!(!is_usual(lower.as_bytes()), "{lower}");
            let own = Spelled(vec![Bytes::from(lower.to_uppercase())]);
            out.clear();
            write(&name, Some(&own), &mut out);
            assert_eq!(out, lower.to_uppercase().as_bytes());
            assert_eq!(parse(usual.as_bytes()), Some(name));
        }
        assert_eq!(parse(b"a b"), None);
    }
}
