//! The compiled form of a set: who listens where, and what follows from what.
//!
//! A *condition* is a fact about one *anchor* instance (an element that matched a node with
//! predicates, or the document). A *rule* is a conjunction of conditions of one anchor; when it
//! holds, its *formula* does, and that decides an expression or is a condition of an outer anchor.
//! Built by `compile.rs`, run by `stream.rs` and `facts.rs`.

use std::collections::HashMap;

use crate::xml::{Likeness, Tests};

use super::ast::Comparison;
use super::index::{Hashing, Index};
use super::scalar::Scalar;
use super::trie::{NodeId, SymbolTest, Symbols, Trie};

/// Number of a condition. In the final program those that decide an expression alone are not
/// conditions but the expression's number with [`DECIDES`], so that nothing is kept for them.
pub(super) type CondId = u32;
pub(super) const DECIDES: u32 = 1 << 31;
pub(super) type FormulaId = u32;
pub(super) type RuleId = u32;

/// When what happens to conditions of the document is known: at the begin, behind the root's start
/// tag, behind each section, at the end.
pub(super) type Phase = u8;
pub(super) const PHASE_BEGIN: Phase = 0;
pub(super) const PHASE_ROOT: Phase = 1;

/// What one place tells to the instances of one anchor.
#[derive(Debug, Clone, Default)]
pub(super) struct Listener {
    pub(super) anchor: NodeId,
    /// Levels from the place's element up to the anchor; `None` when that differs.
    pub(super) up: Option<u32>,
    pub(super) exists: Vec<CondId>,
    pub(super) index: Option<u32>,
    /// Slots of the anchor that take the first value, the name, or count.
    pub(super) slots: Vec<u32>,
}

impl Listener {
    /// Whether any part of the name as written fills a slot.
    pub(super) fn wants_name(&self, program: &Program) -> bool {
        let slots = program.slots(self.anchor);
        let kinds = self
            .slots
            .iter()
            .filter_map(|slot| slots.get(*slot as usize));
        kinds
            .map(|slot| slot.kind)
            .any(|kind| !matches!(kind, SlotKind::Text | SlotKind::Count | SlotKind::Sum))
    }
}

/// Who listens at one trie node.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) element: Vec<Listener>,
    pub(super) attributes: Vec<(SymbolTest, Vec<Listener>)>,
    /// Places in `attributes` by local name; `None` for tests that take any.
    pub(super) attributes_by_name: HashMap<Option<u32>, Vec<u32>, Hashing>,
    pub(super) texts: Vec<Listener>,
    pub(super) comments: Vec<Listener>,
    /// Tests on the position among siblings, of this node's own instances.
    pub(super) positions: Vec<(Comparison, f64, CondId)>,
    pub(super) anchor: Option<Anchor>,
    pub(super) section: Option<u8>,
}

/// What an anchor's instances keep.
#[derive(Debug, Default)]
pub(super) struct Anchor {
    pub(super) slots: Vec<Slot>,
    /// Scalars to compute when the instance ends.
    pub(super) scalars_at_end: Vec<u32>,
    /// Rules without a condition that must come true: looked at when the start tag is done, or at the end.
    pub(super) rules_at_start: Vec<RuleId>,
    pub(super) rules_at_end: Vec<RuleId>,
    pub(super) general_at_end: Vec<FormulaId>,
    /// Every rule waits for the value of an attribute of the element: without such a value nothing of
    /// the instance can matter.
    pub(super) lazy: bool,
    /// Nothing comes of an instance's end: no rule asks for what did not come true.
    pub(super) ends_quietly: bool,
}

/// What a slot keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SlotKind {
    Text,
    Name,
    LocalName,
    NamespaceUri,
    Count,
    Sum,
}

/// A value of an anchor's instance.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) kind: SlotKind,
    /// Scalars that can be computed as soon as this slot is final.
    pub(super) scalars: Vec<u32>,
    /// Scalars that are this count.
    pub(super) counts: Vec<u32>,
    /// Bytes of text that suffice for everything computed from it.
    pub(super) need: usize,
    /// Whether its text is asked for again, besides being tested as it is when it is there.
    pub(super) kept: bool,
}

/// A computed value and its tests.
#[derive(Debug)]
pub(super) struct ScalarInfo {
    pub(super) anchor: NodeId,
    pub(super) scalar: Scalar,
    pub(super) index: u32,
    pub(super) phase: Phase,
    /// The one slot it is computed from as soon as that is final.
    pub(super) early: Option<u32>,
    /// All it is computed from.
    pub(super) slots: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct CondInfo {
    pub(super) phase: Phase,
    /// Known as soon as the anchor's start tag is done.
    pub(super) at_start: bool,
}

/// A conjunction, while it is made.
#[derive(Debug, Default)]
pub(super) struct Conjunction {
    pub(super) formula: FormulaId,
    pub(super) positive: Vec<CondId>,
    pub(super) negative: Vec<CondId>,
    /// All negatives are known when the anchor's start tag is done.
    pub(super) negative_at_start: bool,
    /// The last phase of the negatives, for rules of the document.
    pub(super) phase: Phase,
    /// Its one condition has the expression's number, so nobody looks at the rule.
    pub(super) spent: bool,
}

/// A conjunction in its final form, small since there are many and few are looked at twice in a row.
///
/// The number of a rule that is all that a condition opens is the condition's, so that the truth of the
/// condition leads to one place in memory; the numbers of others are higher.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// The formula it makes true, or the one expression it decides, with [`DECIDES`].
    pub(super) outcome: u32,
    /// Where its conditions begin in the list of all, without the one that opens it. If there is one, which must be
    /// true, then that condition. If the condition of its number opens several rules: where these are.
    pub(super) first: u32,
    pub(super) positives: u16,
    pub(super) negatives: u16,
    pub(super) negative_at_start: bool,
    pub(super) phase: Phase,
    /// What the condition of its number opens, and whether rules wait for that.
    pub(super) opens: Opens,
    pub(super) joins: bool,
}

