//! How field names are spelled on the wire.
//!
//! HTTP/1 names are case-insensitive, yet old SOAP servers refuse `soapaction` and `Soapaction`,
//! and some clients look for what they know letter by letter. So a sender's spelling goes along
//! with its fields where it is not the usual one, and everything else is spelled the usual way:
//! a capital after each hyphen, but for a list of names that the world spells differently.

use bytes::Bytes;
use http::HeaderName;
use http::header;

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
const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");

/// A head's own spelling of its names, kept in its extensions where it is not the usual one.
#[derive(Debug, Clone, Default)]
pub(super) struct Spelled(pub(super) Vec<Bytes>);

/// Names that most messages have, with what `http` calls them: looked up whole, both ways.
macro_rules! frequent {
    ($($usual:literal $lower:literal $name:expr;)*) => {
        fn frequent(written: &[u8]) -> Option<HeaderName> {
            $(if written == $usual { return Some($name); })*
            None
        }

        fn usual(name: &str) -> Option<&'static [u8]> {
            match name {
                $($lower => Some($usual),)*
                _ => None,
            }
        }

        #[cfg(test)]
        fn all_frequent() -> Vec<(&'static [u8], &'static str, HeaderName)> {
            vec![$(($usual.as_slice(), $lower, $name)),*]
        }
    };
}

frequent! {
    b"Host" "host" header::HOST;
    b"Content-Type" "content-type" header::CONTENT_TYPE;
    b"Content-Length" "content-length" header::CONTENT_LENGTH;
    b"SOAPAction" "soapaction" SOAP_ACTION;
    b"Date" "date" header::DATE;
    b"Server" "server" header::SERVER;
    b"Connection" "connection" header::CONNECTION;
    b"Accept" "accept" header::ACCEPT;
    b"User-Agent" "user-agent" header::USER_AGENT;
    b"Accept-Encoding" "accept-encoding" header::ACCEPT_ENCODING;
    b"Keep-Alive" "keep-alive" KEEP_ALIVE;
    b"Cache-Control" "cache-control" header::CACHE_CONTROL;
    b"Transfer-Encoding" "transfer-encoding" header::TRANSFER_ENCODING;
    b"Authorization" "authorization" header::AUTHORIZATION;
    b"X-Forwarded-For" "x-forwarded-for" FORWARDED_FOR;
    b"X-Forwarded-Proto" "x-forwarded-proto" FORWARDED_PROTO;
    b"X-Forwarded-Host" "x-forwarded-host" FORWARDED_HOST;
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The name as `http` has it, and whether it is written the usual way.
pub(super) fn parse(written: &[u8]) -> Option<(HeaderName, bool)> {
    if let Some(name) = frequent(written) {
        return Some((name, true));
    }
    let name = HeaderName::from_bytes(written).ok()?;
    Some((name, is_usual(written)))
}

/// Whether a name is written the usual way.
fn is_usual(written: &[u8]) -> bool {
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
    let lower = name.as_str();
    if let Some(Spelled(all)) = spelled
        && let Some(written) = all
            .iter()
            .find(|own| own.eq_ignore_ascii_case(lower.as_bytes()))
    {
        return out.extend_from_slice(written);
    }
    if let Some(usual) = usual(lower) {
        return out.extend_from_slice(usual);
    }
    if let Some(odd) = odd(lower.as_bytes()) {
        return out.extend_from_slice(odd.as_bytes());
    }
    let from = out.len();
    out.extend_from_slice(lower.as_bytes());
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
            ("x--ab", "X--Ab"),
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
            assert_eq!(parse(usual.as_bytes()), Some((name.clone(), true)));
            assert_eq!(parse(lower.to_uppercase().as_bytes()), Some((name, false)));
        }
        assert_eq!(parse(b"a b"), None);
        for (usual, lower, name) in all_frequent() {
            assert!(is_usual(usual) && usual.eq_ignore_ascii_case(lower.as_bytes()));
            assert_eq!(name.as_str(), lower);
        }
    }
}
