//! The compiler's last pass: tests into indexes, logic into rules, and each rule behind its rarest
//! condition.

use std::collections::{HashMap, HashSet};

use super::compile::Compiler;
use super::eval::Given;
use super::index::{Index, Memo, VALUE_BYTES_MAX};
use super::program::{
    CondId, Conjunction, DECIDES, Effect, FormulaId, Logic, Opens, Phase, PhaseEnd, Program, Rule,
    RuleId, SlotKind,
};
use super::scalar::{Scalar, Slots};
use super::trie::NodeId;

/// Alternatives a formula is split into; beyond, it is kept whole and looked at when its anchor ends.
const ALTERNATIVES_MAX: usize = 256;
/// Conditions of one alternative; a longer one is kept whole too.
const LITERALS_MAX: usize = 64;

/// The rule of a condition that opens none.
const NOTHING: Rule = Rule {
    outcome: 0,
    first: 0,
    positives: 0,
    negatives: 0,
    negative_at_start: false,
    phase: 0,
    opens: Opens::Nothing,
    joins: false,
};

/// Rules in their final form, and where they and their conditions stand.
#[derive(Default)]
struct Arranged {
    rules: Vec<Rule>,
    access: Vec<RuleId>,
    literals: Vec<CondId>,
}

impl Compiler {
    /// Makes the program; `plans` are the answers of [`Compiler::atom`] in order.
    pub(super) fn program(mut self, plans: Vec<Result<Phase, String>>) -> Program {
        let last = super::program::PHASE_ROOT + self.sections + 1;
        let mut ends: Vec<PhaseEnd> = (0..=last).map(|_| PhaseEnd::default()).collect();
        let mut rules = self.rules(&mut ends);
        let numbers = self.numbers(&rules);
        self.renumber(&numbers, &mut rules);
        self.find_lazy(&rules);
        let indexes: Vec<Index> = self.tests.iter().map(Index::build).collect();
        self.arrange_scalars(&indexes, &mut ends);
        self.find_quiet_ends(&rules);
        let Arranged {
            rules,
            access,
            literals,
        } = self.arranged(&rules, &mut ends);
        let useful = self.useful(&plans);
        let mut places: Vec<Option<Box<super::program::Place>>> = Vec::new();
        places.resize_with(self.trie.nodes.len(), || None);
        for (node, place) in self.places {
            if let Some(slot) = places.get_mut(node as usize) {
                *slot = Some(Box::new(place));
            }
        }
        Program {
            symbols: self.symbols,
            trie: self.trie,
            places,
            useful,
            conds: self.final_conds,
            rules,
            access,
            literals,
            formulas: self
                .formulas
                .into_iter()
                .map(|(formula, _)| formula)
                .collect(),
            indexes,
            scalars: self.scalars,
            root_slots: self.root_slots,
            phase_ends: ends,
            plans,
            sections: self.sections,
            classes: self.classes,
        }
    }

    /// Decides for each scalar when it is computed.
    fn arrange_scalars(&mut self, indexes: &[Index], ends: &mut [PhaseEnd]) {
        for id in 0..self.scalars.len() {
            let Some(info) = self.scalars.get(id) else {
                continue;
            };
            let (anchor, phase) = (info.anchor, info.phase);
            let slots = info.scalar.slots();
            let plain_count = matches!(info.scalar, Scalar::Count(_));
            let Some(index) = indexes.get(info.index as usize) else {
                continue;
            };
            let whole = matches!(info.scalar, Scalar::Text(_));
            let need = if whole { index.need } else { VALUE_BYTES_MAX };
            let is_text = |slot: &u32| {
                self.slot_kind(anchor, *slot)
                    .is_some_and(|kind| !matches!(kind, SlotKind::Count | SlotKind::Sum))
            };
            let early = match slots.as_slice() {
                [only] if is_text(only) => Some(*only),
                _ => None,
            };
            let fires_empty = info.scalar.uses_external()
                || early.is_none()
                || fires_on_nothing(&info.scalar, index);
            if let Some(info) = self.scalars.get_mut(id) {
                info.early = early;
                info.slots.clone_from(&slots);
            }
            for slot in &slots {
                let Some(slot) = self.slot_mut(anchor, *slot) else {
                    continue;
                };
                slot.need = slot.need.max(need);
                let is_text = !matches!(slot.kind, SlotKind::Count | SlotKind::Sum);
                slot.kept |= is_text && !whole;
                if early.is_some() {
                    slot.scalars.push(id as u32);
                }
                if plain_count && slot.kind == SlotKind::Count {
                    slot.counts.push(id as u32);
                }
            }
            if !fires_empty {
                continue;
            }
            if anchor == 0 {
                ends.get_mut(usize::from(phase))
                    .into_iter()
                    .for_each(|end| end.scalars.push(id as u32));
            } else if let Some(anchor) = self
                .places
                .get_mut(&anchor)
                .and_then(|place| place.anchor.as_mut())
            {
                anchor.scalars_at_end.push(id as u32);
            }
        }
    }

