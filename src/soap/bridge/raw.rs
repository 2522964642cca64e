//! A start tag's parts as they are written, so that one of them can be replaced and the others kept.
//!
//! Reads only tags that the scanner has accepted; namespaces are left to `doc.rs`.

use std::ops::Range;

use smallvec::SmallVec;

/// One attribute of a tag, as ranges of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawAttribute {
    /// Its name.
    pub(super) name: Range<usize>,
    /// Its value, without the quotes.
    pub(super) value: Range<usize>,
    /// From the white space before it to its closing quote: what goes when it goes.
    pub(super) whole: Range<usize>,
}

/// A start tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawTag {
    /// The element's name.
    pub(super) name: Range<usize>,
    /// Its attributes, declarations among them.
    pub(super) attributes: SmallVec<[RawAttribute; 6]>,
    /// Where `>` or `/>` begins.
    pub(super) close: usize,
    /// Whether it is `<a/>`.
    pub(super) empty: bool,
}

/// Reads the tag whose `<` stands first in `tag`; `base` is the place of that byte in the document.
pub(super) fn parse(tag: &[u8], base: usize) -> RawTag {
    let name_end = name_end(tag, 1);
    let mut attributes = SmallVec::new();
    let mut at = name_end;
    loop {
        let space = at;
        at = skip_space(tag, at);
        match tag.get(at) {
            None | Some(b'>' | b'/') => break,
            Some(_) => {}
        }
        let start = at;
        let end = self::name_end(tag, at);
        at = skip_space(tag, end) + 1;
        at = skip_space(tag, at);
        let quote = tag.get(at).copied().unwrap_or(b'"');
        let value = at + 1;
        let rest = tag.get(value..).unwrap_or_default();
        let length = memchr::memchr(quote, rest).unwrap_or(rest.len());
        at = value + length + 1;
        attributes.push(RawAttribute {
            name: base + start..base + end,
            value: base + value..base + value + length,
            whole: base + space..base + at,
        });
        if end == start {
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

fn name_end(tag: &[u8], from: usize) -> usize {
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
        assert_eq!(shown(&tag.attributes[0].name), "xmlns:a");
        assert_eq!(shown(&tag.attributes[0].value), "u>v");
        assert_eq!(shown(&tag.attributes[0].whole), "  xmlns:a = \"u>v\"");
        assert_eq!(shown(&tag.attributes[1].value), "\"");
        assert_eq!(&text[tag.close - 10..], "/>");
        assert!(tag.empty);
        let plain = parse(b"<x>", 0);
        assert!(plain.attributes.is_empty() && !plain.empty && plain.close == 2);
    }
}
