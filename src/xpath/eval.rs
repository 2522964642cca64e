//! The plain evaluator: XPath 1.0 over [`Tree`], one function a paragraph of the specification.
//!
//! The truth that streaming is tested against, and what decides expressions that cannot stream.
//! **Invariant:** work is bounded by a number of node visits, so that no expression can make a
//! message cost more than [`VISITS_MAX`].

use std::cell::Cell;

use super::ast::{Axis, Comparison, NameTest, Node, Path, Start, Step, Test, Type};
use super::functions::Function;
use super::tree::{Id, Kind, Tree};
use super::value;

/// Nodes that one evaluation may visit. 20 million take about a second; a 10 MiB message has a million.
pub(super) const VISITS_MAX: u64 = 20_000_000;

/// Bytes of a string-value that count as a visit.
const BYTES_A_VISIT: usize = 64;

/// An evaluation that cost more than [`VISITS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooCostly;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// In document order, each once.
    Nodes(Vec<Id>),
    Boolean(bool),
    Number(f64),
    Text(String),
}

/// A value given with a message, kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    Text(String),
    Number(f64),
}

/// Evaluates expressions over one tree.
#[derive(Debug)]
pub(super) struct Evaluator<'a> {
    pub(super) tree: &'a Tree,
    externals: &'a [Given],
    visits: Cell<u64>,
}

/// Where an expression is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) node: Id,
    pub(super) position: usize,
    pub(super) size: usize,
}

impl Context {
    pub(super) const ROOT: Self = Self {
        node: 0,
        position: 1,
        size: 1,
    };
}

