//! Heads: request lines, status lines and fields, from bytes that may not all be there yet.
//!
//! Most are plain and read in one pass (`plain.rs`). For all others `httparse` knows the grammar;
//! what it lets pass for the sake of old peers is refused here where another reader might see
//! another message.

use std::mem::MaybeUninit;

use bytes::{Buf as _, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use super::error::Malformed;
use super::framing::{self, Framing};
use super::plain;
use crate::fields::{EXPECT, Fields, HOST, RequestParts, ResponseParts};

/// Fields up to which no memory is taken to parse them.
const FEW_FIELDS: usize = 64;

/// Room for them.
const FEW: [MaybeUninit<httparse::Header<'_>>; FEW_FIELDS] =
    [const { MaybeUninit::uninit() }; FEW_FIELDS];

/// Longest name of a field, which is what `http` takes.
const NAME_MAX: usize = 65_535;

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes, from the first of the first line to the last of the empty one.
    pub bytes_max: usize,
    /// Fields.
    pub fields_max: usize,
}

/// A request's head.
#[derive(Debug)]
pub struct RequestHead {
    /// Line and fields; they go from hand to hand.
    pub parts: Box<RequestParts>,
    /// How its body is framed.
    pub framing: Framing,
    /// Whether the caller will send another one on the connection.
    pub keep_alive: bool,
    /// Whether the caller waits to be told to go on (`Expect: 100-continue`).
    pub expects: bool,
}

/// An answer's head.
#[derive(Debug)]
pub struct ResponseHead {
    /// Line and fields; they go from hand to hand.
    pub parts: Box<ResponseParts>,
    /// How its body is framed.
    pub framing: Framing,
    /// Whether the endpoint will take another request on the connection.
    pub keep_alive: bool,
}

/// Takes a request's head off the input; `None` as long as it is not all there. `scanned` says
/// how much of the input was looked at before, and must be 0 for a new head.
///
/// # Errors
/// When it is none, or larger than may be.
pub fn read_request(
    input: &mut BytesMut,
    scanned: &mut usize,
    limits: Limits,
) -> Result<Option<RequestHead>, Malformed> {
    skip_empty_lines(input, scanned);
    let plain = (*scanned == 0).then(|| plain::request(input, limits));
    let (mut parts, end) = match plain.flatten() {
        Some(read) => read,
        None => match end_so_far(input, scanned, limits, is_request_so_far)? {
            Some(end) => (request(input.get(..end).unwrap_or_default(), limits)?, end),
            None => return Ok(None),
        },
    };
    input.advance(end);
    parts.headers.spell();
    check_host(&parts)?;
    Ok(Some(RequestHead {
        framing: framing::of_request(&parts.headers, parts.version)?,
        keep_alive: framing::keeps_alive(&parts.headers, parts.version),
        expects: parts.version == Version::HTTP_11
            && parts
                .headers
                .get(EXPECT)
                .is_some_and(|value| framing::has_word(value, "100-continue")),
        parts: Box::new(parts),
    }))
}

/// A request's head that is there whole.
fn request(head: &[u8], limits: Limits) -> Result<RequestParts, Malformed> {
    let (mut few, mut many) = (FEW, Vec::new());
    let mut parsed = httparse::Request::new(&mut []);
    let mut read = parsed.parse_with_uninit_headers(head, within(&mut few, limits));
    if has_more(read, limits) {
        many.resize(limits.fields_max, MaybeUninit::uninit());
        parsed = httparse::Request::new(&mut []);
        read = parsed.parse_with_uninit_headers(head, &mut many);
    }
    complete(read, head.len(), limits)?;
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Malformed::Part);
    };
    Ok(RequestParts {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| Malformed::Part)?,
        uri: Uri::try_from(target).map_err(|_| Malformed::Part)?,
        version: version(minor),
        headers: fields(parsed.headers)?,
    })
}

/// There is one `Host`, of one name; old callers may do without.
fn check_host(head: &RequestParts) -> Result<(), Malformed> {
    let fits = match head.headers.only(HOST) {
        Ok(Some(host)) => !host.contains(&b','),
        Ok(None) => head.version == Version::HTTP_10,
        Err(_) => false,
    };
    fits.then_some(()).ok_or(Malformed::Host)
}

