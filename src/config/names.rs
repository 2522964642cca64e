//! Names that the user gives: mappings from a name to a thing, and from a prefix to a namespace.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::node::{Key, Kind, Node, shorten};
use super::schema::Book;
use super::written::{Reader, Spanned, Written, bare_noun};
use crate::diag::{Diagnostic, Span};

/// Things by name, in the order they were written.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T> {
    entries: Vec<(Spanned<String>, T)>,
    index: HashMap<String, usize>,
    /// Names whose value had mistakes; they exist, so nobody calls them unknown.
    broken: Vec<Spanned<String>>,
    broken_index: HashMap<String, Span>,
}

/// Prefixes and the namespaces they stand for, in the order they were written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Namespaces(pub Vec<(Spanned<String>, Spanned<String>)>);

/// Names are labels in metrics and parts of admin URLs: long ones are of no use there.
const NAME_LEN_MAX: usize = 64;
const NAME_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$";

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            index: HashMap::new(),
            broken: Vec::new(),
            broken_index: HashMap::new(),
        }
    }
}

impl<T> Named<T> {
    /// Adds a thing; the first of a name stays.
    pub fn insert(&mut self, name: Spanned<String>, value: T) {
        if !self.index.contains_key(&name.value) {
            self.index.insert(name.value.clone(), self.entries.len());
            self.entries.push((name, value));
        }
    }

    /// Notes a name whose value could not be read.
    pub(super) fn insert_broken(&mut self, name: Spanned<String>) {
        self.broken_index.insert(name.value.clone(), name.span);
        self.broken.push(name);
    }

    /// The thing of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.entry(name).map(|(_, value)| value)
    }

    /// Name and thing, in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (&Spanned<String>, &T)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// The same, changeable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Spanned<String>, &mut T)> {
        self.entries.iter_mut().map(|(name, value)| (&*name, value))
    }

    /// The names of all things that could be read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }

    /// Where a name was declared, also if its value had mistakes.
    pub fn span_of(&self, name: &str) -> Option<Span> {
        let broken = || self.broken_index.get(name).copied();
        self.entry(name).map(|(name, _)| name.span).or_else(broken)
    }

    /// Every declared name with its place, those with mistakes last.
    pub fn declared(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.entries
            .iter()
            .map(|(name, _)| name)
            .chain(&self.broken)
    }

    /// How many things could be read.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing was written at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.broken.is_empty()
    }

    fn entry(&self, name: &str) -> Option<&(Spanned<String>, T)> {
        self.entries.get(*self.index.get(name)?)
    }
}

impl<T: Written> Written for Named<T> {
    const NOUN: &'static str = "a mapping from names";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            let what = format!("a mapping from a name to {}", T::NOUN);
            reader.wrong_type(node, &what, "{ name: ... }");
            return None;
        };
        let mut named = Self::default();
        for (key, node) in entries {
            check_name(key, T::NOUN, reader);
            let place = format!("{} `{}`", bare_noun(T::NOUN), shorten(&key.text));
            let name = Spanned::new(key.text.clone(), key.span);
            match reader.inside(place, |reader| T::read(node, reader)) {
                Some(value) => named.insert(name, value),
                None => named.insert_broken(name),
            }
        }
        Some(named)
    }

    fn schema(book: &mut Book) -> Value {
        let schema = T::schema(book);
        json!({ "type": "object", "propertyNames": { "pattern": NAME_PATTERN }, "additionalProperties": schema })
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(name, value)| (&name.value, value)))
    }
}

impl Written for Namespaces {
    const NOUN: &'static str = "a mapping from prefixes to namespaces";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            reader.wrong_type(
                node,
                "a mapping from prefixes to namespaces",
                "{ o: \"urn:orders\" }",
            );
            return None;
        };
        let mut namespaces = Self::default();
        for (key, node) in entries {
            check_prefix(key, reader);
            let Some(uri) = Spanned::<String>::read(node, reader) else {
                continue;
            };
            if uri.is_empty() {
                let text = format!(
                    "prefix `{}` stands for an empty namespace",
                    shorten(&key.text)
                );
                let told = Diagnostic::error("bad-namespace", text, uri.span);
                reader.tell(told.hint("in XPath a name without a prefix is in no namespace"));
            }
            namespaces
                .0
                .push((Spanned::new(key.text.clone(), key.span), uri));
        }
        Some(namespaces)
    }

    fn schema(_: &mut Book) -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string", "minLength": 1 } })
    }
}

impl Serialize for Namespaces {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (prefix, uri) in &self.0 {
            map.serialize_entry(&prefix.value, &uri.value)?;
        }
        map.end()
    }
}

fn check_name(key: &Key, noun: &str, reader: &mut Reader<'_>) {
    if let Some(label) = name_mistake(&key.text) {
        let text = format!("`{}` cannot be the name of {noun}", shorten(&key.text));
        reader.tell(Diagnostic::error("bad-name", text, key.span).label(label));
    }
}

/// What is wrong with a name, if anything.
pub(super) fn name_mistake(name: &str) -> Option<&'static str> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match name.chars().next() {
        None => Some("the name is empty"),
        Some('-' | '.') => Some("a name begins with a letter, a digit or `_`"),
        _ if !name.chars().all(good) => Some("a name holds letters, digits, `_`, `-` and `.`"),
        _ if name.len() > NAME_LEN_MAX => Some("a name has 64 characters at most"),
        _ => None,
    }
}

/// Names in XML 1.0 §1.2 without a colon; what else `xmlns` forbids is forbidden here.
fn check_prefix(key: &Key, reader: &mut Reader<'_>) {
    let mut chars = key.text.chars();
    let start = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let rest = chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{b7}'));
    let label = match key.text.as_str() {
        "xml" | "xmlns" => "this prefix belongs to XML itself",
        _ if !start || !rest => "a prefix is a name without a colon, such as `o`",
        _ => return,
    };
    let text = format!(
        "`{}` cannot be a prefix{}",
        shorten(&key.text),
        reader.place()
    );
    reader.tell(Diagnostic::error("bad-prefix", text, key.span).label(label));
}