type Answer<T> = Result<T, TooCostly>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(tree: &'a Tree, externals: &'a [Given]) -> Self {
        Self {
            tree,
            externals,
            visits: Cell::new(0),
        }
    }

    /// The boolean value at the root, as a filter means it.
    pub(super) fn holds(&self, node: &Node) -> Answer<bool> {
        self.visits.set(0);
        self.boolean(node, Context::ROOT)
    }

    pub(super) fn eval(&self, node: &Node, at: Context) -> Answer<Value> {
        Ok(match node {
            Node::Or(parts) => Value::Boolean(self.any(parts, at)?),
            Node::And(parts) => Value::Boolean(self.all(parts, at)?),
            Node::Compare(op, a, b) => {
                Value::Boolean(self.compare(*op, &self.eval(a, at)?, &self.eval(b, at)?)?)
            }
            Node::Arithmetic(op, a, b) => {
                Value::Number(op.apply(self.number(a, at)?, self.number(b, at)?))
            }
            Node::Negate(a) => Value::Number(-self.number(a, at)?),
            Node::Union(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.append(&mut self.nodes(part, at)?);
                }
                Value::Nodes(in_order(all))
            }
            Node::Path(path) => Value::Nodes(self.path(path, at)?),
            Node::Filter(head, predicates) => {
                let mut nodes = self.nodes(head, at)?;
                for predicate in predicates {
                    nodes = self.kept(nodes, predicate)?;
                }
                Value::Nodes(nodes)
            }
            Node::Literal(text) => Value::Text(text.to_string()),
            Node::Number(number) => Value::Number(*number),
            Node::Call(function, arguments) => self.call(*function, arguments, at)?,
            Node::External(external) => match self.externals.get(external.index) {
                Some(Given::Number(number)) => Value::Number(*number),
                Some(Given::Text(text)) => Value::Text(text.clone()),
                None if external.kind == Type::Number => Value::Number(f64::NAN),
                None => Value::Text(String::new()),
            },
            Node::Native(native, arguments) => {
                let texts = arguments
                    .iter()
                    .map(|a| self.text(a, at))
                    .collect::<Answer<Vec<_>>>()?;
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                Value::Number((native.call)(&texts))
            }
            Node::Parameter(..) => Value::Text(String::new()),
        })
    }

    // --- conversions, §4 -----------------------------------------------------------------------

    pub(super) fn boolean(&self, node: &Node, at: Context) -> Answer<bool> {
        Ok(match self.eval(node, at)? {
            Value::Nodes(nodes) => !nodes.is_empty(),
            Value::Boolean(truth) => truth,
            Value::Number(number) => value::truth(number),
            Value::Text(text) => !text.is_empty(),
        })
    }

    pub(super) fn number(&self, node: &Node, at: Context) -> Answer<f64> {
        let value = self.eval(node, at)?;
        self.number_of(&value)
    }

    pub(super) fn text(&self, node: &Node, at: Context) -> Answer<String> {
        let value = self.eval(node, at)?;
        self.text_of(&value)
    }

    fn number_of(&self, value: &Value) -> Answer<f64> {
        Ok(match value {
            Value::Nodes(_) | Value::Text(_) => value::number(&self.text_of(value)?),
            Value::Boolean(truth) => f64::from(u8::from(*truth)),
            Value::Number(number) => *number,
        })
    }

    pub(super) fn text_of(&self, value: &Value) -> Answer<String> {
        Ok(match value {
            Value::Nodes(nodes) => match nodes.first() {
                Some(&first) => self.string(first)?,
                None => String::new(),
            },
            Value::Boolean(truth) => truth.to_string(),
            Value::Number(number) => value::text(*number),
            Value::Text(text) => text.clone(),
        })
    }

    /// The string-value of a node, whose subtree and bytes count as visits.
    fn string(&self, id: Id) -> Answer<String> {
        self.visit(self.tree.end(id).saturating_sub(id))?;
        let text = self.tree.string(id);
        self.visit(text.len() / BYTES_A_VISIT)?;
        Ok(text)
    }

    fn strings(&self, ids: &[Id]) -> Answer<Vec<String>> {
        ids.iter().map(|&id| self.string(id)).collect()
    }

    pub(super) fn nodes(&self, node: &Node, at: Context) -> Answer<Vec<Id>> {
        Ok(match self.eval(node, at)? {
            Value::Nodes(nodes) => nodes,
            // The parser has refused everything else.
            _ => Vec::new(),
        })
    }

    fn visit(&self, nodes: usize) -> Answer<()> {
        let visits = self.visits.get() + nodes as u64;
        self.visits.set(visits);
        if visits > VISITS_MAX {
            Err(TooCostly)
        } else {
            Ok(())
        }
    }

    // --- operators, §3.4 -----------------------------------------------------------------------

    fn any(&self, parts: &[Node], at: Context) -> Answer<bool> {
        for part in parts {
            if self.boolean(part, at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn all(&self, parts: &[Node], at: Context) -> Answer<bool> {
        for part in parts {
            if !self.boolean(part, at)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn compare(&self, op: Comparison, a: &Value, b: &Value) -> Answer<bool> {
        use Value::{Boolean, Nodes, Number, Text};
        match (a, b) {
            (Nodes(left), Nodes(right)) => self.compare_sets(op, left, right),
            (Nodes(nodes), other) => self.compare_set(op, nodes, other),
            (other, Nodes(nodes)) => self.compare_set(op.turned(), nodes, other),
            (Boolean(_), _) | (_, Boolean(_)) if !op.is_order() => {
                Ok((truth_of(a) == truth_of(b)) == (op == Comparison::Equal))
            }
            (Number(_), _) | (_, Number(_)) => {
                Ok(op.numbers(self.number_of(a)?, self.number_of(b)?))
            }
            (Text(a), Text(b)) if !op.is_order() => Ok((a == b) == (op == Comparison::Equal)),
            _ => Ok(op.numbers(self.number_of(a)?, self.number_of(b)?)),
        }
    }

    fn compare_set(&self, op: Comparison, nodes: &[Id], other: &Value) -> Answer<bool> {
        if let Value::Boolean(truth) = other {
            let here = !nodes.is_empty();
            return Ok(match op.is_order() {
                true => op.numbers(f64::from(u8::from(here)), f64::from(u8::from(*truth))),
                false => (here == *truth) == (op == Comparison::Equal),
            });
        }
        for &node in nodes {
            let text = self.string(node)?;
            let found = match other {
                Value::Text(other) if !op.is_order() => {
                    (text == *other) == (op == Comparison::Equal)
                }
                other => op.numbers(value::number(&text), self.number_of(other)?),
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn compare_sets(&self, op: Comparison, left: &[Id], right: &[Id]) -> Answer<bool> {
        let (left, right) = (self.strings(left)?, self.strings(right)?);
        if !op.is_order() {
            let known: std::collections::HashSet<&str> = right.iter().map(String::as_str).collect();
            return Ok(match op {
                Comparison::Equal => left.iter().any(|text| known.contains(text.as_str())),
                // Some pair differs, unless all values of both sides are one.
                _ => left.iter().any(|text| {
                    known.len() > 1 || known.len() == 1 && !known.contains(text.as_str())
                }),
            });
        }
        // Some pair is in order if the best of each side is.
        let numbers = |texts: &[String]| {
            texts
                .iter()
                .map(|t| value::number(t))
                .filter(|n| !n.is_nan())
                .collect::<Vec<_>>()
        };
        let (left, right) = (numbers(&left), numbers(&right));
        let least = |n: &[f64]| n.iter().copied().reduce(f64::min);
        let most = |n: &[f64]| n.iter().copied().reduce(f64::max);
        let pair = match op {
            Comparison::Less | Comparison::LessEqual => (least(&left), most(&right)),
            _ => (most(&left), least(&right)),
        };
        Ok(matches!(pair, (Some(a), Some(b)) if op.numbers(a, b)))
    }

    // --- paths, §2 ------------------------------------------------------------------------------

    fn path(&self, path: &Path, at: Context) -> Answer<Vec<Id>> {
        let mut nodes = match &path.start {
            Start::Root => vec![0],
            Start::Here => vec![at.node],
            Start::Node(head) => self.nodes(head, at)?,
        };
        for step in &path.steps {
            nodes = self.step(&nodes, step)?;
        }
        Ok(nodes)
    }

    /// One step from every node of a set.
    pub(super) fn step(&self, from: &[Id], step: &Step) -> Answer<Vec<Id>> {
        let mut all = Vec::new();
        for &node in from {
            let mut found = self.axis(node, step.axis);
            let looked_at = match step.axis {
                Axis::Descendant | Axis::DescendantOrSelf => self.tree.end(node) - node,
                Axis::Following => self.tree.nodes.len() - node,
                Axis::Preceding => node,
                _ => found.len(),
            };
            self.visit(looked_at + 1)?;
            found.retain(|&id| self.passes(id, &step.test, step.axis));
            for predicate in &step.predicates {
                found = self.kept(found, predicate)?;
            }
            all.append(&mut found);
        }
        Ok(in_order(all))
    }

    /// The nodes of a list for which a predicate holds; positions count in the list's order.
    fn kept(&self, nodes: Vec<Id>, predicate: &Node) -> Answer<Vec<Id>> {
        let size = nodes.len();
        let mut out = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            self.visit(1)?;
            let at = Context {
                node,
                position: index + 1,
                size,
            };
            let keep = match predicate.kind() {
                Type::Number => self.number(predicate, at)? == at.position as f64,
                _ => self.boolean(predicate, at)?,
            };
            if keep {
                out.push(node);
            }
        }
        Ok(out)
    }

    /// The nodes of an axis in its own order: reverse axes from near to far.
    fn axis(&self, node: Id, axis: Axis) -> Vec<Id> {
        let tree = self.tree;
        let ancestors = |node| std::iter::successors(tree.parent(node), |&id| tree.parent(id));
        let is_leaf = matches!(tree.kind(node), Kind::Attribute | Kind::Namespace);
        match axis {
            Axis::Child => tree.children(node),
            Axis::Descendant => tree.descendants(node).collect(),
            Axis::DescendantOrSelf => std::iter::once(node)
                .chain(tree.descendants(node))
                .collect(),
            Axis::Itself => vec![node],
            Axis::Parent => tree.parent(node).into_iter().collect(),
            Axis::Ancestor => ancestors(node).collect(),
            Axis::AncestorOrSelf => std::iter::once(node).chain(ancestors(node)).collect(),
            Axis::Attribute => tree.attributes(node, Kind::Attribute).collect(),
            Axis::Namespace => tree.attributes(node, Kind::Namespace).collect(),
            Axis::FollowingSibling | Axis::PrecedingSibling if is_leaf => Vec::new(),
            Axis::FollowingSibling => {
                let siblings = tree
                    .parent(node)
                    .map_or_else(Vec::new, |parent| tree.children(parent));
                siblings.into_iter().filter(|&id| id > node).collect()
            }
            Axis::PrecedingSibling => {
                let siblings = tree
                    .parent(node)
                    .map_or_else(Vec::new, |parent| tree.children(parent));
                siblings.into_iter().filter(|&id| id < node).rev().collect()
            }
            Axis::Following => {
                // Behind an attribute comes its element's content.
                let from = if is_leaf { node + 1 } else { tree.end(node) };
                (from..tree.nodes.len())
                    .filter(|&id| !matches!(tree.kind(id), Kind::Attribute | Kind::Namespace))
                    .collect()
            }
            Axis::Preceding => (1..node)
                .rev()
                .filter(|&id| !matches!(tree.kind(id), Kind::Attribute | Kind::Namespace))
                .filter(|&id| tree.end(id) <= node)
                .collect(),
        }
    }

    /// A node test, §2.3.
    pub(super) fn passes(&self, id: Id, test: &Test, axis: Axis) -> bool {
        let kind = self.tree.kind(id);
        match test {
            Test::Node => true,
            Test::Text => kind == Kind::Text,
            Test::Comment => kind == Kind::Comment,
            // There are none: the scanner refuses them.
            Test::Instruction(_) => false,
            Test::Name(test) => kind == principal(axis) && self.named(id, test),
        }
    }

    fn named(&self, id: Id, test: &NameTest) -> bool {
        self.tree
            .name(id)
            .is_some_and(|name| test.matches(&name.namespace, &name.local))
    }

    // --- functions, §4 --------------------------------------------------------------------------

    fn call(&self, function: Function, arguments: &[Node], at: Context) -> Answer<Value> {
        use Function as F;
        let nothing = Node::Literal("".into());
        let argument = |index: usize| arguments.get(index).unwrap_or(&nothing);
        let text = |index: usize| self.text(argument(index), at);
        let number = |index: usize| self.number(argument(index), at);
        let truth = |index: usize| self.boolean(argument(index), at);
        Ok(match function {
            F::Last => Value::Number(at.size as f64),
            F::Position => Value::Number(at.position as f64),
            F::Count => Value::Number(self.nodes(argument(0), at)?.len() as f64),
            // Without a DTD no attribute is an ID.
            F::Id => {
                self.eval(argument(0), at)?;
                Value::Nodes(Vec::new())
            }
            F::LocalName | F::NamespaceUri | F::Name => {
                let first = self.nodes(argument(0), at)?.first().copied();
                let name = first.and_then(|id| self.tree.name(id));
                Value::Text(name.map_or_else(String::new, |name| name_part(function, name)))
            }
            F::String => Value::Text(text(0)?),
            F::Concat => Value::Text(
                arguments
                    .iter()
                    .map(|a| self.text(a, at))
                    .collect::<Answer<Vec<_>>>()?
                    .concat(),
            ),
            F::StartsWith => Value::Boolean(text(0)?.starts_with(&text(1)?)),
            F::Contains => Value::Boolean(text(0)?.contains(&text(1)?)),
            F::SubstringBefore => {
                let (whole, part) = (text(0)?, text(1)?);
                Value::Text(
                    whole
                        .split_once(&part)
                        .map_or("", |(before, _)| before)
                        .to_owned(),
                )
            }
            F::SubstringAfter => {
                let (whole, part) = (text(0)?, text(1)?);
                Value::Text(
                    whole
                        .split_once(&part)
                        .map_or("", |(_, after)| after)
                        .to_owned(),
                )
            }
            F::Substring => {
                let length = if arguments.len() > 2 {
                    Some(number(2)?)
                } else {
                    None
                };
                Value::Text(value::substring(&text(0)?, number(1)?, length).to_owned())
            }
            F::StringLength => Value::Number(text(0)?.chars().count() as f64),
            F::NormalizeSpace => Value::Text(value::normalize_space(&text(0)?).into_owned()),
            F::Translate => Value::Text(value::translate(&text(0)?, &text(1)?, &text(2)?)),
            F::Boolean => Value::Boolean(truth(0)?),
            F::Not => Value::Boolean(!truth(0)?),
            F::True => Value::Boolean(true),
            F::False => Value::Boolean(false),
            F::Lang => Value::Boolean(self.speaks(at.node, &text(0)?)?),
            F::Number => Value::Number(number(0)?),
            F::Sum => {
                let texts = self.strings(&self.nodes(argument(0), at)?)?;
                let numbers = texts.iter().map(|text| value::number(text));
                Value::Number(numbers.sum::<f64>() + 0.0)
            }
            F::Floor => Value::Number(number(0)?.floor()),
            F::Ceiling => Value::Number(number(0)?.ceil()),
            F::Round => Value::Number(value::round(number(0)?)),
            F::FirstNonEmpty => {
                let first = text(0)?;
                Value::Text(if first.is_empty() { text(1)? } else { first })
            }
        })
    }

    fn speaks(&self, node: Id, wanted: &str) -> Answer<bool> {
        let is_language = |name: &super::tree::Name| {
            name.local == "lang" && name.namespace == crate::xml::XML_NAMESPACE
        };
        for id in std::iter::successors(Some(node), |&id| self.tree.parent(id)) {
            let mut attributes = self.tree.attributes(id, Kind::Attribute);
            let found = attributes.find(|&id| self.tree.name(id).is_some_and(is_language));
            self.visit(1 + self.tree.attributes(id, Kind::Attribute).count())?;
            if let Some(language) = found {
                return Ok(value::speaks(&self.string(language)?, wanted));
            }
        }
        Ok(false)
    }
}

pub(super) fn name_part(function: Function, name: &super::tree::Name) -> String {
    match function {
        Function::LocalName => name.local.clone(),
        Function::NamespaceUri => name.namespace.clone(),
        _ if name.prefix.is_empty() => name.local.clone(),
        _ => format!("{}:{}", name.prefix, name.local),
    }
}

fn truth_of(value: &Value) -> bool {
    match value {
        Value::Nodes(nodes) => !nodes.is_empty(),
        Value::Boolean(truth) => *truth,
        Value::Number(number) => value::truth(*number),
        Value::Text(text) => !text.is_empty(),
    }
}

fn principal(axis: Axis) -> Kind {
    match axis {
        Axis::Attribute => Kind::Attribute,
        Axis::Namespace => Kind::Namespace,
        _ => Kind::Element,
    }
}

fn in_order(mut nodes: Vec<Id>) -> Vec<Id> {
    if !nodes.is_sorted() {
        nodes.sort_unstable();
    }
    nodes.dedup();
    nodes
}