/// Takes an answer's head off the input, as [`read_request`] does; `asked` is the request's
/// method.
///
/// # Errors
/// When it is none, or larger than may be.
pub fn read_response(
    input: &mut BytesMut,
    scanned: &mut usize,
    limits: Limits,
    asked: &Method,
) -> Result<Option<ResponseHead>, Malformed> {
    skip_empty_lines(input, scanned);
    let plain = (*scanned == 0).then(|| plain::response(input, limits));
    let (parts, version, end) = match plain.flatten() {
        Some(read) => read,
        None => match end_so_far(input, scanned, limits, is_response_so_far)? {
            Some(end) => {
                let (parts, version) = response(input.get(..end).unwrap_or_default(), limits)?;
                (parts, version, end)
            }
            None => return Ok(None),
        },
    };
    input.advance(end);
    let (framing, faulty) = framing::of_response(&parts.headers, version, parts.status, asked)?;
    Ok(Some(ResponseHead {
        framing,
        keep_alive: !faulty && framing::keeps_alive(&parts.headers, version),
        parts: Box::new(parts),
    }))
}

/// An answer's head that is there whole.
fn response(head: &[u8], limits: Limits) -> Result<(ResponseParts, Version), Malformed> {
    let (mut few, mut many) = (FEW, Vec::new());
    let config = httparse::ParserConfig::default();
    let mut parsed = httparse::Response::new(&mut []);
    let space = within(&mut few, limits);
    let mut read = config.parse_response_with_uninit_headers(&mut parsed, head, space);
    if has_more(read, limits) {
        many.resize(limits.fields_max, MaybeUninit::uninit());
        parsed = httparse::Response::new(&mut []);
        read = config.parse_response_with_uninit_headers(&mut parsed, head, &mut many);
    }
    complete(read, head.len(), limits)?;
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(Malformed::Part);
    };
    let parts = ResponseParts {
        status: StatusCode::from_u16(code).map_err(|_| Malformed::Part)?,
        headers: fields(parsed.headers)?,
    };
    Ok((parts, version(minor)))
}

/// Takes the fields behind the last chunk off the input; `None` as long as they are not all
/// there.
pub(super) fn read_trailers(
    input: &mut BytesMut,
    scanned: &mut usize,
    limits: Limits,
) -> Result<Option<HeaderMap>, Malformed> {
    if input.starts_with(b"\r\n") {
        *scanned = 0;
        let _ = input.split_to(2);
        return Ok(Some(HeaderMap::new()));
    }
    let Some(end) = end_so_far(input, scanned, limits, |_| Ok(()))? else {
        return Ok(None);
    };
    let mut space = [httparse::EMPTY_HEADER; FEW_FIELDS];
    let parsed = httparse::parse_headers(input.get(..end).unwrap_or_default(), &mut space);
    let fields = match parsed {
        Ok(httparse::Status::Complete((at, parsed))) if at == end => trailers(parsed)?,
        Ok(_) => return Err(Malformed::Part),
        Err(error) => return Err(syntax(error, limits)),
    };
    input.advance(end);
    Ok(Some(fields))
}

/// Empty lines before a head are left over from old clients (RFC 9112 §2.2).
fn skip_empty_lines(input: &mut BytesMut, scanned: &mut usize) {
    while let [b'\r', b'\n', ..] = **input {
        input.advance(2);
        *scanned = scanned.saturating_sub(2);
    }
}

/// Where the head ends, once all of it is there.
fn end_so_far(
    input: &[u8],
    scanned: &mut usize,
    limits: Limits,
    so_far: fn(&[u8]) -> Result<(), httparse::Error>,
) -> Result<Option<usize>, Malformed> {
    let end = end_of_head(input, *scanned)?;
    if end.unwrap_or(input.len()) > limits.bytes_max {
        return Err(Malformed::HeadBytes(limits.bytes_max));
    }
    // What is no head from its beginning on is not waited for.
    if end.is_none() && *scanned == 0 && !input.is_empty() {
        so_far(input).map_err(Malformed::Syntax)?;
    }
    *scanned = if end.is_some() { 0 } else { input.len() };
    Ok(end)
}

/// Where the empty line ends, looking at what comes behind `from`; every line must end in CRLF.
fn end_of_head(input: &[u8], from: usize) -> Result<Option<usize>, Malformed> {
    let fresh = input.get(from..).unwrap_or_default();
    for found in memchr::memchr_iter(b'\n', fresh) {
        let at = from + found;
        match input.get(..at) {
            Some([.., b'\n', b'\r']) => return Ok(Some(at + 1)),
            Some([.., b'\r']) => {}
            _ => return Err(Malformed::BareLineFeed),
        }
    }
    Ok(None)
}

