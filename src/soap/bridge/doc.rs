//! The part of a message that is held: its bytes, and where its elements stand in them.
//!
//! A flat tree of the envelope's head (and of a fault), with questions about names, namespaces,
//! attributes and text. Everything is answered from the bytes, so nothing is kept twice.

use std::borrow::Cow;
use std::ops::Range;

use super::names::{Class, class, is_encoding};
use super::raw::{self, RawAttribute};
use crate::xml::{Tag, XML_NAMESPACE};

/// Position of an element in [`Doc`].
pub(super) type NodeId = usize;

/// One element.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) parent: Option<NodeId>,
    pub(super) depth: u32,
    pub(super) class: Class,
    /// `<` of the start tag.
    pub(super) start: usize,
    /// Behind its name.
    pub(super) name_end: usize,
    /// Behind its `>`.
    pub(super) open_end: usize,
    /// `<` of the end tag; for an empty element behind its tag.
    pub(super) close_start: usize,
    /// Behind the end tag.
    pub(super) end: usize,
    pub(super) empty: bool,
    /// Its attributes, in [`Doc::attributes`].
    attributes: Range<u32>,
    /// Whether it declares namespaces.
    pub(super) declares: bool,
    /// Whether it has an attribute `encodingStyle` of an envelope namespace.
    pub(super) encoding: bool,
    /// Whether it stands in a quoted envelope: a nested element of an envelope namespace.
    pub(super) quoted: bool,
}

/// The held bytes and their elements.
#[derive(Debug, Default)]
pub(super) struct Doc {
    /// UTF-8, from the document's first byte.
    pub(super) bytes: Vec<u8>,
    pub(super) nodes: Vec<Node>,
    attributes: Vec<RawAttribute>,
}

/// A qualified name in content, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) prefix: String,
    pub(super) namespace: String,
    pub(super) local: String,
}

impl Doc {
    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// A piece of the bytes as text.
    pub(super) fn slice(&self, range: Range<usize>) -> &str {
        let bytes = self.bytes.get(range).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// Adds an element that begins with this tag and whose end is not known yet.
    pub(super) fn push(&mut self, tag: &Tag<'_>, parent: Option<NodeId>, quoted: bool) -> NodeId {
        let id = self.nodes.len();
        let (start, end) = (place(tag.start()), place(tag.end()));
        let first = self.attributes.len();
        let bytes = tag.bytes();
        let name_end = tag.qualified().len() + 1;
        let mut before = name_end;
        let mut encoding = false;
        for (name, symbol) in tag.written() {
            let class = symbol.unwrap_or(class::DECLARATION);
            let attribute = RawAttribute::at(bytes, start, before, name, class);
            before = attribute.whole().end - start;
            encoding |= is_encoding(class);
            self.attributes.push(attribute);
        }
        let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.nodes.push(Node {
            parent,
            depth: tag.depth(),
            class: tag.symbol(),
            start,
            name_end: start + name_end,
            open_end: end,
            close_start: end,
            end,
            empty: tag.is_empty_element(),
            attributes: index(first)..index(self.attributes.len()),
            declares: tag.declares(),
            encoding,
            quoted,
        });
        id
    }

    /// Forgets everything but the room that it took.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.nodes.clear();
        self.attributes.clear();
    }

    /// The attributes of an element as written, declarations among them.
    pub(super) fn attributes(&self, id: NodeId) -> &[RawAttribute] {
        let own = self.node(id).map_or(0..0, |node| node.attributes.clone());
        self.attributes
            .get(own.start as usize..own.end as usize)
            .unwrap_or_default()
    }

    /// Where an element's name stands in its start tag.
    pub(super) fn name_range(&self, id: NodeId) -> Range<usize> {
        self.node(id)
            .map_or(0..0, |node| node.start + 1..node.name_end)
    }

    /// Where the `>` or `/>` of an element's start tag begins.
    pub(super) fn close(&self, id: NodeId) -> usize {
        self.node(id)
            .map_or(0, |node| node.open_end - if node.empty { 2 } else { 1 })
    }

