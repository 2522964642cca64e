//! Expressions that do not stream, on sxd-xpath.
//!
//! sxd-xpath walks the paths; comparisons and the string and number functions are ours, since its own
//! differ from the specification. What it lacks (`lang`, `id`, the namespace axis, the caller's
//! functions) is left to the plain evaluator, which also answers when it fails. Its types belong to one
//! thread, so compiled expressions are kept per thread.
//!
//! **Invariant:** `sxd_*` is named in this file only; nothing it does can end the process by a panic.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use sxd_document::{Package, QName};
use sxd_xpath::{Context, Factory, Value as Sxd, XPath, context, function};

use super::ast::{Comparison, Node};
use super::functions::Function;
use super::print::{Plain, comparison};
use super::tree::{Id, Kind, Name, Tree};
use super::value;

/// Compiled expressions kept by one thread; beyond, all are compiled anew.
const KEPT_MAX: usize = 1024;
/// Work that sxd-xpath is given, since it counts no visits itself: the nodes (a piece of text counts as
/// one) to the power of how deep predicates nest, and twice more. Beyond, the plain evaluator answers.
const WORK_MAX: u64 = super::eval::VISITS_MAX;
/// Bytes of text that count as a node.
const BYTES_A_NODE: usize = 64;
/// Elements inside each other: it recurses over them.
const DEPTH_MAX: usize = 512;

thread_local! {
    static KEPT: RefCell<HashMap<usize, Kept>> = RefCell::new(HashMap::new());
}

/// By the address of an expression: the expression, and what became of it.
type Kept = (std::sync::Weak<Node>, Option<Rc<Ready>>);

/// An expression compiled for sxd-xpath.
struct Ready {
    xpath: XPath,
    uris: Vec<Arc<str>>,
}

/// A message for sxd-xpath.
pub(super) struct Foreign {
    package: Package,
    /// Nodes, and pieces of text.
    size: u64,
}

impl Foreign {
    /// The same document for sxd-xpath, unless it is too large or too deep for it.
    pub(super) fn of(tree: &Tree, namespaces: bool) -> Option<Self> {
        let pieces = tree.nodes.iter().map(|node| node.value.len());
        let pieces = pieces.sum::<usize>() / BYTES_A_NODE;
        let size = (tree.nodes.len() + pieces) as u64;
        if namespaces || work(size, 0) > WORK_MAX || deepest(tree) > DEPTH_MAX {
            return None;
        }
        let package = Package::new();
        build(tree, &package);
        Some(Self { package, size })
    }

    /// Whether an expression cannot cost too much on this document.
    pub(super) fn suits(&self, node: &Node) -> bool {
        work(self.size, node.predicate_depth()) <= WORK_MAX
    }

    /// The boolean value of an expression; nothing when sxd-xpath cannot be asked.
    pub(super) fn holds(&self, node: &Arc<Node>) -> Option<bool> {
        let ready = ready(node)?;
        // It may panic on what it did not foresee; nothing of ours is shared with it.
        catch_unwind(AssertUnwindSafe(|| self.ask(&ready)))
            .ok()
            .flatten()
    }

    fn ask(&self, ready: &Ready) -> Option<bool> {
        let mut context = Context::new();
        for (number, uri) in ready.uris.iter().enumerate() {
            context.set_namespace(&format!("n{number}"), uri);
        }
        for op in COMPARISONS {
            context.set_function(comparison(op), Compares(op));
        }
        for function in FUNCTIONS {
            context.set_function(function.name(), Computes(function));
        }
        let document = self.package.as_document();
        ready
            .xpath
            .evaluate(&context, document.root())
            .ok()
            .map(|value| value.boolean())
    }
}

/// Any step may lead from every node to every node, any predicate may ask that of each again.
fn work(size: u64, predicates: u32) -> u64 {
    size.saturating_pow(2 + predicates)
}

const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Less,
    Comparison::LessEqual,
    Comparison::Greater,
    Comparison::GreaterEqual,
];

/// The functions that are computed as the specification says.
const FUNCTIONS: [Function; 15] = [
    Function::Number,
    Function::String,
    Function::Concat,
    Function::StartsWith,
    Function::Contains,
    Function::SubstringBefore,
    Function::SubstringAfter,
    Function::Substring,
    Function::StringLength,
    Function::NormalizeSpace,
    Function::Translate,
    Function::Sum,
    Function::Floor,
    Function::Ceiling,
    Function::Round,
];

fn ready(node: &Arc<Node>) -> Option<Rc<Ready>> {
    let key = Arc::as_ptr(node) as usize;
    KEPT.with_borrow_mut(|kept| {
        // The address may have been another expression's before.
        if let Some((owner, ready)) = kept.get(&key)
            && owner
                .upgrade()
                .is_some_and(|owner| Arc::ptr_eq(&owner, node))
        {
            return ready.clone();
        }
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let ready = compile(node).map(Rc::new);
        kept.insert(key, (Arc::downgrade(node), ready.clone()));
        ready
    })
}

