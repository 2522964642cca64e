//! Heads as nearly everybody writes them, in one pass: where they end and where their fields are.
//!
//! What is written in any other way, or is no head at all, is left to `httparse`, which judges it
//! (`head.rs`); so what is read here is read the same there, which the property tests and the fuzz
//! target hold, since only what comes whole and at once is read here.
//!
//! Sixteen bytes at a time: line ends, colons and what may not stand in a head, as bits.

use http::{Method, StatusCode, Uri, Version};
use wide::u8x16;

use super::head::Limits;
use crate::fields::{Known, Reading, RequestParts, ResponseParts};

/// Bytes looked at together.
const LANE: usize = 16;

/// A head's first line, its fields, and where it ends.
struct Plain<'a> {
    line: &'a [u8],
    fields: Reading,
    end: usize,
}

/// What is in a lane, a bit for each byte.
struct Seen {
    line_ends: u32,
    colons: u32,
    /// Control characters, and CR or LF without the other.
    wrong: u32,
    /// Whether the last byte is a CR.
    ends_in_cr: u32,
}

/// A request's head at the beginning of the input, and where it ends.
pub(super) fn request(input: &[u8], limits: Limits) -> Option<(RequestParts, usize)> {
    let Plain { line, fields, end } = read(input, limits)?;
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let (method, rest) = line.split_at(blank);
    let (target, version) = rest.get(1..)?.split_last_chunk()?;
    let version = match version {
        b" HTTP/1.1" => Version::HTTP_11,
        b" HTTP/1.0" => Version::HTTP_10,
        _ => return None,
    };
    if !target.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let parts = RequestParts {
        method: Method::from_bytes(method).ok()?,
        uri: Uri::try_from(target).ok()?,
        version,
        headers: fields.fields(input),
    };
    Some((parts, end))
}

/// An answer's head at the beginning of the input, its version, and where it ends.
pub(super) fn response(input: &[u8], limits: Limits) -> Option<(ResponseParts, Version, usize)> {
    let Plain { line, fields, end } = read(input, limits)?;
    let (version, rest) = line.split_first_chunk()?;
    let version = match version {
        b"HTTP/1.1 " => Version::HTTP_11,
        b"HTTP/1.0 " => Version::HTTP_10,
        _ => return None,
    };
    let (code, reason) = rest.split_first_chunk::<3>()?;
    if !matches!(reason, [] | [b' ', ..]) || !reason.is_ascii() {
        return None;
    }
    let parts = ResponseParts {
        status: StatusCode::from_bytes(code).ok()?,
        headers: fields.fields(input),
    };
    Some((parts, version, end))
}

/// The lines up to the empty one, if all of them are there and plain.
fn read(input: &[u8], limits: Limits) -> Option<Plain<'_>> {
    let mut fields = Reading::default();
    let mut line = None;
    let (mut start, mut colon, mut at, mut after_cr) = (0, None, 0, 0);
    loop {
        let (seen, first) = look(input, at, after_cr)?;
        let mut events = seen.line_ends | seen.colons;
        while events != 0 {
            let bit = events.trailing_zeros();
            events &= events - 1;
            let here = first + bit as usize;
            if seen.line_ends >> bit & 1 == 0 {
                colon = colon.or(Some(here));
                continue;
            }
            // Whatever is wrong up to this byte.
            if seen.wrong & ((2 << bit) - 1) != 0 {
                return None;
            }
            let end = here.checked_sub(1)?;
            match line {
                Some(line) if start == end => {
                    let end = here + 1;
                    let fits = end <= limits.bytes_max && fields.count() <= limits.fields_max;
                    return fits.then_some(Plain { line, fields, end });
                }
                Some(_) => field(input, start, colon?, end, &mut fields)?,
                None => {
                    line = Some(input.get(..end)?);
                    fields.begin(here + 1);
                }
            }
            (start, colon) = (here + 1, None);
        }
        if seen.wrong != 0 {
            return None;
        }
        (at, after_cr) = (first + LANE, seen.ends_in_cr);
    }
}

/// The bytes from `at` on, or the last ones of the input without those before `at`; and where the
/// first of them stands.
fn look(input: &[u8], at: usize, after_cr: u32) -> Option<(Seen, usize)> {
    let (lane, first, known) = match input.get(at..).and_then(<[u8]>::first_chunk::<LANE>) {
        Some(lane) => (lane, at, 0),
        None if at < input.len() => {
            let first = input.len().checked_sub(LANE)?;
            (input.last_chunk::<LANE>()?, first, at - first)
        }
        None => return None,
    };
    let bytes = u8x16::new(*lane);
    let equal = |byte| bytes.simd_eq(u8x16::splat(byte));
    let (lf, cr, tab) = (equal(b'\n'), equal(b'\r'), equal(b'\t'));
    let low = bytes.min(u8x16::splat(0x1F)).simd_eq(bytes);
    let control = (low ^ (lf | cr | tab)) | equal(0x7F);
    let (lf, cr) = (lf.to_bitmask(), cr.to_bitmask());
    let unknown = u32::MAX << known;
    let ends = lf & unknown;
    // A lane that begins before `at` has the byte before it, too.
    let after = if known == 0 {
        cr << 1 | after_cr
    } else {
        cr << 1
    };
    let whole = (1 << LANE) - 1;
    let seen = Seen {
        line_ends: ends,
        colons: equal(b':').to_bitmask() & unknown,
        wrong: (control.to_bitmask() | ((after ^ lf) & whole)) & unknown,
        ends_in_cr: cr >> (LANE - 1) & 1,
    };
    Some((seen, first))
}

/// A field's line: a name, a colon and a blank, and a value without blanks around it.
fn field(input: &[u8], start: usize, colon: usize, end: usize, fields: &mut Reading) -> Option<()> {
    let name = input.get(start..colon)?;
    let (blank, value) = input.get(colon + 1..end)?.split_first()?;
    let blanks = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if *blank != b' ' || blanks(value.first()) || blanks(value.last()) {
        return None;
    }
    let known = Known::of(name);
    if known.is_none() && (name.is_empty() || !name.iter().all(|byte| is_token(*byte))) {
        return None;
    }
    fields.line(start, colon, end, known)
}

/// Characters of names (RFC 9110 §5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        )
}
