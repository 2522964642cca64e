//! How a type is read from YAML, and what its JSON schema is: one trait says both, so they cannot differ.
//!
//! [`Written`] is told for plain values in `values.rs` and by the macros of `shape.rs` for structs, words and
//! kinds. A reading never stops at a mistake: it tells it to the [`Reader`] and goes on.

use serde::Serialize;
use serde_json::{Value, json};

use super::node::{Kind, Node, shorten};
use super::schema::Book;
use crate::diag::{Diagnostic, Report, Span};

/// What can be read from a YAML value.
pub(super) trait Written: Sized {
    /// What it is, with its article: `an endpoint`; names places in messages.
    const NOUN: &'static str;
    /// The value, or `None` after telling the reader why not.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
    /// The JSON schema of what [`Written::read`] takes.
    fn schema(book: &mut Book) -> Value;
}

/// A value that is written as one scalar.
pub(super) trait Leaf: Sized {
    /// What is expected, with its article: `a duration`.
    const WHAT: &'static str;
    /// A good one: `30s`.
    const EXAMPLE: &'static str;
    /// The rule that a bad one breaks.
    const RULE: &'static str;
    /// Reads it; the error is the label beside the caret.
    fn parse(text: &str) -> Result<Self, String>;
    /// Its schema without the description.
    fn leaf_schema() -> Value;
}

/// A value and where it was written. Two are equal if their values are: a moved line is no change.
#[derive(Debug, Clone, Copy)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// Collects mistakes and knows where in the file's sense, not its text, we are.
pub(super) struct Reader<'r> {
    report: &'r mut Report,
    places: Vec<String>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(report: &'r mut Report) -> Self {
        Self {
            report,
            places: Vec::new(),
        }
    }

    /// Tells a mistake.
    pub(super) fn tell(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
    }

    /// Reads something inside a named thing: "endpoint `orders-v1`".
    pub(super) fn inside<T>(&mut self, place: String, read: impl FnOnce(&mut Self) -> T) -> T {
        self.places.push(place);
        let result = read(self);
        self.places.pop();
        result
    }

    /// Where a thing of this kind stands: `endpoint `a``, `failover of endpoint `a``, or only `router`.
    pub(super) fn context(&self, noun: &str) -> String {
        let bare = bare_noun(noun);
        match self.places.last() {
            Some(place) if place.starts_with(bare) => place.clone(),
            Some(place) => format!("{noun} of {place}"),
            None => noun.to_owned(),
        }
    }

    /// ` in endpoint `orders-v1``, or nothing at the top of a file.
    pub(super) fn place(&self) -> String {
        self.places
            .last()
            .map(|place| format!(" in {place}"))
            .unwrap_or_default()
    }

    /// Tells that something of another type was expected.
    pub(super) fn wrong_type(&mut self, node: &Node, what: &str, example: &str) {
        let such = if example.is_empty() {
            String::new()
        } else {
            format!(" such as `{example}`")
        };
        let text = format!("expected {what}{}, found {}", self.place(), node.describe());
        let found = Diagnostic::error("wrong-type", text, node.span)
            .label(format!("expected {what}{such}"));
        let nothing = node.describe() == "nothing";
        self.tell(found.hint_if(nothing.then(|| "give the key a value or remove it".to_owned())));
    }
}

/// A noun without its article.
pub(super) fn bare_noun(noun: &str) -> &str {
    noun.strip_prefix("an ")
        .or_else(|| noun.strip_prefix("a "))
        .unwrap_or(noun)
}

impl<T: Leaf> Written for T {
    const NOUN: &'static str = T::WHAT;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = node.text() else {
            reader.wrong_type(node, T::WHAT, T::EXAMPLE);
            return None;
        };
        match T::parse(text) {
            Ok(value) => Some(value),
            Err(label) => {
                let shown = if text.is_empty() {
                    "the empty text".to_owned()
                } else {
                    format!("`{}`", shorten(text))
                };
                let message = format!("{shown} is not {}{}", T::WHAT, reader.place());
                // Where the label says how to write this one, a general example adds nothing.
                let example = (!T::EXAMPLE.is_empty() && !label.contains("write"))
                    .then(|| format!("write it like `{}`", T::EXAMPLE));
                let found = Diagnostic::error(T::RULE, message, node.span).label(label);
                reader.tell(found.hint_if(example));
                None
            }
        }
    }

    fn schema(_: &mut Book) -> Value {
        T::leaf_schema()
    }
}

impl<T: Written> Written for Spanned<T> {
    const NOUN: &'static str = T::NOUN;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            value: T::read(node, reader)?,
            span: node.span,
        })
    }

    fn schema(book: &mut Book) -> Value {
        T::schema(book)
    }
}

impl<T: Written> Written for Option<T> {
    const NOUN: &'static str = T::NOUN;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(Some)
    }

    fn schema(book: &mut Book) -> Value {
        T::schema(book)
    }
}

/// A list; bad items are told and left out, so that the good ones can still be checked.
impl<T: Written> Written for Vec<T> {
    const NOUN: &'static str = "a list";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            reader.wrong_type(node, "a list", "[a, b]");
            return None;
        };
        Some(
            items
                .iter()
                .filter_map(|item| T::read(item, reader))
                .collect(),
        )
    }

    fn schema(book: &mut Book) -> Value {
        json!({ "type": "array", "items": T::schema(book) })
    }
}

impl<T> Spanned<T> {
    /// A value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: Serialize> Serialize for Spanned<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}
