//! The tree of an expression after parsing: types checked, prefixes resolved, macros expanded.
//!
//! Knows nothing of evaluation. Chains of `or`, `and` and `|` are flat, so that depth stays within
//! what the parser allows.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use super::functions::Function;

/// A compiled-to-be expression: text as written and its checked tree. Cheap to clone.
#[derive(Clone)]
pub struct Expr {
    pub(super) source: Arc<str>,
    pub(super) node: Arc<Node>,
}

impl Expr {
    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of its value.
    pub fn kind(&self) -> Type {
        self.node.kind()
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({})", self.source)
    }
}

/// The four types of XPath 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A set of nodes.
    NodeSet,
    /// True or false.
    Boolean,
    /// A double.
    Number,
    /// Text.
    String,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeSet => "node-set",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
        })
    }
}

/// One node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Or(Vec<Self>),
    And(Vec<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    Arithmetic(Operator, Box<Self>, Box<Self>),
    Negate(Box<Self>),
    Union(Vec<Self>),
    Path(Path),
    /// Predicates over a whole node-set in document order.
    Filter(Box<Self>, Vec<Self>),
    Literal(Arc<str>),
    Number(f64),
    Call(Function, Vec<Self>),
    /// A value given with each message.
    External(External),
    /// A function of the caller's own.
    Native(Native, Vec<Self>),
    /// A macro's parameter; gone after expansion.
    Parameter(usize, Type),
}

/// A value that is constant during a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct External {
    pub(super) name: Arc<str>,
    pub(super) index: usize,
    pub(super) kind: Type,
}

/// A function of strings that gives a number, such as the reading of a date.
#[derive(Clone)]
pub(super) struct Native {
    pub(super) name: Arc<str>,
    pub(super) call: fn(&[&str]) -> f64,
}

impl PartialEq for Native {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }

    /// The comparison with its sides exchanged.
    pub(super) fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            same => same,
        }
    }

    /// Whether it asks which is greater.
    pub(super) const fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    pub(super) fn numbers(self, a: f64, b: f64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Less => a < b,
            Self::LessEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterEqual => a >= b,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "div",
            Self::Remainder => "mod",
        }
    }

    pub(super) fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Remainder => a % b,
        }
    }
}

/// Where a path starts, and its steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    pub(super) start: Start,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Start {
    Root,
    Here,
    Node(Box<Node>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) axis: Axis,
    pub(super) test: Test,
    pub(super) predicates: Vec<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Axis {
    Child,
    Descendant,
    Parent,
    Ancestor,
    FollowingSibling,
    PrecedingSibling,
    Following,
    Preceding,
    Attribute,
    Namespace,
    Itself,
    DescendantOrSelf,
    AncestorOrSelf,
}

impl Axis {
    pub(super) const ALL: [(&'static str, Self); 13] = [
        ("child", Self::Child),
        ("descendant", Self::Descendant),
        ("parent", Self::Parent),
        ("ancestor", Self::Ancestor),
        ("following-sibling", Self::FollowingSibling),
        ("preceding-sibling", Self::PrecedingSibling),
        ("following", Self::Following),
        ("preceding", Self::Preceding),
        ("attribute", Self::Attribute),
        ("namespace", Self::Namespace),
        ("self", Self::Itself),
        ("descendant-or-self", Self::DescendantOrSelf),
        ("ancestor-or-self", Self::AncestorOrSelf),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, axis)| *axis == self)
            .map_or("child", |(name, _)| name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Name(NameTest),
    Node,
    Text,
    Comment,
    Instruction(Option<Arc<str>>),
}

/// A name test; several namespaces mean any of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NameTest {
    /// As written, for messages.
    pub(super) prefix: Arc<str>,
    /// `None`: whatever namespace. No prefix: the one namespace `""`.
    pub(super) uris: Option<SmallVec<[Arc<str>; 2]>>,
    /// `None`: whatever local name.
    pub(super) local: Option<Arc<str>>,
}

