//! Finds the next byte that matters, sixteen bytes at a time.
//!
//! Safe SIMD through `wide`, with a plain loop for the last bytes of a buffer; knows bytes, not XML rules.

use wide::{i8x16, u8x16};

/// Sixteen bytes from `at`, if there are so many.
#[inline(always)]
fn load(buf: &[u8], at: usize) -> Option<u8x16> {
    let bytes: [u8; 16] = buf.get(at..at + 16)?.try_into().ok()?;
    Some(u8x16::new(bytes))
}

#[inline(always)]
fn equals(bytes: u8x16, wanted: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(wanted))
}

/// All lanes whose byte is `max` or less.
#[inline(always)]
fn at_most(bytes: u8x16, max: u8) -> u8x16 {
    bytes.min(u8x16::splat(max)).simd_eq(bytes)
}

/// What a block of bytes contains that needs a closer look.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Survey {
    /// A byte above 0x7F.
    pub(super) non_ascii: bool,
    /// A control character other than white space.
    pub(super) control: bool,
    /// `&`, `]` or a carriage return.
    pub(super) special: bool,
}

/// Looks over a block once, closely only where something is out of the common.
pub(super) fn survey(block: &[u8]) -> Survey {
    let zero = u8x16::splat(0);
    let (mut odd, mut special) = (zero, zero);
    let (lanes, rest) = block.as_chunks::<16>();
    for lane in lanes {
        let bytes = u8x16::new(*lane);
        // As signed numbers, bytes above 0x7F are below 0x20 as well.
        let low = bytes.cast_signed().simd_lt(i8x16::splat(0x20));
        odd |= low.cast_unsigned() & !(equals(bytes, b'\n') | equals(bytes, b'\t'));
        special |= equals(bytes, b'&') | equals(bytes, b']');
    }
    let plain = odd.to_bitmask() == 0
        && rest
            .iter()
            .all(|&byte| byte < 0x80 && (byte >= 0x20 || matches!(byte, b'\n' | b'\t')));
    if !plain {
        return survey_closely(block);
    }
    Survey {
        non_ascii: false,
        control: false,
        special: special.to_bitmask() != 0 || rest.iter().any(|b| matches!(b, b'&' | b']')),
    }
}

fn survey_closely(block: &[u8]) -> Survey {
    let zero = u8x16::splat(0);
    let (mut any, mut control, mut special) = (zero, zero, zero);
    let (lanes, rest) = block.as_chunks::<16>();
    for lane in lanes {
        let bytes = u8x16::new(*lane);
        any |= bytes;
        let returns = equals(bytes, b'\r');
        let space = equals(bytes, b'\n') | equals(bytes, b'\t') | returns;
        // A byte is a control character exactly when it is at most 0x1F.
        control |= at_most(bytes, 0x1F) ^ space;
        special |= equals(bytes, b'&') | equals(bytes, b']') | returns;
    }
    let mut found = Survey {
        non_ascii: any.to_bitmask() != 0,
        control: control.to_bitmask() != 0,
        special: special.to_bitmask() != 0,
    };
    for &byte in rest {
        found.non_ascii |= byte >= 0x80;
        found.control |= byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
        found.special |= matches!(byte, b'&' | b']' | b'\r');
    }
    found
}

/// The end of a name that starts at `at`: white space, `/`, `>`, `=`, or the end of the buffer.
///
/// Nothing up to `'` can stand in a name. A quote must end it: [`tag_end`] takes every quote for a
/// value's, and both must agree on where a tag ends.
#[inline]
pub(super) fn name_end(buf: &[u8], mut at: usize) -> usize {
    while let Some(bytes) = load(buf, at) {
        let hit =
            at_most(bytes, b'\'') | equals(bytes, b'/') | equals(bytes, b'>') | equals(bytes, b'=');
        let mask = hit.to_bitmask();
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += 16;
    }
    while let Some(&byte) = buf.get(at) {
        if byte <= b'\'' || matches!(byte, b'/' | b'>' | b'=') {
            break;
        }
        at += 1;
    }
    at.min(buf.len())
}

/// The first byte from `at` that ends a plain attribute value or makes it less than plain.
#[inline(always)]
pub(super) fn value_stop(buf: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(bytes) = load(buf, at) {
        let hit =
            at_most(bytes, 0x1F) | equals(bytes, quote) | equals(bytes, b'<') | equals(bytes, b'&');
        let mask = hit.to_bitmask();
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += 16;
    }
    while let Some(&byte) = buf.get(at) {
        if byte < 0x20 || byte == quote || matches!(byte, b'<' | b'&') {
            break;
        }
        at += 1;
    }
    at.min(buf.len())
}

/// The next `<` from `at`: near ones inline, far ones by `memchr`.
#[inline]
pub(super) fn less_than(buf: &[u8], at: usize) -> Option<usize> {
    for near in [at, at + 16] {
        let Some(bytes) = load(buf, near) else { break };
        let mask = equals(bytes, b'<').to_bitmask();
        if mask != 0 {
            return Some(near + mask.trailing_zeros() as usize);
        }
    }
    let rest = buf.get(at..)?;
    memchr::memchr(b'<', rest).map(|found| at + found)
}

/// The next `>`, which is mostly near.
#[inline]
pub(super) fn greater_than(buf: &[u8]) -> Option<usize> {
    if let Some(bytes) = load(buf, 0) {
        let close = equals(bytes, b'>').to_bitmask();
        if close != 0 {
            return Some(close.trailing_zeros() as usize);
        }
    }
    memchr::memchr(b'>', buf)
}

