//! What is due when a start tag is done, an instance is over, or a phase of the document.

use super::facts::{Cause, DOCUMENT, Facts, NONE};
use super::program::{FormulaId, Logic, Phase, PhaseEnd, Program};
use super::states::States;

impl Facts {
    /// The start tag of an instance is done: its attributes are known.
    pub(super) fn started(&mut self, program: &Program, states: &States, inst: u32) {
        let Some(open) = self.insts.get_mut(inst as usize) else {
            return;
        };
        open.started = true;
        let (node, pending, ends_quietly) = (open.node, open.pending, open.ends_quietly);
        // Only rules that ask for what did not come true wait for the start or the end.
        if pending != NONE && !ends_quietly {
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
        self.drop_instance();
    }

    /// Whether nothing comes of the ends of the instances from this one on.
    #[inline(always)]
    pub(super) fn end_quietly(&self, first: u32) -> bool {
        self.insts.len() == first as usize || self.all_end_quietly(first)
    }

    #[inline(never)]
    fn all_end_quietly(&self, first: u32) -> bool {
        let insts = self.insts.get(first as usize..).unwrap_or(&[]);
        insts.iter().all(|inst| inst.ends_quietly)
    }

    /// The instances from this one on are over, and nothing more comes of that.
    #[inline(never)]
    pub(super) fn drop_instances(&mut self, first: u32) {
        while self.insts.len() > first as usize {
            self.drop_instance();
        }
    }

    /// The same for the innermost one.
    fn drop_instance(&mut self) {
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
    #[inline]
    pub(super) fn settle(&mut self, program: &Program, states: &States, upto: Phase) {
        while self.phase <= upto
            && let Some(end) = program.phase_ends.get(usize::from(self.phase))
        {
            self.news = true;
            if end.is_empty() && self.waiting.is_empty() {
                self.phase += 1;
            } else {
                self.end_phase(program, states, end);
            }
        }
    }

    /// Does what is due when the phase in hand ends.
    #[inline(never)]
    fn end_phase(&mut self, program: &Program, states: &States, end: &PhaseEnd) {
        for &scalar in &end.scalars {
            self.compute_at_end(program, states, scalar, DOCUMENT);
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        // From here on rules with negatives of this phase are looked at as they come.
        let ended = self.phase;
        self.phase += 1;
        for (_, rule) in waiting.iter().filter(|(phase, _)| *phase == ended) {
            self.try_negatives(program, states, *rule, DOCUMENT);
        }
        for &rule in &end.rules {
            self.try_negatives(program, states, rule, DOCUMENT);
        }
        for &formula in &end.general {
            self.try_general(program, states, formula, DOCUMENT);
        }
        waiting.retain(|(phase, _)| *phase != ended);
        waiting.append(&mut self.waiting);
        self.waiting = waiting;
    }
}
