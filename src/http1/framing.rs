//! Where a body ends (RFC 9112 §6.3), and whether the connection goes on behind it (§9.3).

use http::{Method, StatusCode, Version};

use super::error::Malformed;
use crate::fields::{CONNECTION, CONTENT_LENGTH, Fields, Several, TRANSFER_ENCODING};

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; with none there is no body.
    Length(u64),
    /// With the chunk of size 0.
    Chunked,
    /// With the connection; only an answer can.
    UntilClose,
}

/// How a request's body is framed.
///
/// # Errors
/// Where two readers might not agree.
pub(super) fn of_request(headers: &Fields, version: Version) -> Result<Framing, Malformed> {
    let length = content_length(headers)?;
    let coding = headers.only(TRANSFER_ENCODING);
    if coding == Ok(None) {
        return Ok(Framing::Length(length.unwrap_or(0)));
    }
    if length.is_some() {
        return Err(Malformed::TwoFramings);
    }
    if !is_chunked(coding) || version != Version::HTTP_11 {
        return Err(Malformed::TransferEncoding);
    }
    Ok(Framing::Chunked)
}

/// How an answer's body is framed, and whether that alone forbids to keep the connection.
///
/// # Errors
/// Where two readers might not agree.
pub(super) fn of_response(
    headers: &Fields,
    version: Version,
    status: StatusCode,
    asked: &Method,
) -> Result<(Framing, bool), Malformed> {
    if has_no_body(status) || *asked == Method::HEAD {
        return Ok((Framing::Length(0), false));
    }
    let coding = headers.only(TRANSFER_ENCODING);
    if coding == Ok(None) {
        return Ok(match content_length(headers)? {
            Some(length) => (Framing::Length(length), false),
            None => (Framing::UntilClose, true),
        });
    }
    if !is_chunked(coding) {
        return Err(Malformed::TransferEncoding);
    }
    // Both framings, or chunks where there are none: chunks count, and the connection is not
    // trusted any further.
    let faulty = headers.contains(CONTENT_LENGTH) || version != Version::HTTP_11;
    Ok((Framing::Chunked, faulty))
}

/// Whether answers of this status have no body, whatever their fields say (RFC 9110 §6.4.1).
pub(super) fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Whether the sender of this head keeps the connection (RFC 9112 §9.3).
pub(super) fn keeps_alive(headers: &Fields, version: Version) -> bool {
    let mut keeps = version == Version::HTTP_11;
    for value in headers.get_all(CONNECTION) {
        if has_word(value, "close") {
            return false;
        }
        keeps |= has_word(value, "keep-alive");
    }
    keeps
}

/// `Content-Length`: one field, one number.
fn content_length(headers: &Fields) -> Result<Option<u64>, Malformed> {
    let value = headers.only(CONTENT_LENGTH);
    let Some(digits) = value.map_err(|_| Malformed::ContentLength)? else {
        return Ok(None);
    };
    if digits.is_empty() || digits.len() > 19 {
        return Err(Malformed::ContentLength);
    }
    let mut number = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Malformed::ContentLength);
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    Ok(Some(number))
}

/// Whether that is the one coding.
fn is_chunked(coding: Result<Option<&[u8]>, Several>) -> bool {
    matches!(coding, Ok(Some(value)) if value.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Whether a list has this word.
#[must_use]
pub fn has_word(value: &[u8], word: &str) -> bool {
    value.eq_ignore_ascii_case(word.as_bytes())
        || value
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}
