//! Why an expression is true or false of a message, for a person.
//!
//! Slow and plain: builds the tree, walks the expression, and says which value was found or which
//! step found nothing. The verdict itself is the plain evaluator's.

use crate::xml;

use super::ast::{Comparison, Expr, Node, Type};
use super::eval::{Context, Evaluator, Given, TooCostly, Value};
use super::functions::Function;
use super::run::{External, TreeError};
use super::show::{quoted, show};
use super::tree::{Kind, Tree};

/// Characters of a value that are shown.
const SHOWN: usize = 60;
/// Values of a node-set that are shown.
const VALUES: usize = 3;

/// An expression's verdict and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The boolean value.
    pub holds: bool,
    /// One sentence without a full stop.
    pub why: String,
}

/// Evaluates an expression over a whole message and says what decided it.
///
/// # Errors
/// As `Run::evaluate_trees`.
pub fn why(
    expr: &Expr,
    whole: &[u8],
    externals: &[External<'_>],
    limits: &xml::Limits,
    charset: Option<&str>,
) -> Result<Diagnosis, TreeError> {
    let tree = Tree::read(whole, limits, charset, expr.node.asks_namespaces())?;
    let given: Vec<Given> = externals.iter().map(|external| external.keep()).collect();
    let evaluator = Evaluator::new(&tree, &given);
    let costly = |_: TooCostly| TreeError::TooCostly {
        expression: expr.source().to_owned(),
        max: super::eval::VISITS_MAX,
    };
    let holds = evaluator.holds(&expr.node).map_err(costly)?;
    let reason = Reason {
        evaluator: &evaluator,
    };
    // To ask again for each part costs more than the verdict did.
    let why = reason.of(&expr.node, Context::ROOT).unwrap_or_else(|_| {
        let verdict = if holds { "true" } else { "false" };
        format!("it is {verdict}; which part makes it so would take too long to say")
    });
    Ok(Diagnosis { holds, why })
}

/// Looks for reasons over one tree.
pub(super) struct Reason<'e> {
    pub(super) evaluator: &'e Evaluator<'e>,
}

pub(super) type Said = Result<String, TooCostly>;

