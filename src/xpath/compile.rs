//! Expressions to a [`Program`]: boolean structure, comparisons, and what shares what.
//!
//! Everything is interned: equal places, tests, values and formulas of different expressions become
//! one. Paths are in `locate.rs`, values in `compute.rs`, the last arrangement in `arrange.rs`.
//! What cannot stream is refused with the reason, and its expression goes to the tree.

use std::collections::HashMap;

use super::ast::{Axis, Comparison, Node, Test, Type};
use super::eval::{Context, Evaluator};
use super::flat;
use super::functions::Function;
use super::index::ValueTest;
use super::locate::Place as Loc;
use super::program::{
    CondId, CondInfo, Effect, Formula, FormulaId, Listener, Logic, PHASE_ROOT, Phase, Place,
    ScalarInfo, Slot, SlotKind,
};
use super::set::{Atom, Landmarks};
use super::tree::Tree;
use super::trie::{NodeId, Reach, SymbolTest, Symbols, Trie};

/// Why an expression does not stream.
pub(super) type Why = String;
pub(super) type Compiled<T> = Result<T, Why>;

/// Parts compiled for one expression before it goes to the tree.
const WORK_MAX: u32 = 20_000;
/// Conditions on both sides of a comparison of booleans.
const TRUTHS_MAX: usize = 32;

/// What makes two conditions one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum CondKey {
    Exists(NodeId, Loc),
    Index(u32, ValueTest),
    Position(NodeId, Comparison, u64),
    Anchor(NodeId, FormulaId),
    Once(FormulaId),
}

/// The compiler's state: the program being made, and what is known already.
#[derive(Debug)]
pub(super) struct Compiler {
    pub(super) symbols: Symbols,
    pub(super) trie: Trie,
    pub(super) places: HashMap<NodeId, Place>,
    pub(super) conds: Vec<CondInfo>,
    pub(super) tests: Vec<HashMap<ValueTest, CondId>>,
    pub(super) scalars: Vec<ScalarInfo>,
    pub(super) root_slots: Vec<Slot>,
    pub(super) formulas: Vec<(Formula, Logic)>,
    pub(super) sections: u8,
    pub(super) classes: Option<fn(&str, &str) -> u8>,
    pub(super) root_test: Vec<SymbolTest>,
    pub(super) section_tests: Vec<Vec<SymbolTest>>,
    pub(super) known_conds: HashMap<CondKey, CondId>,
    /// How many conditions the final program keeps.
    pub(super) final_conds: usize,
    pub(super) known_scalars: HashMap<(NodeId, String), u32>,
    pub(super) known_slots: HashMap<(NodeId, SlotKind, Vec<Loc>), u32>,
    pub(super) known_formulas: HashMap<(NodeId, Logic), FormulaId>,
    /// The latest phase at which each slot of the document is final.
    pub(super) root_slot_phases: Vec<Phase>,
    /// Parts compiled for the expression in hand.
    work: u32,
    empty: Tree,
}

impl Compiler {
    pub(super) fn new(landmarks: &Landmarks) -> Self {
        let mut compiler = Self {
            symbols: Symbols::default(),
            trie: Trie::new(),
            places: HashMap::new(),
            conds: Vec::new(),
            tests: Vec::new(),
            scalars: Vec::new(),
            root_slots: Vec::new(),
            formulas: Vec::new(),
            sections: landmarks.sections.len().min(64) as u8,
            classes: landmarks.classes,
            root_test: Vec::new(),
            section_tests: Vec::new(),
            known_conds: HashMap::new(),
            final_conds: 0,
            known_scalars: HashMap::new(),
            known_slots: HashMap::new(),
            known_formulas: HashMap::new(),
            root_slot_phases: Vec::new(),
            work: 0,
            empty: Tree::empty(),
        };
        compiler.landmarks(landmarks);
        compiler
    }

    /// Puts the landmarks into the trie, so that the run sees sections begin and end.
    fn landmarks(&mut self, landmarks: &Landmarks) {
        let root = self.name_tests(&landmarks.root);
        for (number, names) in landmarks
            .sections
            .iter()
            .take(usize::from(self.sections))
            .enumerate()
        {
            let tests = self.name_tests(names);
            for root in &root {
                let envelope = self.trie.step(0, Reach::Child, root.clone());
                for test in &tests {
                    let section = self.trie.step(envelope, Reach::Child, test.clone());
                    self.places.entry(section).or_default().section = Some(number as u8);
                }
            }
            self.section_tests.push(tests);
        }
        self.root_test = root;
    }

