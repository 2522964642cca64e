//! YAML as a tree in which every key and value knows its place.
//!
//! The only file that knows the YAML parser (`saphyr-parser`): events in, [`Node`]s out. `serde_yaml` keeps
//! no places and stops at the first mistake, so it writes configuration (`effective.rs`) and this reads it.
//! Says what is wrong with the YAML itself (syntax, repeated keys, limits); what a key means is `written.rs`.
//!
//! **Invariant:** the size of a tree is bounded by [`NODES_MAX`] whatever aliases the text holds, and its
//! depth by [`DEPTH_MAX`], so that what walks it may recurse.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::diag::{Diagnostic, FileId, Pos, Report, Sources, Span};

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
    plain: bool,
}

/// Lists and mappings inside each other. Real files need 8; the walk over the tree recurses.
pub(super) const DEPTH_MAX: usize = 64;
/// Values in one file after aliases are filled in, so that ten lines of nested aliases cannot ask for
/// gigabytes ("billion laughs"). 100,000 filters need about a million.
pub(super) const NODES_MAX: usize = 2_000_000;

impl Node {
    /// Reads one file that `sources` holds. `None` after a mistake that leaves no tree; every mistake is in `report`.
    pub(super) fn parse(sources: &Sources, file: FileId, report: &mut Report) -> Option<Self> {
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
            None => Some(Self {
                span: Span::whole(file),
                kind: Kind::Map(Vec::new()),
            }),
        }
    }

    /// What this is, in the words of a message.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
            Kind::Scalar { text, plain: true } if is_null(text) => "nothing".to_owned(),
            Kind::Scalar { text, .. } => format!("`{}`", shorten(text)),
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
            let text =
                format!("lists and mappings stand more than {DEPTH_MAX} deep inside each other");
            self.report
                .push(Diagnostic::error("yaml-limit", text, start));
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
        self.nodes += count(&node);
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
            self.nodes += count(&node);
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
                })
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

fn count(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar { .. } => 1,
        Kind::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|(_, node)| count(node)).sum::<usize>(),
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

fn syntax_error(info: &str, span: Span) -> Diagnostic {
    let found = Diagnostic::error(
        "yaml-syntax",
        format!(
            "this is not YAML: {}",
            info.replace('\'', "`").replace("``", "`")
        ),
        span,
    );
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

#[cfg(test)]

mod tests {}
