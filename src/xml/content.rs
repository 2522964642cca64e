//! The common case of content, without detours: plain text, start tags whose names are known and whose
//! attributes stand as they usually do, end tags that fit.
//!
//! Everything else is left to `tokens.rs` at the place where it begins. **Invariant:** what is done here
//! is what the general way would do, only with fewer questions.

use super::error::Error;
use super::find;
use super::key::NameKey;
use super::names::{Number, kind_of};
use super::retrace::Retraced;
use super::scanner::{Frame, Scanner, Step, span};
use super::scope::ScopeId;
use super::sink::{Flow, Record, Records, Sink, Taken};
use super::tag::Read;

/// A start tag that is read and not told yet.
pub(super) struct Told {
    /// The number of its name.
    pub(super) name: Number,
    pub(super) name_end: usize,
    /// Index of its `>`.
    pub(super) close: usize,
    pub(super) empty: bool,
}

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
        // The next `<`, where looking for the end of a leaf has found it already.
        let mut open = None;
        loop {
            match self.retrace(buf, &mut at, sink) {
                Retraced::Not => {}
                Retraced::Some => open = None,
                Retraced::Stop => return Ok(Step::Stop(at)),
                Retraced::Skip => {
                    self.skip = Some(0);
                    break;
                }
            }
            self.continue_draft(at, sink);
            if ready.get(at) != Some(&b'<') {
                let Some(end) = open.or_else(|| find::less_than(ready, at)) else {
                    break;
                };
                if !self.plain && !is_plain(ready, at, end) {
                    break;
                }
                let text = ready.get(at..end).unwrap_or(&[]);
                if sink.wants_text() {
                    sink.text_bytes(text);
                }
                self.draft_text(text);
                at = end;
            }
            open = None;
            let taken = match ready.get(at + 1) {
                Some(b'/') => self.common_end((ready, buf), &mut at, sink),
                Some(b'!' | b'?') | None => break,
                Some(_) => match self.common_start((ready, buf), &mut at, &mut open, sink) {
                    (Taken::Not, Some(told)) => {
                        open = None;
                        match self.tell_start((ready, buf), at, &told, sink)? {
                            Step::Next(next) => at = next,
                            other => return Ok(other),
                        }
                        match self.skip.take() {
                            Some(_) => Taken::Skip,
                            None => Taken::Continue,
                        }
                    }
                    (taken, _) => taken,
                },
            };
            match taken {
                Taken::Continue => {}
                Taken::Skip => match self.leaf_end(ready, at) {
                    Some(end) => at = end,
                    None => {
                        self.skip = Some(0);
                        break;
                    }
                },
                Taken::Not => break,
                Taken::Stop => return Ok(Step::Stop(at)),
            }
        }
        Ok(Step::Next(at))
    }

    /// Where the end tag of an element that nobody wants begins, if plain text alone comes before it:
    /// nearer than it takes to begin passing over.
    #[inline(always)]
    fn leaf_end(&self, ready: &[u8], at: usize) -> Option<usize> {
        let end = find::less_than(ready, at).filter(|end| ready.get(end + 1) == Some(&b'/'))?;
        (self.plain || is_plain(ready, at, end)).then_some(end)
    }

    /// An end tag that is the start tag's name and nothing else.
    #[inline(always)]
    fn common_end<S: Sink>(
        &mut self,
        (ready, buf): (&[u8], &[u8]),
        at: &mut usize,
        sink: &mut S,
    ) -> Taken {
        let depth = self.frames.len() as u32;
        let Some(frame) = self.frames.last().filter(|_| depth > 1) else {
            return Taken::Not;
        };
        let close = *at + 2 + frame.key.length as usize;
        if ready.get(close) != Some(&b'>') {
            return Taken::Not;
        }
        let fits = if frame.key.is_whole() {
            frame.key.stands_at(ready, *at + 2)
        } else {
            ready.get(*at + 2..close) == Some(self.long_name())
        };
        if !fits {
            return Taken::Not;
        }
        let start = *at;
        *at = close + 1;
        let quiet = self.trace.draft.is_active() && sink.ends_quietly(depth);
        let taken = self.tell_end(start, close, sink);
        self.draft_end(buf, (start, *at), quiet);
        taken
    }

    /// Tells the end of an element inside the root.
    #[inline(always)]
    pub(super) fn tell_end<S: Sink>(&mut self, at: usize, close: usize, sink: &mut S) -> Taken {
        let end = self.base + close as u64 + 1;
        self.told = end;
        match sink.end_known(self.frames.len() as u32, end) {
            Taken::Not => match self.close_element(self.base + at as u64, end, sink) {
                Flow::Stop => Taken::Stop,
                _ => Taken::Continue,
            },
            taken => {
                self.pop_frame();
                taken
            }
        }
    }

    /// Closes an element inside the root of which the sink knows.
    #[inline(always)]
    pub(super) fn pop_frame(&mut self) {
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

    /// A start tag whose name was met before. When it is not taken, it is as if it had not been read,
    /// and the second answer says what it is, if it is common at all.
    #[inline(always)]
    fn common_start<S: Sink>(
        &mut self,
        (ready, buf): (&[u8], &[u8]),
        at: &mut usize,
        open: &mut Option<usize>,
        sink: &mut S,
    ) -> (Taken, Option<Told>) {
        let Some(outer) = self.frames.last() else {
            return (Taken::Not, None);
        };
        let (scope, serial) = (outer.scope, outer.serial);
        if self.frames.len() >= self.limits.depth_max as usize {
            return (Taken::Not, None);
        }
        let ends = |byte| matches!(byte, b'>' | b' ' | b'/');
        let kind = kind_of(serial, false);
        let Some((number, name_end)) = self.known.follow(ready, *at + 1, kind, ends) else {
            return (Taken::Not, None);
        };
        self.records.clear();
        let (close, empty, bits) = match ready.get(name_end) {
            Some(b'>') => (name_end, false, 0),
            _ => match self.common_attributes(ready, *at, name_end, serial) {
                Some(rest) => rest,
                None => return (Taken::Not, None),
            },
        };
        let told = Told {
            name: number,
            name_end,
            close,
            empty,
        };
        if empty {
            return (Taken::Not, Some(told));
        }
        let depth = self.frames.len() as u32 + 1;
        if !self.records.is_empty() && sink.minds_attributes(bits) {
            return (Taken::Not, Some(told));
        }
        let attributes = Records {
            tag: ready.get(*at..).unwrap_or(&[]),
            records: &self.records,
        };
        let Some(known) = self.known.at_mut(number) else {
            return (Taken::Not, Some(told));
        };
        let (symbol, class) = (known.name.symbol, known.name.class);
        // A leaf whose end tag stands right behind its text is taken at once.
        *open = find::less_than(ready, close + 1);
        if let Some(start) = *open
            && let Some(next) = known.key().ends_at(ready, start)
            && (self.plain || is_plain(ready, close + 1, start))
        {
            let text = ready.get(close + 1..start).unwrap_or(&[]);
            let end = self.base + next as u64;
            let taken = sink.leaf_known((symbol, &mut known.note), depth, text, end);
            if taken != Taken::Not {
                self.draft_leaf((buf, *at), (start, next), &told, sink);
                self.told = end;
                (*at, *open) = (next, None);
                return (taken, None);
            }
        }
        let end = self.base + close as u64 + 1;
        let taken = sink.start_known((symbol, &mut known.note), attributes, depth, end);
        if taken == Taken::Not {
            return (taken, Some(told));
        }
        self.told = end;
        let key = self.known.at(number).key();
        let name = ready.get(*at + 1..name_end).unwrap_or(&[]);
        self.push_frame((key, symbol, class), name, (scope, serial));
        self.draft_start(buf, *at, &told, sink);
        *at = close + 1;
        (taken, None)
    }

    /// Shows a start tag to the sink that would not take it unseen.
    #[inline(never)]
    fn tell_start<S: Sink>(
        &mut self,
        (ready, buf): (&[u8], &[u8]),
        at: usize,
        told: &Told,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let known = self.known.at(told.name);
        let (name, key) = (known.name, known.key());
        self.values.clear();
        let read = Read {
            name_end: told.name_end,
            close: told.close,
            empty: told.empty,
            declares: false,
        };
        let scope = self.scope();
        let step = self.enter_element(ready, at, &read, (name, key, scope), sink);
        match told.empty {
            true => self.draft_empty(buf, at, told, sink),
            false => self.draft_start(buf, at, told, sink),
        }
        step
    }

    /// Opens an element that the sink has taken.
    #[inline(always)]
    fn push_frame(
        &mut self,
        (key, symbol, class): (NameKey, u64, u8),
        name: &[u8],
        (scope, serial): (ScopeId, u32),
    ) {
        self.frames.push(Frame {
            key,
            name_start: self.names.len() as u32,
            scope,
            serial,
            symbol,
            class,
            element: 0,
            declares: false,
        });
        if !key.is_whole() {
            self.names.extend_from_slice(name);
        }
    }

    /// Attributes in their usual form: one space, a known name, `="`, a value that stands as it is.
    /// The answer is where the tag's `>` stands, whether it is `/>`, and the bits of the sink's numbers
    /// for the names.
    #[inline(always)]
    fn common_attributes(
        &mut self,
        ready: &[u8],
        tag: usize,
        mut at: usize,
        serial: u32,
    ) -> Option<(usize, bool, u64)> {
        let mut bits = 0;
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
            let (number, end) = self.known.follow(ready, start, kind, |byte| byte == b'=')?;
            let value = end + 2;
            let (Some(b'='), Some(&quote @ (b'"' | b'\''))) = (ready.get(end), ready.get(end + 1))
            else {
                return None;
            };
            let close = match quote {
                b'"' => find::value_stop(ready, value, b'"'),
                _ => find::value_stop(ready, value, b'\''),
            };
            if ready.get(close) != Some(&quote)
                || close - value > self.limits.attribute_bytes_max as usize
            {
                return None;
            }
            let known = self.known.at(number);
            bits |= known.name.symbol;
            if known.name.prefix_len == 0 {
                // A name has one number, so equal names have equal bits.
                let bit = 1 << (number & 63);
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
        fits.then_some((close, empty, bits))
    }
}

/// Whether text stands as it is: no reference, carriage return or `]]>` can be in it.
#[inline(always)]
pub(super) fn is_plain(ready: &[u8], at: usize, end: usize) -> bool {
    let run = ready.get(at..end).unwrap_or(&[]);
    memchr::memchr3(b'&', b'\r', b']', run).is_none()
}
