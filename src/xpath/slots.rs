//! What instances keep of values: first nodes, counts and sums, and what is computed from them.
//!
//! What follows from a value that meets its tests is for `facts.rs`.

use super::eval::Given;
use super::facts::Facts;
use super::index::Found;
use super::program::{Program, Slot};
use super::scalar::{Scalar, Slots};
use super::states::States;

/// A slot's value.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotState {
    pub(super) progress: Progress,
    /// The pooled text.
    pub(super) text: u32,
    pub(super) cut: bool,
    pub(super) number: f64,
    /// The element counted last, so that none counts twice.
    pub(super) last: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Empty,
    /// The first node is this open element.
    Taking(u32),
    Done,
}

impl Facts {
    pub(super) fn take_text(&mut self) -> u32 {
        if let Some(text) = self.free_texts.pop() {
            return text;
        }
        self.texts.push(String::new());
        self.texts.len() as u32 - 1
    }

    #[inline]
    pub(super) fn release_slots(&mut self, from: u32) {
        if self.slots.len() == from as usize {
            return;
        }
        for slot in self.slots.drain(from as usize..) {
            if let Some(text) = self.texts.get_mut(slot.text as usize) {
                text.clear();
                self.free_texts.push(slot.text);
            }
        }
    }

    /// The first node of a slot is complete.
    pub(super) fn fill(
        &mut self,
        program: &Program,
        states: &States,
        slot: u32,
        inst: u32,
        text: &[u8],
        cut: bool,
    ) {
        let open = self.insts.get(inst as usize);
        let slots = open.map(|open| program.slots(open.node));
        if let Some(info) = slots.and_then(|slots| slots.get(slot as usize)) {
            self.fill_known(program, states, (info, slot), inst, text, cut);
        }
    }

    /// The same, for a slot of which is known what it keeps.
    #[inline]
    pub(super) fn fill_known(
        &mut self,
        program: &Program,
        states: &States,
        (info, slot): (&Slot, u32),
        inst: u32,
        text: &[u8],
        cut: bool,
    ) {
        let first = self.insts.get(inst as usize).map_or(0, |inst| inst.slots);
        let Some(state) = self.slots.get_mut((first + slot) as usize) else {
            return;
        };
        state.progress = Progress::Done;
        state.cut = cut;
        if let Some(kept) = self.texts.get_mut(state.text as usize) {
            kept.clear();
            kept.push_str(std::str::from_utf8(text).unwrap_or(""));
        }
        for &scalar in &info.scalars {
            match program.scalars.get(scalar as usize) {
                Some(scalar) if !info.kept => {
                    let found = Found::Text(text, cut);
                    self.test(program, states, scalar.index, found, inst);
                }
                _ => self.compute(program, states, scalar, inst),
            }
        }
    }

    /// More for a count or a sum.
    pub(super) fn count(
        &mut self,
        program: &Program,
        states: &States,
        slot: u32,
        inst: u32,
        more: f64,
    ) {
        let Some(open) = self.insts.get(inst as usize).copied() else {
            return;
        };
        let Some(state) = self.slots.get_mut((open.slots + slot) as usize) else {
            return;
        };
        state.number += more;
        let number = state.number;
        let Some(counts) = program
            .slots(open.node)
            .get(slot as usize)
            .map(|slot| &slot.counts)
        else {
            return;
        };
        for &scalar in counts {
            let Some(info) = program.scalars.get(scalar as usize) else {
                continue;
            };
            let (Some(tests), Some(memo)) = (
                program.indexes.get(info.index as usize),
                self.memos.get_mut(info.index as usize),
            ) else {
                continue;
            };
            let from = self.fired.len();
            tests.test_growing(number, memo, open.serial, |cond| self.fired.push(cond));
            self.fire_all(program, states, from, inst);
        }
    }

    /// Computes a scalar from what its slots hold now, and tests it.
    pub(super) fn compute(&mut self, program: &Program, states: &States, scalar: u32, inst: u32) {
        let Some(info) = program.scalars.get(scalar as usize) else {
            return;
        };
        let Some(open) = self.insts.get(inst as usize).copied() else {
            return;
        };
        let slots = |slot: u32| self.slots.get((open.slots + slot) as usize);
        let cut = info
            .slots
            .iter()
            .any(|slot| slots(*slot).is_some_and(|slot| slot.cut));
        if cut && !matches!(info.scalar, Scalar::Text(_)) {
            self.spilled = true;
            return;
        }
        let (Some(tests), Some(memo)) = (
            program.indexes.get(info.index as usize),
            self.memos.get_mut(info.index as usize),
        ) else {
            return;
        };
        let mut stack = std::mem::take(&mut self.stack);
        let from = self.fired.len();
        let held = Held {
            slots: &self.slots,
            texts: &self.texts,
            given: &self.given,
            first: open.slots,
        };
        let complete = info.scalar.with(&held, &mut stack, |found| {
            let found = match found {
                Found::Text(text, _) => Found::Text(text, cut),
                other => other,
            };
            tests.test(found, memo, open.serial, |cond| self.fired.push(cond))
        });
        self.stack = stack;
        self.spilled |= !complete;
        self.fire_all(program, states, from, inst);
    }

    pub(super) fn compute_at_end(
        &mut self,
        program: &Program,
        states: &States,
        scalar: u32,
        inst: u32,
    ) {
        let early = program
            .scalars
            .get(scalar as usize)
            .and_then(|info| info.early);
        let done = early.is_some_and(|slot| {
            let base = self.insts.get(inst as usize).map_or(0, |inst| inst.slots);
            self.slots
                .get((base + slot) as usize)
                .is_some_and(|slot| slot.progress == Progress::Done)
        });
        if !done {
            self.compute(program, states, scalar, inst);
        }
    }
}

/// The slots of one instance.
struct Held<'f> {
    slots: &'f [SlotState],
    texts: &'f [String],
    given: &'f [Given],
    first: u32,
}

impl Slots for Held<'_> {
    fn text(&self, slot: u32) -> &str {
        let state = self
            .slots
            .get((self.first + slot) as usize)
            .filter(|slot| slot.progress == Progress::Done);
        state
            .and_then(|slot| self.texts.get(slot.text as usize))
            .map_or("", String::as_str)
    }
    fn number(&self, slot: u32) -> f64 {
        self.slots
            .get((self.first + slot) as usize)
            .map_or(0.0, |slot| slot.number)
    }
    fn external(&self, index: usize) -> Option<&Given> {
        self.given.get(index)
    }
}
