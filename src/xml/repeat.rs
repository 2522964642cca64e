//! Reads tags that stand where they stood before, and takes note of those that do not.
//!
//! Quicker than `content.rs`, which reads what is common but new. **Invariant:** what is told is the same.

use smallvec::SmallVec;

use super::content::{Told, is_plain};
use super::error::Error;
use super::expected::{ATTRIBUTES_EACH_MAX, Expected, ExpectedAttribute, LEAD, Piece, Shows};
use super::find;
use super::scanner::{Scanner, Step, span};
use super::scope::{NameRef, ScopeId};
use super::sink::{Record, Records, Sink, Taken, Values};
use super::tag::Read;

impl Scanner {
    /// Expects a start tag to stand here again, after what came before.
    #[inline(never)]
    pub(super) fn expect_start(
        &mut self,
        ready: &[u8],
        from: usize,
        at: usize,
        told: &Told,
        end: &[u8],
    ) -> u32 {
        match self.expected_start(ready, from, at, told, end) {
            Some((tag, attributes)) => self.expected.keep(tag, &attributes),
            None => {
                self.expected.lose();
                0
            }
        }
    }

    fn expected_start(
        &self,
        ready: &[u8],
        from: usize,
        at: usize,
        told: &Told,
        end: &[u8],
    ) -> Option<(Expected, SmallVec<[ExpectedAttribute; ATTRIBUTES_EACH_MAX]>)> {
        let space = spaces(ready, from, at)?;
        let mut attributes = SmallVec::new();
        let records = self
            .records
            .get(..self.records.len().min(ATTRIBUTES_EACH_MAX + 1));
        let records = records.unwrap_or(&[]);
        let value = |record: &Record| at + record.value.start as usize;
        let lead = records.first().map_or(told.close + 1, value);
        let mut begin = at - space;
        for (number, record) in records.iter().enumerate() {
            let stop = at + record.value.end as usize;
            let next = records.get(number + 1).map_or(told.close + 1, value);
            let within = |index: u32| u8::try_from((at + index as usize).checked_sub(begin)?).ok();
            attributes.push(ExpectedAttribute {
                after: Piece::of(ready.get(stop..next)?)?,
                name: record.resolved,
                quote: *ready.get(stop)?,
                start: within(record.name.start)?,
                end: within(record.name.end)?,
            });
            begin = stop;
        }
        let known = self.known.at(told.place);
        let serial = self.frames.last()?.serial;
        let lead = Piece::of(ready.get(at - space..lead)?)?;
        let named = told.name_end - at - 1;
        let tag = Expected {
            end: Piece::of(end)?,
            empty: told.empty,
            // An empty one has an end besides, so it cannot be taken unseen.
            shows: match told.empty {
                true => Shows::All,
                false => Shows::Nothing,
            },
            ..Expected::new(serial, (known.name, known.key()), lead, space, named)
        };
        Some((tag, attributes))
    }

    /// Expects the innermost element's end tag to stand here again.
    #[inline(never)]
    pub(super) fn expect_end(&mut self, ready: &[u8], from: usize, at: usize, close: usize) {
        match self.expected_end(ready, from, at, close) {
            Some(tag) => {
                self.expected.keep(tag, &[]);
            }
            None => self.expected.lose(),
        }
    }

    fn expected_end(&self, ready: &[u8], from: usize, at: usize, close: usize) -> Option<Expected> {
        let frame = self.frames.last().filter(|frame| frame.expected != 0)?;
        let space = spaces(ready, from, at)?;
        let lead = Piece::of(ready.get(from..=close)?)?;
        let name = (NameRef::NONE, frame.key);
        Some(Expected {
            start: frame.expected,
            ..Expected::new(frame.serial, name, lead, space, close - at - 2)
        })
    }

    /// A tag that stands where it stood before; nothing has happened when the answer is nothing.
    #[inline(always)]
    pub(super) fn expected_tag<S: Sink>(
        &mut self,
        ready: &[u8],
        at: &mut usize,
        sink: &mut S,
    ) -> Result<Option<Taken>, Box<Error>> {
        let Some(frame) = self.frames.last() else {
            return Ok(None);
        };
        let (scope, serial, open) = (frame.scope, frame.serial, frame.expected);
        let Some(place) = self.expected.follow(ready, *at, serial, open) else {
            return Ok(None);
        };
        let tag = self.expected.at(place);
        let (lead, space) = (usize::from(tag.lead.length), usize::from(tag.space));
        let start = *at + space;
        if tag.start != 0 {
            self.expected.read(place);
            self.tell_space(ready, *at, space, sink);
            *at += lead;
            return Ok(Some(self.tell_end(start, *at - 1, sink)));
        }
        if self.frames.len() >= self.limits.depth_max as usize {
            return Ok(None);
        }
        let mut shows = tag.shows;
        let (minded, bits) = (tag.attributes > 0, tag.attribute_bits);
        let read = shows != Shows::Nothing;
        let Some(behind) = self.expected_values(ready, *at, place, read) else {
            return Ok(None);
        };
        if behind - start > self.limits.tag_bytes_max as usize {
            return Ok(None);
        }
        self.expected.read(place);
        self.tell_space(ready, *at, space, sink);
        if shows != Shows::All && minded && sink.minds_attributes(bits) {
            shows = Shows::All;
            self.expected.at_mut(place).shows = shows;
            self.expected_values(ready, *at, place, true);
        }
        while shows != Shows::All {
            let within = (scope, serial);
            if let Some((taken, next)) =
                self.offer_expected(ready, start, behind, place, within, sink)
            {
                *at = next;
                return Ok(Some(taken));
            }
            let tag = self.expected.at_mut(place);
            shows = match shows {
                Shows::Nothing if tag.attributes > 0 => Shows::Values,
                _ => Shows::All,
            };
            tag.shows = shows;
            self.expected_values(ready, *at, place, true);
        }
        *at = start;
        match self.show_expected(ready, start, behind, place, sink)? {
            Step::Stop(next) => {
                *at = next;
                Ok(Some(Taken::Stop))
            }
            Step::Next(next) | Step::Incomplete(next) => {
                *at = next;
                Ok(Some(match self.skip.take() {
                    Some(_) => Taken::Skip,
                    None => Taken::Continue,
                }))
            }
        }
    }