/// What the truth of a condition leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    /// Nothing: others ask for it.
    Nothing,
    /// The rule of its number.
    Itself,
    /// A range of `access`, where that begins with their number.
    Several,
}

/// What a formula's truth leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Effect {
    Atom(u32),
    /// A condition of an outer anchor.
    Cond(CondId, NodeId, Option<u32>),
    /// One more in a slot of an outer anchor.
    Count(u32, NodeId, Option<u32>),
}

/// A boolean combination of conditions of one anchor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Logic {
    Const(bool),
    Cond(CondId),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

#[derive(Debug)]
pub(super) struct Formula {
    pub(super) anchor: NodeId,
    pub(super) effects: Vec<Effect>,
    /// Set when the formula was told of an instance, where telling twice would matter.
    pub(super) once: Option<CondId>,
    /// Kept whole when it has too many alternatives.
    pub(super) general: Option<Logic>,
}

/// What is due when a phase of the document ends.
#[derive(Debug, Default)]
pub(super) struct PhaseEnd {
    pub(super) scalars: Vec<u32>,
    pub(super) rules: Vec<RuleId>,
    pub(super) general: Vec<FormulaId>,
}

impl PhaseEnd {
    pub(super) fn is_empty(&self) -> bool {
        self.scalars.is_empty() && self.rules.is_empty() && self.general.is_empty()
    }
}

/// Everything.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) symbols: Symbols,
    pub(super) trie: Trie,
    /// By trie node.
    pub(super) places: Vec<Option<Box<Place>>>,
    /// Trie nodes at or below which something listens.
    pub(super) useful: Vec<bool>,
    /// How many conditions there are.
    pub(super) conds: usize,
    /// One for each condition, then all others.
    pub(super) rules: Vec<Rule>,
    /// Rules of conditions that open several.
    pub(super) access: Vec<RuleId>,
    pub(super) literals: Vec<CondId>,
    pub(super) formulas: Vec<Formula>,
    pub(super) indexes: Vec<Index>,
    pub(super) scalars: Vec<ScalarInfo>,
    pub(super) root_slots: Vec<Slot>,
    pub(super) phase_ends: Vec<PhaseEnd>,
    /// For each expression: its phase, or why it needs a tree.
    pub(super) plans: Vec<Result<Phase, String>>,
    pub(super) sections: u8,
    /// What names are to the observer.
    pub(super) classes: Option<fn(&str, &str) -> u8>,
}

impl Program {
    /// Whether a value meets tests that [`super::states::State::tests_of`] gave.
    #[inline(always)]
    pub(super) fn meets(&self, tests: Tests, value: &[u8]) -> bool {
        self.meets_one(tests.0, value) || self.meets_one(tests.1, value)
    }

    #[inline(always)]
    fn meets_one(&self, index: Option<u32>, value: &[u8]) -> bool {
        let Some(index) = index else { return false };
        let tests = self.indexes.get(index as usize);
        tests.is_some_and(|tests| tests.has_equal(value))
    }

    /// What values that meet such tests look like.
    pub(super) fn likeness(&self, tests: Tests) -> Likeness {
        let both = [tests.0, tests.1].into_iter().flatten();
        both.filter_map(|index| self.indexes.get(index as usize))
            .fold(Likeness::default(), |all, index| all.or(index.likeness()))
    }

    /// The phase of the document's end.
    pub(super) fn last_phase(&self) -> Phase {
        PHASE_ROOT + self.sections + 1
    }

    /// The conditions of a rule besides the one that opens it: those that must be true, those that must not.
    #[inline]
    pub(super) fn conditions<'p>(&'p self, rule: &'p Rule) -> (&'p [CondId], &'p [CondId]) {
        if (rule.positives, rule.negatives) == (1, 0) {
            return (std::slice::from_ref(&rule.first), &[]);
        }
        let all = self.literals.get(rule.first as usize..).unwrap_or(&[]);
        let (positive, rest) = all
            .split_at_checked(usize::from(rule.positives))
            .unwrap_or((&[], &[]));
        (
            positive,
            rest.get(..usize::from(rule.negatives)).unwrap_or(&[]),
        )
    }

    #[inline]
    pub(super) fn place(&self, node: NodeId) -> Option<&Place> {
        self.places.get(node as usize)?.as_deref()
    }

    /// The rules of a range of `access`.
    #[inline]
    pub(super) fn opened(&self, start: u32) -> &[RuleId] {
        match self.access.get(start as usize..) {
            Some([count, rules @ ..]) => rules.get(..*count as usize).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// Whether it can be told at a glance that nothing comes of a text by the tests of an index.
    #[inline(always)]
    pub(super) fn rejects(&self, index: u32, text: &[u8]) -> bool {
        let tests = self.indexes.get(index as usize);
        tests.is_none_or(|tests| tests.rejects(text))
    }

    /// A listener for elements at a node, by its number there.
    #[inline]
    pub(super) fn listener(&self, node: NodeId, number: u32) -> Option<&Listener> {
        self.place(node)?.element.get(number as usize)
    }

    #[inline]
    pub(super) fn anchor(&self, node: NodeId) -> Option<&Anchor> {
        self.place(node)?.anchor.as_ref()
    }

    pub(super) fn slots(&self, anchor: NodeId) -> &[Slot] {
        if anchor == 0 {
            return &self.root_slots;
        }
        self.anchor(anchor).map_or(&[], |anchor| &anchor.slots)
    }
}
