//! Paths to places in the trie, with predicates as anchors on the way.

use super::ast::{Axis, Comparison, Node, Path, Start, Step, Test, Type};
use super::compile::{
    Compiled, Compiler, CondKey, Goal, and, as_text, counts_siblings, not, or, size,
};
use super::flat::{self, FlatPath, is_any_depth};
use super::functions::Function;
use super::index::ValueTest;
use super::program::{CondId, Effect, Logic};
use super::trie::{NodeId, Reach, SymbolTest};

/// Where values come from: an element that matched a trie node, or what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) node: NodeId,
    pub(super) source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The element: its string-value, its name.
    Element,
    Attribute(SymbolTest),
    /// Each text node that is its child.
    Text,
    /// Each comment that is its child.
    Comment,
}

/// Where a step leads.
enum Landing {
    /// To elements; more steps may follow.
    Node(NodeId),
    /// To nodes that have no children.
    Leaves(Vec<Place>),
}

impl Compiler {
    /// A path's truth for an anchor: some node of it is there, or passes a test.
    pub(super) fn walk(&mut self, path: &FlatPath, at: NodeId, goal: &Goal) -> Compiled<Logic> {
        if path.absolute && at != 0 {
            return Err("a predicate asks for something elsewhere in the message".into());
        }
        if at == 0 && is_around(&path.steps) {
            return Ok(Logic::Const(false));
        }
        self.walk_steps(&path.steps, at, at, goal)
    }

    fn walk_steps(
        &mut self,
        steps: &[Step],
        anchor: NodeId,
        from: NodeId,
        goal: &Goal,
    ) -> Compiled<Logic> {
        self.spend()?;
        let mut node = from;
        let mut index = 0;
        while let Some(step) = steps.get(index) {
            let rest = steps.get(index + 1..).unwrap_or(&[]);
            if is_any_depth(step)
                && let Some(next) = rest.first()
            {
                let (landing, used) = self.below_any(node, next)?;
                index += used;
                let last = steps.get(index).unwrap_or(step);
                index += 1;
                match self.landed(
                    landing,
                    last,
                    steps.get(index..).unwrap_or(&[]),
                    anchor,
                    goal,
                )? {
                    Ok(logic) => return Ok(logic),
                    Err(next) => node = next,
                }
                continue;
            }
            index += 1;
            if step.axis == Axis::Itself {
                if node != anchor || step.predicates.iter().any(flat::is_positional) {
                    return Err("`self` stands behind a step that it cannot be joined with".into());
                }
                let mut parts = vec![self.is_named(&step.test, anchor)?];
                for predicate in &step.predicates {
                    parts.push(self.boolean(predicate, anchor)?);
                }
                parts.push(self.walk_steps(rest, anchor, node, goal)?);
                return Ok(and(parts));
            }
            let landing = self.land(node, step, rest.is_empty())?;
            match self.landed(landing, step, rest, anchor, goal)? {
                Ok(logic) => return Ok(logic),
                Err(next) => node = next,
            }
        }
        self.reach(
            &[Place {
                node,
                source: Source::Element,
            }],
            anchor,
            goal,
        )
    }

    /// `self::b` of an anchor, which is an element or the document.
    fn is_named(&mut self, test: &Test, anchor: NodeId) -> Compiled<Logic> {
        let name = match test {
            Test::Node => return Ok(Logic::Const(true)),
            Test::Name(name) if anchor != 0 => name,
            _ => return Ok(Logic::Const(false)),
        };
        let here = Node::Path(Path::here());
        let mut is = |function, text: &str| {
            let value = Node::Call(function, vec![here.clone()]);
            self.scalar_test(&value, ValueTest::Equal(text.to_owned()), anchor)
        };
        let mut parts = Vec::new();
        if let Some(local) = &name.local {
            parts.push(is(Function::LocalName, local)?);
        }
        if let Some(uris) = &name.uris {
            let any = uris.iter().map(|uri| is(Function::NamespaceUri, uri));
            parts.push(or(any.collect::<Compiled<Vec<_>>>()?));
        }
        Ok(and(parts))
    }

