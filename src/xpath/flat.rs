//! Node-set expressions as lists of plain paths, rewritten so that more of them stream.
//!
//! Unions and parentheses are opened, `self` steps and name predicates become name tests; what goes
//! up is turned in `upward.rs`. What is said here holds for existence and for comparisons
//! that any node may satisfy; every rewrite keeps the node-set.

use super::ast::{Axis, Comparison, NameTest, Node, Path, Start, Step, Test, Type};
use super::functions::Function;
use super::upward;

/// A path without anything before its first step.
#[derive(Debug, Clone)]
pub(super) struct FlatPath {
    pub(super) absolute: bool,
    pub(super) steps: Vec<Step>,
}

/// The paths whose nodes together are the node-set; the error says what is in the way.
pub(super) fn paths(node: &Node) -> Result<Vec<FlatPath>, String> {
    let mut raw = Vec::new();
    collect(node, &mut raw)?;
    let mut out = Vec::new();
    for mut path in raw {
        // `.//a` is `//a` from here.
        let dots = path.steps.iter().take_while(|step| is_dot(step)).count();
        path.steps.drain(..dots);
        match upward::split_start(&path) {
            Some(levels) => out.extend(levels),
            None => out.push(path),
        }
    }
    out.iter_mut().for_each(tidy);
    Ok(out)
}

fn collect(node: &Node, out: &mut Vec<FlatPath>) -> Result<(), String> {
    match node {
        Node::Union(parts) => parts.iter().try_for_each(|part| collect(part, out)),
        Node::Path(Path {
            start: Start::Root,
            steps,
        }) => {
            out.push(FlatPath {
                absolute: true,
                steps: steps.clone(),
            });
            Ok(())
        }
        Node::Path(Path {
            start: Start::Here,
            steps,
        }) => {
            out.push(FlatPath {
                absolute: false,
                steps: steps.clone(),
            });
            Ok(())
        }
        Node::Path(Path {
            start: Start::Node(head),
            steps,
        }) => {
            for mut path in paths(head)? {
                path.steps.extend(steps.iter().cloned());
                out.push(path);
            }
            Ok(())
        }
        Node::Filter(head, predicates) => {
            if predicates.iter().any(is_positional) {
                return Err("a position counts across the whole message".into());
            }
            for mut path in paths(head)? {
                match path.steps.last_mut() {
                    Some(step) => step.predicates.extend(predicates.iter().cloned()),
                    None => path.steps.push(Step {
                        axis: Axis::Itself,
                        test: Test::Node,
                        predicates: predicates.clone(),
                    }),
                }
                out.push(path);
            }
            Ok(())
        }
        // Without a DTD it is empty.
        Node::Call(Function::Id, arguments) if arguments.iter().all(|a| a.parts().is_empty()) => {
            Ok(())
        }
        _ => Err(match node {
            Node::Call(function, _) => format!("`{}()` stands for nodes", function.name()),
            _ => "an unusual node-set".into(),
        }),
    }
}

/// `//`: any node at or below.
pub(super) fn is_any_depth(step: &Step) -> bool {
    step.axis == Axis::DescendantOrSelf && step.test == Test::Node && step.predicates.is_empty()
}

/// `.`: the node itself.
pub(super) fn is_dot(step: &Step) -> bool {
    step.axis == Axis::Itself && step.test == Test::Node && step.predicates.is_empty()
}

/// Whether a predicate may ask for the position.
pub(super) fn is_positional(predicate: &Node) -> bool {
    predicate.kind() == Type::Number || asks_position(predicate)
}

/// Whether `position()` or `last()` of this very context is asked for.
pub(super) fn asks_position(node: &Node) -> bool {
    match node {
        Node::Call(Function::Position | Function::Last, _) => true,
        // The predicates of a path have a context of their own; its head does not.
        Node::Path(Path {
            start: Start::Node(head),
            ..
        })
        | Node::Filter(head, _) => asks_position(head),
        Node::Path(_) => false,
        _ => node.parts().into_iter().any(asks_position),
    }
}

/// Whether `last()` of this very context is asked for.
pub(super) fn asks_last(node: &Node) -> bool {
    match node {
        Node::Call(Function::Last, _) => true,
        Node::Path(_) | Node::Filter(..) => false,
        _ => node.parts().into_iter().any(asks_last),
    }
}

/// Predicates with each `and` opened.
pub(super) fn conjuncts(predicates: &[Node]) -> impl Iterator<Item = &Node> {
    predicates.iter().flat_map(|predicate| match predicate {
        // `[2 and x]` is no position, `[2]` is one.
        Node::And(parts) if !parts.iter().any(is_positional) => parts.as_slice(),
        _ => std::slice::from_ref(predicate),
    })
}

/// Whether a predicate reads the document and nothing of the node that it stands behind.
pub(super) fn asks_document_only(node: &Node) -> bool {
    fn reads(node: &Node, found: &mut bool) -> bool {
        match node {
            Node::Path(Path { start, .. }) => {
                *found = true;
                match start {
                    Start::Root => true,
                    Start::Here => false,
                    Start::Node(head) => reads(head, found),
                }
            }
            Node::Filter(head, _) => reads(head, found),
            Node::Call(Function::Position | Function::Last | Function::Lang, _) => false,
            _ => node.parts().into_iter().all(|part| reads(part, found)),
        }
    }
    let mut found = false;
    !is_positional(node) && reads(node, &mut found) && found
}