fn compile(node: &Node) -> Option<Ready> {
    let plain = Plain::of(node)?;
    let xpath = catch_unwind(|| Factory::new().build(&plain.text).ok().flatten())
        .ok()
        .flatten()?;
    Some(Ready {
        xpath,
        uris: plain.uris,
    })
}

fn deepest(tree: &Tree) -> usize {
    let mut depths = vec![0_usize; tree.nodes.len()];
    let mut deepest = 0;
    for id in 1..tree.nodes.len() {
        let depth = tree
            .parent(id)
            .and_then(|parent| depths.get(parent))
            .map_or(0, |depth| depth + 1);
        depths
            .get_mut(id)
            .into_iter()
            .for_each(|slot| *slot = depth);
        deepest = deepest.max(depth);
    }
    deepest
}

fn build(tree: &Tree, package: &Package) {
    let document = package.as_document();
    let mut open: Vec<(Id, sxd_document::dom::Element<'_>)> = Vec::new();
    for (id, node) in tree.nodes.iter().enumerate().skip(1) {
        while open.last().is_some_and(|(of, _)| tree.end(*of) <= id) {
            open.pop();
        }
        let parent = open.last().map(|(_, element)| *element);
        match (node.kind, parent) {
            (Kind::Element, _) => {
                let element = document.create_element(name(&node.name));
                if !node.name.prefix.is_empty() {
                    element.set_preferred_prefix(Some(&node.name.prefix));
                    element.register_prefix(&node.name.prefix, &node.name.namespace);
                }
                match parent {
                    Some(parent) => parent.append_child(element),
                    None => document.root().append_child(element),
                }
                open.push((id, element));
            }
            (Kind::Attribute, Some(parent)) => {
                let attribute = parent.set_attribute_value(name(&node.name), &node.value);
                if !node.name.prefix.is_empty() {
                    attribute.set_preferred_prefix(Some(&node.name.prefix));
                }
            }
            (Kind::Text, Some(parent)) => parent.append_child(document.create_text(&node.value)),
            (Kind::Comment, Some(parent)) => {
                parent.append_child(document.create_comment(&node.value));
            }
            (Kind::Comment, None) => document
                .root()
                .append_child(document.create_comment(&node.value)),
            _ => {}
        }
    }
}

fn name(name: &Name) -> QName<'_> {
    if name.namespace.is_empty() {
        QName::new(&name.local)
    } else {
        QName::with_namespace_uri(Some(&name.namespace), &name.local)
    }
}

// --- functions -----------------------------------------------------------------------------------

struct Compares(Comparison);

impl function::Function for Compares {
    fn evaluate<'c, 'd>(
        &self,
        _: &context::Evaluation<'c, 'd>,
        arguments: Vec<Sxd<'d>>,
    ) -> Result<Sxd<'d>, function::Error> {
        let answer = match arguments.as_slice() {
            [a, b] => compare(self.0, a, b),
            _ => false,
        };
        Ok(Sxd::Boolean(answer))
    }
}

fn compare(op: Comparison, a: &Sxd<'_>, b: &Sxd<'_>) -> bool {
    let two = |a: &str, b: &str| match op {
        Comparison::Equal => a == b,
        Comparison::NotEqual => a != b,
        _ => op.numbers(value::number(a), value::number(b)),
    };
    match (a, b) {
        (Sxd::Boolean(_), _) | (_, Sxd::Boolean(_)) if !op.is_order() => {
            (a.boolean() == b.boolean()) == (op == Comparison::Equal)
        }
        // By order a node-set counts as whether it is there, anything else as its number.
        (Sxd::Boolean(truth), Sxd::Nodeset(_)) => op.numbers(
            f64::from(u8::from(*truth)),
            f64::from(u8::from(b.boolean())),
        ),
        (Sxd::Nodeset(_), Sxd::Boolean(truth)) => op.numbers(
            f64::from(u8::from(a.boolean())),
            f64::from(u8::from(*truth)),
        ),
        (Sxd::Nodeset(left), Sxd::Nodeset(right)) => {
            let right: Vec<String> = right.iter().map(|node| node.string_value()).collect();
            left.iter().any(|a| {
                let a = a.string_value();
                right.iter().any(|b| two(&a, b))
            })
        }
        (Sxd::Nodeset(nodes), other) => nodes
            .iter()
            .any(|node| compare(op, &Sxd::String(node.string_value()), other)),
        (other, Sxd::Nodeset(_)) => compare(op.turned(), b, other),
        (Sxd::Number(_) | Sxd::Boolean(_), _) | (_, Sxd::Number(_) | Sxd::Boolean(_)) => {
            op.numbers(number(a), number(b))
        }
        _ => two(&text(a), &text(b)),
    }
}

fn text(value: &Sxd<'_>) -> String {
    match value {
        Sxd::Boolean(truth) => truth.to_string(),
        Sxd::Number(number) => value::text(*number),
        Sxd::String(text) => text.clone(),
        Sxd::Nodeset(nodes) => nodes
            .document_order_first()
            .map_or_else(String::new, |node| node.string_value()),
    }
}