    /// `//` and the step behind it in one; the answer tells how many steps that used beyond the first.
    fn below_any(&mut self, node: NodeId, next: &Step) -> Compiled<(Landing, usize)> {
        let any = self.symbols.test(&super::ast::NameTest::any());
        match (next.axis, &next.test) {
            (Axis::Child | Axis::Descendant, Test::Name(name)) => {
                if next.axis == Axis::Descendant && next.predicates.iter().any(flat::is_positional)
                {
                    return Err("positions along the axis `descendant` count at any depth".into());
                }
                let test = self.symbols.test(name);
                Ok((
                    Landing::Node(self.trie.step(node, Reach::Descendant, test)),
                    1,
                ))
            }
            (Axis::DescendantOrSelf, Test::Node) if next.predicates.is_empty() => {
                // `//` twice is `//` once.
                Ok((
                    Landing::Node(self.trie.step(node, Reach::DescendantOrSelf, any)),
                    0,
                ))
            }
            _ => Ok((
                Landing::Node(self.trie.step(node, Reach::DescendantOrSelf, any)),
                0,
            )),
        }
    }

    /// Where one step leads from a node.
    fn land(&mut self, node: NodeId, step: &Step, is_last: bool) -> Compiled<Landing> {
        let any = self.symbols.test(&super::ast::NameTest::any());
        let source = match &step.test {
            Test::Text => Some(Source::Text),
            Test::Comment => Some(Source::Comment),
            Test::Instruction(_) => return Ok(Landing::Leaves(Vec::new())),
            _ => None,
        };
        let reach = match step.axis {
            Axis::Child => Reach::Child,
            Axis::Descendant => Reach::Descendant,
            Axis::DescendantOrSelf => Reach::DescendantOrSelf,
            Axis::Attribute => {
                let test = match &step.test {
                    Test::Name(name) => self.symbols.test(name),
                    Test::Node => any,
                    _ => return Ok(Landing::Leaves(Vec::new())),
                };
                return Ok(Landing::Leaves(vec![Place {
                    node,
                    source: Source::Attribute(test),
                }]));
            }
            other => {
                return Err(format!(
                    "the axis `{}` leads out of the element",
                    other.name()
                ));
            }
        };
        if reach != Reach::Child && step.predicates.iter().any(flat::is_positional) {
            return Err(format!(
                "positions along the axis `{}` count at any depth",
                step.axis.name()
            ));
        }
        let named = matches!(step.test, Test::Name(_));
        if reach == Reach::DescendantOrSelf && !named && (is_last || source.is_some() || node == 0)
        {
            return Err(
                "the document itself, or a text, may be meant by `descendant-or-self`".into(),
            );
        }
        // The document itself has no name.
        let reach = if reach == Reach::DescendantOrSelf && node == 0 {
            Reach::Descendant
        } else {
            reach
        };
        let owner = match reach {
            Reach::Child => node,
            _ if source.is_some() || step.test == Test::Node && is_last => {
                self.trie.step(node, Reach::DescendantOrSelf, any.clone())
            }
            _ => node,
        };
        if let Some(source) = source {
            return Ok(Landing::Leaves(vec![Place {
                node: owner,
                source,
            }]));
        }
        let test = match &step.test {
            Test::Name(name) => self.symbols.test(name),
            _ => any,
        };
        let element = self.trie.step(node, reach, test);
        if step.test == Test::Node && is_last {
            let leaf = |source| Place {
                node: owner,
                source,
            };
            let places = vec![
                Place {
                    node: element,
                    source: Source::Element,
                },
                leaf(Source::Text),
                leaf(Source::Comment),
            ];
            return Ok(Landing::Leaves(places));
        }
        Ok(Landing::Node(element))
    }

