//! What is known of the message so far: conditions, rules, decisions, and the instances they belong to.
//!
//! A condition is true of an instance when its stamp is the instance's serial number, so nothing is
//! cleared between messages or elements. Only the rarest condition of a rule looks at the rule; the
//! others are just stamped. `stream.rs` brings the events.

use std::collections::{HashMap, HashSet};

use smallvec::{SmallVec, smallvec};

use super::eval::Given;
use super::index::{Found, Hashing, Memo, VALUE_BYTES_MAX};
use super::program::{
    Action, CondId, DECIDES, Effect, FormulaId, Logic, Phase, Program, RuleId, SlotKind,
};
use super::scalar::{Scalar, Slots};
use super::set::AtomId;
use super::states::{StateId, States};
use super::trie::{NodeId, Reach};

/// No entry.
pub(super) const NONE: u32 = u32::MAX;
/// The instance that is the document.
pub(super) const DOCUMENT: u32 = 0;

/// An open element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) state: StateId,
    pub(super) flags: u8,
    /// First of its instances, counters.
    pub(super) insts: u32,
    pub(super) counters: u32,
    /// Where its text starts among what is kept, or `NONE`.
    pub(super) capture: u32,
    pub(super) need: u32,
    /// Up to where text was wanted before it.
    pub(super) wanted_before: u32,
    /// Rounds the size up to a power of two, which is quicker to multiply by.
    pub(super) _spare: u32,
}

impl Frame {
    /// An element that starts now.
    #[inline(always)]
    pub(super) fn of(facts: &Facts, state: StateId, flags: u8) -> Self {
        Self {
            state,
            flags,
            insts: facts.insts.len() as u32,
            counters: facts.counters.len() as u32,
            capture: NONE,
            need: 0,
            wanted_before: 0,
            _spare: 0,
        }
    }
}

/// Why rules that wait are looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A condition came true.
    News,
    /// The start tag is done, and with it what depends on it alone.
    Start,
    /// The element is over.
    End,
}

/// An element as the anchor it matched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inst {
    pub(super) node: NodeId,
    pub(super) serial: u32,
    pub(super) frame: u32,
    pub(super) slots: u32,
    pub(super) pending: u32,
    pub(super) started: bool,
}

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

/// All state of one message.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) frames: Vec<Frame>,
    pub(super) insts: Vec<Inst>,
    pub(super) counters: Vec<(NodeId, u32)>,
    pub(super) slots: Vec<SlotState>,
    pub(super) texts: Vec<String>,
    free_texts: Vec<u32>,
    pub(super) given: Vec<Given>,
    stamps: Vec<u32>,
    /// Truths of open instances whose stamp an inner instance of the same anchor took.
    covered: HashSet<(CondId, u32), Hashing>,
    memos: Vec<Memo>,
    /// Rules of the document that wait for a condition, by condition.
    watched: HashMap<CondId, u32, Hashing>,
    watchers: Vec<(RuleId, u32)>,
    pendings: Vec<(RuleId, u32)>,
    free_pending: u32,
    phase_pending: Vec<Vec<RuleId>>,
    /// Expressions that are true, as bits.
    decided: Vec<u64>,
    pub(super) matched: Vec<AtomId>,
    /// Phases that are over: all below this one.
    pub(super) phase: Phase,
    pub(super) next_serial: u32,
    pub(super) spilled: bool,
    /// Decisions fell since this was last cleared.
    pub(super) news: bool,
    fired: Vec<CondId>,
    stack: String,
    pub(super) element: u64,
}

impl Facts {
    /// Starts a message for a program; `fresh` when the program is another than the last.
    pub(super) fn begin(&mut self, program: &Program, fresh: bool) {
        self.release_slots(0);
        self.insts.clear();
        self.frames.clear();
        self.counters.clear();
        self.covered.clear();
        self.watchers.clear();
        self.pendings.clear();
        self.free_pending = NONE;
        self.watched.clear();
        self.spilled = false;
        self.news = false;
        self.phase = 0;
        self.element = 0;
        self.stack.clear();
        for atom in self.matched.drain(..) {
            if let Some(word) = self.decided.get_mut(atom.0 as usize / 64) {
                *word = 0;
            }
        }
        self.phase_pending
            .resize_with(program.phase_ends.len(), Vec::new);
        self.phase_pending.iter_mut().for_each(Vec::clear);
        if fresh || self.next_serial > u32::MAX / 2 {
            self.next_serial = 1;
            self.stamps.clear();
            self.stamps.resize(program.actions.len(), 0);
            self.decided.clear();
            self.decided.resize(program.plans.len().div_ceil(64), 0);
            self.memos.clear();
            self.memos.resize(program.indexes.len(), Memo::default());
        }
        self.open(program, 0, 0);
        if let Some(document) = self.insts.first_mut() {
            document.started = true;
        }
    }

