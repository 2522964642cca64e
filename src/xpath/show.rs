//! An expression as a person would write it, for messages: abbreviated, with the prefixes it came with.

use super::ast::{Axis, Node, Path, Start, Step, Test};
use super::flat::is_any_depth;

/// The text of a node.
pub(super) fn show(node: &Node) -> String {
    match node {
        Node::Or(parts) => joined(parts, " or "),
        Node::And(parts) => joined(parts, " and "),
        Node::Union(parts) => joined(parts, " | "),
        Node::Compare(op, a, b) => format!("{} {} {}", inner(a), op.symbol(), inner(b)),
        Node::Arithmetic(op, a, b) => format!("{} {} {}", inner(a), op.symbol(), inner(b)),
        Node::Negate(a) => format!("-{}", inner(a)),
        Node::Path(path) => show_path(path),
        Node::Filter(head, predicates) => {
            format!("({}){}", show(head), show_predicates(predicates))
        }
        Node::Literal(text) => quoted(text),
        Node::Number(number) => super::value::text(*number),
        Node::Call(function, arguments) => {
            // The context node is what most functions take when nothing is said.
            let context = Node::Path(Path::here());
            let arguments: Vec<String> = arguments
                .iter()
                .filter(|a| **a != context)
                .map(show)
                .collect();
            format!("{}({})", function.name(), arguments.join(", "))
        }
        Node::External(external) => format!("${}", external.name),
        Node::Native(native, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(show).collect();
            let name = native.name.rsplit('}').next().unwrap_or(&native.name);
            format!("{name}({})", arguments.join(", "))
        }
        Node::Parameter(index, _) => format!("${}", index + 1),
    }
}

fn joined(parts: &[Node], between: &str) -> String {
    parts.iter().map(inner).collect::<Vec<_>>().join(between)
}

fn inner(node: &Node) -> String {
    match node {
        Node::Or(_) | Node::And(_) | Node::Compare(..) | Node::Arithmetic(..) => {
            format!("({})", show(node))
        }
        _ => show(node),
    }
}

pub(super) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    format!("{quote}{text}{quote}")
}

pub(super) fn show_path(path: &Path) -> String {
    let mut out = match &path.start {
        Start::Root if path.steps.is_empty() => return "/".into(),
        Start::Here if path.steps.is_empty() => return ".".into(),
        Start::Node(head) if path.steps.is_empty() => return show(head),
        Start::Root => "/".to_owned(),
        Start::Here => String::new(),
        Start::Node(head) if matches!(**head, Node::Filter(..)) => format!("{}/", show(head)),
        Start::Node(head) => format!("({})/", show(head)),
    };
    let mut first = true;
    for step in &path.steps {
        if is_any_depth(step) {
            // `//`: one slash is there already, except at a relative start.
            out.push_str(if first && matches!(path.start, Start::Here) {
                ".//"
            } else {
                "/"
            });
            if out.ends_with("/") && !out.ends_with("//") {
                out.push('/');
            }
            first = true;
            continue;
        }
        if !first && !out.ends_with('/') {
            out.push('/');
        }
        out.push_str(&show_step(step));
        first = false;
    }
    out
}

pub(super) fn show_step(step: &Step) -> String {
    let test = match &step.test {
        Test::Name(test) => test.to_string(),
        Test::Node if step.axis == Axis::Itself => {
            return format!(".{}", show_predicates(&step.predicates));
        }
        Test::Node if step.axis == Axis::Parent => {
            return format!("..{}", show_predicates(&step.predicates));
        }
        Test::Node => "node()".into(),
        Test::Text => "text()".into(),
        Test::Comment => "comment()".into(),
        Test::Instruction(_) => "processing-instruction()".into(),
    };
    let axis = match step.axis {
        Axis::Child => String::new(),
        Axis::Attribute => "@".into(),
        other => format!("{}::", other.name()),
    };
    format!("{axis}{test}{}", show_predicates(&step.predicates))
}

fn show_predicates(predicates: &[Node]) -> String {
    predicates
        .iter()
        .map(|predicate| format!("[{}]", show(predicate)))
        .collect()
}
