//! Steps up, turned into conditions on the way down, so that one forward pass decides them.
//!
//! `a/b/..` is `a[b]`; `a/b[../c = 1]` is `a[c = 1]/b`; `//b/ancestor::a` is `//a[.//b]`. Every rewrite
//! keeps the node-set. What cannot be turned stays as it is, and its axis is the reason for a tree.

use super::ast::{Axis, NameTest, Node, Path, Start, Step, Test};
use super::flat::{FlatPath, asks_position, is_any_depth, is_positional};

/// Levels above a step that `//` leads to, which are told apart from the document.
const LEVELS_MAX: usize = 4;

/// `//b/..` and `//b[../c]` from the context node, which may be the document and so have no name:
/// `b`, and `b` below any element; with `../..` also `*/b`, and so on.
pub(super) fn split_start(path: &FlatPath) -> Option<Vec<FlatPath>> {
    let [any, child, rest @ ..] = path.steps.as_slice() else {
        return None;
    };
    let is_up = |step: &&Step| step.axis == Axis::Parent;
    let behind = rest.iter().take_while(is_up).count();
    let raised = child
        .predicates
        .iter()
        .filter(|part| lifted(part).is_some());
    let levels = raised.map(levels).max().unwrap_or(0).max(behind);
    let is_split = is_any_depth(any) && child.axis == Axis::Child && levels > 0;
    if !is_split || levels > LEVELS_MAX {
        return None;
    }
    let below = |axis| Step {
        axis,
        test: Test::Name(NameTest::any()),
        predicates: Vec::new(),
    };
    let with = |before: Vec<Step>| FlatPath {
        absolute: path.absolute,
        steps: before
            .into_iter()
            .chain(path.steps.iter().skip(1).cloned())
            .collect(),
    };
    let mut out: Vec<FlatPath> = (0..levels)
        .map(|level| with(vec![below(Axis::Child); level]))
        .collect();
    let mut deep = vec![below(Axis::Child); levels];
    if let Some(first) = deep.first_mut() {
        first.axis = Axis::Descendant;
    }
    out.push(with(deep));
    Some(out)
}

/// How many levels up any path in a predicate begins.
fn levels(node: &Node) -> usize {
    let own = match node {
        Node::Path(Path {
            start: Start::Here,
            steps,
        }) => steps
            .iter()
            .take_while(|step| step.axis == Axis::Parent)
            .count(),
        _ => 0,
    };
    let parts = node.parts().into_iter().map(levels);
    parts.max().unwrap_or(0).max(own)
}

/// `a/b/..` is `a[b]`; the node test and the predicates of the step up are left to the caller.
pub(super) fn fold_parent(steps: &mut Vec<Step>) -> Option<()> {
    let down = steps.pop()?;
    if !matches!(down.axis, Axis::Child | Axis::Attribute) {
        steps.push(down);
        return None;
    }
    let Some(parents) = parents(steps) else {
        steps.push(down);
        return None;
    };
    parents.predicates.push(Node::Path(Path {
        start: Start::Here,
        steps: vec![down],
    }));
    Some(())
}

/// `a/b[../c]` is `a[c]/b`: takes what a step says of its parent to the step before.
pub(super) fn lift(step: &mut Step, steps: &mut Vec<Step>) {
    if !matches!(step.axis, Axis::Child | Axis::Attribute) {
        return;
    }
    // Behind a position it would change what is counted.
    let movable = step
        .predicates
        .iter()
        .take_while(|part| !is_positional(part))
        .count();
    let (mut raised, mut kept) = (Vec::new(), Vec::new());
    for (number, part) in step.predicates.iter().enumerate() {
        match lifted(part).filter(|_| number < movable) {
            Some(of_parent) => raised.push(of_parent),
            None => kept.push(part.clone()),
        }
    }
    if raised.is_empty() {
        return;
    }
    let Some(parents) = parents(steps) else {
        return;
    };
    parents.predicates.extend(raised);
    step.predicates = kept;
    // `../../c` has become `../c`.
    if let Some(mut parents) = steps.pop() {
        lift(&mut parents, steps);
        steps.push(parents);
    }
}