    /// Opens an instance of an anchor at the frame with this number.
    pub(super) fn open(&mut self, program: &Program, node: NodeId, frame: u32) -> u32 {
        let slots = self.slots.len() as u32;
        for slot in program.slots(node) {
            let needs_text = !matches!(slot.kind, SlotKind::Count | SlotKind::Sum);
            let text = if needs_text { self.take_text() } else { NONE };
            self.slots.push(SlotState {
                progress: Progress::Empty,
                text,
                cut: false,
                number: 0.0,
                last: 0,
            });
        }
        self.insts.push(Inst {
            node,
            serial: self.next_serial,
            frame,
            slots,
            pending: NONE,
            started: false,
        });
        self.next_serial += 1;
        self.insts.len() as u32 - 1
    }

    fn take_text(&mut self) -> u32 {
        if let Some(text) = self.free_texts.pop() {
            return text;
        }
        self.texts.push(String::new());
        self.texts.len() as u32 - 1
    }

    fn release_slots(&mut self, from: u32) {
        for slot in self.slots.drain(from as usize..) {
            if let Some(text) = self.texts.get_mut(slot.text as usize) {
                text.clear();
                self.free_texts.push(slot.text);
            }
        }
    }

    // --- conditions -----------------------------------------------------------------------------

    #[inline]
    fn serial(&self, inst: u32) -> u32 {
        self.insts.get(inst as usize).map_or(0, |inst| inst.serial)
    }

    #[inline]
    fn holds(&self, cond: CondId, serial: u32) -> bool {
        self.stamps.get(cond as usize) == Some(&serial)
            || !self.covered.is_empty() && self.covered.contains(&(cond, serial))
    }

    /// Notes a truth; false when it was known.
    #[inline]
    fn note(&mut self, cond: CondId, serial: u32) -> bool {
        if self.holds(cond, serial) {
            return false;
        }
        let Some(stamp) = self.stamps.get_mut(cond as usize) else {
            return false;
        };
        let before = std::mem::replace(stamp, serial);
        // Serials grow, so the open instances are sorted by them.
        let open = before != 0
            && self.insts.len() > 2
            && self
                .insts
                .binary_search_by_key(&before, |i| i.serial)
                .is_ok();
        if open {
            self.covered.insert((cond, before));
        }
        true
    }

    /// A condition has come true of an instance.
    #[inline]
    pub(super) fn fire(&mut self, program: &Program, states: &States, cond: CondId, inst: u32) {
        if cond & DECIDES != 0 {
            return self.decide(cond & !DECIDES);
        }
        let Some(&(action, joins)) = program.actions.get(cond as usize) else {
            return;
        };
        let serial = self.serial(inst);
        if !self.note(cond, serial) {
            return;
        }
        match action {
            Action::Nothing => {}
            Action::Rule(rule) => self.try_rule(program, states, rule, inst),
            Action::Rules(start) => {
                for &rule in program.opened(start) {
                    self.try_rule(program, states, rule, inst);
                }
            }
        }
        if joins {
            self.wake(program, states, cond, inst);
        }
    }

    fn wake(&mut self, program: &Program, states: &States, cond: CondId, inst: u32) {
        if inst != DOCUMENT {
            self.recheck(program, states, inst, Cause::News);
            return;
        }
        if self.watched.is_empty() {
            return;
        }
        let mut at = self.watched.remove(&cond).unwrap_or(NONE);
        while let Some(&(rule, next)) = self.watchers.get(at as usize) {
            self.try_rule(program, states, rule, DOCUMENT);
            at = next;
        }
    }

