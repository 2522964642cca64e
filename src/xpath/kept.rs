//! Texts of a message, as far as tests need them.

use super::index::VALUE_BYTES_MAX;

/// Whether a text of this length was cut at what is needed.
pub(super) fn is_cut(length: usize, need: usize) -> bool {
    length >= need.min(VALUE_BYTES_MAX)
}

/// Appends text up to `wanted` bytes, at a character's end.
#[inline]
pub(super) fn keep(kept: &mut Vec<u8>, text: &[u8], wanted: usize) {
    let room = wanted.saturating_sub(kept.len());
    kept.extend_from_slice(upto(text, room));
}

/// As much of a text as there is room for, and the rest of a character.
#[inline]
pub(super) fn upto(text: &[u8], room: usize) -> &[u8] {
    match text.len() <= room {
        true => text,
        false => text.get(..char_end(text, room)).unwrap_or(text),
    }
}

/// The first place from `at` on that is not inside a character.
pub(super) fn char_end(text: &[u8], at: usize) -> usize {
    let inside = |byte: &&u8| **byte & 0xC0 == 0x80;
    at + text.iter().skip(at).take_while(inside).count()
}