fn number(value: &Sxd<'_>) -> f64 {
    match value {
        Sxd::Boolean(truth) => f64::from(u8::from(*truth)),
        Sxd::Number(number) => *number,
        other => value::number(&text(other)),
    }
}

struct Computes(Function);

impl function::Function for Computes {
    fn evaluate<'c, 'd>(
        &self,
        _: &context::Evaluation<'c, 'd>,
        arguments: Vec<Sxd<'d>>,
    ) -> Result<Sxd<'d>, function::Error> {
        use Function as F;
        let nothing = Sxd::String(String::new());
        let argument = |index: usize| arguments.get(index).unwrap_or(&nothing);
        let string = |index: usize| text(argument(index));
        let numeric = |index: usize| number(argument(index));
        Ok(match self.0 {
            F::Number => Sxd::Number(numeric(0)),
            F::Concat => Sxd::String(arguments.iter().map(text).collect()),
            F::StartsWith => Sxd::Boolean(string(0).starts_with(&string(1))),
            F::Contains => Sxd::Boolean(string(0).contains(&string(1))),
            F::SubstringBefore => Sxd::String(
                string(0)
                    .split_once(&string(1))
                    .map_or("", |(before, _)| before)
                    .to_owned(),
            ),
            F::SubstringAfter => Sxd::String(
                string(0)
                    .split_once(&string(1))
                    .map_or("", |(_, after)| after)
                    .to_owned(),
            ),
            F::Substring => {
                let length = (arguments.len() > 2).then(|| numeric(2));
                Sxd::String(value::substring(&string(0), numeric(1), length).to_owned())
            }
            F::StringLength => Sxd::Number(string(0).chars().count() as f64),
            F::NormalizeSpace => Sxd::String(value::normalize_space(&string(0)).into_owned()),
            F::Translate => Sxd::String(value::translate(&string(0), &string(1), &string(2))),
            F::Sum => match argument(0) {
                Sxd::Nodeset(nodes) => {
                    let all = nodes
                        .document_order()
                        .into_iter()
                        .map(|node| value::number(&node.string_value()));
                    Sxd::Number(all.sum::<f64>() + 0.0)
                }
                _ => Sxd::Number(f64::NAN),
            },
            F::Floor => Sxd::Number(numeric(0).floor()),
            F::Ceiling => Sxd::Number(numeric(0).ceil()),
            F::Round => Sxd::Number(value::round(numeric(0))),
            _ => Sxd::String(string(0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::{Environment, Namespaces};
    use super::super::eval::Evaluator;
    use super::super::parser::{ParseLimits, parse};
    use super::*;
    use crate::xml::Limits;

    #[test]
    fn agrees_with_the_plain_evaluator() {
        let message = "<a xmlns:o='urn:o'><o:b i='1'>x</o:b><c>2</c><!--k--><c>3<d/></c></a>";
        let tree = Tree::read(message.as_bytes(), &Limits::default(), None, false).unwrap();
        let foreign = Foreign::of(&tree, false).unwrap();
        let mut namespaces = Namespaces::new();
        namespaces
            .bind_any("o", &["urn:o", "urn:p"])
            .bind("q", "urn:o");
        let environment = Environment::new(namespaces);
        for text in [
            "//c/preceding-sibling::o:b = 'x'",
            "//c[last()] > 2",
            "//c != 2",
            "//d/ancestor::a",
            "(//c)[2] = '3'",
            "q:b or a/q:b",
            "1 < 'x' or true() > //nothing",
            "(//c < 3) > 'x'",
            "(//c < 3) >= //nothing",
            "-0 = 0 and string(-0) = '0'",
            "substring('12345', -42, 1 div 0) = '12345'",
        ] {
            let expr = parse(text, &environment, &ParseLimits::default()).unwrap();
            let expected = Evaluator::new(&tree, &[]).holds(&expr.node).unwrap();
            assert_eq!(foreign.holds(&expr.node), Some(expected), "{text}");
        }
    }

    /// It counts no visits itself, so what could cost much is not its to answer.
    #[test]
    fn is_asked_what_costs_little() {
        let environment = Environment::new(Namespaces::new());
        let read = |message: &str| {
            Tree::read(message.as_bytes(), &Limits::default(), None, false).unwrap()
        };
        let tree = read(&format!("<r>{}</r>", "<a/>".repeat(150)));
        let foreign = Foreign::of(&tree, false).unwrap();
        for (text, suits) in [
            ("//a/following::a", true),
            ("//a[following::a]", true),
            ("(//a | //b[last()])[2]", true),
            ("//a[following::a[last()]]", false),
            ("count(//a[1][count(//a[2]) = 1]) = 1", false),
        ] {
            let expr = parse(text, &environment, &ParseLimits::default()).unwrap();
            assert_eq!(foreign.suits(&expr.node), suits, "{text}");
        }
        assert!(Foreign::of(&read(&format!("<r>{}</r>", "<a/>".repeat(5000))), false).is_none());
        assert!(Foreign::of(&read(&format!("<r>{}</r>", "x".repeat(300_000))), false).is_none());
    }
}