    fn name_tests(&mut self, names: &[(String, String)]) -> Vec<SymbolTest> {
        let test = |(namespace, local): &(String, String)| super::ast::NameTest {
            prefix: "".into(),
            uris: Some(smallvec::smallvec![namespace.as_str().into()]),
            local: Some(local.as_str().into()),
        };
        names
            .iter()
            .map(|name| self.symbols.test(&test(name)))
            .collect()
    }

    /// Compiles one expression; the answer is its phase, or why it needs a tree.
    pub(super) fn atom(&mut self, number: u32, atom: &Atom) -> Compiled<Phase> {
        self.work = 0;
        let logic = self.boolean(&atom.expr.node, 0)?;
        let phase = self.phase_of_logic(&logic);
        let formula = self.formula(0, logic);
        if let Some((formula, _)) = self.formulas.get_mut(formula as usize) {
            formula.effects.push(Effect::Atom(number));
        }
        Ok(phase)
    }

    fn phase_of_logic(&self, logic: &Logic) -> Phase {
        match logic {
            Logic::Const(_) => 0,
            Logic::Cond(cond) => self.conds.get(*cond as usize).map_or(0, |info| info.phase),
            Logic::Not(inner) => self.phase_of_logic(inner),
            Logic::And(parts) | Logic::Or(parts) => parts
                .iter()
                .map(|part| self.phase_of_logic(part))
                .max()
                .unwrap_or(0),
        }
    }

    /// The formula of a logic at an anchor, new or shared.
    pub(super) fn formula(&mut self, anchor: NodeId, logic: Logic) -> FormulaId {
        let key = (anchor, logic);
        if let Some(&known) = self.known_formulas.get(&key) {
            return known;
        }
        let id = self.formulas.len() as FormulaId;
        self.known_formulas.insert(key.clone(), id);
        let formula = Formula {
            anchor,
            effects: Vec::new(),
            once: None,
            general: None,
        };
        self.formulas.push((formula, key.1));
        if anchor != 0 {
            self.places
                .entry(anchor)
                .or_default()
                .anchor
                .get_or_insert_default();
        }
        id
    }

    pub(super) fn cond(
        &mut self,
        key: CondKey,
        anchor: NodeId,
        phase: Phase,
        at_start: bool,
    ) -> CondId {
        let next = self.conds.len() as CondId;
        let id = *self.known_conds.entry(key).or_insert(next);
        if id == next {
            self.conds.push(CondInfo { phase, at_start });
            if anchor != 0 {
                self.places
                    .entry(anchor)
                    .or_default()
                    .anchor
                    .get_or_insert_default();
            }
        }
        id
    }

    /// The boolean value of an expression with `at` as its context.
    pub(super) fn boolean(&mut self, node: &Node, at: NodeId) -> Compiled<Logic> {
        self.spend()?;
        if let Some(truth) = self.constant(node) {
            return Ok(Logic::Const(truth));
        }
        match node {
            Node::Or(parts) => {
                let parts = parts
                    .iter()
                    .map(|part| self.boolean(part, at))
                    .collect::<Compiled<Vec<_>>>()?;
                Ok(or(parts))
            }
            Node::And(parts) => {
                let parts = parts
                    .iter()
                    .map(|part| self.boolean(part, at))
                    .collect::<Compiled<Vec<_>>>()?;
                Ok(and(parts))
            }
            Node::Call(Function::Not, arguments) => {
                let [inner] = arguments.as_slice() else {
                    return Err("`not()`".into());
                };
                Ok(not(self.boolean(inner, at)?))
            }
            Node::Call(Function::Boolean, arguments) => {
                let [inner] = arguments.as_slice() else {
                    return Err("`boolean()`".into());
                };
                self.boolean(inner, at)
            }
            Node::Compare(op, a, b) => self.compare(*op, a, b, at),
            Node::Call(Function::StartsWith | Function::Contains, arguments) => {
                self.word(node, arguments, at)
            }
            Node::Call(Function::Lang, _) => Err("`lang()` looks at what is around".into()),
            _ if node.kind() == Type::NodeSet => self.exists(node, at),
            _ => self.scalar_test(node, ValueTest::Truth, at),
        }
    }

    /// Unions multiply what stands in predicates behind them; that must end somewhere.
    pub(super) fn spend(&mut self) -> Compiled<()> {
        self.work += 1;
        match self.work > WORK_MAX {
            true => Err("unions and predicates make too many combinations".into()),
            false => Ok(()),
        }
    }

