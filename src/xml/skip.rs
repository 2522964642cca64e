//! Passes over the content of an element that nobody wants to see.
//!
//! In windows of 64 bytes: as long as `<` and `>` strictly alternate, no `<!` or `<?` occurs and no `>` can
//! stand in a value, the depth follows from counting tags. Where that does not hold, tokens are read one
//! by one, quotes respected. What is passed over is checked for balance, depth, tag length, UTF-8 and
//! forbidden characters; names, attributes and references in it are not looked at.
//!
//! **Invariant:** windows say what tokens would; on a well-formed document the skip ends at the same tag as
//! reading would (`tests/engine/scanner.rs`, `fuzz/`).

use fearless_simd::Simd;

use super::chars;
use super::error::{Error, ErrorKind};
use super::find;
use super::scanner::{Scanner, Step};
use super::window::Window;

/// The quotes of a tag so far.
#[derive(Debug, Clone, Copy, Default)]
struct Quotes {
    /// Some bit, if any are `"`, and if any are `'`.
    double: u64,
    single: u64,
    /// All bits, if a value is open.
    open: u64,
}

/// Before a window: how far it went, and the tag that is open there.
#[derive(Debug, Clone, Copy)]
struct Passed {
    at: usize,
    /// Open elements inside the skipped one, the tag that is open counted.
    depth: u32,
    /// Whether a tag is open at `at`, and where the last tag began.
    inside: bool,
    tag: usize,
    /// Whether that tag may be an empty one: the byte before `at` is a `/`.
    slash: bool,
    /// Bits of the next window where names of tags must begin.
    names: u64,
    /// What quotes the tag that is open has so far.
    quotes: Quotes,
}

impl Scanner {
    /// Goes on with a skip from a token's start.
    pub(super) fn pass_over(&mut self, buf: &[u8], at: usize) -> Result<Step, Box<Error>> {
        let level = self.level;
        let at = fearless_simd::dispatch!(level, simd => self.pass_windows(simd, buf, at));
        if self.checked <= at {
            self.check_from(buf, at);
        }
        self.pass_token(buf, at)
    }

    /// Counts whole windows; stops at the start of a token that must be read by itself.
    #[inline(always)]
    fn pass_windows<V: Simd>(&mut self, simd: V, buf: &[u8], from: usize) -> usize {
        let Some(depth) = self.skip else {
            return from;
        };
        let room = self
            .limits
            .depth_max
            .saturating_sub(self.frames.len() as u32);
        let longest = self.limits.tag_bytes_max as usize / 2;
        let mut here = Passed {
            at: from,
            depth,
            inside: false,
            tag: from,
            slash: false,
            names: 0,
            quotes: Quotes::default(),
        };
        // One byte more than the window is looked at: what follows its last `<`.
        while let Some(&[ref bytes @ .., next]) =
            buf.get(here.at..).and_then(<[u8]>::first_chunk::<65>)
        {
            let window = Window::of(simd, bytes);
            if window.unusual != 0 && !self.is_good(buf, here.at) {
                break;
            }
            let Some(after) = here.behind(&window, next, room) else {
                break;
            };
            if here.inside && window.close == 0 && here.at - here.tag > longest {
                break;
            }
            here = after;
        }
        self.checked = self.checked.max(here.at);
        let (at, depth) = here.boundary(buf);
        self.skip = Some(depth);
        at
    }

    /// Whether the window at `at`, in which something unusual stands, is good.
    #[inline(never)]
    fn is_good(&mut self, buf: &[u8], at: usize) -> bool {
        if self.checked <= at {
            self.check_from(buf, at);
        }
        self.check(buf, at + 64);
        at + 64 <= self.checked
    }