    /// The children of an element, in order.
    pub(super) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        // Descendants follow their ancestor without a gap.
        let depth = self.node(id).map_or(0, |node| node.depth);
        let after = self.nodes.get(id + 1..).unwrap_or_default();
        let below = after.iter().take_while(move |node| node.depth > depth);
        let own = below
            .enumerate()
            .filter(move |(_, node)| node.parent == Some(id));
        own.map(move |(at, _)| id + 1 + at)
    }

    /// The element's descendants, in order.
    pub(super) fn descendants(&self, id: NodeId) -> Range<NodeId> {
        let depth = self.node(id).map_or(0, |node| node.depth);
        let after = self.nodes.get(id + 1..).unwrap_or_default();
        let count = after.iter().take_while(|node| node.depth > depth).count();
        id + 1..id + 1 + count
    }

    /// Prefix and local name of an element as written.
    pub(super) fn name(&self, id: NodeId) -> (&str, &str) {
        split(self.slice(self.name_range(id)))
    }

    /// The namespace of an element.
    pub(super) fn namespace(&self, id: NodeId) -> String {
        let prefix = self.name(id).0;
        self.lookup(Some(id), prefix)
            .unwrap_or_default()
            .into_owned()
    }

    /// What a prefix means at an element; `""` asks for the default namespace, which is `""`
    /// where there is none.
    pub(super) fn lookup(&self, mut at: Option<NodeId>, prefix: &str) -> Option<Cow<'_, str>> {
        if prefix == "xml" {
            return Some(Cow::Borrowed(XML_NAMESPACE));
        }
        while let Some(id) = at {
            let node = self.node(id)?;
            at = node.parent;
            if !node.declares {
                continue;
            }
            let mut declared = self.attributes(id).iter();
            if let Some(found) = declared.find(|one| self.declares(one) == Some(prefix)) {
                return Some(self.value(found));
            }
        }
        prefix.is_empty().then_some(Cow::Borrowed(""))
    }

    /// The prefix that an attribute declares, `""` for the default namespace.
    pub(super) fn declares(&self, attribute: &RawAttribute) -> Option<&str> {
        if !attribute.is_declaration() {
            return None;
        }
        let name = self.slice(attribute.name());
        Some(name.strip_prefix("xmlns:").unwrap_or(""))
    }

    /// An attribute by its expanded name.
    pub(super) fn attribute(
        &self,
        id: NodeId,
        namespace: &str,
        name: &str,
    ) -> Option<RawAttribute> {
        let found = self.attributes(id).iter().find(|one| {
            let (prefix, local) = split(self.slice(one.name()));
            let in_none = prefix.is_empty();
            local == name
                && !one.is_declaration()
                && in_none == namespace.is_empty()
                && (in_none || self.lookup(Some(id), prefix).as_deref() == Some(namespace))
        });
        found.copied()
    }

    /// An attribute of a known class.
    pub(super) fn attribute_of(&self, id: NodeId, class: Class) -> Option<RawAttribute> {
        let mut all = self.attributes(id).iter();
        all.find(|one| one.class == class).copied()
    }

    /// An attribute's value, references replaced.
    pub(super) fn value(&self, attribute: &RawAttribute) -> Cow<'_, str> {
        unescape(self.slice(attribute.value()))
    }

    /// All namespaces in scope inside an element, outermost first, each prefix once.
    pub(super) fn scope(&self, at: Option<NodeId>) -> Vec<(String, String)> {
        let mut path = Vec::new();
        let mut up = at;
        while let Some(id) = up {
            path.push(id);
            up = self.node(id).and_then(|node| node.parent);
        }
        let mut found: Vec<(String, String)> = Vec::new();
        for id in path.into_iter().rev() {
            if !self.node(id).is_some_and(|node| node.declares) {
                continue;
            }
            for attribute in self.attributes(id) {
                let Some(prefix) = self.declares(attribute) else {
                    continue;
                };
                let namespace = self.value(attribute).into_owned();
                match found.iter_mut().find(|(known, _)| known == prefix) {
                    Some(known) => known.1 = namespace,
                    None => found.push((prefix.to_owned(), namespace)),
                }
            }
        }
        found
    }

    /// The text directly and indirectly in an element, references replaced.
    pub(super) fn text(&self, id: NodeId) -> String {
        let range = self
            .node(id)
            .map_or(0..0, |node| node.open_end..node.close_start);
        plain_text(self.slice(range))
    }

    /// A qualified name in content; nothing when it is none or its prefix is not declared.
    pub(super) fn qname(&self, at: NodeId, text: &str) -> Option<Resolved> {
        let text = text.trim();
        let (prefix, local) = split(text);
        let good = |name: &str| crate::xml::is_nc_name(name);
        if !good(local) || text.contains(':') && !good(prefix) {
            return None;
        }
        Some(Resolved {
            prefix: prefix.to_owned(),
            namespace: self.lookup(Some(at), prefix)?.into_owned(),
            local: local.to_owned(),
        })
    }

    /// The nearest `xml:lang` from an element outwards.
    pub(super) fn language(&self, id: NodeId) -> Option<String> {
        let mut at = Some(id);
        while let Some(id) = at {
            if let Some(found) = self.attribute(id, XML_NAMESPACE, "lang") {
                return Some(self.value(&found).into_owned());
            }
            at = self.node(id)?.parent;
        }
        None
    }
}

/// An offset in what is held.
pub(super) fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Prefix and local part of a qualified name.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// Replaces references; what is no reference stays (the scanner has refused such).
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once(';') else {
            out.push('&');
            rest = after;
            continue;
        };
        match reference(name) {
            Some(character) => out.push(character),
            None => {
                out.push('&');
                rest = after;
                continue;
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn reference(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// The character data of a piece of content: without tags and comments, sections opened.
fn plain_text(content: &str) -> String {
    let mut out = String::new();
    let mut rest = content;
    while let Some(at) = rest.find('<') {
        let (before, markup) = rest.split_at(at);
        out.push_str(&unescape(before));
        rest = if let Some(section) = markup.strip_prefix("<![CDATA[") {
            let (inside, after) = section.split_once("]]>").unwrap_or((section, ""));
            out.push_str(inside);
            after
        } else if let Some(comment) = markup.strip_prefix("<!--") {
            comment.split_once("-->").map_or("", |(_, after)| after)
        } else if markup.starts_with("</") {
            markup.split_once('>').map_or("", |(_, after)| after)
        } else {
            let tag = raw::parse(markup.as_bytes(), 0);
            let end = tag.close + if tag.empty { 2 } else { 1 };
            markup.get(end..).unwrap_or("")
        };
    }
    out.push_str(&unescape(rest));
    out
}

/// Writes text so that it can stand in content or in a quoted value.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_content() {
        let cases = [
            ("a&amp;b", "a&b"),
            ("<![CDATA[<x>&]]> y", "<x>& y"),
            ("a<!-- - <b> -->b<c d='>'>e</c><f/>", "abe"),
            ("&#x41;&#66;&unknown;", "AB&unknown;"),
        ];
        for (content, expected) in cases {
            assert_eq!(plain_text(content), expected);
        }
        assert_eq!(
            escape("<a b=\"c\">&\n"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#10;"
        );
    }
}
