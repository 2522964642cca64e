//! What is known of the message so far: conditions, rules, decisions, and the instances they belong to.
//!
//! A condition is true of an instance when its stamp is the instance's serial number, so nothing is
//! cleared between messages or elements. Only the rarest condition of a rule looks at the rule; the
//! others are just stamped. `stream.rs` brings the events, `slots.rs` has the values that are kept,
//! `ends.rs` what is due at ends.

use std::collections::{HashMap, HashSet};

use smallvec::{SmallVec, smallvec};

use super::eval::Given;
use super::index::{Found, Hashing, Memo};
use super::program::{CondId, DECIDES, Effect, FormulaId, Opens, Phase, Program, Rule, RuleId};
use super::set::AtomId;
use super::slots::{Progress, SlotState};
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
pub(super) enum Cause {
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
    /// Nothing comes of its end.
    pub(super) ends_quietly: bool,
}

/// All state of one message.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) frames: Vec<Frame>,
    pub(super) insts: Vec<Inst>,
    pub(super) counters: Vec<(NodeId, u32)>,
    pub(super) slots: Vec<SlotState>,
    pub(super) texts: Vec<String>,
    pub(super) free_texts: Vec<u32>,
    pub(super) given: Vec<Given>,
    stamps: Vec<u32>,
    /// Truths of open instances whose stamp an inner instance of the same anchor took.
    pub(super) covered: HashSet<(CondId, u32), Hashing>,
    pub(super) memos: Vec<Memo>,
    /// Rules of the document that wait for a condition, by condition.
    watched: HashMap<CondId, u32, Hashing>,
    watchers: Vec<(RuleId, u32)>,
    pub(super) pendings: Vec<(RuleId, u32)>,
    pub(super) free_pending: u32,
    /// Rules of the document that wait for the end of a phase.
    pub(super) waiting: Vec<(Phase, RuleId)>,
    /// Expressions that are true, as bits.
    decided: Vec<u64>,
    pub(super) matched: Vec<AtomId>,
    /// Phases that are over: all below this one.
    pub(super) phase: Phase,
    pub(super) next_serial: u32,
    pub(super) spilled: bool,
    /// Decisions fell since this was last cleared.
    pub(super) news: bool,
    pub(super) fired: Vec<CondId>,
    pub(super) stack: String,
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
        for atom in &self.matched {
            if let Some(word) = self.decided.get_mut(atom.0 as usize / 64) {
                *word = 0;
            }
        }
        self.matched.clear();
        self.waiting.clear();
        if fresh || self.next_serial > u32::MAX / 2 {
            self.next_serial = 1;
            self.stamps.clear();
            self.stamps.resize(program.conds, 0);
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
        let anchor = program.anchor(node);
        let ends_quietly = anchor.is_some_and(|anchor| anchor.ends_quietly);
        let kept = match anchor {
            Some(anchor) => &anchor.slots,
            None => program.slots(node),
        };
        for slot in kept {
            let text = if slot.kept { self.take_text() } else { NONE };
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
            ends_quietly,
        });
        self.next_serial += 1;
        self.insts.len() as u32 - 1
    }

    // --- conditions -----------------------------------------------------------------------------

    #[inline]
    pub(super) fn serial(&self, inst: u32) -> u32 {
        self.insts.get(inst as usize).map_or(0, |inst| inst.serial)
    }

    #[inline]
    pub(super) fn holds(&self, cond: CondId, serial: u32) -> bool {
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
            self.decide(cond & !DECIDES);
        } else {
            self.open_rules(program, states, cond, inst);
        }
    }

    fn open_rules(&mut self, program: &Program, states: &States, cond: CondId, inst: u32) {
        let Some(&Rule {
            opens,
            joins,
            first,
            ..
        }) = program.rules.get(cond as usize)
        else {
            return;
        };
        if !self.note(cond, self.serial(inst)) {
            return;
        }
        match opens {
            Opens::Nothing => {}
            Opens::Itself => self.try_rule(program, states, cond, inst),
            Opens::Several => {
                for &rule in program.opened(first) {
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

    /// Looks at a rule whose opening condition is true, as it is of every rule that waits.
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
                } else {
                    self.waiting.push((rule.phase, id));
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
    pub(super) fn try_negatives(
        &mut self,
        program: &Program,
        states: &States,
        id: RuleId,
        inst: u32,
    ) {
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
    pub(super) fn recheck(&mut self, program: &Program, states: &States, inst: u32, cause: Cause) {
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
    #[inline]
    pub(super) fn conclude(
        &mut self,
        program: &Program,
        states: &States,
        id: FormulaId,
        inst: u32,
    ) {
        if id & DECIDES != 0 {
            self.decide(id & !DECIDES);
        } else {
            self.conclude_formula(program, states, id, inst);
        }
    }

    #[inline(never)]
    fn conclude_formula(&mut self, program: &Program, states: &States, id: FormulaId, inst: u32) {
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

    #[inline(never)]
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
    #[inline(never)]
    pub(super) fn test(
        &mut self,
        program: &Program,
        states: &States,
        index: u32,
        found: Found<'_>,
        inst: u32,
    ) {
        let Some(tests) = program.indexes.get(index as usize) else {
            return;
        };
        let Some(conds) = tests.equal(found) else {
            return self.test_all(program, states, index, found, inst);
        };
        for &cond in conds {
            self.fire(program, states, cond, inst);
        }
    }

    /// The same where other tests than for equality with text may be among them.
    #[inline(never)]
    fn test_all(
        &mut self,
        program: &Program,
        states: &States,
        index: u32,
        found: Found<'_>,
        inst: u32,
    ) {
        let serial = self.serial(inst);
        let (Some(tests), Some(memo)) = (
            program.indexes.get(index as usize),
            self.memos.get_mut(index as usize),
        ) else {
            return;
        };
        let from = self.fired.len();
        if !tests.test(found, memo, serial, |cond| self.fired.push(cond)) {
            self.spilled = true;
        }
        self.fire_all(program, states, from, inst);
    }

    /// Puts what a value makes true by the tests of an index that remembers nothing into the list of what
    /// is to be fired; the answer is whether that is anything.
    #[inline(never)]
    pub(super) fn collect(&mut self, program: &Program, index: u32, found: Found<'_>) -> bool {
        let Some(tests) = program.indexes.get(index as usize) else {
            return false;
        };
        let from = self.fired.len();
        if let Some(conds) = tests.equal(found) {
            self.fired.extend_from_slice(conds);
        } else if !tests.test(found, &mut Memo::default(), 0, |cond| self.fired.push(cond)) {
            self.spilled = true;
        }
        self.fired.len() > from
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
}