    /// What a landing means: the path's truth, or the node to go on from.
    fn landed(
        &mut self,
        landing: Landing,
        step: &Step,
        rest: &[Step],
        anchor: NodeId,
        goal: &Goal,
    ) -> Compiled<Result<Logic, NodeId>> {
        match landing {
            Landing::Leaves(places) => {
                if !rest.is_empty() {
                    // Nothing lies below an attribute, a text or a comment.
                    let is_leaf = |place: &Place| place.source != Source::Element;
                    let goes_down = rest.first().is_some_and(|step| {
                        matches!(
                            step.axis,
                            Axis::Child | Axis::Descendant | Axis::Attribute | Axis::Namespace
                        )
                    });
                    if !places.iter().all(is_leaf) || !goes_down {
                        return Err("steps lead on from an attribute or a text".into());
                    }
                    return Ok(Ok(Logic::Const(false)));
                }
                self.leaves(&places, step, anchor, goal).map(Ok)
            }
            // `//` before a step that starts at any element has no predicates of its own.
            Landing::Node(node) if is_any_depth(step) => Ok(Err(node)),
            Landing::Node(node) if step.predicates.is_empty() => Ok(Err(node)),
            Landing::Node(node) => self.predicated(node, step, rest, anchor, goal).map(Ok),
        }
    }

    fn leaves(
        &mut self,
        places: &[Place],
        step: &Step,
        anchor: NodeId,
        goal: &Goal,
    ) -> Compiled<Logic> {
        match (step.predicates.as_slice(), goal) {
            ([], _) => self.reach(places, anchor, goal),
            ([only], Goal::Exists) => match own_test(only) {
                Some(test) => self.reach(places, anchor, &Goal::Value(test)),
                None => Err(
                    "an attribute or a text has a predicate that is no simple comparison".into(),
                ),
            },
            _ => Err("an attribute or a text has several predicates".into()),
        }
    }

    /// A step with predicates: its elements become anchors.
    fn predicated(
        &mut self,
        node: NodeId,
        step: &Step,
        rest: &[Step],
        anchor: NodeId,
        goal: &Goal,
    ) -> Compiled<Logic> {
        if let ([only], [], Goal::Exists) = (step.predicates.as_slice(), rest, goal)
            && let Some(test) = own_test(only)
        {
            return self.reach(
                &[Place {
                    node,
                    source: Source::Element,
                }],
                anchor,
                &Goal::Value(test),
            );
        }
        let (mut parts, mut around) = (Vec::new(), Vec::new());
        let mut seen = false;
        for predicate in flat::conjuncts(&step.predicates) {
            // What looks at the document alone is the same for each element.
            if anchor == 0 && flat::asks_document_only(predicate) {
                around.push(self.boolean(predicate, 0)?);
                continue;
            }
            if !flat::is_positional(predicate) {
                parts.push(self.boolean(predicate, node)?);
            } else if seen {
                return Err("a position stands behind another predicate".into());
            } else if counts_siblings(step.axis, &step.test) {
                parts.push(self.position(predicate, node)?);
            } else {
                return Err(format!(
                    "`{}` does not count by name among siblings",
                    super::show::show_step(step)
                ));
            }
            seen = true;
        }
        parts.push(self.walk_steps(rest, node, node, goal)?);
        around.push(self.anchored(anchor, node, and(parts))?);
        Ok(and(around))
    }

    /// The condition of an anchor that some instance at `node` fulfils the logic.
    pub(super) fn anchored(
        &mut self,
        anchor: NodeId,
        node: NodeId,
        logic: Logic,
    ) -> Compiled<Logic> {
        let place = Place {
            node,
            source: Source::Element,
        };
        match logic {
            Logic::Const(false) => Ok(Logic::Const(false)),
            Logic::Const(true) => self.reach(&[place], anchor, &Goal::Exists),
            logic => {
                // Few enough to be split into rules, which are looked at when the start tag is done.
                let at_start = self.known_at_start(&logic) && size(&logic) <= 8;
                let formula = self.formula(node, logic);
                let phase = self.phase_of(&place, at_start);
                let cond = self.cond(CondKey::Anchor(anchor, formula), anchor, phase, false);
                let up = self.trie.distance(anchor, node);
                let effect = Effect::Cond(cond, anchor, up);
                if let Some((formula, _)) = self.formulas.get_mut(formula as usize)
                    && !formula.effects.contains(&effect)
                {
                    formula.effects.push(effect);
                }
                Ok(Logic::Cond(cond))
            }
        }
    }

