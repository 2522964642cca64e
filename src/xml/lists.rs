//! Passes lists: steps of a trace that follow each other again and again, while none of their values means
//! anything to the sink.
//!
//! What must be looked up of the steps is looked up once for all items of a list.

use fearless_simd::{Level, Simd, dispatch};
use smallvec::SmallVec;

use super::markup::{Gap, Markup};
use super::sink::{Sink, Tests};
use super::trace::{Event, Step, StepId, Trace};

/// Most steps that an item may have.
const STEPS_MAX: usize = 8;
/// So many lists may end in their first item, one after the other, before this many that may begin are not looked at.
const VAIN_MAX: u8 = 2;
const VAIN_PAUSE: u8 = 62;

/// Why steps cannot be passed as a list.
enum Unlisted {
    /// They do not lead back, or end elements that are on the stacks.
    Now,
    /// The sink must be told of one of them whatever its values are.
    Always,
}

/// A step of an item.
struct Turn<'t> {
    id: StepId,
    lead: &'t Markup,
    values: SmallVec<[Value<'t>; 4]>,
}

/// A value, the markup behind it, and what the sink wants of it.
type Value<'t> = (&'t Gap, Tests);

/// An item's steps.
type Item<'t> = SmallVec<[Turn<'t>; STEPS_MAX]>;

impl Trace {
    /// Passes the list whose items begin behind the last step and end with it, of steps that leave open more than
    /// `floor` elements; the answer is where it goes on.
    #[inline(never)]
    pub(super) fn pass_list<S: Sink>(
        &mut self,
        level: Level,
        buf: &[u8],
        at: usize,
        floor: u16,
        limits: (u32, u32),
        sink: &S,
    ) -> usize {
        if self.vain >= VAIN_MAX {
            self.vain = (self.vain + 1) % (VAIN_MAX + VAIN_PAUSE);
            return at;
        }
        let step = self.step(self.last);
        if step.part.is_quiet() && step.next.first() == self.last {
            return dispatch!(level, simd => self.pass_equals(simd, step, buf, at, limits));
        }
        let item = self.item(floor, sink);
        let passed = item.map(
            |item| dispatch!(level, simd => self.pass_items(simd, buf, at, &item, limits, sink)),
        );
        let (end, last, whole) = match passed {
            Ok(passed) => passed,
            Err(Unlisted::Now) => (at, self.last, false),
            Err(Unlisted::Always) => {
                self.bar();
                return at;
            }
        };
        self.vain = if whole { 0 } else { self.vain + 1 };
        self.last = last;
        end
    }

    /// Passes a step of which nothing is wanted as often as it stands there.
    #[inline(always)]
    fn pass_equals<V: Simd>(
        &self,
        simd: V,
        step: &Step,
        buf: &[u8],
        at: usize,
        (longest, longest_tag): (u32, u32),
    ) -> usize {
        let all = self.bytes.as_slice();
        let holes = self.holes(step);
        let mut rest = buf.get(at..).unwrap_or(&[]);
        'list: while let Some(mut behind) = step.lead.strip(simd, rest, all) {
            for hole in holes {
                let Some((_, next)) = hole.gap.strip(simd, behind, all, longest) else {
                    break 'list;
                };
                behind = next;
            }
            let length = rest.len() - behind.len();
            if length > longest_tag as usize || length == 0 {
                break;
            }
            rest = behind;
        }
        buf.len() - rest.len()
    }

    #[inline(always)]
    fn pass_items<V: Simd, S: Sink>(
        &self,
        simd: V,
        buf: &[u8],
        at: usize,
        item: &[Turn<'_>],
        (longest, longest_tag): (u32, u32),
        sink: &S,
    ) -> (usize, StepId, bool) {
        let all = self.bytes.as_slice();
        let mut rest = buf.get(at..).unwrap_or(&[]);
        let mut last = self.last;
        let mut whole = false;
        'list: loop {
            for turn in item {
                let Some(mut behind) = turn.lead.strip(simd, rest, all) else {
                    break 'list;
                };
                for (gap, tests) in &turn.values {
                    let Some((length, next)) = gap.strip(simd, behind, all, longest) else {
                        break 'list;
                    };
                    if !tests.is_none() && sink.meets(*tests, behind.get(..length).unwrap_or(&[])) {
                        break 'list;
                    }
                    behind = next;
                }
                // All tags are within the limit if they are so together, and it moves on.
                let length = rest.len() - behind.len();
                if length > longest_tag as usize || length == 0 {
                    break 'list;
                }
                (rest, last) = (behind, turn.id);
            }
            whole = true;
        }
        (buf.len() - rest.len(), last, whole)
    }

    /// The steps that follow each other from behind the last one up to it, if a list can be passed by them.
    fn item<S: Sink>(&self, floor: u16, sink: &S) -> Result<Item<'_>, Unlisted> {
        let mut item = Item::new();
        let mut id = self.last;
        loop {
            id = self.step(id).next.first();
            let step = self.step(id);
            if step.floor < floor || item.len() >= STEPS_MAX {
                return Err(Unlisted::Now);
            }
            item.push(Turn {
                id,
                lead: &step.lead,
                values: self.values_of(step, sink).ok_or(Unlisted::Always)?,
            });
            if id == self.last {
                return Ok(item);
            }
        }
    }

    /// A step's values, if the sink need not be told of the step unless they meet some tests.
    fn values_of<'t, S: Sink>(
        &'t self,
        step: &'t Step,
        sink: &S,
    ) -> Option<SmallVec<[Value<'t>; 4]>> {
        let part = step.part;
        let takes = match step.event {
            Event::Nothing | Event::Empty | Event::Leaf => true,
            Event::Start => !part.dead(),
            Event::Text => false,
        };
        if !takes || part.frame() || part.leaf() {
            return None;
        }
        let element = self.element(step.element);
        let mut values = SmallVec::new();
        for (number, hole) in self.holes(step).iter().enumerate() {
            let tests = match part.values() && number >= usize::from(step.quiet) {
                true => sink.tests_of(element.note, Some(hole.name.symbol))?,
                false => Tests::default(),
            };
            values.push((&hole.gap, tests));
        }
        if step.event == Event::Leaf {
            values.push((&element.end, sink.tests_of(element.note, None)?));
        }
        Some(values)
    }
}