    /// The value of an expression that depends on nothing.
    fn constant(&self, node: &Node) -> Option<bool> {
        fn is_constant(node: &Node) -> bool {
            match node {
                Node::Literal(_) | Node::Number(_) => true,
                Node::Path(_) | Node::Filter(..) | Node::Union(_) => false,
                Node::External(_) | Node::Native(..) | Node::Parameter(..) => false,
                Node::Call(
                    Function::Position | Function::Last | Function::Lang | Function::Id,
                    _,
                ) => false,
                _ => node.parts().into_iter().all(is_constant),
            }
        }
        let evaluator = Evaluator::new(&self.empty, &[]);
        is_constant(node)
            .then(|| evaluator.boolean(node, Context::ROOT).ok())
            .flatten()
    }

    /// `starts-with(x, 'a')` and `contains(x, 'a')`.
    fn word(&mut self, node: &Node, arguments: &[Node], at: NodeId) -> Compiled<Logic> {
        let (Node::Call(function, _), [value, Node::Literal(word)]) = (node, arguments) else {
            return self.scalar_test(node, ValueTest::Truth, at);
        };
        if word.is_empty() {
            return Ok(Logic::Const(true));
        }
        let test = match function {
            Function::StartsWith => ValueTest::StartsWith(word.to_string()),
            _ => ValueTest::Contains(word.to_string()),
        };
        self.scalar_test(&as_text(value), test, at)
    }

    fn compare(&mut self, op: Comparison, a: &Node, b: &Node, at: NodeId) -> Compiled<Logic> {
        use Type::{Boolean, NodeSet, Number};
        match (a.kind(), b.kind()) {
            (NodeSet, NodeSet) => {
                Err("two node-sets are compared, of which any two nodes may fit".into())
            }
            (_, NodeSet) => self.compare(op.turned(), b, a, at),
            (_, Boolean) | (Boolean, _) if !op.is_order() => {
                let (a, b) = (self.boolean(a, at)?, self.boolean(b, at)?);
                // Each side is needed twice, so a chain of these would double with every link.
                if size(&a) + size(&b) > TRUTHS_MAX {
                    return Err("long truths are compared".into());
                }
                let same = or(vec![
                    and(vec![a.clone(), b.clone()]),
                    and(vec![not(a), not(b)]),
                ]);
                Ok(if op == Comparison::Equal {
                    same
                } else {
                    not(same)
                })
            }
            (Boolean | NodeSet, Boolean) => {
                // False is less than true.
                let (a, b) = (self.boolean(a, at)?, self.boolean(b, at)?);
                Ok(match op {
                    Comparison::Less => and(vec![not(a), b]),
                    Comparison::LessEqual => or(vec![not(a), b]),
                    Comparison::Greater => and(vec![a, not(b)]),
                    _ => or(vec![a, not(b)]),
                })
            }
            (_, Boolean) | (Boolean, _) => {
                Err("a truth is compared by order with what is no truth".into())
            }
            (NodeSet, Number) => match self.constant_number(b) {
                Some(number) => self.any_node(a, &number_test(op, number), number.is_nan(), op, at),
                None => Err("a node-set is compared with a number that is computed".into()),
            },
            (NodeSet, _) => match (b, op.is_order()) {
                (Node::Literal(text), false) => {
                    let test = match op {
                        Comparison::Equal => ValueTest::Equal(text.to_string()),
                        _ => ValueTest::Differs(text.to_string()),
                    };
                    self.any_node(a, &test, false, op, at)
                }
                (Node::Literal(text), true) => {
                    let number = super::value::number(text);
                    self.any_node(a, &number_test(op, number), number.is_nan(), op, at)
                }
                _ => Err("a node-set is compared with a text that is computed".into()),
            },
            _ => self.compare_values(op, a, b, at),
        }
    }

    /// Whether any node of a set passes the test.
    fn any_node(
        &mut self,
        set: &Node,
        test: &ValueTest,
        nan: bool,
        op: Comparison,
        at: NodeId,
    ) -> Compiled<Logic> {
        if nan {
            // Nothing but `!=` holds of NaN, and that of every node.
            return if op == Comparison::NotEqual {
                self.exists(set, at)
            } else {
                Ok(Logic::Const(false))
            };
        }
        if let Node::Filter(head, predicates) = set
            && matches!(predicates.as_slice(), [Node::Number(first)] if *first == 1.0)
        {
            let value = self.scalar_test(&as_text(head), test.clone(), at)?;
            return Ok(and(vec![self.exists(head, at)?, value]));
        }
        let mut parts = Vec::new();
        for path in flat::paths(set)? {
            parts.push(self.walk(&path, at, &Goal::Value(test.clone()))?);
        }
        Ok(or(parts))
    }

