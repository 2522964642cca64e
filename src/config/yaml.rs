//! From YAML text to [`Node`]s: the only file that knows the YAML parser (`saphyr-parser`).
//!
//! `serde_yaml` keeps no places and stops at the first mistake, so it writes configuration and this reads it.
//! Says what is wrong with the YAML itself (syntax, repeated keys, limits); what a key means is `written.rs`.
//!
//! **Invariant:** the size of a tree is bounded by [`NODES_MAX`] whatever aliases the text holds, and its
//! depth by [`DEPTH_MAX`], so that what walks it may recurse.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::node::{Key, Kind, Node, shorten};
use crate::diag::{Diagnostic, FileId, Pos, Report, Sources, Span};

/// Lists and mappings inside each other. Real files need 8; the walk over the tree recurses.
pub(super) const DEPTH_MAX: usize = 64;
/// Values in one file after aliases are filled in, so that ten lines of nested aliases cannot ask for
/// gigabytes ("billion laughs"). 100,000 filters need about a million.
pub(super) const NODES_MAX: usize = 2_000_000;

/// Reads one file that `sources` holds. `None` after a mistake that leaves no tree; every mistake is in `report`.
pub(super) fn parse(sources: &Sources, file: FileId, report: &mut Report) -> Option<Node> {
    let text = sources.text(file);
    let mut builder = Builder {
        file,
        report,
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, builder.span(span)),
            Err(error) => {
                let at = place(*error.marker());
                builder
                    .report
                    .push(syntax_error(error.info(), Span::new(file, at, after(at))));
                Step::Broken
            }
        };
        match step {
            Step::On => {}
            Step::Enough => break,
            Step::Broken => return None,
        }
    }
    match builder.root {
        Some(root) => Some(root),
        // An empty file is an empty mapping: what it lacks is then said key by key.
        None => Some(Node {
            span: Span::whole(file),
            kind: Kind::Map(Vec::new()),
        }),
    }
}

/// A list or mapping that is not closed yet.
struct Open {
    start: Span,
    anchor: usize,
    items: Vec<Node>,
    /// `None` in a list.
    entries: Option<Vec<(Key, Node)>>,
    key: Option<Key>,
}

enum Step {
    On,
    Enough,
    Broken,
}