    /// Looks at a rule whose opening condition is true.
    fn try_rule(&mut self, program: &Program, states: &States, id: RuleId, inst: u32) {
        let Some(rule) = program.rules.get(id as usize) else {
            return;
        };
        let serial = self.serial(inst);
        let (positive, negative) = program.conditions(rule);
        let missing = positive
            .iter()
            .copied()
            .find(|cond| !self.holds(*cond, serial));
        match missing {
            Some(cond) if inst == DOCUMENT => {
                let number = self.watchers.len() as u32;
                let next = self.watched.insert(cond, number).unwrap_or(NONE);
                self.watchers.push((id, next));
            }
            Some(_) => self.pend(id, inst),
            None if negative.is_empty() => self.conclude(program, states, rule.outcome, inst),
            None if inst == DOCUMENT => {
                if rule.phase < self.phase {
                    self.try_negatives(program, states, id, inst);
                } else if let Some(pending) = self.phase_pending.get_mut(usize::from(rule.phase)) {
                    pending.push(id);
                }
            }
            None => {
                let started = self
                    .insts
                    .get(inst as usize)
                    .is_some_and(|inst| inst.started);
                if started && rule.negative_at_start {
                    self.try_negatives(program, states, id, inst);
                } else {
                    self.pend(id, inst);
                }
            }
        }
    }

    /// Looks at a rule whose negative conditions are all settled.
    fn try_negatives(&mut self, program: &Program, states: &States, id: RuleId, inst: u32) {
        let Some(rule) = program.rules.get(id as usize) else {
            return;
        };
        let serial = self.serial(inst);
        let (positive, negative) = program.conditions(rule);
        let holds = positive.iter().all(|cond| self.holds(*cond, serial))
            && !negative.iter().any(|cond| self.holds(*cond, serial));
        // A value that was too long leaves it open what is not true.
        if holds && (!self.spilled || negative.is_empty()) {
            self.conclude(program, states, rule.outcome, inst);
        }
    }

    fn pend(&mut self, rule: RuleId, inst: u32) {
        let Some(open) = self.insts.get_mut(inst as usize) else {
            return;
        };
        let next = open.pending;
        let free = self.free_pending;
        match self.pendings.get_mut(free as usize) {
            Some(slot) => {
                self.free_pending = slot.1;
                *slot = (rule, next);
                open.pending = free;
            }
            None => {
                open.pending = self.pendings.len() as u32;
                self.pendings.push((rule, next));
            }
        }
    }

    /// Looks again at the rules that wait in an instance.
    fn recheck(&mut self, program: &Program, states: &States, inst: u32, cause: Cause) {
        let Some(open) = self.insts.get(inst as usize).copied() else {
            return;
        };
        let mut at = open.pending;
        while let Some(&(id, next)) = self.pendings.get(at as usize) {
            let known = program
                .rules
                .get(id as usize)
                .is_some_and(|rule| match cause {
                    Cause::News => rule.negatives == 0 || open.started && rule.negative_at_start,
                    Cause::Start => rule.negatives > 0 && rule.negative_at_start,
                    Cause::End => rule.negatives > 0,
                });
            if known {
                self.try_negatives(program, states, id, inst);
            }
            at = next;
        }
    }

    // --- conclusions ----------------------------------------------------------------------------

    /// What a rule says is true of an instance: an expression, or a formula.
    fn conclude(&mut self, program: &Program, states: &States, id: FormulaId, inst: u32) {
        if id & DECIDES != 0 {
            return self.decide(id & !DECIDES);
        }
        let Some(formula) = program.formulas.get(id as usize) else {
            return;
        };
        if let Some(once) = formula.once
            && !self.note(once, self.serial(inst))
        {
            return;
        }
        for effect in &formula.effects {
            match *effect {
                Effect::Atom(atom) => self.decide(atom),
                Effect::Cond(cond, anchor, up) => {
                    for outer in self.outer(program, states, inst, anchor, up) {
                        self.fire(program, states, cond, outer);
                    }
                }
                Effect::Count(slot, anchor, up) => {
                    for outer in self.outer(program, states, inst, anchor, up) {
                        self.count(program, states, slot, outer, 1.0);
                    }
                }
            }
        }
    }

    fn decide(&mut self, atom: u32) {
        if self.mark(atom) {
            self.matched.push(AtomId(atom));
            self.news = true;
        }
    }

