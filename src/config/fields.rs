//! The keys of a mapping while they are read: what is missing, unknown, out of range, or one too many.
//!
//! Called by what the macros of `shape.rs` make of a declaration; knows no key by itself.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::node::{Key, Kind, Node, shorten};
use super::schema::set;
use super::suggest;
use super::written::{Reader, Spanned, Written};
use crate::diag::{Diagnostic, Span};

/// A key without the `r#` that lets it be a word of Rust.
pub(super) fn bare(key: &'static str) -> &'static str {
    key.strip_prefix("r#").unwrap_or(key)
}

/// The keys of one mapping while they are read.
pub(super) struct Fields<'n, 'a, 'r> {
    entries: &'n [(Key, Node)],
    span: Span,
    noun: &'static str,
    reader: &'a mut Reader<'r>,
}

impl<'n, 'a, 'r> Fields<'n, 'a, 'r> {
    /// Opens a mapping and tells every key in it that nobody knows.
    pub(super) fn open(
        node: &'n Node,
        reader: &'a mut Reader<'r>,
        noun: &'static str,
        keys: &[&str],
    ) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            reader.wrong_type(
                node,
                &format!("the keys of {noun}"),
                &format!("{{ {}: ... }}", keys.first().unwrap_or(&"key")),
            );
            return None;
        };
        for (key, _) in entries
            .iter()
            .filter(|(key, _)| !keys.contains(&key.text.as_str()))
        {
            unknown_key(key, reader, noun, keys);
        }
        Some(Self {
            entries,
            span: node.span,
            noun,
            reader,
        })
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: Written>(&mut self, name: &str) -> Option<T> {
        let Some((_, node)) = self.find(name) else {
            let text = format!("`{name}` is missing in {}", self.reader.context(self.noun));
            let found = Diagnostic::error("missing-key", text, first_line(self.span));
            self.reader
                .tell(found.label(format!("needs the key `{name}`")));
            return None;
        };
        T::read(node, self.reader)
    }

    /// The value of a key that may be left out.
    pub(super) fn optional<T: Written>(&mut self, name: &str) -> Option<T> {
        let (_, node) = self.find(name)?;
        T::read(node, self.reader)
    }

    /// The same, held to a range.
    pub(super) fn within<T: Written + Measured>(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Option<T> {
        let (_, node) = self.find(name)?;
        let value = T::read(node, self.reader)?;
        let Some(amount) = value.amount().filter(|amount| !range.contains(amount)) else {
            return Some(value);
        };
        let (low, high) = (T::show(*range.start()), T::show(*range.end()));
        let way = if amount < *range.start() {
            "too small"
        } else {
            "too large"
        };
        let text = format!(
            "`{name}: {}` is {way}{}",
            T::show(amount),
            self.reader.place()
        );
        self.reader.tell(
            Diagnostic::error("out-of-range", text, node.span)
                .label(format!("from {low} to {high}")),
        );
        None
    }

    fn find(&self, name: &str) -> Option<&'n (Key, Node)> {
        self.entries.iter().find(|(key, _)| key.text == name)
    }
}

/// What has an amount that a range can hold.
pub(super) trait Measured {
    /// The amount in its smallest unit; none if there is nothing to measure.
    fn amount(&self) -> Option<u64>;
    /// An amount as one writes it.
    fn show(amount: u64) -> String;
}

impl<T: Measured> Measured for Option<T> {
    fn amount(&self) -> Option<u64> {
        self.as_ref().and_then(T::amount)
    }

    fn show(amount: u64) -> String {
        T::show(amount)
    }
}

impl<T: Measured> Measured for Spanned<T> {
    fn amount(&self) -> Option<u64> {
        self.value.amount()
    }

    fn show(amount: u64) -> String {
        T::show(amount)
    }
}

/// A number's schema with its range; other schemas cannot say one.
pub(super) fn ranged(mut schema: Value, range: RangeInclusive<u64>) -> Value {
    if schema.get("type").is_some_and(|one| one == "integer") {
        set(&mut schema, "minimum", json!(range.start()));
        set(&mut schema, "maximum", json!(range.end()));
    }
    schema
}

/// Reads one of several words.
pub(super) fn word(
    node: &Node,
    reader: &mut Reader<'_>,
    noun: &str,
    words: &'static [&'static str],
) -> Option<&'static str> {
    let Some(text) = node.text() else {
        reader.wrong_type(node, noun, words.first().unwrap_or(&""));
        return None;
    };
    let known = words.iter().find(|word| **word == text).copied();
    if known.is_none() {
        let message = format!("`{}` is not {noun}{}", shorten(text), reader.place());
        let found =
            Diagnostic::error("unknown-word", message, node.span).allowed(words.iter().copied());
        reader.tell(found.hint_if(suggest::did_you_mean(text, words.iter().copied())));
    }
    known
}

/// The schema of a choice of words. A version is also taken as the number that YAML makes of `1.1`.
pub(super) fn word_schema(words: &[&str]) -> Value {
    let numbers = words
        .iter()
        .filter_map(|word| word.parse::<f64>().ok())
        .map(Value::from);
    let words: Vec<_> = words
        .iter()
        .map(|word| json!(word))
        .chain(numbers)
        .collect();
    json!({ "enum": words })
}

/// Reads a mapping that must have exactly one key of several.
pub(super) fn one_key<'n>(
    node: &'n Node,
    reader: &mut Reader<'_>,
    noun: &str,
    keys: &'static [&'static str],
) -> Option<(&'static str, &'n Node)> {
    let Kind::Map(entries) = &node.kind else {
        reader.wrong_type(
            node,
            noun,
            &format!("{{ {}: ... }}", keys.first().unwrap_or(&"key")),
        );
        return None;
    };
    let mut known = None;
    let mut first: Option<Span> = None;
    for (key, value) in entries {
        let Some(found) = keys.iter().find(|one| **one == key.text) else {
            unknown_key(key, reader, noun, keys);
            first = first.or(Some(key.span));
            continue;
        };
        if let Some(earlier) = first {
            let text = format!("two keys in {}, which takes one", reader.context(noun));
            let told =
                Diagnostic::error("one-kind", text, key.span).other(earlier, "the first is here");
            reader.tell(told.hint("two filters at once are written `and: [{ ... }, { ... }]`"));
            return None;
        }
        first = Some(key.span);
        known = Some((*found, value));
    }
    if first.is_none() {
        let text = format!("nothing is said in {}", reader.context(noun));
        reader.tell(
            Diagnostic::error("one-kind", text, first_line(node.span))
                .allowed(keys.iter().copied()),
        );
    }
    known
}

fn unknown_key(key: &Key, reader: &mut Reader<'_>, noun: &str, keys: &[&str]) {
    let text = format!(
        "unknown key `{}` in {}",
        shorten(&key.text),
        reader.context(noun)
    );
    let found = Diagnostic::error("unknown-key", text, key.span).allowed(keys.iter().copied());
    reader.tell(found.hint_if(suggest::did_you_mean(&key.text, keys.iter().copied())));
}

/// Only where a mapping begins: its whole text would hide the point.
pub(super) fn first_line(span: Span) -> Span {
    let mut end = span.start;
    end.col = end.col.saturating_add(1);
    if end.line == 0 {
        Span::whole(span.file)
    } else {
        Span::new(span.file, span.start, end)
    }
}