/// Room for few fields, as many as there may be.
fn within<'s, 'h>(
    few: &'s mut [MaybeUninit<httparse::Header<'h>>; FEW_FIELDS],
    limits: Limits,
) -> &'s mut [MaybeUninit<httparse::Header<'h>>] {
    few.get_mut(..limits.fields_max.min(FEW_FIELDS))
        .unwrap_or_default()
}

/// Whether there are more fields than few, as there may be.
fn has_more(read: httparse::Result<usize>, limits: Limits) -> bool {
    matches!(read, Err(httparse::Error::TooManyHeaders)) && limits.fields_max > FEW_FIELDS
}

fn is_request_so_far(input: &[u8]) -> Result<(), httparse::Error> {
    let mut space = FEW;
    let mut parsed = httparse::Request::new(&mut []);
    not_too_many(parsed.parse_with_uninit_headers(input, &mut space))
}

fn is_response_so_far(input: &[u8]) -> Result<(), httparse::Error> {
    let mut space = [httparse::EMPTY_HEADER; FEW_FIELDS];
    not_too_many(httparse::Response::new(&mut space).parse(input))
}

/// How many fields there may be is judged when they are all there.
fn not_too_many(read: httparse::Result<usize>) -> Result<(), httparse::Error> {
    match read {
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Ok(()),
        Err(error) => Err(error),
    }
}

fn complete(read: httparse::Result<usize>, length: usize, limits: Limits) -> Result<(), Malformed> {
    match read {
        Ok(httparse::Status::Complete(end)) if end == length => Ok(()),
        Ok(_) => Err(Malformed::Part),
        Err(error) => Err(syntax(error, limits)),
    }
}

fn syntax(error: httparse::Error, limits: Limits) -> Malformed {
    match error {
        httparse::Error::TooManyHeaders => Malformed::HeadFields(limits.fields_max),
        error => Malformed::Syntax(error),
    }
}

fn version(minor: u8) -> Version {
    if minor == 0 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    }
}

/// The fields of a head, which `httparse` has seen to: what it lets pass is what may be written.
fn fields(parsed: &[httparse::Header<'_>]) -> Result<Fields, Malformed> {
    if parsed.iter().any(|field| field.name.len() > NAME_MAX) {
        return Err(Malformed::Part);
    }
    let places = parsed
        .iter()
        .map(|field| (field.name.as_bytes(), field.value));
    Ok(Fields::read(places))
}

/// Fields behind a body, as those that hand bodies on have them.
fn trailers(parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, Malformed> {
    let mut map = HeaderMap::with_capacity(parsed.len());
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Part)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Malformed::Part)?;
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes_max: 1000,
        fields_max: 6,
    };

    /// Every byte of these heads, made any other; and every beginning of them.
    fn nearly(head: &str, mut check: impl FnMut(&[u8])) {
        for behind in ["", "<a>\0\r\n\r\n: b\r\n", "12"] {
            let text = [head, behind].concat().into_bytes();
            for at in 0..text.len() {
                check(&text[..at]);
                let mut other = text.clone();
                for byte in 0..=u8::MAX {
                    other[at] = byte;
                    check(&other);
                }
            }
        }
    }

    /// What is read in one pass, `httparse` reads the same; and nearly everything is.
    #[test]
    fn what_is_plain_is_read_the_same_by_httparse() {
        let requests = [
            "POST /a?b=c HTTP/1.1\r\nHost: a:80\r\nX: Y:z\r\nE: \r\nSOAPAction: \"urn:a\"\r\nx-own: \u{e9}\ta\r\n\r\n",
            "GET http://a:1/b HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\n\r\n",
        ];
        let mut plain = 0;
        for head in requests {
            nearly(head, |input| {
                if let Some((parts, end)) = plain::request(input, LIMITS) {
                    assert_eq!(end_of_head(input, 0), Ok(Some(end)));
                    assert_eq!(request(&input[..end], LIMITS).unwrap(), parts);
                    plain += 1;
                }
            });
        }
        let answers = [
            "HTTP/1.1 200 OK\r\nServer: a b\r\nContent-Length: 12\r\n_: c\r\n\r\n",
            "HTTP/1.0 500\r\nA: 1\r\n\r\n",
        ];
        for head in answers {
            nearly(head, |input| {
                if let Some((parts, version, end)) = plain::response(input, LIMITS) {
                    assert_eq!(end_of_head(input, 0), Ok(Some(end)));
                    assert_eq!(response(&input[..end], LIMITS).unwrap(), (parts, version));
                    plain += 1;
                }
            });
        }
        assert!(plain > 40_000, "only {plain} were plain");
    }
}
