//! YAML as a tree in which every key and value knows its place.
//!
//! `yaml.rs` makes it, `written.rs` reads types from it; here is only what a value looks like.

use crate::diag::Span;

/// One YAML value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// `plain` is false for quoted and block text, which is never a number, a boolean or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A mapping's key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Span,
    pub(super) plain: bool,
}

impl Node {
    /// What this is, in the words of a message.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
            Kind::Scalar { text, plain: true } if is_null(text) => "nothing".to_owned(),
            Kind::Scalar { text, .. } => format!("`{}`", shorten(text)),
        }
    }

    /// How many values it holds, itself included.
    pub(super) fn count(&self) -> usize {
        match &self.kind {
            Kind::Scalar { .. } => 1,
            Kind::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|(_, node)| node.count()).sum::<usize>(),
        }
    }

    /// The text of a scalar; nothing for `~`, `null` and an empty value.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, plain } if !(*plain && is_null(text)) => Some(text),
            _ => None,
        }
    }

    /// The same value for serde, as YAML's core schema reads it.
    pub(super) fn to_value(&self) -> serde_yaml::Value {
        use serde_yaml::Value;
        match &self.kind {
            Kind::List(items) => items.iter().map(Self::to_value).collect(),
            Kind::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, node)| (Value::from(key.text.clone()), node.to_value()));
                Value::Mapping(entries.collect())
            }
            Kind::Scalar { text, plain: false } => Value::from(text.clone()),
            Kind::Scalar { text, .. } => core_value(text),
        }
    }
}

/// Text too long for a message, cut.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn core_value(text: &str) -> serde_yaml::Value {
    use serde_yaml::Value;
    match text {
        _ if is_null(text) => Value::Null,
        "true" | "True" | "TRUE" => Value::from(true),
        "false" | "False" | "FALSE" => Value::from(false),
        _ => {
            // `f64` also reads `inf` and `nan`, which are words in YAML.
            let numeric = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
            let whole = text
                .parse::<i64>()
                .ok()
                .filter(|_| numeric)
                .map(Value::from);
            let float = || {
                text.parse::<f64>()
                    .ok()
                    .filter(|_| numeric)
                    .map(Value::from)
            };
            whole.or_else(float).unwrap_or_else(|| Value::from(text))
        }
    }
}