    fn known_at_start(&self, logic: &Logic) -> bool {
        match logic {
            Logic::Const(_) => true,
            Logic::Cond(cond) => self
                .conds
                .get(*cond as usize)
                .is_some_and(|info| info.at_start),
            Logic::Not(inner) => self.known_at_start(inner),
            Logic::And(parts) | Logic::Or(parts) => {
                parts.iter().all(|part| self.known_at_start(part))
            }
        }
    }

    /// `[2]`, `[position() < 3]`, and `and`, `or`, `not()` of these and of others.
    fn position(&mut self, predicate: &Node, node: NodeId) -> Compiled<Logic> {
        let mut each = |parts: &[Node]| -> Compiled<Vec<Logic>> {
            let one = |part| match flat::asks_position(part) {
                true => self.position(part, node),
                false => self.boolean(part, node),
            };
            parts.iter().map(one).collect()
        };
        let (op, number) = match predicate {
            Node::And(parts) => return Ok(and(each(parts)?)),
            Node::Or(parts) => return Ok(or(each(parts)?)),
            Node::Call(Function::Not, inner) => return Ok(not(and(each(inner)?))),
            Node::Compare(op, a, b) => match (&**a, &**b) {
                (Node::Call(Function::Position, _), b) => (*op, self.constant_number(b)),
                (a, Node::Call(Function::Position, _)) => (op.turned(), self.constant_number(a)),
                _ => (*op, None),
            },
            other if other.kind() == Type::Number => {
                (Comparison::Equal, self.constant_number(other))
            }
            _ => (Comparison::Equal, None),
        };
        let Some(number) = number else {
            return Err(match flat::asks_last(predicate) {
                true => "`last()` is known only behind the last one".into(),
                false => "a position is not compared with a number".into(),
            });
        };
        if number.is_nan() {
            return Ok(Logic::Const(op == Comparison::NotEqual));
        }
        let phase = self.phase_of(
            &Place {
                node,
                source: Source::Element,
            },
            true,
        );
        let cond = self.cond(
            CondKey::Position(node, op, (number + 0.0).to_bits()),
            node,
            phase,
            true,
        );
        let positions = &mut self.places.entry(node).or_default().positions;
        if !positions.iter().any(|(_, _, known)| *known == cond) {
            positions.push((op, number, cond));
        }
        Ok(Logic::Cond(cond))
    }

    /// Listens at places for an anchor.
    fn reach(&mut self, places: &[Place], anchor: NodeId, goal: &Goal) -> Compiled<Logic> {
        let mut parts = Vec::new();
        for place in places {
            if place.node == 0 && place.source == Source::Element {
                match goal {
                    Goal::Exists => return Ok(Logic::Const(true)),
                    Goal::Value(_) => {
                        return Err("the text of the whole document is compared".into());
                    }
                }
            }
            let at_start =
                matches!(place.source, Source::Attribute(_)) || matches!(goal, Goal::Exists);
            let phase = self.phase_of(
                place,
                at_start && place.source != Source::Text && place.source != Source::Comment,
            );
            let own = anchor == place.node && anchor != 0;
            if own && place.source == Source::Element && matches!(goal, Goal::Exists) {
                return Ok(Logic::Const(true));
            }
            let at_start = own && matches!(place.source, Source::Attribute(_));
            let cond: CondId = match goal {
                Goal::Exists => {
                    let cond = self.cond(
                        CondKey::Exists(anchor, place.clone()),
                        anchor,
                        phase,
                        at_start,
                    );
                    let listener = self.listener(place, anchor);
                    if !listener.exists.contains(&cond) {
                        listener.exists.push(cond);
                    }
                    cond
                }
                Goal::Value(test) => {
                    let fresh = self.tests.len() as u32;
                    let index = *self.listener(place, anchor).index.get_or_insert(fresh);
                    if index == fresh {
                        self.tests.push(std::collections::HashMap::new());
                    }
                    self.index_cond(index, test.clone(), anchor, phase, at_start)
                }
            };
            parts.push(Logic::Cond(cond));
        }
        Ok(or(parts))
    }

