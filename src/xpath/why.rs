//! Why an expression is true or false of a message, for a person.
//!
//! Slow and plain: builds the tree, walks the expression, and says which value was found or which
//! step found nothing. The verdict itself is the plain evaluator's.

use crate::xml;

use super::ast::{Axis, Comparison, Expr, NameTest, Node, Path, Start, Step, Test, Type};
use super::eval::{Context, Evaluator, Given, TooCostly, Value};
use super::functions::Function;
use super::run::{External, TreeError};
use super::show::{quoted, show, show_path, show_step};
use super::tree::{Id, Kind, Tree};

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
struct Reason<'e> {
    evaluator: &'e Evaluator<'e>,
}

type Said = Result<String, TooCostly>;

impl Reason<'_> {
    fn of(&self, node: &Node, at: Context) -> Said {
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
        let found = format!("`{}` is {}", show(a), self.value(&left));
        let other = match constant(b) {
            true => self.value(&right),
            false => format!("`{}`, which is {}", show(b), self.value(&right)),
        };
        Ok(match (op, holds) {
            (Comparison::Equal, true) if constant(b) => found,
            (Comparison::Equal, true) => format!("{found}, as is {other}"),
            (Comparison::Equal, false) => format!("{found}, not {other}"),
            (_, true) => format!("{found}, which is {} {other}", op.symbol()),
            (_, false) => format!("{found}, which is not {} {other}", op.symbol()),
        })
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
    fn of_set(&self, node: &Node, at: Context) -> Said {
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

    /// The first step of a path that leads nowhere.
    fn of_missing(&self, path: &Path, at: Context) -> Said {
        let mut nodes = match &path.start {
            Start::Root => vec![0],
            Start::Here => vec![at.node],
            Start::Node(head) => self.evaluator.nodes(head, at)?,
        };
        for (index, step) in path.steps.iter().enumerate() {
            let next = self.evaluator.step(&nodes, step)?;
            if next.is_empty() {
                let before = Path {
                    start: path.start.clone(),
                    steps: path.steps.get(..index).unwrap_or(&[]).to_vec(),
                };
                return self.of_failed_step(&nodes, step, &before);
            }
            nodes = next;
        }
        Ok(format!("`{}` is empty", show_path(path)))
    }

    fn of_failed_step(&self, from: &[Id], step: &Step, before: &Path) -> Said {
        let bare = Step {
            predicates: Vec::new(),
            ..step.clone()
        };
        let candidates = self.evaluator.step(from, &bare)?;
        let place = match show_path(before).as_str() {
            "/" => "the document".to_owned(),
            "." => "it".to_owned(),
            path if path.ends_with("//") => format!(
                "`{}` and below",
                path.trim_end_matches("//").trim_end_matches('.')
            ),
            path => format!("`{path}`"),
        };
        let place = if place == "`` and below" {
            "the document".into()
        } else {
            place
        };
        if let Some(&first) = candidates.first() {
            let mut said = format!("`{}` is there, but ", show_step(&bare));
            for predicate in &step.predicates {
                let here = Context {
                    node: first,
                    position: 1,
                    size: candidates.len(),
                };
                if predicate.kind() == Type::Number || !self.evaluator.boolean(predicate, here)? {
                    said += &match predicate.kind() {
                        Type::Number => format!("not at position {}", show(predicate)),
                        _ if candidates.len() == 1 => self.of(predicate, here)?,
                        _ => format!(
                            "of {} none passes `[{}]`: in the first, {}",
                            candidates.len(),
                            show(predicate),
                            self.of(predicate, here)?
                        ),
                    };
                    return Ok(said);
                }
            }
            return Ok(said + "none passes its predicates");
        }
        let what = show_step(&bare);
        let hint = match &step.test {
            Test::Name(test) => self.elsewhere(from, step.axis, test)?,
            _ => None,
        };
        let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
        Ok(format!("no `{what}` in {place}{hint}"))
    }

    /// The same local name in another namespace, or another name in its place.
    fn elsewhere(
        &self,
        from: &[Id],
        axis: Axis,
        test: &NameTest,
    ) -> Result<Option<String>, TooCostly> {
        let any = Step {
            axis,
            test: Test::Name(NameTest::any()),
            predicates: Vec::new(),
        };
        let present = self.evaluator.step(from, &any)?;
        let tree = self.evaluator.tree;
        let Some(local) = test.local.as_deref() else {
            return Ok(None);
        };
        let kind = if axis == Axis::Attribute {
            "attribute"
        } else {
            "element"
        };
        let same = present
            .iter()
            .filter_map(|id| tree.name(*id))
            .find(|name| name.local == local);
        if let Some(name) = same {
            let means = match test.uris.as_deref() {
                Some([only]) if only.is_empty() => {
                    "the expression asks for no namespace".to_owned()
                }
                Some(uris) => {
                    let uris: Vec<String> = uris.iter().map(|uri| format!("`{uri}`")).collect();
                    format!("the prefix `{}` means {}", test.prefix, uris.join(" or "))
                }
                None => String::new(),
            };
            let found = match name.namespace.as_str() {
                "" => "in no namespace".to_owned(),
                namespace => format!("in namespace `{namespace}`"),
            };
            return Ok(Some(format!(
                "an {kind} `{local}` is there {found}, but {means}"
            )));
        }
        let names: Vec<&str> = present
            .iter()
            .filter_map(|id| tree.name(*id))
            .map(|name| name.local.as_str())
            .collect();
        Ok(super::error::did_you_mean(local, names.into_iter()))
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