/// The step whose nodes are the parents of those that a step down from here finds; it is made to
/// find elements only, unless it is the context node.
fn parents(steps: &mut Vec<Step>) -> Option<&mut Step> {
    if steps.is_empty() {
        steps.push(Step {
            axis: Axis::Itself,
            test: Test::Node,
            predicates: Vec::new(),
        });
        return steps.last_mut();
    }
    // The document has children too, and no name.
    let may_be_document = |step: &Step| {
        matches!(step.axis, Axis::Itself | Axis::DescendantOrSelf) && step.test == Test::Node
    };
    let from_document = steps.iter().all(may_be_document);
    let last = steps.last_mut()?;
    match (last.axis, &last.test) {
        (Axis::Itself, Test::Node) | (_, Test::Name(_)) if last.axis != Axis::Attribute => {
            return Some(last);
        }
        (Axis::Child | Axis::Descendant, Test::Node) => {}
        (Axis::DescendantOrSelf, Test::Node) if !from_document => {}
        _ => return None,
    }
    // Of elements only, other ones would be counted.
    if last.predicates.iter().any(is_positional) {
        return None;
    }
    last.test = Test::Name(NameTest::any());
    Some(last)
}

/// What a predicate says of the parent only, as a predicate of the parent.
fn lifted(node: &Node) -> Option<Node> {
    let mut found = false;
    let raised = raise(node, &mut found)?;
    (found && !is_positional(node)).then_some(raised)
}

fn raise(node: &Node, found: &mut bool) -> Option<Node> {
    let mut all = |parts: &[Node]| -> Option<Vec<Node>> {
        parts.iter().map(|part| raise(part, found)).collect()
    };
    Some(match node {
        Node::Or(parts) => Node::Or(all(parts)?),
        Node::And(parts) => Node::And(all(parts)?),
        Node::Union(parts) => Node::Union(all(parts)?),
        Node::Call(function, parts) if !asks_position(node) => Node::Call(*function, all(parts)?),
        Node::Compare(op, a, b) => {
            Node::Compare(*op, Box::new(raise(a, found)?), Box::new(raise(b, found)?))
        }
        Node::Arithmetic(op, a, b) => {
            Node::Arithmetic(*op, Box::new(raise(a, found)?), Box::new(raise(b, found)?))
        }
        Node::Negate(a) => Node::Negate(Box::new(raise(a, found)?)),
        Node::Path(Path {
            start: Start::Here,
            steps,
        }) => {
            let [up, rest @ ..] = steps.as_slice() else {
                return None;
            };
            if up.axis != Axis::Parent {
                return None;
            }
            *found = true;
            let mut steps = rest.to_vec();
            if up.test != Test::Node || !up.predicates.is_empty() {
                steps.insert(
                    0,
                    Step {
                        axis: Axis::Itself,
                        ..up.clone()
                    },
                );
            }
            Node::Path(Path {
                start: Start::Here,
                steps,
            })
        }
        Node::Path(Path {
            start: Start::Root, ..
        })
        | Node::Literal(_)
        | Node::Number(_)
        | Node::External(_) => node.clone(),
        _ => return None,
    })
}

/// `//b/ancestor::a` is `//a[.//b]`, and `//b[ancestor::a]` is `//a//b`, where `//` begins at the document.
pub(super) fn fold_ancestors(path: &mut FlatPath) {
    let [any, below, rest @ ..] = path.steps.as_slice() else {
        return;
    };
    let from_root =
        path.absolute && is_any_depth(any) && matches!(below.axis, Axis::Child | Axis::Descendant);
    let is_element = matches!(below.test, Test::Name(_));
    if !from_root || !is_element || below.predicates.iter().any(is_positional) {
        return;
    }
    let (any, mut below) = (any.clone(), below.clone());
    if let Some(mut ancestor) = rest.first().and_then(ancestor) {
        let inner = Node::Path(Path {
            start: Start::Here,
            steps: vec![any, below],
        });
        ancestor.predicates.insert(0, inner);
        path.steps.splice(1..3, [ancestor]);
        return;
    }
    let ancestors = below.predicates.iter().map(|part| match part {
        Node::Path(Path {
            start: Start::Here,
            steps,
        }) if steps.len() == 1 => steps.first().and_then(ancestor),
        _ => None,
    });
    let found = ancestors
        .enumerate()
        .find_map(|(at, found)| Some((at, found?)));
    if let Some((at, ancestor)) = found {
        below.predicates.remove(at);
        path.steps.splice(1..2, [ancestor, any, below]);
    }
}

/// A step to ancestors of one name as the step down that finds them.
fn ancestor(step: &Step) -> Option<Step> {
    let fits = step.axis == Axis::Ancestor
        && matches!(step.test, Test::Name(_))
        && !step.predicates.iter().any(is_positional);
    fits.then(|| Step {
        axis: Axis::Child,
        ..step.clone()
    })
}