    pub(super) fn exists(&mut self, set: &Node, at: NodeId) -> Compiled<Logic> {
        let set = flat::without_ends(set);
        if let Node::Filter(head, predicates) = &set
            && let [Node::Number(number)] = predicates.as_slice()
        {
            // The third is there if there are three.
            if *number < 1.0 || number.fract() != 0.0 {
                return Ok(Logic::Const(false));
            }
            let count = Node::Call(Function::Count, vec![(**head).clone()]);
            return self.compare(Comparison::GreaterEqual, &count, &Node::Number(*number), at);
        }
        let mut parts = Vec::new();
        for path in flat::paths(&set)? {
            parts.push(self.walk(&path, at, &Goal::Exists)?);
        }
        Ok(or(parts))
    }

    fn compare_values(
        &mut self,
        op: Comparison,
        a: &Node,
        b: &Node,
        at: NodeId,
    ) -> Compiled<Logic> {
        if a.parts().is_empty() && matches!(a, Node::Literal(_) | Node::Number(_)) {
            return self.compare_values_right(op.turned(), b, a, at);
        }
        self.compare_values_right(op, a, b, at)
    }

    fn compare_values_right(
        &mut self,
        op: Comparison,
        a: &Node,
        b: &Node,
        at: NodeId,
    ) -> Compiled<Logic> {
        if let (Node::Call(Function::Count, arguments), Some(number)) = (a, self.constant_number(b))
            && let Some(logic) = self.count(op, number, arguments, at)?
        {
            return Ok(logic);
        }
        match b {
            Node::Literal(text) if !op.is_order() && a.kind() == Type::String => {
                let test = match op {
                    Comparison::Equal => ValueTest::Equal(text.to_string()),
                    _ => ValueTest::Differs(text.to_string()),
                };
                self.scalar_test(a, test, at)
            }
            _ => match self.constant_number(b) {
                Some(number) if number.is_nan() => Ok(Logic::Const(op == Comparison::NotEqual)),
                Some(number) => {
                    let a = if a.kind() == Type::Number {
                        a.clone()
                    } else {
                        Node::Call(Function::Number, vec![a.clone()])
                    };
                    self.scalar_test(&a, number_test(op, number), at)
                }
                None => {
                    let whole = Node::Compare(op, Box::new(a.clone()), Box::new(b.clone()));
                    self.scalar_test(&whole, ValueTest::Truth, at)
                }
            },
        }
    }

    /// Counts that only ask whether there is a node.
    fn count(
        &mut self,
        op: Comparison,
        number: f64,
        arguments: &[Node],
        at: NodeId,
    ) -> Compiled<Option<Logic>> {
        let [set] = arguments else { return Ok(None) };
        use Comparison::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        let some = match (op, number) {
            (Greater | NotEqual, 0.0) | (GreaterEqual, 1.0) => true,
            (Equal | LessEqual, 0.0) | (Less, 1.0) => false,
            _ => return Ok(None),
        };
        let exists = self.exists(set, at)?;
        Ok(Some(if some { exists } else { not(exists) }))
    }

    /// The number of an expression that depends on nothing.
    pub(super) fn constant_number(&self, node: &Node) -> Option<f64> {
        let is_plain = match node {
            Node::Number(number) => return Some(*number),
            Node::Literal(text) => return Some(super::value::number(text)),
            Node::Negate(_) | Node::Arithmetic(..) => node
                .parts()
                .into_iter()
                .all(|part| self.constant_number(part).is_some()),
            Node::Call(
                Function::Number | Function::Floor | Function::Ceiling | Function::Round,
                arguments,
            ) => arguments
                .iter()
                .all(|part| self.constant_number(part).is_some()),
            _ => false,
        };
        let evaluator = Evaluator::new(&self.empty, &[]);
        is_plain
            .then(|| evaluator.number(node, Context::ROOT).ok())
            .flatten()
    }

    /// When a fact about the document at this place is known.
    pub(super) fn phase_of(&self, loc: &Loc, at_start: bool) -> Phase {
        let last = PHASE_ROOT + self.sections + 1;
        let chain = self.trie.chain(loc.node);
        let test = |index: usize| {
            let node = chain.get(index).and_then(|id| self.trie.node(*id));
            node.filter(|node| node.reach == Reach::Child)
                .map(|node| &node.test)
        };
        let Some(root) = test(0) else { return last };
        if chain.len() == 1 {
            return if at_start { PHASE_ROOT } else { last };
        }
        let Some(section) = test(1).filter(|_| within_all(root, &self.root_test)) else {
            return last;
        };
        let found = self
            .section_tests
            .iter()
            .position(|tests| within_all(section, tests));
        found.map_or(last, |number| PHASE_ROOT + 1 + number as u8)
    }