    fn slot_kind(&self, anchor: NodeId, slot: u32) -> Option<SlotKind> {
        let slots = if anchor == 0 {
            &self.root_slots
        } else {
            &self.places.get(&anchor)?.anchor.as_ref()?.slots
        };
        slots.get(slot as usize).map(|slot| slot.kind)
    }

    fn slot_mut(&mut self, anchor: NodeId, slot: u32) -> Option<&mut super::program::Slot> {
        if anchor == 0 {
            return self.root_slots.get_mut(slot as usize);
        }
        self.places
            .get_mut(&anchor)?
            .anchor
            .as_mut()?
            .slots
            .get_mut(slot as usize)
    }

    /// Splits formulas into rules.
    fn rules(&mut self, ends: &mut [PhaseEnd]) -> Vec<Conjunction> {
        let mut rules = Vec::new();
        for id in 0..self.formulas.len() {
            let Some((formula, logic)) = self.formulas.get(id) else {
                continue;
            };
            if formula.effects.is_empty() {
                continue;
            }
            let anchor = formula.anchor;
            match alternatives(logic, false) {
                Some(parts) => {
                    for (positive, negative) in parts {
                        self.rule(
                            id as FormulaId,
                            anchor,
                            positive,
                            negative,
                            &mut rules,
                            ends,
                        );
                    }
                }
                None => self.general(id, anchor, ends),
            }
        }
        rules
    }

    fn rule(
        &mut self,
        formula: FormulaId,
        anchor: NodeId,
        positive: Vec<CondId>,
        negative: Vec<CondId>,
        rules: &mut Vec<Conjunction>,
        ends: &mut [PhaseEnd],
    ) {
        let info = |cond: &CondId| self.conds.get(*cond as usize);
        let negative_at_start = negative
            .iter()
            .all(|cond| info(cond).is_some_and(|info| info.at_start));
        let phase = negative
            .iter()
            .filter_map(|cond| info(cond).map(|info| info.phase))
            .max()
            .unwrap_or(0);
        let id = rules.len() as RuleId;
        if positive.is_empty() {
            if anchor == 0 {
                ends.get_mut(usize::from(phase))
                    .into_iter()
                    .for_each(|end| end.rules.push(id));
            } else if let Some(anchor) = self
                .places
                .get_mut(&anchor)
                .and_then(|place| place.anchor.as_mut())
            {
                let due = if negative_at_start {
                    &mut anchor.rules_at_start
                } else {
                    &mut anchor.rules_at_end
                };
                due.push(id);
            }
        }
        rules.push(Conjunction {
            formula,
            positive,
            negative,
            negative_at_start,
            phase,
            spent: false,
        });
    }

    fn general(&mut self, id: usize, anchor: NodeId, ends: &mut [PhaseEnd]) {
        let Some((formula, logic)) = self.formulas.get_mut(id) else {
            return;
        };
        formula.general = Some(logic.clone());
        let phase = logic_phase(logic, &self.conds);
        if anchor == 0 {
            ends.get_mut(usize::from(phase))
                .into_iter()
                .for_each(|end| end.general.push(id as FormulaId));
        } else if let Some(anchor) = self
            .places
            .get_mut(&anchor)
            .and_then(|place| place.anchor.as_mut())
        {
            anchor.general_at_end.push(id as FormulaId);
        }
    }

    /// The final number of each condition: those that decide an expression alone become its number.
    fn numbers(&self, rules: &[Conjunction]) -> Vec<CondId> {
        let uses = self.uses(rules);
        let whole: HashSet<CondId> = self
            .formulas
            .iter()
            .filter_map(|(formula, _)| formula.general.as_ref())
            .flat_map(conditions)
            .collect();
        let mut decides = vec![None; self.conds.len()];
        for rule in rules {
            let [cond] = rule.positive.as_slice() else {
                continue;
            };
            let alone = uses.get(*cond as usize) == Some(&1) && !whole.contains(cond);
            if let Some(slot) = decides.get_mut(*cond as usize).filter(|_| alone) {
                *slot = self.sole_atom(rule);
            }
        }
        let mut next = 0;
        let numbers = decides.into_iter().map(|atom| match atom {
            Some(atom) => atom | DECIDES,
            None => {
                next += 1;
                next - 1
            }
        });
        numbers.collect()
    }

