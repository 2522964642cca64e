//! The common case of content, without detours: plain text, start tags whose names are known and whose
//! attributes stand as they usually do, end tags that fit.
//!
//! Everything else is left to `tokens.rs` at the place where it begins. **Invariant:** what is done here
//! is what the general way would do, only with fewer questions.

use super::error::Error;
use super::find;
use super::names::kind_of;
use super::scanner::{Frame, Place, Scanner, Step, span};
use super::sink::{Flow, Record, Sink};
use super::tag::Read;

impl Scanner {
    /// Reads on while everything is common; `Next` is where something else begins.
    #[inline]
    pub(super) fn common_content<S: Sink>(
        &mut self,
        buf: &[u8],
        mut at: usize,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let ready = self.ready(buf);
        loop {
            if ready.get(at) != Some(&b'<') {
                let Some(end) = find::less_than(ready, at) else {
                    break;
                };
                let run = ready.get(at..end).unwrap_or(&[]);
                if !self.plain && memchr::memchr3(b'&', b'\r', b']', run).is_some() {
                    break;
                }
                if sink.wants_text() {
                    sink.text(std::str::from_utf8(run).unwrap_or(""));
                }
                at = end;
            }
            match ready.get(at + 1) {
                Some(b'/') => match self.common_end(ready, at, sink) {
                    Some((next, Flow::Stop)) => return Ok(Step::Stop(next)),
                    Some((next, _)) => at = next,
                    None => break,
                },
                Some(b'!' | b'?') | None => break,
                Some(_) => match self.common_start(ready, at, sink)? {
                    Some(Step::Next(next)) if self.skip.is_none() => at = next,
                    Some(other) => return Ok(other),
                    None => break,
                },
            }
            if self.place != Place::Content {
                break;
            }
        }
        Ok(Step::Next(at))
    }

    /// An end tag that is the start tag's name and nothing else; tells what follows it.
    #[inline(always)]
    fn common_end<S: Sink>(
        &mut self,
        ready: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Option<(usize, Flow)> {
        let frame = self.frames.last()?;
        let close = at + 2 + frame.key.length as usize;
        if ready.get(close) != Some(&b'>') {
            return None;
        }
        let fits = if frame.key.is_whole() {
            frame.key.stands_at(ready, at + 2)
        } else {
            ready.get(at + 2..close) == Some(self.long_name())
        };
        if !fits {
            return None;
        }
        let end = self.base + close as u64 + 1;
        self.told = end;
        let depth = self.frames.len() as u32;
        if depth > 1
            && let Some(flow) = sink.end_known(depth, end)
        {
            self.pop_frame();
            return Some((close + 1, flow));
        }
        let flow = self.close_element(self.base + at as u64, end, sink);
        Some((close + 1, flow))
    }

    /// Closes an element inside the root of which the sink knows.
    #[inline(always)]
    fn pop_frame(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if !frame.key.is_whole() {
            self.names.truncate(frame.name_start as usize);
        }
        if frame.declares {
            self.scopes.leave(frame.scope);
        }
    }

    /// A start tag whose name was met before; nothing has happened when the answer is nothing.
    #[inline(always)]
    fn common_start<S: Sink>(
        &mut self,
        ready: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<Option<Step>, Box<Error>> {
        let Some(outer) = self.frames.last() else {
            return Ok(None);
        };
        let (scope, serial) = (outer.scope, outer.serial);
        if self.frames.len() >= self.limits.depth_max as usize {
            return Ok(None);
        }
        let ends = |byte| matches!(byte, b'>' | b' ' | b'/');
        let kind = kind_of(serial, false);
        let Some((place, name_end)) = self.known.follow(ready, at + 1, kind, ends) else {
            return Ok(None);
        };
        self.records.clear();
        let (close, empty) = match ready.get(name_end) {
            Some(b'>') => (name_end, false),
            _ => match self.common_attributes(ready, at, name_end, serial) {
                Some(rest) => rest,
                None => return Ok(None),
            },
        };
        let end = self.base + close as u64 + 1;
        let depth = self.frames.len() as u32 + 1;
        let known = self.known.at_mut(place);
        let (symbol, key) = (known.name.symbol, known.key());
        let attributes = !self.records.is_empty();
        if !empty
            && let Some(flow) = sink.start_known((symbol, &mut known.note), attributes, depth, end)
        {
            self.told = end;
            self.frames.push(Frame {
                key,
                name_start: self.names.len() as u32,
                scope,
                serial,
                declares: false,
            });
            if !key.is_whole() {
                self.names
                    .extend_from_slice(ready.get(at + 1..name_end).unwrap_or(&[]));
            }
            if flow == Flow::Skip {
                self.skip = Some(0);
            }
            return Ok(Some(match flow {
                Flow::Stop => Step::Stop(close + 1),
                _ => Step::Next(close + 1),
            }));
        }
        let name = known.name;
        self.values.clear();
        let read = Read {
            name_end,
            close,
            empty,
            declares: false,
        };
        self.enter_element(ready, at, &read, (name, key, scope), sink)
            .map(Some)
    }

    /// Attributes in their usual form: one space, a known name, `="`, a value that stands as it is.
    /// The answer is where the tag's `>` stands, and whether it is `/>`.
    #[inline(always)]
    fn common_attributes(
        &mut self,
        ready: &[u8],
        tag: usize,
        mut at: usize,
        serial: u32,
    ) -> Option<(usize, bool)> {
        // Names without prefix that were seen, a bit each; a bit seen twice asks for a closer look.
        let (mut seen, mut prefixed, mut doubtful) = (0_u64, false, false);
        let kind = kind_of(serial, true);
        let empty = loop {
            match ready.get(at) {
                Some(b' ') => {}
                Some(b'>') => break false,
                Some(b'/') if ready.get(at + 1) == Some(&b'>') => break true,
                _ => return None,
            }
            let start = at + 1;
            let (place, end) = self.known.follow(ready, start, kind, |byte| byte == b'=')?;
            let value = end + 2;
            let quote = match (ready.get(end), ready.get(end + 1)) {
                (Some(b'='), Some(&quote @ (b'"' | b'\''))) => quote,
                _ => return None,
            };
            let close = find::value_stop(ready, value, quote);
            if ready.get(close) != Some(&quote)
                || close - value > self.limits.attribute_bytes_max as usize
            {
                return None;
            }
            let known = self.known.at(place);
            if known.name.prefix_len == 0 {
                // The place is of the name's bytes alone, so equal names have equal bits.
                let bit = 1 << (place & 63);
                doubtful |= seen & bit != 0;
                seen |= bit;
            } else {
                doubtful |= std::mem::replace(&mut prefixed, true);
            }
            self.records.push(Record {
                name: span(tag, start, end),
                value: span(tag, value, close),
                decoded: false,
                declaration: false,
                resolved: known.name,
            });
            at = close + 1;
        };
        let close = at + usize::from(empty);
        let fits = self.records.len() <= self.limits.attributes_max as usize
            && close - tag < self.limits.tag_bytes_max as usize
            && !(doubtful
                && self
                    .repeated(ready.get(tag..close).unwrap_or(&[]))
                    .is_some());
        fits.then_some((close, empty))
    }
}