    /// The listener of an anchor at a place.
    pub(super) fn listener(&mut self, loc: &Loc, anchor: NodeId) -> &mut Listener {
        let up = self.trie.distance(anchor, loc.node);
        let place = self.places.entry(loc.node).or_default();
        let listeners = match &loc.source {
            super::locate::Source::Element => &mut place.element,
            super::locate::Source::Text => &mut place.texts,
            super::locate::Source::Comment => &mut place.comments,
            super::locate::Source::Attribute(test) => {
                let by_name = place.attributes_by_name.entry(test.local()).or_default();
                let known = by_name.iter().copied().find(|&at| {
                    place
                        .attributes
                        .get(at as usize)
                        .is_some_and(|(t, _)| t == test)
                });
                let at = known.unwrap_or_else(|| {
                    place.attributes.push((test.clone(), Vec::new()));
                    by_name.push(place.attributes.len() as u32 - 1);
                    place.attributes.len() as u32 - 1
                });
                // Invariant: `at` was found or pushed just above.
                #[expect(clippy::indexing_slicing)]
                &mut place.attributes[at as usize].1
            }
        };
        let at = match listeners
            .iter()
            .position(|listener| listener.anchor == anchor)
        {
            Some(at) => at,
            None => {
                listeners.push(Listener {
                    anchor,
                    up,
                    ..Listener::default()
                });
                listeners.len() - 1
            }
        };
        // Invariant: `at` was found or pushed just above.
        #[expect(clippy::indexing_slicing)]
        &mut listeners[at]
    }
}

/// Where a path's walk ends.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    Exists,
    Value(ValueTest),
}

/// Whether every name that passes the test is one of those listed.
fn within_all(test: &SymbolTest, known: &[SymbolTest]) -> bool {
    known.iter().any(|one| test.within(one))
        || test.split().is_some_and(|parts| {
            parts
                .iter()
                .all(|part| known.iter().any(|one| part.within(one)))
        })
}

pub(super) fn number_test(op: Comparison, number: f64) -> ValueTest {
    ValueTest::Number(op, (number + 0.0).to_bits())
}

pub(super) fn as_text(node: &Node) -> Node {
    match node.kind() {
        Type::String => node.clone(),
        _ => Node::Call(Function::String, vec![node.clone()]),
    }
}

pub(super) fn not(logic: Logic) -> Logic {
    match logic {
        Logic::Const(truth) => Logic::Const(!truth),
        Logic::Not(inner) => *inner,
        other => Logic::Not(Box::new(other)),
    }
}

pub(super) fn and(parts: Vec<Logic>) -> Logic {
    let mut out = Vec::new();
    for part in parts {
        match part {
            Logic::Const(true) => {}
            Logic::Const(false) => return Logic::Const(false),
            Logic::And(inner) => out.extend(inner),
            other => out.push(other),
        }
    }
    single(out, Logic::Const(true), Logic::And)
}

pub(super) fn or(parts: Vec<Logic>) -> Logic {
    let mut out = Vec::new();
    for part in parts {
        match part {
            Logic::Const(false) => {}
            Logic::Const(true) => return Logic::Const(true),
            Logic::Or(inner) => out.extend(inner),
            other => out.push(other),
        }
    }
    single(out, Logic::Const(false), Logic::Or)
}

fn single(mut parts: Vec<Logic>, none: Logic, join: fn(Vec<Logic>) -> Logic) -> Logic {
    let mut seen = std::collections::HashSet::new();
    parts.retain(|part| seen.insert(part.clone()));
    match parts.len() {
        0 => none,
        1 => parts.pop().unwrap_or(none),
        _ => join(parts),
    }
}

/// Whether a step's test and axis make positions count among siblings.
pub(super) fn counts_siblings(axis: Axis, test: &Test) -> bool {
    axis == Axis::Child && matches!(test, Test::Name(_))
}

/// Conditions in a logic.
pub(super) fn size(logic: &Logic) -> usize {
    match logic {
        Logic::Const(_) | Logic::Cond(_) => 1,
        Logic::Not(inner) => size(inner),
        Logic::And(parts) | Logic::Or(parts) => parts.iter().map(size).sum(),
    }
}