    /// Puts the final numbers everywhere.
    fn renumber(&mut self, numbers: &[CondId], rules: &mut [Conjunction]) {
        let new = |cond: &mut CondId| {
            if let Some(number) = numbers.get(*cond as usize) {
                *cond = *number;
            }
        };
        self.tests
            .iter_mut()
            .flat_map(HashMap::values_mut)
            .for_each(new);
        for place in self.places.values_mut() {
            let attributes = place.attributes.iter_mut().flat_map(|(_, all)| all);
            let listeners = place.element.iter_mut().chain(attributes);
            let listeners = listeners.chain(&mut place.texts).chain(&mut place.comments);
            listeners
                .flat_map(|listener| &mut listener.exists)
                .for_each(new);
            place
                .positions
                .iter_mut()
                .for_each(|(_, _, cond)| new(cond));
        }
        for (formula, _) in &mut self.formulas {
            formula.once.iter_mut().for_each(new);
            if let Some(logic) = &mut formula.general {
                rename(logic, &new);
            }
            for effect in &mut formula.effects {
                if let Effect::Cond(cond, _, _) = effect {
                    new(cond);
                }
            }
        }
        for rule in rules.iter_mut() {
            rule.positive
                .iter_mut()
                .chain(&mut rule.negative)
                .for_each(new);
        }
        // What such a rule says is said by its condition's number.
        rules
            .iter_mut()
            .for_each(|rule| rule.spent = rule.positive.iter().any(|cond| cond & DECIDES != 0));
        self.final_conds = numbers.iter().filter(|cond| *cond & DECIDES == 0).count();
    }

    /// Finds the anchors of which nothing matters before an attribute has a wanted value.
    fn find_lazy(&mut self, rules: &[Conjunction]) {
        let mut wanted: HashMap<NodeId, HashSet<CondId>> = HashMap::new();
        for (node, place) in &self.places {
            let listeners = place.attributes.iter().flat_map(|(_, all)| all);
            let own = listeners.filter(|listener| listener.anchor == *node);
            let indexes = own.filter_map(|listener| self.tests.get(listener.index? as usize));
            let conds = indexes.flat_map(HashMap::values).copied();
            wanted.entry(*node).or_default().extend(conds);
        }
        let mut eager = HashSet::new();
        for rule in rules {
            let anchor = self.formulas.get(rule.formula as usize);
            let Some(node) = anchor.map(|(formula, _)| formula.anchor) else {
                continue;
            };
            let waits = wanted
                .get(&node)
                .is_some_and(|conds| rule.positive.iter().any(|cond| conds.contains(cond)));
            if !waits {
                eager.insert(node);
            }
        }
        for (node, place) in &mut self.places {
            let Some(anchor) = &mut place.anchor else {
                continue;
            };
            anchor.lazy = !eager.contains(node)
                && anchor.slots.is_empty()
                && anchor.scalars_at_end.is_empty()
                && anchor.general_at_end.is_empty();
        }
    }

    /// Finds the anchors whose instances just go when their elements end.
    fn find_quiet_ends(&mut self, rules: &[Conjunction]) {
        let asking = rules.iter().filter(|rule| !rule.negative.is_empty());
        let anchors = asking.filter_map(|rule| self.formulas.get(rule.formula as usize));
        let loud: HashSet<NodeId> = anchors.map(|(formula, _)| formula.anchor).collect();
        for (node, place) in &mut self.places {
            let Some(anchor) = &mut place.anchor else {
                continue;
            };
            anchor.ends_quietly = !loud.contains(node)
                && anchor.rules_at_end.is_empty()
                && anchor.scalars_at_end.is_empty()
                && anchor.general_at_end.is_empty();
        }
    }

    /// How many rules need each condition.
    fn uses(&self, rules: &[Conjunction]) -> Vec<u32> {
        let mut uses = vec![0_u32; self.conds.len()];
        for cond in rules
            .iter()
            .flat_map(|rule| rule.positive.iter().chain(&rule.negative))
        {
            uses.get_mut(*cond as usize)
                .into_iter()
                .for_each(|count| *count += 1);
        }
        uses
    }