impl NameTest {
    pub(super) fn any() -> Self {
        Self {
            prefix: "".into(),
            uris: None,
            local: None,
        }
    }

    pub(super) fn matches(&self, namespace: &str, local: &str) -> bool {
        self.local.as_deref().is_none_or(|wanted| wanted == local)
            && self
                .uris
                .as_ref()
                .is_none_or(|uris| uris.iter().any(|uri| **uri == *namespace))
    }
}

impl fmt::Display for NameTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.prefix.is_empty() {
            write!(f, "{}:", self.prefix)?;
        } else if self.uris.is_none() && self.local.is_some() {
            f.write_str("*:")?;
        }
        f.write_str(self.local.as_deref().unwrap_or("*"))
    }
}

impl Path {
    /// `self::node()`.
    pub(super) fn here() -> Self {
        Self {
            start: Start::Here,
            steps: Vec::new(),
        }
    }
}

impl Node {
    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Or(_) | Self::And(_) | Self::Compare(..) => Type::Boolean,
            Self::Arithmetic(..) | Self::Negate(_) | Self::Number(_) | Self::Native(..) => {
                Type::Number
            }
            Self::Union(_) | Self::Path(_) | Self::Filter(..) => Type::NodeSet,
            Self::Literal(_) => Type::String,
            Self::Call(function, _) => function.result(),
            Self::External(external) => external.kind,
            Self::Parameter(_, kind) => *kind,
        }
    }

    /// The direct parts of a node, predicates included.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Or(parts) | Self::And(parts) | Self::Union(parts) => parts.iter().collect(),
            Self::Call(_, parts) | Self::Native(_, parts) => parts.iter().collect(),
            Self::Compare(_, a, b) | Self::Arithmetic(_, a, b) => vec![a, b],
            Self::Negate(a) => vec![a],
            Self::Filter(a, predicates) => std::iter::once(&**a).chain(predicates).collect(),
            Self::Path(path) => {
                let head = match &path.start {
                    Start::Node(node) => Some(&**node),
                    _ => None,
                };
                head.into_iter()
                    .chain(path.steps.iter().flat_map(|step| &step.predicates))
                    .collect()
            }
            Self::Literal(_) | Self::Number(_) | Self::External(_) | Self::Parameter(..) => {
                Vec::new()
            }
        }
    }

    /// Whether any path goes along the namespace axis.
    pub(super) fn asks_namespaces(&self) -> bool {
        let own = match self {
            Self::Path(path) => path.steps.iter().any(|step| step.axis == Axis::Namespace),
            _ => false,
        };
        own || self.parts().into_iter().any(Self::asks_namespaces)
    }

    /// How many predicates stand inside each other at most.
    pub(super) fn predicate_depth(&self) -> u32 {
        fn deepest<'n>(nodes: impl Iterator<Item = &'n Node>) -> Option<u32> {
            nodes.map(Node::predicate_depth).max()
        }
        let (head, inner) = match self {
            Self::Path(path) => {
                let head = match &path.start {
                    Start::Node(node) => Some(&**node),
                    _ => None,
                };
                let predicates = path.steps.iter().flat_map(|step| &step.predicates);
                (deepest(head.into_iter()), deepest(predicates))
            }
            Self::Filter(head, predicates) => {
                (Some(head.predicate_depth()), deepest(predicates.iter()))
            }
            _ => (deepest(self.parts().into_iter()), None),
        };
        head.unwrap_or(0).max(inner.map_or(0, |depth| depth + 1))
    }

    /// Whether the value may depend on the context node, position or size.
    pub(super) fn needs_context(&self) -> bool {
        match self {
            Self::Path(Path {
                start: Start::Here, ..
            }) => true,
            Self::Path(Path {
                start: Start::Root, ..
            }) => false,
            Self::Path(Path {
                start: Start::Node(head),
                ..
            }) => head.needs_context(),
            Self::Filter(head, _) => head.needs_context(),
            Self::Call(Function::Position | Function::Last | Function::Lang, _) => true,
            _ => self.parts().into_iter().any(Self::needs_context),
        }
    }
}
