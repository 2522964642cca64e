//! An expression as plain XPath 1.0 text that leaves no room for another engine's opinions.
//!
//! Prefixes become ours, comparisons and arithmetic become calls of functions that we give, numeric
//! predicates say `position()`. Used for sxd-xpath; what it cannot be trusted with is refused.

use std::sync::Arc;

use super::ast::{Axis, Comparison, NameTest, Node, Path, Start, Step, Test, Type};
use super::functions::Function;

/// The text, and the namespaces of the prefixes `n0`, `n1`, ... in it.
#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) text: String,
    pub(super) uris: Vec<Arc<str>>,
}

impl Plain {
    /// The plain text of an expression, unless it needs what sxd-xpath lacks.
    pub(super) fn of(node: &Node) -> Option<Self> {
        let mut plain = Self::default();
        plain.node(node)?;
        Some(plain)
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn node(&mut self, node: &Node) -> Option<()> {
        match node {
            Node::Or(parts) => self.joined(parts, " or "),
            Node::And(parts) => self.joined(parts, " and "),
            Node::Union(parts) if parts.iter().any(ends_at_attribute) => None,
            Node::Union(parts) => self.joined(parts, " | "),
            Node::Compare(op, a, b) => self.call(comparison(*op), &[a, b]),
            Node::Arithmetic(op, a, b) => {
                self.push("(");
                self.call("number", &[a])?;
                self.push(" ");
                self.push(op.symbol());
                self.push(" ");
                self.call("number", &[b])?;
                self.push(")");
                Some(())
            }
            Node::Negate(a) => {
                self.push("(-");
                self.call("number", &[a])?;
                self.push(")");
                Some(())
            }
            Node::Path(path) => self.path(path),
            Node::Filter(head, predicates) => {
                self.push("(");
                self.node(head)?;
                self.push(")");
                predicates
                    .iter()
                    .try_for_each(|predicate| self.predicate(predicate))
            }
            Node::Literal(text) => {
                let quote = if text.contains('\'') { "\"" } else { "'" };
                if text.contains(quote) {
                    return None;
                }
                self.push(quote);
                self.push(text);
                self.push(quote);
                Some(())
            }
            Node::Number(number) if number.is_finite() => {
                self.push(&super::value::text(*number));
                Some(())
            }
            Node::Call(Function::Id | Function::Lang | Function::FirstNonEmpty, _) => None,
            Node::Call(function, arguments) => {
                let arguments: Vec<&Node> = arguments.iter().collect();
                self.call(function.name(), &arguments)
            }
            Node::Number(_) | Node::External(_) | Node::Native(..) | Node::Parameter(..) => None,
        }
    }

    fn joined(&mut self, parts: &[Node], between: &str) -> Option<()> {
        self.push("(");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.push(between);
            }
            self.node(part)?;
        }
        self.push(")");
        Some(())
    }

    fn call(&mut self, name: &str, arguments: &[&Node]) -> Option<()> {
        self.push(name);
        self.push("(");
        for (index, argument) in arguments.iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.node(argument)?;
        }
        self.push(")");
        Some(())
    }

    fn path(&mut self, path: &Path) -> Option<()> {
        match &path.start {
            Start::Root => self.push("/"),
            Start::Here if path.steps.is_empty() => self.push("self::node()"),
            Start::Here => {}
            Start::Node(head) => {
                self.push("(");
                self.node(head)?;
                self.push(if path.steps.is_empty() { ")" } else { ")/" });
            }
        }
        let mut before: Option<&Step> = None;
        for step in &path.steps {
            let from_element = before.is_some_and(|before| {
                matches!(before.test, Test::Name(_)) && before.axis != Axis::Attribute
            });
            if is_sideways(step.axis) && !from_element {
                // sxd-xpath finds nothing beside comments and texts.
                return None;
            }
            if before.is_some() {
                self.push("/");
            }
            self.step(step)?;
            before = Some(step);
        }
        Some(())
    }

    fn step(&mut self, step: &Step) -> Option<()> {
        let one_name = matches!(&step.test, Test::Name(test) if test.local.is_some());
        if step.axis == Axis::Namespace || step.axis == Axis::Attribute && !one_name {
            // sxd-xpath knows no order of attributes, so the first of several would be any.
            return None;
        }
        self.push(step.axis.name());
        self.push("::");
        match &step.test {
            Test::Name(test) => self.name(test),
            Test::Node => self.push("node()"),
            Test::Text => self.push("text()"),
            Test::Comment => self.push("comment()"),
            Test::Instruction(_) => self.push("processing-instruction()"),
        }
        step.predicates
            .iter()
            .try_for_each(|predicate| self.predicate(predicate))
    }

    fn name(&mut self, test: &NameTest) {
        let local = test.local.as_deref();
        match test.uris.as_deref() {
            None => {
                self.push("*");
                self.local_name(local);
            }
            Some([only]) if only.is_empty() => {
                self.push(local.unwrap_or("*[namespace-uri() = '']"));
            }
            Some([only]) => {
                let prefix = self.prefix(only);
                self.push(&format!("{prefix}:{}", local.unwrap_or("*")));
            }
            // Several namespaces: any of them.
            Some(several) => {
                self.push("*");
                self.local_name(local);
                let tests: Vec<String> = several
                    .iter()
                    .map(|uri| format!("namespace-uri() = '{uri}'"))
                    .collect();
                self.push(&format!("[{}]", tests.join(" or ")));
            }
        }
    }

    fn local_name(&mut self, local: Option<&str>) {
        if let Some(local) = local {
            self.push(&format!("[local-name() = '{local}']"));
        }
    }

    fn prefix(&mut self, uri: &Arc<str>) -> String {
        let known = self.uris.iter().position(|known| known == uri);
        let number = known.unwrap_or_else(|| {
            self.uris.push(uri.clone());
            self.uris.len() - 1
        });
        format!("n{number}")
    }

    fn predicate(&mut self, predicate: &Node) -> Option<()> {
        self.push("[");
        if predicate.kind() == Type::Number {
            self.push("is-equal(position(), ");
            self.node(predicate)?;
            self.push(")");
        } else {
            self.call("boolean", &[predicate])?;
        }
        self.push("]");
        Some(())
    }
}

fn is_sideways(axis: Axis) -> bool {
    matches!(
        axis,
        Axis::Following | Axis::FollowingSibling | Axis::Preceding | Axis::PrecedingSibling
    )
}

fn ends_at_attribute(node: &Node) -> bool {
    match node {
        Node::Path(path) => path
            .steps
            .last()
            .is_none_or(|step| step.axis == Axis::Attribute),
        _ => true,
    }
}

/// The function that a comparison is a call of.
pub(super) fn comparison(op: Comparison) -> &'static str {
    match op {
        Comparison::Equal => "is-equal",
        Comparison::NotEqual => "is-different",
        Comparison::Less => "is-less",
        Comparison::LessEqual => "is-at-most",
        Comparison::Greater => "is-greater",
        Comparison::GreaterEqual => "is-at-least",
    }
}