    /// Puts each rule behind the condition that fewest rules need, and gives it its final number.
    fn arranged(&mut self, rules: &[Conjunction], ends: &mut [PhaseEnd]) -> Arranged {
        let uses = self.uses(rules);
        let mut opens: Vec<Vec<RuleId>> = vec![Vec::new(); self.final_conds];
        let mut unopened = Vec::new();
        let mut out = Arranged::default();
        out.rules.resize(self.final_conds, NOTHING);
        for (id, rule) in (0..).zip(rules).filter(|(_, rule)| !rule.spent) {
            let rarest = rule
                .positive
                .iter()
                .min_by_key(|cond| uses.get(**cond as usize).copied().unwrap_or(0));
            let opened = match rarest {
                Some(rarest) => opens.get_mut(*rarest as usize),
                None => Some(&mut unopened),
            };
            opened.into_iter().for_each(|rules| rules.push(id));
            for cond in rule.positive.iter().filter(|cond| Some(*cond) != rarest) {
                let joined = out.rules.get_mut(*cond as usize);
                joined.into_iter().for_each(|rule| rule.joins = true);
            }
        }
        let flat = |out: &mut Arranged, id: &RuleId, opener| {
            let rule = rules.get(*id as usize);
            rule.map_or(NOTHING, |rule| self.flattened(rule, opener, out))
        };
        for (cond, opened) in (0..).zip(&opens) {
            let rule = match opened.as_slice() {
                [] => continue,
                [only] => Rule {
                    opens: Opens::Itself,
                    ..flat(&mut out, only, Some(cond))
                },
                several => {
                    let first = out.access.len() as u32;
                    out.access.push(several.len() as RuleId);
                    for id in several {
                        let rule = flat(&mut out, id, Some(cond));
                        out.access.push(out.rules.len() as RuleId);
                        out.rules.push(rule);
                    }
                    Rule {
                        first,
                        opens: Opens::Several,
                        ..NOTHING
                    }
                }
            };
            if let Some(own) = out.rules.get_mut(cond as usize) {
                *own = Rule {
                    joins: own.joins,
                    ..rule
                };
            }
        }
        let mut numbers = HashMap::new();
        for id in &unopened {
            let rule = flat(&mut out, id, None);
            numbers.insert(*id, out.rules.len() as RuleId);
            out.rules.push(rule);
        }
        self.renumber_due(&numbers, ends);
        out
    }

    /// Puts the final numbers of rules without an opening condition where they are due.
    fn renumber_due(&mut self, numbers: &HashMap<RuleId, RuleId>, ends: &mut [PhaseEnd]) {
        let new = |rule: &mut RuleId| {
            if let Some(number) = numbers.get(rule) {
                *rule = *number;
            }
        };
        ends.iter_mut().flat_map(|end| &mut end.rules).for_each(new);
        let places = self.places.values_mut();
        for anchor in places.filter_map(|place| place.anchor.as_mut()) {
            anchor.rules_at_start.iter_mut().for_each(new);
            anchor.rules_at_end.iter_mut().for_each(new);
        }
    }

    /// A rule in its final form.
    fn flattened(&self, rule: &Conjunction, opener: Option<CondId>, out: &mut Arranged) -> Rule {
        let others = rule.positive.iter().copied();
        let others: Vec<CondId> = others.filter(|cond| Some(*cond) != opener).collect();
        let first = match (others.as_slice(), rule.negative.as_slice()) {
            ([only], []) => *only,
            (others, negative) => {
                let first = out.literals.len() as u32;
                out.literals.extend(others.iter().chain(negative));
                first
            }
        };
        let formula = self.formulas.get(rule.formula as usize);
        let outcome = match formula.map(|(formula, _)| (formula.once, formula.effects.as_slice())) {
            Some((None, [Effect::Atom(atom)])) => atom | DECIDES,
            // The document is always there to be told.
            Some((None, [Effect::Cond(cond, 0, _)])) if cond & DECIDES != 0 => *cond,
            _ => rule.formula,
        };
        Rule {
            outcome,
            first,
            positives: others.len() as u16,
            negatives: rule.negative.len() as u16,
            negative_at_start: rule.negative_at_start,
            phase: rule.phase,
            ..NOTHING
        }
    }

    /// The one expression that a rule of one condition decides.
    fn sole_atom(&self, rule: &Conjunction) -> Option<u32> {
        if rule.positive.len() != 1 || !rule.negative.is_empty() {
            return None;
        }
        let (formula, _) = self.formulas.get(rule.formula as usize)?;
        match formula.effects.as_slice() {
            [Effect::Atom(atom)] if formula.once.is_none() => Some(*atom),
            _ => None,
        }
    }

