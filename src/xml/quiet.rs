//! What a small element is made of of which nothing is wanted: markup, and where values stand in it.
//!
//! Only bytes are looked at, as by `skip.rs`; what is not plain is left to it.

use smallvec::SmallVec;

use super::chars::is_bare_space;
use super::find;
use super::record::Values;

/// Longest element that is part of a step of a trace; longer ones are passed over.
const BYTES_MAX: usize = 512;
/// Deepest nesting in it.
const DEPTH_MAX: usize = 8;

/// Where the element that has this name ends, if all from `at`, which is behind its start tag, is plain; the
/// values in it are added.
pub(super) fn content(buf: &[u8], name: &[u8], at: usize, values: &mut Values) -> Option<usize> {
    let near = buf.get(..buf.len().min(at + BYTES_MAX))?;
    let mut open: SmallVec<[&[u8]; DEPTH_MAX]> = SmallVec::new();
    let mut at = at;
    loop {
        let tag = at + near.get(at..)?.iter().position(|byte| *byte == b'<')?;
        if !near.get(at..tag)?.iter().all(|byte| is_bare_space(*byte)) {
            values.push(at, tag)?;
        }
        if near.get(tag + 1) == Some(&b'/') {
            let last = open.pop();
            let expected = last.unwrap_or(name);
            at = tag + 2 + expected.len() + 1;
            let (found, end) = near.get(tag + 2..at)?.split_at(expected.len());
            if found != expected || end != b">" {
                return None;
            }
            if last.is_none() {
                return Some(at);
            }
            continue;
        }
        let name_end = find::name_end(near, tag + 1);
        let started = near.get(tag + 1..name_end)?;
        let is_plain =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-' | b'.');
        if started.is_empty() || !started.iter().all(is_plain) {
            return None;
        }
        let close = attributes(near, name_end, values)?;
        at = close + 1;
        if near.get(close - 1) != Some(&b'/') {
            if open.len() == DEPTH_MAX {
                return None;
            }
            open.push(started);
        }
    }
}

/// Whether the end of a small element whose start tag ends at `at` may not have come yet.
pub(super) fn may_be_cut(buf: &[u8], at: usize) -> bool {
    buf.len().saturating_sub(at) < BYTES_MAX
}

/// The `>` behind attributes in their usual form, whose values are added.
fn attributes(near: &[u8], mut at: usize, values: &mut Values) -> Option<usize> {
    loop {
        match near.get(at..)? {
            [b'>', ..] => return Some(at),
            [b'/', b'>', ..] => return Some(at + 1),
            [b' ', ..] => {}
            _ => return None,
        }
        let equals = find::name_end(near, at + 1);
        let [b'=', quote @ (b'"' | b'\''), ..] = near.get(equals..)? else {
            return None;
        };
        if !near.get(at + 1..equals)?.iter().all(u8::is_ascii_graphic) || equals == at + 1 {
            return None;
        }
        let end = find::value_stop(near, equals + 2, *quote);
        if near.get(end) != Some(quote) {
            return None;
        }
        values.push(equals + 2, end)?;
        at = end + 1;
    }
}
