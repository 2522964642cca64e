//! Character data: references, line ends, and what may not stand in it.

use super::chars;
use super::error::{Error, ErrorKind};
use super::find;
use super::scanner::{Place, Scanner, Step};
use super::sink::Sink;

/// Longest reference, `&` to `;`: `&#x10FFFF;` and some leading zeros.
const REFERENCE_BYTES_MAX: usize = 32;

impl Scanner {
    /// A run of text up to the next `<` or the end of what is checked.
    #[inline]
    pub(super) fn text<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let ready = self.ready(buf);
        let end = find::less_than(ready, at);
        let run = ready.get(at..end.unwrap_or(ready.len())).unwrap_or(&[]);
        if self.place != Place::Content {
            return self.outside(run, at, end);
        }
        if self.plain
            && let Some(end) = end
        {
            if sink.wants_text() {
                sink.text_bytes(run);
            }
            return Ok(Step::Next(end));
        }
        self.text_slow(run, at, end, sink)
    }

    fn outside(&self, run: &[u8], at: usize, end: Option<usize>) -> Result<Step, Box<Error>> {
        if let Some(found) = run.iter().position(|&b| !chars::is_space(b)) {
            let place = if self.place == Place::Epilog {
                "after"
            } else {
                "before"
            };
            return Err(self.malformed(format!("text stands {place} the root element"), at + found));
        }
        Ok(end.map_or(Step::Incomplete(at + run.len()), Step::Next))
    }

    /// Text with references or carriage returns, or cut: what may continue in the next bytes is left.
    fn text_slow<S: Sink>(
        &self,
        run: &[u8],
        at: usize,
        end: Option<usize>,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let wanted = sink.wants_text();
        let mut from = 0;
        while let Some(special) = next_special(run, from) {
            let rest = run.get(special..).unwrap_or(&[]);
            let plain = run.get(from..special).unwrap_or(&[]);
            let (taken, said) = match rest.first() {
                Some(b'&') => match self.reference(rest, at + special, end.is_some())? {
                    Some((taken, c)) => (taken, c),
                    None => return Ok(self.told_up_to(plain, at + special, wanted, sink)),
                },
                Some(b'\r') => match rest.get(1) {
                    Some(b'\n') => (2, '\n'),
                    None if end.is_none() => {
                        return Ok(self.told_up_to(plain, at + special, wanted, sink));
                    }
                    _ => (1, '\n'),
                },
                _ if rest.starts_with(b"]]>") => {
                    return Err(
                        self.malformed("`]]>` stands in text; write `]]&gt;`", at + special)
                    );
                }
                _ if end.is_none() && b"]]>".starts_with(rest) => {
                    return Ok(self.told_up_to(plain, at + special, wanted, sink));
                }
                _ => (1, ']'),
            };
            if wanted {
                tell(plain, sink);
                sink.text(said.encode_utf8(&mut [0; 4]));
            }
            from = special + taken;
        }
        let step = self.told_up_to(run.get(from..).unwrap_or(&[]), at + run.len(), wanted, sink);
        Ok(end.map_or(step, Step::Next))
    }

    fn told_up_to<S: Sink>(&self, plain: &[u8], next: usize, wanted: bool, sink: &mut S) -> Step {
        if wanted {
            tell(plain, sink);
        }
        Step::Incomplete(next)
    }

    /// One reference at the start of `rest`; nothing when it may continue in the next bytes.
    pub(super) fn reference(
        &self,
        rest: &[u8],
        at: usize,
        whole: bool,
    ) -> Result<Option<(usize, char)>, Box<Error>> {
        let bounded = rest
            .get(..REFERENCE_BYTES_MAX.min(rest.len()))
            .unwrap_or(&[]);
        let stop = bounded
            .iter()
            .skip(1)
            .position(|&b| !(b.is_ascii_alphanumeric() || b == b'#'));
        let Some(stop) = stop.map(|stop| stop + 1) else {
            if bounded.len() < REFERENCE_BYTES_MAX && !whole {
                return Ok(None);
            }
            return Err(self.malformed(
                "`&` begins a reference that is not closed by `;`; write `&amp;`",
                at,
            ));
        };
        if bounded.get(stop) != Some(&b';') {
            return Err(self.malformed(
                "`&` begins a reference that is not closed by `;`; write `&amp;`",
                at,
            ));
        }
        let name = std::str::from_utf8(bounded.get(1..stop).unwrap_or(&[])).unwrap_or("");
        let c = match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => match character(name) {
                Some(c) => c,
                None if name.starts_with('#') => {
                    let what =
                        format!("the reference `&{name};` means no character that XML allows");
                    return Err(self.error(ErrorKind::NotWellFormed(what), at));
                }
                None => {
                    let what = format!(
                        "the entity `&{name};` is unknown; only lt, gt, amp, quot and apos exist without a DTD"
                    );
                    return Err(self.error(ErrorKind::NotWellFormed(what), at));
                }
            },
        };
        Ok(Some((stop + 1, c)))
    }
}

/// The next byte that is not delivered as it is: a reference, a carriage return, or `]` that may begin `]]>`.
fn next_special(run: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = run.get(at..)?;
        let found = at + memchr::memchr3(b'&', b'\r', b']', rest)?;
        let tail = run.get(found..)?;
        if tail.first() != Some(&b']') || tail.starts_with(b"]]>") || b"]]>".starts_with(tail) {
            return Some(found);
        }
        at = found + 1;
    }
}

/// The character of `#38` or `#x26`.
fn character(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let code = match digits.strip_prefix('x') {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u32::from_str_radix(hex, 16).ok()?
        }
        None if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    char::from_u32(code).filter(|&c| chars::is_char(c))
}

fn tell<S: Sink>(plain: &[u8], sink: &mut S) {
    if !plain.is_empty() {
        sink.text_bytes(plain);
    }
}

/// Tells text that has no references, with line ends normalised (XML 1.0 §2.11).
pub(super) fn tell_lines<S: Sink>(mut rest: &[u8], sink: &mut S) {
    while let Some(found) = memchr::memchr(b'\r', rest) {
        tell(rest.get(..found).unwrap_or(&[]), sink);
        sink.text("\n");
        rest = rest.get(found + 1..).unwrap_or(&[]);
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    tell(rest, sink);
}