    /// Offers an expected start tag, or the whole leaf, to the sink unseen.
    #[inline(always)]
    fn offer_expected<S: Sink>(
        &mut self,
        ready: &[u8],
        start: usize,
        behind: usize,
        place: u8,
        (scope, serial): (ScopeId, u32),
        sink: &mut S,
    ) -> Option<(Taken, usize)> {
        let depth = self.frames.len() as u32 + 1;
        let tag = self.expected.at(place);
        let (symbol, mut note) = (tag.name.symbol, tag.note);
        if tag.end.length > 0
            && let Some(open) = find::less_than(ready, behind)
            && tag.end.stands_at(ready, open)
            && (self.plain || is_plain(ready, behind, open))
        {
            let next = open + usize::from(tag.end.length);
            let text = ready.get(behind..open).unwrap_or(&[]);
            let offset = self.base + next as u64;
            let taken = sink.leaf_known((symbol, &mut note), depth, text, offset);
            if taken != Taken::Not {
                self.expected.at_mut(place).note = note;
                self.told = offset;
                return Some((taken, next));
            }
        }
        let offset = self.base + behind as u64;
        let attributes = match tag.shows {
            _ if tag.attributes == 0 => Values::None,
            Shows::Nothing => Values::Unread,
            _ => Values::Read(Records {
                tag: ready.get(start..).unwrap_or(&[]),
                records: &self.records,
            }),
        };
        let taken = sink.start_known((symbol, &mut note), attributes, depth, offset);
        if taken == Taken::Not {
            return None;
        }
        let (key, number, named) = (tag.key, tag.number, usize::from(tag.named));
        self.expected.at_mut(place).note = note;
        self.told = offset;
        let name = ready.get(start + 1..start + 1 + named).unwrap_or(&[]);
        self.push_frame(key, name, (scope, serial), number);
        Some((taken, behind))
    }

    /// Shows an expected start tag to the sink.
    #[inline(never)]
    fn show_expected<S: Sink>(
        &mut self,
        ready: &[u8],
        start: usize,
        behind: usize,
        place: u8,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let tag = *self.expected.at(place);
        self.values.clear();
        let read = Read {
            name_end: start + 1 + usize::from(tag.named),
            close: behind - 1,
            empty: tag.empty,
            declares: false,
        };
        let scope = self.scope();
        let step = self.enter_element(ready, start, &read, (tag.name, tag.key, scope), sink);
        if !tag.empty
            && let Some(frame) = self.frames.last_mut()
        {
            frame.expected = tag.number;
        }
        step
    }

    #[inline(always)]
    fn tell_space<S: Sink>(&self, ready: &[u8], at: usize, space: usize, sink: &mut S) {
        if space > 0 && sink.wants_text() {
            sink.text_bytes(ready.get(at..at + space).unwrap_or(&[]));
        }
    }

    /// Passes the values of an expected tag; the answer is what stands behind the tag, if all of it is
    /// as it was. The attributes are noted when the sink wants them.
    #[inline(always)]
    fn expected_values(
        &mut self,
        ready: &[u8],
        from: usize,
        place: u8,
        read: bool,
    ) -> Option<usize> {
        let tag = self.expected.at(place);
        let start = from + usize::from(tag.space);
        let (mut piece_start, mut at) = (from, from + usize::from(tag.lead.length));
        if read {
            self.records.clear();
        }
        for attribute in self.expected.attributes(tag) {
            let stop = match attribute.quote {
                b'"' => find::value_stop(ready, at, b'"'),
                _ => find::value_stop(ready, at, b'\''),
            };
            let longest = self.limits.attribute_bytes_max as usize;
            if stop - at > longest || !attribute.after.stands_at(ready, stop) {
                return None;
            }
            if read {
                let name = piece_start + usize::from(attribute.start);
                let name_end = piece_start + usize::from(attribute.end);
                self.records.push(Record {
                    name: span(start, name, name_end),
                    value: span(start, at, stop),
                    decoded: false,
                    declaration: false,
                    resolved: attribute.name,
                });
            }
            (piece_start, at) = (stop, stop + usize::from(attribute.after.length));
        }
        Some(at)
    }
}

/// How many bytes of white space stand between, if they are nothing else and few enough to be expected.
fn spaces(ready: &[u8], from: usize, at: usize) -> Option<usize> {
    let between = ready.get(from..at)?;
    let space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t');
    (between.len() < LEAD && between.iter().all(space)).then_some(between.len())
}