impl Reason<'_> {
    pub(super) fn of(&self, node: &Node, at: Context) -> Said {
        match node {
            Node::Or(parts) => self.of_or(parts, at),
            Node::And(parts) => self.of_and(parts, at),
            Node::Call(Function::Not | Function::Boolean, arguments) => match arguments.first() {
                Some(inner) => self.of(inner, at),
                None => Ok(show(node)),
            },
            Node::Compare(op, a, b) => self.of_comparison(*op, a, b, at),
            Node::Call(function @ (Function::Contains | Function::StartsWith), arguments) => {
                self.of_word(*function, arguments, at)
            }
            _ if node.kind() == Type::NodeSet => self.of_set(node, at),
            _ => Ok(format!(
                "`{}` is {}",
                show(node),
                self.value(&self.evaluator.eval(node, at)?)
            )),
        }
    }

    fn of_or(&self, parts: &[Node], at: Context) -> Said {
        let mut all = Vec::new();
        for part in parts {
            let said = self.of(part, at)?;
            if self.evaluator.boolean(part, at)? {
                return Ok(said);
            }
            all.push(said);
        }
        all.truncate(VALUES);
        Ok(all.join(", and "))
    }

    fn of_and(&self, parts: &[Node], at: Context) -> Said {
        let mut all = Vec::new();
        for part in parts {
            let said = self.of(part, at)?;
            if !self.evaluator.boolean(part, at)? {
                return Ok(said);
            }
            all.push(said);
        }
        all.truncate(VALUES);
        Ok(all.join(", and "))
    }

    /// `x is '1', not '2'`.
    fn of_comparison(&self, op: Comparison, a: &Node, b: &Node, at: Context) -> Said {
        let constant = |node: &Node| matches!(node, Node::Literal(_) | Node::Number(_));
        if constant(a) && !constant(b) {
            return self.of_comparison(op.turned(), b, a, at);
        }
        let (left, right) = (self.evaluator.eval(a, at)?, self.evaluator.eval(b, at)?);
        if let Some(empty) = [(&left, a), (&right, b)]
            .into_iter()
            .find(|(value, _)| **value == Value::Nodes(Vec::new()))
        {
            return self.of_set(empty.1, at);
        }
        let holds = self.evaluator.compare(op, &left, &right)?;
        if let (Value::Nodes(_), Type::Boolean) | (Value::Boolean(_), Type::NodeSet) =
            (&left, b.kind())
        {
            return self.of_truths(a, b, at);
        }
        let is_number = matches!(left, Value::Number(_)) || matches!(right, Value::Number(_));
        if !holds && (is_number || op.is_order()) {
            for side in [a, b] {
                if let Some(said) = self.no_number(side, at)? {
                    return Ok(said);
                }
            }
        }
        let found = format!("`{}` is {}", show(a), self.value(&left));
        let other = match constant(b) {
            true => self.value(&right),
            false => format!("`{}`, which is {}", show(b), self.value(&right)),
        };
        Ok(match (op, holds) {
            (Comparison::Equal, true) if constant(b) => found,
            (Comparison::Equal, true) => format!("{found}, as is {other}"),
            (Comparison::Equal, false) => format!("{found}, not {other}"),
            (Comparison::NotEqual, false) if constant(b) => {
                format!("{found}, and `!=` asks for one that differs")
            }
            (_, true) => format!("{found}, which is {} {other}", op.symbol()),
            (_, false) => format!("{found}, which is not {} {other}", op.symbol()),
        })
    }

    /// A path beside a truth stands for its being there, whatever its text says.
    fn of_truths(&self, a: &Node, b: &Node, at: Context) -> Said {
        let mut said = Vec::new();
        for side in [a, b] {
            let is = self.evaluator.boolean(side, at)?;
            said.push(match side.kind() {
                Type::NodeSet if is => {
                    format!(
                        "`{}` is there, which is all that is asked beside a truth",
                        show(side)
                    )
                }
                Type::NodeSet => self.of_set(side, at)?,
                _ => format!("`{}` is {is}", show(side)),
            });
        }
        Ok(said.join(", and "))
    }

    /// What in an expression is no number, so that nothing holds of it.
    fn no_number(&self, node: &Node, at: Context) -> Result<Option<String>, TooCostly> {
        let parts = match node {
            Node::Arithmetic(_, a, b) => vec![&**a, &**b],
            Node::Negate(a) => vec![&**a],
            Node::Call(
                Function::Number | Function::Floor | Function::Ceiling | Function::Round,
                arguments,
            ) => arguments.iter().collect(),
            _ => Vec::new(),
        };
        for part in parts {
            if let Some(said) = self.no_number(part, at)? {
                return Ok(Some(said));
            }
        }
        let value = self.evaluator.eval(node, at)?;
        let is_number = |text: &str| !super::value::number(text).is_nan();
        let tree = self.evaluator.tree;
        let has_number = match &value {
            Value::Number(_) | Value::Boolean(_) => return Ok(None),
            Value::Text(text) => is_number(text),
            Value::Nodes(nodes) if nodes.is_empty() => return Ok(Some(self.of_set(node, at)?)),
            Value::Nodes(nodes) => nodes.iter().any(|id| is_number(&tree.string(*id))),
        };
        let said = || {
            format!(
                "`{}` is {}, which is no number",
                show(node),
                self.value(&value)
            )
        };
        Ok((!has_number).then(said))
    }

    fn of_word(&self, function: Function, arguments: &[Node], at: Context) -> Said {
        let [whole, part] = arguments else {
            return Ok(function.name().into());
        };
        let value = self.evaluator.eval(whole, at)?;
        if value == Value::Nodes(Vec::new()) {
            return self.of_set(whole, at);
        }
        let (text, word) = (
            self.evaluator.text(whole, at)?,
            self.evaluator.text(part, at)?,
        );
        let (holds, verb, infinitive) = match function {
            Function::StartsWith => (text.starts_with(&word), "begins with", "begin with"),
            _ => (text.contains(&word), "contains", "contain"),
        };
        let found = format!("`{}` is {}", show(whole), clip(&text));
        Ok(match holds {
            true => format!("{found}, which {verb} {}", clip(&word)),
            false => format!("{found}, which does not {infinitive} {}", clip(&word)),
        })
    }

    /// Some node is there, or which step found none.
    pub(super) fn of_set(&self, node: &Node, at: Context) -> Said {
        let nodes = self.evaluator.nodes(node, at)?;
        if let Some(first) = nodes.first() {
            let more = match nodes.len() {
                1 => String::new(),
                count => format!(" ({count} times)"),
            };
            let value = match self.evaluator.tree.kind(*first) {
                Kind::Element | Kind::Root => String::new(),
                _ => format!(" and is {}", clip(&self.evaluator.tree.string(*first))),
            };
            return Ok(format!("`{}` is there{more}{value}", show(node)));
        }
        match node {
            Node::Path(path) => self.of_missing(path, at),
            Node::Union(parts) => self.of_or(parts, at),
            Node::Filter(head, _) if !self.evaluator.nodes(head, at)?.is_empty() => Ok(format!(
                "`{}` is there, but none passes the predicate",
                show(head)
            )),
            Node::Filter(head, _) => self.of_set(head, at),
            _ => Ok(format!("`{}` is empty", show(node))),
        }
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Nodes(nodes) => {
                let shown: Vec<String> = nodes
                    .iter()
                    .take(VALUES)
                    .map(|id| clip(&self.evaluator.tree.string(*id)))
                    .collect();
                let more = if nodes.len() > VALUES {
                    format!(" and {} more", nodes.len() - VALUES)
                } else {
                    String::new()
                };
                shown.join(", ") + &more
            }
            Value::Text(text) => clip(text),
            other => self.evaluator.text_of(other).unwrap_or_default(),
        }
    }
}

/// A value in quotes, short enough for a sentence.
fn clip(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return quoted(text);
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!(
        "{} (of {} characters)",
        quoted(&(head + "...")),
        text.chars().count()
    )
}