/// The set without predicates behind which something remains if there was something: a set that is
/// not empty has a first and a last node.
pub(super) fn without_ends(set: &Node) -> Node {
    let mut set = set.clone();
    loop {
        let predicates = match &mut set {
            Node::Filter(head, predicates) if predicates.is_empty() => {
                set = std::mem::replace(&mut **head, Node::Number(0.0));
                continue;
            }
            Node::Filter(_, predicates) => predicates,
            Node::Path(Path { steps, .. }) => match steps.last_mut() {
                Some(step) => &mut step.predicates,
                None => return set,
            },
            _ => return set,
        };
        match predicates.last() {
            Some(last) if is_end(last) => predicates.pop(),
            _ => return set,
        };
    }
}

/// `[1]`, `[last()]`, `[position() = 1]`, `[position() = last()]`.
fn is_end(predicate: &Node) -> bool {
    let end = |node: &Node| match node {
        Node::Number(number) => *number == 1.0,
        Node::Call(Function::Last, _) => true,
        _ => false,
    };
    match predicate {
        Node::Compare(Comparison::Equal, a, b) => match (&**a, &**b) {
            (Node::Call(Function::Position, _), other)
            | (other, Node::Call(Function::Position, _)) => end(other),
            _ => false,
        },
        other => end(other),
    }
}

/// Folds what can be folded.
fn tidy(path: &mut FlatPath) {
    let mut steps: Vec<Step> = Vec::new();
    upward::fold_ancestors(path);
    for mut step in std::mem::take(&mut path.steps) {
        name_predicates(&mut step);
        upward::lift(&mut step, &mut steps);
        let positional = step.predicates.iter().any(is_positional);
        match step.axis {
            Axis::Itself => fold_self(step, &mut steps),
            Axis::Parent if !positional && upward::fold_parent(&mut steps).is_some() => {
                step.axis = Axis::Itself;
                fold_self(step, &mut steps);
            }
            _ => steps.push(step),
        }
    }
    path.steps = steps;
}

/// `a/self::b[c]` is `a[self::b][c]`: joined into the step before where that is a name test.
fn fold_self(step: Step, steps: &mut Vec<Step>) {
    let Some(last) = steps.last_mut() else {
        if !is_dot(&step) {
            steps.push(step);
        }
        return;
    };
    let positional = step
        .predicates
        .iter()
        .chain(&last.predicates)
        .any(is_positional);
    let joined = match (&last.test, &step.test) {
        (_, Test::Node) => Some(last.test.clone()),
        (Test::Node, Test::Name(name)) if last.axis != Axis::Attribute => {
            Some(Test::Name(name.clone()))
        }
        (Test::Name(a), Test::Name(b)) if last.axis != Axis::Attribute => {
            both(a, b).map(Test::Name)
        }
        _ => None,
    };
    match joined {
        Some(_) if is_dot(&step) => {}
        Some(test) if !positional => {
            last.test = test;
            last.predicates.extend(step.predicates);
        }
        _ => steps.push(step),
    }
}

/// The name test that both name tests pass, unless they exclude each other.
fn both(a: &NameTest, b: &NameTest) -> Option<NameTest> {
    let local = match (&a.local, &b.local) {
        (Some(a), Some(b)) if a != b => return None,
        (Some(local), _) | (None, Some(local)) => Some(local.clone()),
        (None, None) => None,
    };
    let uris = match (&a.uris, &b.uris) {
        (Some(a), Some(b)) => {
            let shared: smallvec::SmallVec<_> =
                a.iter().filter(|uri| b.contains(uri)).cloned().collect();
            if shared.is_empty() {
                return None;
            }
            Some(shared)
        }
        (Some(uris), None) | (None, Some(uris)) => Some(uris.clone()),
        (None, None) => None,
    };
    Some(NameTest {
        prefix: "".into(),
        uris,
        local,
    })
}

/// Turns `*[local-name()='x' and namespace-uri()='u']` into a name test.
pub(super) fn name_predicates(step: &mut Step) {
    let is_element_axis = matches!(
        step.axis,
        Axis::Child | Axis::Descendant | Axis::DescendantOrSelf | Axis::Itself | Axis::Attribute
    );
    if !is_element_axis || step.predicates.iter().any(is_positional) {
        return;
    }
    let predicates = std::mem::take(&mut step.predicates);
    for part in conjuncts(&predicates) {
        let folded = name_condition(part).and_then(|wanted| match &step.test {
            Test::Name(test) => both(test, &wanted),
            // Only elements have a local name that is not empty.
            Test::Node if wanted.local.is_some() && step.axis != Axis::Attribute => Some(wanted),
            _ => None,
        });
        match folded {
            Some(test) => step.test = Test::Name(test),
            None => step.predicates.push(part.clone()),
        }
    }
}

/// The name test that `local-name() = 'x'` or `namespace-uri() = 'u'` is.
fn name_condition(node: &Node) -> Option<NameTest> {
    if let Node::Path(Path {
        start: Start::Here,
        steps,
    }) = node
        && let [
            Step {
                axis: Axis::Itself,
                test: Test::Name(test),
                predicates,
            },
        ] = steps.as_slice()
        && predicates.is_empty()
    {
        return Some(test.clone());
    }
    let Node::Compare(Comparison::Equal, a, b) = node else {
        return None;
    };
    let ((Node::Call(function, arguments), Node::Literal(literal))
    | (Node::Literal(literal), Node::Call(function, arguments))) = (&**a, &**b)
    else {
        return None;
    };
    if !matches!(arguments.as_slice(), [Node::Path(path)] if *path == Path::here()) {
        return None;
    }
    match function {
        Function::LocalName if !literal.is_empty() => Some(NameTest {
            local: Some(literal.clone()),
            ..NameTest::any()
        }),
        Function::NamespaceUri => Some(NameTest {
            uris: Some(smallvec::smallvec![literal.clone()]),
            ..NameTest::any()
        }),
        _ => None,
    }
}