    /// Notes that an expression is true; false when that was known.
    pub(super) fn mark(&mut self, atom: u32) -> bool {
        let bit = 1 << (atom % 64);
        let Some(word) = self.decided.get_mut(atom as usize / 64) else {
            return false;
        };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether an expression is known to be true.
    pub(super) fn is_true(&self, atom: u32) -> bool {
        let word = self.decided.get(atom as usize / 64).copied();
        word.is_some_and(|word| word >> (atom % 64) & 1 == 1)
    }

    fn outer(
        &self,
        program: &Program,
        states: &States,
        inst: u32,
        anchor: NodeId,
        up: Option<u32>,
    ) -> SmallVec<[u32; 4]> {
        match self.insts.get(inst as usize) {
            Some(open) => self.instances(program, states, open.node, anchor, up, open.frame),
            None => SmallVec::new(),
        }
    }

    /// The instances of `anchor` that an element at `frame`, matching `node`, belongs to.
    #[inline]
    pub(super) fn instances(
        &self,
        program: &Program,
        states: &States,
        node: NodeId,
        anchor: NodeId,
        up: Option<u32>,
        frame: u32,
    ) -> SmallVec<[u32; 4]> {
        match up {
            _ if anchor == 0 => smallvec![DOCUMENT],
            Some(up) => self
                .instance_at(anchor, frame.wrapping_sub(up))
                .into_iter()
                .collect(),
            None => self.instances_above(program, states, node, anchor, frame),
        }
    }

    #[inline]
    pub(super) fn instance_at(&self, anchor: NodeId, frame: u32) -> Option<u32> {
        let open = self.frames.get(frame as usize)?;
        let end = self
            .frames
            .get(frame as usize + 1)
            .map_or(self.insts.len() as u32, |next| next.insts);
        (open.insts..end).find(|id| {
            self.insts
                .get(*id as usize)
                .is_some_and(|inst| inst.node == anchor && inst.frame == frame)
        })
    }

    /// Follows the steps back up the open elements; an element may fit a step at several depths.
    #[cold]
    fn instances_above(
        &self,
        program: &Program,
        states: &States,
        node: NodeId,
        anchor: NodeId,
        frame: u32,
    ) -> SmallVec<[u32; 4]> {
        let mut fits: SmallVec<[u32; 16]> = smallvec![frame];
        let mut at = node;
        while at != anchor {
            let Some(step) = program.trie.node(at) else {
                return SmallVec::new();
            };
            let matched = |frame: u32| {
                let state = self
                    .frames
                    .get(frame as usize)
                    .and_then(|frame| states.get(frame.state));
                state.is_some_and(|state| state.matched.binary_search(&step.parent).is_ok())
            };
            let deepest = fits.last().copied().unwrap_or(0);
            fits = match step.reach {
                Reach::Child => fits
                    .iter()
                    .filter_map(|frame| frame.checked_sub(1))
                    .filter(|frame| matched(*frame))
                    .collect(),
                Reach::Descendant => (0..deepest).filter(|frame| matched(*frame)).collect(),
                Reach::DescendantOrSelf => (0..=deepest).filter(|frame| matched(*frame)).collect(),
            };
            at = step.parent;
        }
        fits.into_iter()
            .filter_map(|frame| self.instance_at(anchor, frame))
            .collect()
    }

    // --- values ---------------------------------------------------------------------------------

    /// A value meets the tests of an index for one instance.
    #[inline]
    pub(super) fn test(
        &mut self,
        program: &Program,
        states: &States,
        index: u32,
        found: Found<'_>,
        inst: u32,
    ) {
        let (Some(tests), Some(memo)) = (
            program.indexes.get(index as usize),
            self.memos.get_mut(index as usize),
        ) else {
            return;
        };
        let serial = if tests.remembers {
            self.insts.get(inst as usize).map_or(0, |inst| inst.serial)
        } else {
            0
        };
        let from = self.fired.len();
        if !tests.test(found, memo, serial, |cond| self.fired.push(cond)) {
            self.spilled = true;
        }
        self.fire_all(program, states, from, inst);
    }

    /// What a value makes true by the tests of an index that remembers nothing: where in the list of
    /// what is to be fired it begins, or nothing.
    #[inline(always)]
    pub(super) fn collect(
        &mut self,
        program: &Program,
        index: u32,
        found: Found<'_>,
    ) -> Option<usize> {
        let tests = program.indexes.get(index as usize)?;
        let from = self.fired.len();
        let mut memo = Memo::default();
        if !tests.test(found, &mut memo, 0, |cond| self.fired.push(cond)) {
            self.spilled = true;
        }
        (self.fired.len() > from).then_some(from)
    }

    /// Whether something was collected that waits to be fired.
    #[inline(always)]
    pub(super) fn has_collected(&self) -> bool {
        !self.fired.is_empty()
    }

    /// Fires what was collected from `from` on; the list is shared with outer calls.
    pub(super) fn fire_all(&mut self, program: &Program, states: &States, from: usize, inst: u32) {
        let mut at = from;
        while let Some(&cond) = self.fired.get(at) {
            self.fire(program, states, cond, inst);
            at += 1;
        }
        self.fired.truncate(from);
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
        let Some(open) = self.insts.get(inst as usize).copied() else {
            return;
        };
        let Some(state) = self.slots.get_mut((open.slots + slot) as usize) else {
            return;
        };
        state.progress = Progress::Done;
        state.cut = cut;
        if let Some(kept) = self.texts.get_mut(state.text as usize) {
            kept.clear();
            kept.push_str(std::str::from_utf8(text).unwrap_or(""));
        }
        let Some(scalars) = program
            .slots(open.node)
            .get(slot as usize)
            .map(|slot| &slot.scalars)
        else {
            return;
        };
        for &scalar in scalars {
            self.compute(program, states, scalar, inst);
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

    // --- ends -----------------------------------------------------------------------------------

    /// The start tag of an instance is done: its attributes are known.
    pub(super) fn started(&mut self, program: &Program, states: &States, inst: u32) {
        let Some(open) = self.insts.get_mut(inst as usize) else {
            return;
        };
        open.started = true;
        let (node, pending) = (open.node, open.pending);
        if pending != NONE {
            self.recheck(program, states, inst, Cause::Start);
        }
        let rules = program
            .anchor(node)
            .map_or(&[][..], |anchor| &anchor.rules_at_start);
        for &rule in rules {
            self.try_negatives(program, states, rule, inst);
        }
    }

    /// An instance's element has ended.
    pub(super) fn finish_instance(&mut self, program: &Program, states: &States, inst: u32) {
        let Some(node) = self.insts.get(inst as usize).map(|inst| inst.node) else {
            return;
        };
        if let Some(anchor) = program.anchor(node) {
            for &scalar in &anchor.scalars_at_end {
                self.compute_at_end(program, states, scalar, inst);
            }
            self.recheck(program, states, inst, Cause::End);
            for &rule in &anchor.rules_at_end {
                self.try_negatives(program, states, rule, inst);
            }
            for &formula in &anchor.general_at_end {
                self.try_general(program, states, formula, inst);
            }
        }
        let Some(open) = self.insts.pop() else { return };
        let mut at = open.pending;
        while let Some(slot) = self.pendings.get_mut(at as usize) {
            let next = std::mem::replace(&mut slot.1, self.free_pending);
            self.free_pending = at;
            at = next;
        }
        self.release_slots(open.slots);
        if self.insts.len() <= 1 {
            self.covered.clear();
        }
    }

    fn compute_at_end(&mut self, program: &Program, states: &States, scalar: u32, inst: u32) {
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

    fn try_general(&mut self, program: &Program, states: &States, formula: FormulaId, inst: u32) {
        let serial = self.serial(inst);
        let logic = program
            .formulas
            .get(formula as usize)
            .and_then(|formula| formula.general.as_ref());
        if !self.spilled && logic.is_some_and(|logic| self.truth(logic, serial)) {
            self.conclude(program, states, formula, inst);
        }
    }

    fn truth(&self, logic: &Logic, serial: u32) -> bool {
        match logic {
            Logic::Const(truth) => *truth,
            Logic::Cond(cond) => self.holds(*cond, serial),
            Logic::Not(inner) => !self.truth(inner, serial),
            Logic::And(parts) => parts.iter().all(|part| self.truth(part, serial)),
            Logic::Or(parts) => parts.iter().any(|part| self.truth(part, serial)),
        }
    }

    /// Ends phases of the document up to this one.
    pub(super) fn settle(&mut self, program: &Program, states: &States, upto: Phase) {
        while self.phase <= upto {
            let phase = self.phase;
            let Some(end) = program.phase_ends.get(usize::from(phase)) else {
                return;
            };
            for &scalar in &end.scalars {
                self.compute_at_end(program, states, scalar, DOCUMENT);
            }
            // From here on rules with negatives of this phase are looked at as they come.
            self.phase = phase + 1;
            self.news = true;
            let pending = self
                .phase_pending
                .get_mut(usize::from(phase))
                .map(std::mem::take)
                .unwrap_or_default();
            for &rule in pending.iter().chain(&end.rules) {
                self.try_negatives(program, states, rule, DOCUMENT);
            }
            for &formula in &end.general {
                self.try_general(program, states, formula, DOCUMENT);
            }
            if let Some(slot) = self.phase_pending.get_mut(usize::from(phase)) {
                *slot = pending;
                slot.clear();
            }
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

/// Whether a text of this length was cut at what is needed.
pub(super) fn is_cut(length: usize, need: usize) -> bool {
    length >= need.min(VALUE_BYTES_MAX)
}
