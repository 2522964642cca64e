//! Messages onto the wire: lines, fields, and the framing of bodies.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};

use super::buffers::Outbox;
use super::date;
use super::error::{BoxError, Error};
use super::framing::has_no_body;
use crate::fields::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, Known,
    Names, RequestParts, ResponseParts, SET_COOKIE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    write_name,
};

/// Fields that frame the message or manage the connection: these are written anew.
const OURS: Names = Names::of(&[TRANSFER_ENCODING, CONNECTION, CONTENT_LENGTH]);
/// The same for answers without a body, which may say how long it would be.
const OURS_BUT_LENGTH: Names = Names::of(&[TRANSFER_ENCODING, CONNECTION]);
/// Fields that would change how the message is read must not come behind it (RFC 9110 §6.5.1).
const NO_TRAILERS: Names = Names::of(&[
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    HOST,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONNECTION,
    TRAILER,
    AUTHORIZATION,
    SET_COOKIE,
]);

/// How a body is framed on its way out, and how much of it is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coder {
    /// There is none, whatever is given.
    Nothing,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What the other end is told of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Close,
    KeepAlive,
    /// Something else is spoken on it behind this head.
    Upgrade,
}

/// Writes a request's head; `target` is what stands in the request line.
pub(super) fn request(parts: &RequestParts, hint: &SizeHint, out: &mut Vec<u8>) -> Coder {
    let coder = match hint.exact() {
        Some(0) if has_no_body_by_itself(&parts.method) => Coder::Nothing,
        Some(length) => Coder::Length(length),
        None => Coder::Chunked,
    };
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    let target = parts.uri.path_and_query();
    out.extend_from_slice(target.map_or("/", |target| target.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    parts.headers.write(OURS, out);
    framing(coder, out);
    if upgrades(parts) {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
    out.extend_from_slice(b"\r\n");
    coder
}

/// Whether the request asks to change the protocol. What a caller asked for its own connection was
/// taken out before; the method keeps messages from being looked at for it.
pub(super) fn upgrades(parts: &RequestParts) -> bool {
    parts.method == Method::GET && parts.headers.contains(UPGRADE)
}

/// Writes an answer's head, for a caller that speaks `version` and asked with `HEAD` or not;
/// says how its body is framed and whether the connection must end behind it.
pub(super) fn response(
    parts: &ResponseParts,
    hint: &SizeHint,
    (version, head_only): (Version, bool),
    told: Told,
    out: &mut Vec<u8>,
) -> Coder {
    let old = version == Version::HTTP_10;
    let coder = match hint.exact() {
        _ if head_only || has_no_body(parts.status) => Coder::Nothing,
        Some(length) => Coder::Length(length),
        None if old => Coder::UntilClose,
        None => Coder::Chunked,
    };
    out.extend_from_slice(if old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    let reason = parts.status.canonical_reason().unwrap_or("Status");
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    // An answer without a body may say how long that would be (RFC 9110 §8.6).
    let announces = head_only || parts.status == StatusCode::NOT_MODIFIED;
    parts
        .headers
        .write(if announces { OURS_BUT_LENGTH } else { OURS }, out);
    if !parts.headers.contains(DATE) {
        date::line(out);
    }
    if head_only
        && !parts.headers.contains(CONTENT_LENGTH)
        && let Some(length) = hint.exact().filter(|length| *length > 0)
    {
        framing(Coder::Length(length), out);
    }
    framing(coder, out);
    match (coder, told) {
        (Coder::UntilClose, _) | (_, Told::Close) => {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        (_, Told::KeepAlive) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (_, Told::Upgrade) => out.extend_from_slice(b"Connection: Upgrade\r\n"),
        (_, Told::Nothing) => {}
    }
    out.extend_from_slice(b"\r\n");
    coder
}

/// Takes from a body what it has and what there is room for. The body is gone when it is over.
pub(super) fn gather<B>(
    cx: &mut Context<'_>,
    body: &mut Option<B>,
    coder: &mut Coder,
    out: &mut Outbox,
) -> Result<(), Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    while let Some(source) = body
        && !out.is_full()
    {
        match Pin::new(source).poll_frame(cx) {
            Poll::Pending => break,
            Poll::Ready(Some(Ok(frame))) => {
                coder.frame(frame, out)?;
                if coder.is_complete() {
                    *body = None;
                }
            }
            Poll::Ready(Some(Err(error))) => return Err(Error::Body(error.into())),
            Poll::Ready(None) => {
                coder.end(out)?;
                *body = None;
            }
        }
    }
    Ok(())
}

/// Methods that are not expected to have a body, so that none need not be announced.
fn has_no_body_by_itself(method: &Method) -> bool {
    *method != Method::POST && *method != Method::PUT && *method != Method::PATCH
}

fn line(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn framing(coder: Coder, out: &mut Vec<u8>) {
    match coder {
        Coder::Nothing | Coder::UntilClose => {}
        Coder::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Coder::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn decimal(number: u64, out: &mut Vec<u8>) {
    digits(number, 10, out);
}

fn digits(mut number: u64, base: u64, out: &mut Vec<u8>) {
    let from = out.len();
    loop {
        let digit = u32::try_from(number % base).unwrap_or(0);
        let character = char::from_digit(digit, 16).map_or(b'0', |found| found as u8);
        out.push(character);
        number /= base;
        if number == 0 {
            break;
        }
    }
    if let Some(written) = out.get_mut(from..) {
        written.reverse();
    }
}

impl Coder {
    /// Whether nothing more is to come, by what was announced.
    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Nothing | Self::Length(0))
    }

    /// Puts the next of a body into the outbox.
    pub(super) fn frame(&mut self, frame: Frame<Bytes>, out: &mut Outbox) -> Result<(), Error> {
        match frame.into_data() {
            Ok(data) => self.data(data, out),
            Err(other) => {
                if let (Self::Chunked, Ok(trailers)) = (*self, other.into_trailers()) {
                    self.last_chunk(Some(&trailers), out);
                }
                Ok(())
            }
        }
    }

    fn data(&mut self, data: Bytes, out: &mut Outbox) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        match self {
            Self::Nothing => {}
            Self::Length(rest) => {
                *rest = rest.checked_sub(data.len() as u64).ok_or(Error::Length)?;
                out.push(data, b"");
            }
            Self::Chunked => {
                digits(data.len() as u64, 16, out.text());
                out.text().extend_from_slice(b"\r\n");
                out.push(data, b"\r\n");
            }
            Self::UntilClose => out.push(data, b""),
        }
        Ok(())
    }

    /// The body is over.
    pub(super) fn end(&mut self, out: &mut Outbox) -> Result<(), Error> {
        match self {
            Self::Length(0) | Self::Nothing | Self::UntilClose => Ok(()),
            Self::Length(_) => Err(Error::Length),
            Self::Chunked => {
                self.last_chunk(None, out);
                Ok(())
            }
        }
    }

    fn last_chunk(&mut self, trailers: Option<&HeaderMap>, out: &mut Outbox) {
        let text = out.text();
        text.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            let name = name.as_str().as_bytes();
            if !Known::of(name).is_some_and(|known| NO_TRAILERS.has(known)) {
                write_name(name, text);
                line(value.as_bytes(), text);
            }
        }
        text.extend_from_slice(b"\r\n");
        *self = Self::Nothing;
    }
}