struct Builder<'r> {
    file: FileId,
    report: &'r mut Report,
    stack: Vec<Open>,
    /// By the parser's number; a list or mapping is entered when it closes, so it cannot hold itself.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                let text = "a second document begins here; one file holds one document";
                self.report.push(
                    Diagnostic::error("yaml-documents", text, span)
                        .hint("remove the line `---` and what follows it"),
                );
                Step::Enough
            }
            Event::Scalar(text, style, anchor, tag) => {
                let forced = self.check_tag(tag.as_deref(), span);
                let kind = Kind::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain && !forced,
                };
                self.place(Node { span, kind }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.open(span, anchor, tag.as_deref(), None),
            Event::MappingStart(anchor, tag) => {
                self.open(span, anchor, tag.as_deref(), Some(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Step::On,
        }
    }

    fn open(
        &mut self,
        start: Span,
        anchor: usize,
        tag: Option<&Tag>,
        entries: Option<Vec<(Key, Node)>>,
    ) -> Step {
        self.check_tag(tag, start);
        if self.stack.len() >= DEPTH_MAX {
            self.report.push(too_deep(start));
            return Step::Broken;
        }
        self.stack.push(Open {
            start,
            anchor,
            items: Vec::new(),
            entries,
            key: None,
        });
        Step::On
    }

    fn close(&mut self, end: Span) -> Step {
        let Some(open) = self.stack.pop() else {
            return Step::On;
        };
        let span = Span::new(self.file, open.start.start, end.end);
        let kind = match open.entries {
            None => Kind::List(open.items),
            Some(entries) => Kind::Map(self.merged(entries)),
        };
        self.place(Node { span, kind }, open.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Step {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let text = "this alias stands inside the value that it names";
            self.report
                .push(Diagnostic::error("yaml-alias", text, span));
            return Step::Broken;
        };
        self.nodes += node.count();
        self.place(node, 0)
    }

    /// Puts a finished value where it belongs: root, list item, key or value.
    fn place(&mut self, node: Node, anchor: usize) -> Step {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let text = format!(
                "the file holds more than {NODES_MAX} values once its aliases are filled in"
            );
            self.report
                .push(Diagnostic::error("yaml-limit", text, node.span));
            return Step::Broken;
        }
        if anchor != 0 {
            self.nodes += node.count();
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Step::On;
        };
        let Some(entries) = &mut open.entries else {
            open.items.push(node);
            return Step::On;
        };
        match (open.key.take(), node.kind) {
            (Some(key), kind) => entries.push((
                key,
                Node {
                    span: node.span,
                    kind,
                },
            )),
            (None, Kind::Scalar { text, plain }) => {
                open.key = Some(Key {
                    text,
                    span: node.span,
                    plain,
                });
            }
            (None, kind) => {
                let found = Node {
                    span: node.span,
                    kind,
                }
                .describe();
                let text = format!("a key must be text, not {found}");
                self.report
                    .push(Diagnostic::error("yaml-key", text, node.span));
                return Step::Broken;
            }
        }
        Step::On
    }

    /// A mapping with its `<<` keys filled in and repeated keys told; of a repeated key the first counts.
    fn merged(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        let mut first: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        let mut kept = Vec::with_capacity(entries.len());
        let mut merges = Vec::new();
        for (key, node) in entries {
            if key.plain && key.text == "<<" {
                merges.push(node);
            } else if let Some(earlier) = first.get(&key.text) {
                let text = format!("key `{}` stands here twice", shorten(&key.text));
                let found = Diagnostic::error("duplicate-key", text, key.span);
                self.report.push(
                    found
                        .label("repeated")
                        .other(*earlier, "previously defined here"),
                );
            } else {
                first.insert(key.text.clone(), key.span);
                kept.push((key, node));
            }
        }
        for node in merges {
            self.merge(node, &mut first, &mut kept);
        }
        kept
    }

    /// What the mapping says itself stands above what it merges in.
    fn merge(
        &mut self,
        node: Node,
        first: &mut HashMap<String, Span>,
        kept: &mut Vec<(Key, Node)>,
    ) {
        let parts = match node.kind {
            Kind::List(items) => items,
            kind => vec![Node {
                span: node.span,
                kind,
            }],
        };
        for part in parts {
            let found = part.describe();
            let Kind::Map(entries) = part.kind else {
                let text = format!("`<<` takes a mapping or a list of mappings, not {found}");
                self.report
                    .push(Diagnostic::error("yaml-key", text, part.span));
                continue;
            };
            for (key, value) in entries {
                if !first.contains_key(&key.text) {
                    first.insert(key.text.clone(), key.span);
                    kept.push((key, value));
                }
            }
        }
    }

    /// Only YAML's own tags are known; `!!str` is the one that changes what a value is.
    fn check_tag(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        let Some(tag) = tag else { return false };
        let known = ["str", "int", "float", "bool", "null", "map", "seq"];
        if tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str()) {
            return tag.suffix == "str";
        }
        let text = format!(
            "the tag `{}{}` means nothing here",
            shorten(&tag.handle),
            shorten(&tag.suffix)
        );
        self.report.push(
            Diagnostic::error("yaml-tag", text, span)
                .hint("remove the tag; text that begins with `!` needs quotes"),
        );
        true
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        Span::new(self.file, place(span.start), place(span.end))
    }
}

/// The parser counts columns from 0.
fn place(marker: Marker) -> Pos {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Pos::new(
        number(marker.line()),
        number(marker.col().saturating_add(1)),
    )
}

fn after(at: Pos) -> Pos {
    Pos::new(at.line, at.col.saturating_add(1))
}

fn too_deep(span: Span) -> Diagnostic {
    let text = format!("lists and mappings stand more than {DEPTH_MAX} deep inside each other");
    Diagnostic::error("yaml-limit", text, span)
}

