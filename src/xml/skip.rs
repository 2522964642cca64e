//! Passes over the content of an element that nobody wants to see.
//!
//! In windows of 64 bytes: as long as `<` and `>` strictly alternate and no `<!` or `<?` occurs, the
//! depth follows from counting tags. Where that does not hold, tokens are read one by one, quotes
//! respected. What is passed over is checked for balance, depth, tag length, UTF-8 and forbidden
//! characters; names, attributes and references in it are not looked at.
//!
//! **Invariant:** on a well-formed document the skip ends at the same tag as reading would
//! (`tests/engine/skip.rs`, `fuzz/`).

use super::chars;
use super::error::{Error, ErrorKind};
use super::find::{self, Window};
use super::scanner::{Scanner, Step};

/// What a window of bytes did to the balance.
struct Balance {
    starts: u32,
    ends: u32,
    /// Whether a tag is still open behind the window.
    inside: bool,
}

impl Scanner {
    /// Goes on with a skip from a token's start.
    pub(super) fn pass_over(&mut self, buf: &[u8], at: usize) -> Result<Step, Box<Error>> {
        let at = self.pass_windows(buf, at);
        self.pass_token(buf, at)
    }

    /// Counts whole windows; stops at the start of a token that must be read by itself.
    fn pass_windows(&mut self, buf: &[u8], from: usize) -> usize {
        let mut at = from;
        // The start of the tag that is open at `at`, and the depth before it counted.
        let mut open_tag: Option<(usize, u32)> = None;
        // The same, and where it was, before the last window with a `<`: a `/>` may stand in a value of
        // that tag, which only shows at the `>` that comes behind.
        let mut back = None;
        let Some(mut depth) = self.skip else {
            return at;
        };
        let room = self
            .limits
            .depth_max
            .saturating_sub(self.frames.len() as u32);
        loop {
            if at + 64 >= self.checked {
                self.check(buf, at + 65);
            }
            // One byte more than the window is looked at: what follows its last `<`.
            let Some(window) = find::window(self.ready(buf), at) else {
                break;
            };
            let Some(next) = buf.get(at + 64).copied().filter(|_| at + 64 < self.checked) else {
                break;
            };
            let Some(balance) = weigh(
                &window,
                open_tag.is_some(),
                buf.get(at.wrapping_sub(1)),
                next,
            ) else {
                break;
            };
            if depth + balance.starts > room {
                break;
            }
            if balance.ends > depth
                && !stays_inside(
                    &window,
                    open_tag.is_some(),
                    buf.get(at.wrapping_sub(1)),
                    next,
                    depth,
                )
            {
                break;
            }
            if let Some((start, _)) = open_tag
                && window.close == 0
                && at - start > self.limits.tag_bytes_max as usize / 2
            {
                break;
            }
            if window.open != 0 {
                back = Some((at, depth, open_tag));
            }
            let last_open = 63 - window.open.leading_zeros().min(63) as usize;
            if balance.inside && window.open != 0 {
                open_tag = Some((at + last_open, depth_before(&window, next, depth, &balance)));
            } else if !balance.inside {
                open_tag = None;
            }
            depth = depth + balance.starts - balance.ends;
            at += 64;
        }
        let (at, depth, open_tag) = back.unwrap_or((at, depth, open_tag));
        let (at, depth) = open_tag.unwrap_or((at, depth));
        self.skip = Some(depth);
        at
    }

    /// Reads tokens one by one, enough of them to leave the place where counting failed.
    fn pass_token(&mut self, buf: &[u8], from: usize) -> Result<Step, Box<Error>> {
        let mut at = from;
        while at < from + 64 {
            let ready = self.ready(buf);
            let Some(open) = find::less_than(ready, at) else {
                return Ok(Step::Incomplete(ready.len().max(at)));
            };
            at = open;
            let depth = self.skip.unwrap_or(0);
            match buf.get(at + 1) {
                None => return Ok(Step::Incomplete(at)),
                Some(b'!') => return self.declaration(buf, at),
                Some(b'?') => return self.question(buf, at),
                Some(b'/') if depth == 0 => {
                    self.skip = None;
                    return Ok(Step::Next(at));
                }
                Some(_) => {}
            }
            let Some(close) = self.pass_tag(buf, at)? else {
                return Ok(Step::Incomplete(at));
            };
            let is_end = buf.get(at + 1) == Some(&b'/');
            let is_empty = buf.get(close - 1) == Some(&b'/');
            if is_end {
                self.skip = Some(depth - 1);
            } else if self.frames.len() as u32 + depth >= self.limits.depth_max {
                return Err(self.limit("depth_max", self.limits.depth_max, at));
            } else if !is_empty {
                self.skip = Some(depth + 1);
            }
            at = close + 1;
        }
        Ok(Step::Next(at))
    }