    pub(super) fn index_cond(
        &mut self,
        index: u32,
        test: ValueTest,
        anchor: NodeId,
        phase: u8,
        at_start: bool,
    ) -> CondId {
        let cond = self.cond(CondKey::Index(index, test.clone()), anchor, phase, at_start);
        if let Some(tests) = self.tests.get_mut(index as usize) {
            tests.insert(test, cond);
        }
        cond
    }

    /// The places of a node-set without predicates, for slots.
    pub(super) fn places_of(&mut self, set: &Node, at: NodeId) -> Compiled<Vec<Place>> {
        let mut out = Vec::new();
        for path in flat::paths(set)? {
            if path.absolute && at != 0 {
                return Err("a predicate asks for something elsewhere in the message".into());
            }
            if at == 0 && is_around(&path.steps) {
                continue;
            }
            out.append(&mut self.places_of_path(&path.steps, at)?);
        }
        let mut seen = std::collections::HashSet::new();
        out.retain(|place| seen.insert(place.clone()));
        Ok(out)
    }

    fn places_of_path(&mut self, steps: &[Step], from: NodeId) -> Compiled<Vec<Place>> {
        if steps.iter().any(|step| !step.predicates.is_empty()) {
            return Err("the first node of a path with predicates is taken".into());
        }
        let mut node = from;
        let mut index = 0;
        while let Some(step) = steps.get(index) {
            index += 1;
            let landing = match steps.get(index) {
                Some(next) if is_any_depth(step) => {
                    let (landing, used) = self.below_any(node, next)?;
                    index += used;
                    landing
                }
                next => self.land(node, step, next.is_none())?,
            };
            match landing {
                Landing::Node(next) => node = next,
                Landing::Leaves(places) if index == steps.len() => return Ok(places),
                Landing::Leaves(_) => {
                    return Err("steps lead on from an attribute or a text".into());
                }
            }
        }
        if node == 0 {
            return Err("the whole document is taken as a value".into());
        }
        Ok(vec![Place {
            node,
            source: Source::Element,
        }])
    }
}

/// Whether a path begins beside or above its context: there is nothing around the document.
fn is_around(steps: &[Step]) -> bool {
    let first = steps.iter().find(|step| step.axis != Axis::Itself);
    first.is_some_and(|step| {
        !matches!(
            step.axis,
            Axis::Child | Axis::Descendant | Axis::DescendantOrSelf | Axis::AncestorOrSelf
        )
    })
}

/// The test that a predicate on nothing but the node itself is.
fn own_test(predicate: &Node) -> Option<ValueTest> {
    let is_self = |node: &Node| match node {
        Node::Path(Path {
            start: Start::Here,
            steps,
        }) => steps.iter().all(flat::is_dot),
        _ => false,
    };
    match predicate {
        Node::Compare(op, a, b) => {
            let (op, other) = match (is_self(a), is_self(b)) {
                (true, false) => (*op, &**b),
                (false, true) => (op.turned(), &**a),
                _ => return None,
            };
            let number =
                |number: f64| (!number.is_nan()).then(|| super::compile::number_test(op, number));
            match (op, other) {
                (Comparison::Equal, Node::Literal(text)) => {
                    Some(ValueTest::Equal(text.to_string()))
                }
                (Comparison::NotEqual, Node::Literal(text)) => {
                    Some(ValueTest::Differs(text.to_string()))
                }
                (_, Node::Literal(text)) => number(super::value::number(text)),
                (_, Node::Number(value)) => number(*value),
                _ => None,
            }
        }
        Node::Call(function @ (Function::StartsWith | Function::Contains), arguments) => {
            match arguments.as_slice() {
                [value, Node::Literal(word)]
                    if !word.is_empty() && (is_self(value) || is_self_text(value, is_self)) =>
                {
                    Some(match function {
                        Function::StartsWith => ValueTest::StartsWith(word.to_string()),
                        _ => ValueTest::Contains(word.to_string()),
                    })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_self_text(node: &Node, is_self: impl Fn(&Node) -> bool) -> bool {
    matches!(node, Node::Call(Function::String, arguments) if arguments.iter().all(is_self))
        && as_text(node) == *node
}