fn syntax_error(info: &str, span: Span) -> Diagnostic {
    if info.contains("recursion limit") {
        return too_deep(span);
    }
    let quoted = info.replace('\'', "`").replace("``", "`");
    let found = Diagnostic::error("yaml-syntax", format!("this is not YAML: {quoted}"), span);
    let hint = match info {
        _ if info.contains("mapping values are not allowed") => {
            "text that holds `: ` needs quotes; a key stands at the start of its line"
        }
        _ if info.contains("unexpected character") => {
            "text that begins with this character needs quotes"
        }
        _ if info.contains("unknown anchor") => "an alias `*name` needs an anchor `&name` above it",
        _ if info.contains("unknown escape") => {
            "in double quotes a backslash starts an escape; single quotes take it as it is"
        }
        _ if info.contains("tab") => "YAML is indented with blanks, not tabs",
        _ => return found,
    };
    found.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<Node>, Vec<&'static str>, Sources) {
        let (mut sources, mut report) = (Sources::default(), Report::default());
        let file = sources.add("a.yaml", text);
        let node = parse(&sources, file, &mut report);
        let rules = report.iter().map(|found| found.rule).collect();
        (node, rules, sources)
    }

    /// The differential test of this reader: another parser gets the same values.
    #[test]
    fn the_tree_holds_what_serde_yaml_reads() {
        let texts = [
            include_str!("../../config/router.yaml"),
            include_str!("../../filters/orders.yaml"),
            "a: 1\nb: 1.5\nc: true\nd: ~\ne: 'true'\nf: \"x\\u0041\\n\"\ng:\nh: -7\n",
            "a: |\n  one\n\n    two\nb: >-\n  fold\n  ed\nc: plain\n  text\n",
            "- [1, {k: v}, [], {}]\n- é: ü\n- !!str 12\n",
            "a: &x { k: [1, 2] }\nb: *x\nc: [*x, *x]\n",
        ];
        for text in texts {
            let (node, rules, _) = parsed(text);
            assert_eq!(rules, Vec::<&str>::new(), "{text}");
            let other: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
            assert_eq!(node.unwrap().to_value(), other, "{text}");
        }
    }

    #[test]
    fn columns_count_characters_and_line_ends_do_not_matter() {
        for text in ["é: [ü, x]\r\nb: y\r\n", "é: [ü, x]\nb: y\n"] {
            let (node, _, sources) = parsed(text);
            let Some(Kind::Map(entries)) = node.map(|node| node.kind) else {
                panic!("no mapping")
            };
            let Kind::List(items) = &entries[0].1.kind else {
                panic!("no list")
            };
            assert_eq!(sources.place(items[1].span), "a.yaml:1:8");
            assert_eq!(sources.place(entries[1].0.span), "a.yaml:2:1");
        }
    }

    #[test]
    fn merged_keys_stand_below_own_ones() {
        let (node, rules, _) =
            parsed("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\n");
        assert!(rules.is_empty());
        let value = node.unwrap().to_value();
        assert_eq!(
            (value["b"]["x"].as_i64(), value["b"]["y"].as_i64()),
            (Some(1), Some(3))
        );
        assert_eq!(
            (value["c"]["y"].as_i64(), value["c"]["z"].as_i64()),
            (Some(2), Some(4))
        );
    }

    #[test]
    fn what_is_not_one_sound_document_is_told() {
        let cases = [
            ("a: [1", "yaml-syntax"),
            ("a: *x", "yaml-syntax"),
            ("a: 1\n---\nb: 2\n", "yaml-documents"),
            ("a: &x [*x]\n", "yaml-alias"),
            ("[a]: b\n", "yaml-key"),
            ("a: !go b\n", "yaml-tag"),
            ("a: 1\na: 2\n", "duplicate-key"),
            ("<<: 1\n", "yaml-key"),
        ];
        for (text, rule) in cases {
            assert_eq!(parsed(text).1, [rule], "{text}");
        }
        for empty in ["", "# only a comment\n", "---\n", "\u{feff}"] {
            assert!(parsed(empty).1.is_empty(), "{empty:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parsed(&deep(DEPTH_MAX)).1.is_empty());
        assert_eq!(parsed(&deep(DEPTH_MAX + 1)).1, ["yaml-limit"]);
        assert_eq!(parsed(&"[".repeat(1_000_000)).1, ["yaml-limit"]);
        assert_eq!(parsed(&"a: {".repeat(100_000)).1, ["yaml-limit"]);
        assert_eq!(parsed(&"- ".repeat(100_000)).1, ["yaml-limit"]);
    }

    #[test]
    fn aliases_of_aliases_end_at_the_limit() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let below = level - 1;
            let list = format!("*a{below}, ").repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert_eq!(parsed(&text).1, ["yaml-limit"]);
    }
}
