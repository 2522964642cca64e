//! Passes lists: steps of a trace that follow each other again and again, while none of their values means
//! anything to the sink.
//!
//! What must be looked up of the steps is looked up once for all items of a list: the first is passed step by step,
//! the others by `ring.rs`.

use std::ops::Range;

use fearless_simd::{Level, Simd, dispatch};
use smallvec::SmallVec;

use super::markup::Markup;
use super::ring::{Ring, Value};
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

/// The steps of an item, and all their values.
#[derive(Default)]
struct Item<'t> {
    steps: SmallVec<[ItemStep<'t>; STEPS_MAX]>,
    values: SmallVec<[Value<'t>; STEPS_MAX]>,
}

/// A step of an item.
struct ItemStep<'t> {
    id: StepId,
    lead: &'t Markup,
    values: Range<usize>,
}

impl<'t> Item<'t> {
    /// The markup that a step begins with, and its values.
    fn parts(&self) -> impl Iterator<Item = (&'t Markup, &[Value<'t>])> + Clone {
        self.steps.iter().map(|step| {
            let values = self.values.get(step.values.clone());
            (step.lead, values.unwrap_or(&[]))
        })
    }
}

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
        let passed = {
            let mut item = Item::default();
            let found = self.item(&mut item, floor, sink);
            found.map(|()| self.pass_by_item(level, buf, at, &item, limits, sink))
        };
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

    /// Passes the first item step by step and the others as a ring; the answer is also the last step, and whether
    /// there was an item.
    #[inline(always)]
    fn pass_by_item<S: Sink>(
        &self,
        level: Level,
        buf: &[u8],
        at: usize,
        item: &Item<'_>,
        limits: (u32, u32),
        sink: &S,
    ) -> (usize, StepId, bool) {
        let first = dispatch!(level, simd => self.pass_one(simd, buf, at, item, limits, sink));
        let (end, last, true) = first else {
            return first;
        };
        let mut ring = Ring::new();
        let joined = ring.join(item.parts(), &self.bytes, limits, sink);
        let end = match joined {
            Some(()) => dispatch!(level, simd => ring.pass(simd, buf, end, sink)),
            None => end,
        };
        (end, last, true)
    }

    /// Passes steps of one item.
    #[inline(always)]
    fn pass_one<V: Simd, S: Sink>(
        &self,
        simd: V,
        buf: &[u8],
        at: usize,
        item: &Item<'_>,
        (longest, longest_tag): (u32, u32),
        sink: &S,
    ) -> (usize, StepId, bool) {
        let all = self.bytes.as_slice();
        let mut rest = buf.get(at..).unwrap_or(&[]);
        let mut last = self.last;
        let mut whole = false;
        'item: {
            for (step, (lead, values)) in item.steps.iter().zip(item.parts()) {
                let Some(mut behind) = lead.strip(simd, rest, all) else {
                    break 'item;
                };
                for (gap, tests) in values {
                    let Some((length, next)) = gap.strip(simd, behind, all, longest) else {
                        break 'item;
                    };
                    if !tests.is_none() && sink.meets(*tests, behind.get(..length).unwrap_or(&[])) {
                        break 'item;
                    }
                    behind = next;
                }
                // All tags are within the limit if they are so together, and it moves on.
                let length = rest.len() - behind.len();
                if length > longest_tag as usize || length == 0 {
                    break 'item;
                }
                (rest, last) = (behind, step.id);
            }
            whole = true;
        }
        (buf.len() - rest.len(), last, whole)
    }

    /// The steps that follow each other from behind the last one up to it, if a list can be passed by them.
    fn item<'t, S: Sink>(
        &'t self,
        item: &mut Item<'t>,
        floor: u16,
        sink: &S,
    ) -> Result<(), Unlisted> {
        let mut id = self.last;
        loop {
            id = self.step(id).next.first();
            let step = self.step(id);
            if step.floor < floor || item.steps.len() >= STEPS_MAX {
                return Err(Unlisted::Now);
            }
            let before = item.values.len();
            self.add_values(step, &mut item.values, sink)
                .ok_or(Unlisted::Always)?;
            item.steps.push(ItemStep {
                id,
                lead: &step.lead,
                values: before..item.values.len(),
            });
            if id == self.last {
                return Ok(());
            }
        }
    }

    /// Adds a step's values, if the sink need not be told of the step unless they meet some tests.
    fn add_values<'t, S: Sink>(
        &'t self,
        step: &'t Step,
        values: &mut SmallVec<[Value<'t>; STEPS_MAX]>,
        sink: &S,
    ) -> Option<()> {
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
        Some(())
    }
}