    /// Which trie nodes lead to something that listens.
    fn useful(&self, plans: &[Result<Phase, String>]) -> Vec<bool> {
        let last = super::program::PHASE_ROOT + self.sections + 1;
        let sections_matter = plans
            .iter()
            .flatten()
            .any(|phase| *phase > super::program::PHASE_ROOT && *phase < last);
        let mut useful = vec![false; self.trie.nodes.len()];
        for (node, place) in &self.places {
            let listens = !place.element.is_empty()
                || !place.attributes.is_empty()
                || !place.texts.is_empty()
                || !place.comments.is_empty()
                || place.anchor.is_some()
                || place.section.is_some() && sections_matter;
            if !listens {
                continue;
            }
            let mut at = *node;
            loop {
                match useful.get_mut(at as usize) {
                    Some(known) if !*known => *known = true,
                    _ => break,
                }
                at = self.trie.node(at).map_or(0, |step| step.parent);
            }
        }
        useful
    }
}

/// All conditions of a logic.
fn conditions(logic: &Logic) -> Vec<CondId> {
    match logic {
        Logic::Const(_) => Vec::new(),
        Logic::Cond(cond) => vec![*cond],
        Logic::Not(inner) => conditions(inner),
        Logic::And(parts) | Logic::Or(parts) => parts.iter().flat_map(conditions).collect(),
    }
}

fn rename(logic: &mut Logic, new: &impl Fn(&mut CondId)) {
    match logic {
        Logic::Const(_) => {}
        Logic::Cond(cond) => new(cond),
        Logic::Not(inner) => rename(inner, new),
        Logic::And(parts) | Logic::Or(parts) => {
            parts.iter_mut().for_each(|part| rename(part, new));
        }
    }
}

fn logic_phase(logic: &Logic, conds: &[super::program::CondInfo]) -> Phase {
    match logic {
        Logic::Const(_) => 0,
        Logic::Cond(cond) => conds.get(*cond as usize).map_or(0, |info| info.phase),
        Logic::Not(inner) => logic_phase(inner, conds),
        Logic::And(parts) | Logic::Or(parts) => parts
            .iter()
            .map(|part| logic_phase(part, conds))
            .max()
            .unwrap_or(0),
    }
}

/// A conjunction: what must be true, and what must not.
type Alternative = (Vec<CondId>, Vec<CondId>);

/// The disjunction of conjunctions that a logic is, unless it is too large.
fn alternatives(logic: &Logic, negated: bool) -> Option<Vec<Alternative>> {
    let out = match (logic, negated) {
        (Logic::Const(truth), _) if *truth != negated => vec![(Vec::new(), Vec::new())],
        (Logic::Const(_), _) => Vec::new(),
        (Logic::Cond(cond), false) => vec![(vec![*cond], Vec::new())],
        (Logic::Cond(cond), true) => vec![(Vec::new(), vec![*cond])],
        (Logic::Not(inner), _) => alternatives(inner, !negated)?,
        (Logic::Or(parts), false) | (Logic::And(parts), true) => {
            let mut all = Vec::new();
            for part in parts {
                all.append(&mut alternatives(part, negated)?);
            }
            all
        }
        (Logic::And(parts), false) | (Logic::Or(parts), true) => {
            let mut all: Vec<Alternative> = vec![(Vec::new(), Vec::new())];
            for part in parts {
                let factors = alternatives(part, negated)?;
                if all.len() * factors.len() > ALTERNATIVES_MAX && factors.len() > 1 {
                    return None;
                }
                all = all
                    .iter()
                    .flat_map(|a| factors.iter().map(|b| joined(a, b)))
                    .collect();
            }
            all
        }
    };
    let short = out
        .iter()
        .all(|(positive, negative)| positive.len() + negative.len() <= LITERALS_MAX);
    let consistent = |alternative: &Alternative| {
        !alternative
            .0
            .iter()
            .any(|cond| alternative.1.contains(cond))
    };
    short.then(|| out.into_iter().filter(consistent).collect())
}

fn joined(a: &Alternative, b: &Alternative) -> Alternative {
    let union = |a: &[CondId], b: &[CondId]| {
        let mut all: Vec<CondId> = a.iter().chain(b).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    (union(&a.0, &b.0), union(&a.1, &b.1))
}

/// Slots that nothing came into.
struct Nothing;

impl Slots for Nothing {
    fn text(&self, _: u32) -> &str {
        ""
    }
    fn number(&self, _: u32) -> f64 {
        0.0
    }
    fn external(&self, _: usize) -> Option<&Given> {
        None
    }
}

fn fires_on_nothing(scalar: &Scalar, index: &Index) -> bool {
    let mut fires = false;
    scalar.with(&Nothing, &mut String::new(), |found| {
        index.test(found, &mut Memo::default(), 1, |_| fires = true);
    });
    fires
}
