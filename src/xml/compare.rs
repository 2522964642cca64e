//! Goes on from step to step of a trace, as long as what stands in the buffer is what stood there before.
//!
//! No element is put on a stack here: the sink is told what it wants to know of each step.

use fearless_simd::{Level, Simd, dispatch};

use super::find;
use super::scanner::span;
use super::scope::Span;
use super::sink::{Opening, Record, Records, Sink, Taken};
use super::trace::{ElementId, Event, Step, StepId, Trace};

/// Where the parts of a step stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) id: StepId,
    /// The tag at its end.
    pub(super) tag: usize,
    /// Behind the markup and its values: behind the start tag at its end, if there is one.
    pub(super) behind: usize,
    /// Behind a leaf's text.
    pub(super) open: usize,
    /// Behind all of it.
    pub(super) next: usize,
}

/// What the sink wants of a step besides being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: the step is done.
    Nothing,
    /// The element of the tag at its end on the stacks.
    Frame,
    /// Not to see the content of that element.
    Skip,
    /// To stop behind that tag, or behind the whole step.
    StopAtTag,
    Stop,
}

/// How far a trace was followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) at: usize,
    /// The innermost open element, most of which may be on no stack.
    pub(super) inner: ElementId,
    /// How many elements are on the stacks.
    pub(super) stays: usize,
    /// What the sink must be shown is not as deep.
    pub(super) floor: u16,
    /// Offset in the document of the buffer's first byte.
    pub(super) base: u64,
    /// `attribute_bytes_max` and `tag_bytes_max`.
    pub(super) limits: (u32, u32),
}

impl Trace {
    /// Goes on step by step as long as the sink need only be told; the answer is the step that comes next, if
    /// all of it stands there, and what is wanted of it.
    #[inline]
    pub(super) fn run<S: Sink>(
        &mut self,
        level: Level,
        buf: &[u8],
        way: &mut Way,
        values: &mut Vec<Record>,
        sink: &mut S,
    ) -> Option<(Standing, Wanted)> {
        dispatch!(level, simd => self.run_by(simd, buf, way, values, sink))
    }

    #[inline(always)]
    fn run_by<V: Simd, S: Sink>(
        &mut self,
        simd: V,
        buf: &[u8],
        way: &mut Way,
        values: &mut Vec<Record>,
        sink: &mut S,
    ) -> Option<(Standing, Wanted)> {
        let Way {
            mut at,
            mut inner,
            stays,
            floor,
            base,
            limits,
        } = *way;
        // No step is as shallow as the one that stands for none.
        let floor = floor.max(1);
        let mut next = self.followers(inner).each();
        let found = loop {
            let [first, second] = next;
            let mut id = first;
            let standing = loop {
                match self.standing(simd, id, buf, (at, floor), values, limits) {
                    None if id != second => id = second,
                    standing => break standing,
                }
            };
            let Some(standing) = standing else {
                break None;
            };
            if id != first {
                self.prefer_second(inner);
            }
            let step = self.step(id);
            if usize::from(step.floor) < stays {
                break Some((standing, Wanted::Nothing));
            }
            if !step.part.is_quiet() {
                let wanted = self.tell(step, &standing, (buf, base), values, sink);
                if wanted != Wanted::Nothing {
                    break Some((standing, wanted));
                }
            }
            (at, inner, next) = (standing.next, step.after, step.next.each());
            let ends_item = step.ends_item(id);
            self.last = id;
            if ends_item {
                let floor = floor.max(u16::try_from(stays).unwrap_or(u16::MAX));
                at = self.pass_list(simd.level(), buf, at, floor, limits, sink);
                let step = self.step(self.last);
                (inner, next) = (step.after, step.next.each());
            }
        };
        (way.at, way.inner) = (at, inner);
        found
    }

    /// Tells the sink what it wants to know of a step.
    #[inline(always)]
    pub(super) fn tell<S: Sink>(
        &self,
        step: &Step,
        standing: &Standing,
        (buf, base): (&[u8], u64),
        values: &[Record],
        sink: &mut S,
    ) -> Wanted {
        let part = step.part;
        if part.frame() {
            return Wanted::Frame;
        }
        let element = self.element(step.element);
        if part.values_or_leaf() {
            let behind = base + standing.behind as u64;
            let values = Records {
                tag: buf.get(standing.tag..).unwrap_or(&[]),
                records: values,
            };
            let opening = match part.values() {
                true => sink.values(element.note, values, behind),
                false => sink.starts(element.note, u32::from(element.depth), behind),
            };
            match opening {
                Opening::Nothing => {}
                Opening::Frame => return Wanted::Frame,
                Opening::Stop => return Wanted::StopAtTag,
            }
        }
        match step.event {
            Event::Leaf => {
                let text = buf.get(standing.behind..standing.open).unwrap_or(&[]);
                let (depth, end) = (u32::from(element.depth), base + standing.next as u64);
                match sink.leaf(element.note, depth, text, end) {
                    Taken::Stop => Wanted::Stop,
                    _ => Wanted::Nothing,
                }
            }
            Event::Start if part.dead() => Wanted::Skip,
            _ => Wanted::Nothing,
        }
    }

    /// Where a step's parts stand, if all of it stands at `at`. Values are noted where they are wanted.
    #[inline(always)]
    fn standing<V: Simd>(
        &self,
        simd: V,
        id: StepId,
        buf: &[u8],
        (at, floor): (usize, u16),
        values: &mut Vec<Record>,
        (longest, longest_tag): (u32, u32),
    ) -> Option<Standing> {
        let step = self.step(id);
        if step.floor < floor {
            return None;
        }
        let all = self.bytes.as_slice();
        let here = |rest: &[u8]| buf.len() - rest.len();
        let mut rest = step.lead.strip(simd, buf.get(at..)?, all)?;
        let mut tag = at;
        let mut own = self.holes(step);
        if step.quiet > 0 {
            let passed;
            (passed, own) = own.split_at_checked(usize::from(step.quiet))?;
            for hole in passed {
                let (length, behind) = hole.gap.strip(simd, rest, all, longest)?;
                (tag, rest) = (here(rest) + length, behind);
            }
            // All tags are within the limit if they are so together.
            if here(rest) - at > longest_tag as usize {
                return None;
            }
        }
        tag += usize::from(step.tag);
        if !step.part.is_quiet() {
            values.clear();
            for hole in own {
                let (length, behind) = hole.gap.strip(simd, rest, all, longest)?;
                let start = here(rest);
                values.push(Record {
                    name: Span::default(),
                    value: span(tag, start, start + length),
                    decoded: false,
                    declaration: false,
                    resolved: hole.name,
                });
                rest = behind;
            }
            if step.holes > 0 && here(rest) - tag > longest_tag as usize {
                return None;
            }
        }
        let behind = here(rest);
        let (open, next) = match step.event {
            Event::Text => {
                let open = find::plain_text(buf, behind)?;
                // Where nothing is wanted of an element, what else is in it would not be read.
                if buf.get(open + 1) != Some(&b'/') {
                    return None;
                }
                (open, open)
            }
            Event::Leaf => {
                let end = &self.element(step.element).end;
                let (length, next) = end.strip(simd, rest, all, u32::MAX)?;
                (behind + length, here(next))
            }
            _ => (behind, behind),
        };
        Some(Standing {
            id,
            tag,
            behind,
            open,
            next,
        })
    }
}