    /// Checks the block from `at` on; what is before it is known to be good.
    fn check_from(&mut self, buf: &[u8], at: usize) {
        self.checked = at;
        self.plain = true;
        self.check(buf, at + 1);
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

impl Quotes {
    /// Behind a window in which tags stand at `inside`; or nothing if a `>` may stand in a value, or a tag
    /// has quotes of both kinds.
    #[inline(always)]
    fn behind(self, window: &Window, inside: u64) -> Option<Self> {
        let (double, single) = (window.quote & inside, window.apostrophe & inside);
        if double | single | self.double | self.single == 0 {
            return Some(self);
        }
        // From each quote on up to the next one.
        let mut within = double | single;
        within ^= within << 1;
        within ^= within << 2;
        within ^= within << 4;
        within ^= within << 8;
        within ^= within << 16;
        within ^= within << 32;
        within ^= self.open;
        let (any_double, any_single) = (double | self.double, single | self.single);
        if within & window.close != 0 || any_double != 0 && any_single != 0 {
            return None;
        }
        // The bits of the tag that is open behind the window, if one is; it may have begun before.
        let last = !u64::MAX.checked_shr(inside.leading_ones()).unwrap_or(0);
        let goes_on = if last == u64::MAX { last } else { 0 };
        Some(Self {
            double: double & last | self.double & goes_on,
            single: single & last | self.single & goes_on,
            open: (within as i64 >> 63) as u64,
        })
    }
}

impl Passed {
    /// Behind a window; or nothing if its tags do not follow each other as they should, more than `room`
    /// are open in it, or the skipped element may end in it.
    #[inline(always)]
    fn behind(self, window: &Window, next: u8, room: u32) -> Option<Self> {
        let Window {
            open,
            close,
            slash,
            odd,
            nameless,
            ..
        } = *window;
        // Bits from each `<` up to its `>`: the subtraction only gives that when they alternate.
        let (span, borrow) = close.overflowing_sub(open);
        let (span, borrow_too) = span.overflowing_sub(u64::from(self.inside));
        // What follows each `<`; a tag that begins on the window's border has its second byte behind it.
        let last = open >> 63;
        let ends = open & (slash >> 1 | u64::from(next == b'/') << 63);
        let is_odd = open << 1 & odd | last & u64::from(matches!(next, b'!' | b'?'));
        if span & open != open || span & close != 0 || is_odd != 0 {
            return None;
        }
        let starts = open ^ ends;
        let names = starts << 1 | ends << 2 | self.names;
        if names & nameless != 0 {
            return None;
        }
        let later = starts >> 63 | ends >> 62;
        let quotes = self.quotes.behind(window, span)?;
        let empties = close & (slash << 1 | u64::from(self.slash & self.inside));
        let ends = ends | empties;
        let (up, down) = (starts.count_ones(), ends.count_ones());
        if self.depth + up > room || down > self.depth && !stays_inside(starts, ends, self.depth) {
            return None;
        }
        Some(Self {
            at: self.at + 64,
            depth: self.depth + up - down,
            inside: borrow | borrow_too,
            tag: match open {
                0 => self.tag,
                _ => self.at + 63 - open.leading_zeros() as usize,
            },
            slash: slash >> 63 != 0,
            names: later,
            quotes,
        })
    }

    /// Where the tag begins that is open, if one is, and the depth before it.
    fn boundary(self, buf: &[u8]) -> (usize, u32) {
        match buf.get(self.tag + 1) {
            _ if !self.inside => (self.at, self.depth),
            Some(b'/') => (self.tag, self.depth + 1),
            _ => (self.tag, self.depth.saturating_sub(1)),
        }
    }
}

/// Whether the skipped element does not end in a window with these starts and ends of elements.
#[inline(always)]
fn stays_inside(starts: u64, ends: u64, depth: u32) -> bool {
    let (mut left, mut ended) = (ends, 0);
    while left != 0 {
        let before = starts & (left - 1) & !left;
        ended += 1;
        if depth + before.count_ones() < ended {
            return false;
        }
        left &= left - 1;
    }
    true
}
