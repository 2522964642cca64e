//! A start tag's parts as they are written, so that one of them can be replaced and the others kept.
//!
//! Reads only tags that the scanner has accepted; namespaces are left to `doc.rs`.

use std::ops::Range;

use smallvec::SmallVec;

use super::names::{Class, class};

/// One attribute of a tag, as places of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawAttribute {
    /// What the scanner's sink called its name; [`class::DECLARATION`] for one of a namespace.
    pub(super) class: Class,
    /// Where the white space before it begins.
    before: u32,
    name: u32,
    name_end: u32,
    value: u32,
    value_end: u32,
}

/// A start tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawTag {
    /// The element's name.
    pub(super) name: Range<usize>,
    /// Its attributes, declarations among them; their classes are not known.
    pub(super) attributes: SmallVec<[RawAttribute; 6]>,
    /// Where `>` or `/>` begins.
    pub(super) close: usize,
    /// Whether it is `<a/>`.
    pub(super) empty: bool,
}

impl RawAttribute {
    /// The attribute whose name stands in `name` of the tag that begins at `base`; the one before
    /// it, or the element's name, ends at `before`.
    pub(super) fn at(
        tag: &[u8],
        base: usize,
        before: usize,
        name: Range<usize>,
        class: Class,
    ) -> Self {
        let equals = skip_space(tag, name.end);
        let quoted = skip_space(tag, equals + 1);
        let quote = tag.get(quoted).copied().unwrap_or(b'"');
        let value = quoted + 1;
        let rest = tag.get(value..).unwrap_or_default();
        let length = memchr::memchr(quote, rest).unwrap_or(rest.len());
        // What is held is far shorter than what such a number can say (`HELD_BYTES_MAX`).
        let place = |at: usize| u32::try_from(base + at).unwrap_or(u32::MAX);
        Self {
            class,
            before: place(before),
            name: place(name.start),
            name_end: place(name.end),
            value: place(value),
            value_end: place(value + length),
        }
    }

    /// Its name.
    pub(super) const fn name(self) -> Range<usize> {
        self.name as usize..self.name_end as usize
    }

    /// Its value, without the quotes.
    pub(super) const fn value(self) -> Range<usize> {
        self.value as usize..self.value_end as usize
    }

    /// From the white space before it to its closing quote: what goes when it goes.
    pub(super) const fn whole(self) -> Range<usize> {
        self.before as usize..self.value_end as usize + 1
    }

    /// Whether it declares a namespace.
    pub(super) const fn is_declaration(self) -> bool {
        self.class == class::DECLARATION
    }
}

/// Reads the tag whose `<` stands first in `tag`; `base` is the place of that byte in the document.
pub(super) fn parse(tag: &[u8], base: usize) -> RawTag {
    let name_end = name_end(tag, 1);
    let mut attributes = SmallVec::new();
    let mut at = name_end;
    loop {
        let before = at;
        at = skip_space(tag, at);
        if matches!(tag.get(at), None | Some(b'>' | b'/')) {
            break;
        }
        let name = at..self::name_end(tag, at);
        let is_none = name.is_empty();
        let attribute = RawAttribute::at(tag, base, before, name, 0);
        at = attribute.whole().end - base;
        attributes.push(attribute);
        if is_none {
            break;
        }
    }
    RawTag {
        name: base + 1..base + name_end,
        attributes,
        close: base + at.min(tag.len()),
        empty: tag.get(at) == Some(&b'/'),
    }
}

pub(super) fn name_end(tag: &[u8], from: usize) -> usize {
    let rest = tag.get(from..).unwrap_or_default();
    let stop = |byte: &u8| *byte <= b' ' || matches!(byte, b'/' | b'>' | b'=');
    from + rest.iter().position(stop).unwrap_or(rest.len())
}

fn skip_space(tag: &[u8], mut at: usize) -> usize {
    while tag
        .get(at)
        .is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
    {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_tag() {
        let text = "<a:b  xmlns:a = \"u>v\"\n c='\"' \t/>";
        let tag = parse(text.as_bytes(), 10);
        let shown = |range: &Range<usize>| &text[range.start - 10..range.end - 10];
        assert_eq!(shown(&tag.name), "a:b");
        assert_eq!(shown(&tag.attributes[0].name()), "xmlns:a");
        assert_eq!(shown(&tag.attributes[0].value()), "u>v");
        assert_eq!(shown(&tag.attributes[0].whole()), "  xmlns:a = \"u>v\"");
        assert_eq!(shown(&tag.attributes[1].value()), "\"");
        assert_eq!(&text[tag.close - 10..], "/>");
        assert!(tag.empty);
        let plain = parse(b"<x>", 0);
        assert!(plain.attributes.is_empty() && !plain.empty && plain.close == 2);
    }
}