/// Whether an empty tag ends in these bytes.
pub(super) fn is_empty_tag_in(markup: &[u8]) -> bool {
    memchr::memchr_iter(b'>', markup).any(|close| markup.get(close.wrapping_sub(1)) == Some(&b'/'))
}

/// Where what begins at `at` ends, if it stands as it is: a value at its quote, or text at a `<`.
#[inline(always)]
pub(super) fn plain(buf: &[u8], at: usize, stop: u8) -> Option<usize> {
    match stop {
        b'<' => plain_text(buf, at),
        // A constant is quicker to compare with.
        b'"' => plain_value(buf, at, b'"'),
        quote => plain_value(buf, at, quote),
    }
}

/// Where the text that begins at `at` ends, if it stands as it is: UTF-8 of which nothing is forbidden,
/// no reference, carriage return or `]`.
#[inline(always)]
pub(super) fn plain_text(buf: &[u8], at: usize) -> Option<usize> {
    if let Some(bytes) = load(buf, at) {
        let open = equals(bytes, b'<').to_bitmask();
        if open != 0 {
            let odd = outside(bytes) | equals(bytes, b'&') | equals(bytes, b']');
            if odd.to_bitmask().trailing_zeros() > open.trailing_zeros() {
                return Some(at + open.trailing_zeros() as usize);
            }
        }
    }
    plain_text_closely(buf, at)
}

#[inline(never)]
fn plain_text_closely(buf: &[u8], at: usize) -> Option<usize> {
    let open = less_than(buf, at)?;
    let text = buf.get(at..open)?;
    let survey = survey(text);
    let fits = !survey.special && !survey.control && (!survey.non_ascii || is_good(text));
    fits.then_some(open)
}

/// Where the value that begins at `at` ends, if it stands as it is: at its quote.
#[inline(always)]
pub(super) fn plain_value(buf: &[u8], at: usize, quote: u8) -> Option<usize> {
    if let Some(bytes) = load(buf, at) {
        let stop = equals(bytes, quote).to_bitmask();
        if stop != 0 {
            let odd = outside(bytes) | equals(bytes, b'&') | equals(bytes, b'<');
            if odd.to_bitmask().trailing_zeros() > stop.trailing_zeros() {
                return Some(at + stop.trailing_zeros() as usize);
            }
        }
    }
    plain_value_closely(buf, at, quote)
}

#[inline(never)]
fn plain_value_closely(buf: &[u8], at: usize, quote: u8) -> Option<usize> {
    let stop = value_stop(buf, at, quote);
    let value = buf.get(at..stop)?;
    let fits = buf.get(stop) == Some(&quote) && (value.is_ascii() || is_good(value));
    fits.then_some(stop)
}

/// All lanes that are neither printable nor ASCII.
#[inline(always)]
fn outside(bytes: u8x16) -> u8x16 {
    // As signed numbers, bytes above 0x7F are below 0x20 as well.
    bytes
        .cast_signed()
        .simd_lt(i8x16::splat(0x20))
        .cast_unsigned()
}

fn is_good(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && super::chars::find_forbidden(bytes).is_none()
}

/// Finds the `>` that ends a tag, passing over quoted values, resumable across buffers.
///
/// `quote` is 0 outside a value and is updated; the answer is the index of `>`.
pub(super) fn tag_end(buf: &[u8], mut at: usize, quote: &mut u8) -> Option<usize> {
    loop {
        let rest = buf.get(at..)?;
        if *quote != 0 {
            at += memchr::memchr(*quote, rest)? + 1;
            *quote = 0;
            continue;
        }
        let found = at + memchr::memchr3(b'>', b'"', b'\'', rest)?;
        match buf.get(found) {
            Some(b'>') => return Some(found),
            Some(&other) => *quote = other,
            None => return None,
        }
        at = found + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_same_at_any_distance() {
        for lead in 0..40 {
            let mut text = vec![b'x'; lead];
            text.extend_from_slice(b"<='\n and more text behind it");
            assert_eq!(less_than(&text, 0), Some(lead));
            assert_eq!(name_end(&text, 0), lead + 1);
            assert_eq!(value_stop(&text, 0, b'\''), lead);
            assert_eq!(value_stop(&text, lead + 1, b'\''), lead + 2);
            let short = text.get(..lead).unwrap();
            assert_eq!(less_than(short, 0), None);
            assert_eq!(name_end(short, 0), lead);
        }
    }

    #[test]
    fn surveys_see_every_place() {
        for at in 0..40 {
            let mut block = vec![b'a'; 40];
            let survey_with = |block: &mut Vec<u8>, byte: u8| {
                block[at] = byte;
                survey(block)
            };
            assert!(survey_with(&mut block, 0xC3).non_ascii);
            assert!(survey_with(&mut block, 0x01).control);
            assert!(
                survey_with(&mut block, b'\r').special && !survey_with(&mut block, b'\r').control
            );
            assert!(survey_with(&mut block, b'&').special && survey_with(&mut block, b']').special);
            let plain = survey_with(&mut block, b'\n');
            assert!(!plain.special && !plain.control && !plain.non_ascii);
        }
    }

    #[test]
    fn tag_ends_outside_quotes_and_resumes() {
        let tag = b"<a b='>' c=\"'>\">";
        assert_eq!(tag_end(tag, 1, &mut 0), Some(tag.len() - 1));
        let mut quote = 0;
        assert_eq!(tag_end(&tag[..7], 1, &mut quote), None);
        assert_eq!(quote, b'\'');
        assert_eq!(tag_end(tag, 7, &mut quote), Some(tag.len() - 1));
    }
}