    /// The index of the `>` of the tag at `at`, if it and all before it are there and good.
    fn pass_tag(&mut self, buf: &[u8], at: usize) -> Result<Option<usize>, Box<Error>> {
        let longest = self.limits.tag_bytes_max as usize;
        let bounded = buf.get(..(at + longest).min(buf.len())).unwrap_or(buf);
        let is_end = buf.get(at + 1) == Some(&b'/');
        let close = if is_end {
            memchr::memchr(b'>', bounded.get(at..).unwrap_or(&[])).map(|found| at + found)
        } else {
            find::tag_end(bounded, at + 1, &mut 0)
        };
        let Some(close) = close else {
            if buf.len() - at >= longest {
                return Err(self.limit("tag_bytes_max", self.limits.tag_bytes_max, at));
            }
            return Ok(None);
        };
        let first = buf.get(at + 1 + usize::from(is_end)).copied().unwrap_or(0);
        if chars::is_space(first) || first == b'>' {
            return Err(self.error(ErrorKind::NotWellFormed("a tag has no name".into()), at));
        }
        self.check(buf, close + 1);
        Ok((close < self.checked).then_some(close))
    }
}

/// Counts a window, or nothing if its tags do not follow each other as they should.
#[inline(always)]
fn weigh(window: &Window, inside: bool, before: Option<&u8>, next: u8) -> Option<Balance> {
    let Window {
        open,
        close,
        slash,
        odd,
    } = *window;
    // Bits from each `<` up to its `>`: the subtraction only gives that when they alternate.
    let (span, borrow) = close.overflowing_sub(open);
    let (span, borrow_too) = span.overflowing_sub(u64::from(inside));
    if span & open != open || span & close != 0 {
        return None;
    }
    let after_open = open << 1;
    let odd_tag = after_open & odd != 0;
    let last_open = open >> 63 != 0;
    if odd_tag || last_open && matches!(next, b'!' | b'?') {
        return None;
    }
    // A tag that began on the window's border has its second byte in this one.
    let end_tags = (after_open & slash).count_ones() + u32::from(last_open && next == b'/');
    let starts = open.count_ones() - end_tags;
    let before_slash = u64::from(before == Some(&b'/') && inside);
    let empties = (close & (slash << 1 | before_slash)).count_ones();
    Some(Balance {
        starts,
        ends: end_tags + empties,
        inside: borrow | borrow_too,
    })
}

/// Whether the skipped element does not end in the window: its tags one by one, for shallow content.
#[inline]
fn stays_inside(
    window: &Window,
    inside: bool,
    before: Option<&u8>,
    next: u8,
    mut depth: u32,
) -> bool {
    let slash_before = window.slash << 1 | u64::from(before == Some(&b'/') && inside);
    let mut marks = window.open | window.close & slash_before;
    while marks != 0 {
        let bit = marks.trailing_zeros();
        marks &= marks - 1;
        let is_open = window.open >> bit & 1 == 1;
        let is_end = match bit {
            63 => next == b'/',
            _ => window.slash >> (bit + 1) & 1 == 1,
        };
        if is_open && !is_end {
            depth += 1;
        } else if depth == 0 {
            return false;
        } else {
            depth -= 1;
        }
    }
    true
}

/// The depth before the window's last `<`, which is not closed in it.
fn depth_before(window: &Window, next: u8, depth: u32, balance: &Balance) -> u32 {
    let last = 63 - window.open.leading_zeros();
    let is_end = if last == 63 {
        next == b'/'
    } else {
        window.slash >> (last + 1) & 1 == 1
    };
    let after = depth + balance.starts - balance.ends;
    if is_end {
        after + 1
    } else {
        after.saturating_sub(1)
    }
}
