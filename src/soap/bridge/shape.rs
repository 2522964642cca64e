//! Reads the envelope's head, or a whole fault, into a [`Doc`].
//!
//! Stops at the first child of Body, unless that is a Fault: then at the end of Body, since status
//! and mapping depend on what is in it (S-stream 1 and 2).

use super::doc::{Doc, NodeId, place};
use super::error::{BridgeError, structure};
use super::names::{
    Class, Taken, attribute_class, class, classify, is_encoding, local, of_version,
};
use crate::soap::version::Version;
use crate::xml::{EndTag, Flow, Sink, Tag};

/// How far the reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Reached {
    /// Not yet at a place where the head is known.
    #[default]
    Nothing,
    /// Behind the start tag of a child of Body; the rest may stream.
    Child,
    /// Behind Body's end tag.
    BodyEnd,
}

/// The sink of the head.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) doc: Doc,
    open: Vec<NodeId>,
    /// Open elements, recorded or not.
    depth: u32,
    pub(super) version: Option<Version>,
    pub(super) header: Option<NodeId>,
    pub(super) body: Option<NodeId>,
    /// The children of Body whose start tags are held.
    pub(super) children: Vec<NodeId>,
    pub(super) reached: Reached,
    pub(super) taken: Taken,
    pub(super) error: Option<BridgeError>,
    in_header: bool,
    in_fault: bool,
    last_offset: usize,
}

/// Deepest element recorded inside a fault's own structure; subcodes nest by one level each.
const FAULT_DEPTH_MAX: u32 = 40;
/// Most elements that are kept: a head of 64 KiB holds a fourth of it.
const NODES_MAX: usize = 1 << 16;

impl Shape {
    /// Forgets everything but the room that it took.
    pub(super) fn clear(&mut self) {
        let Self {
            mut doc,
            mut open,
            mut children,
            ..
        } = std::mem::take(self);
        doc.clear();
        open.clear();
        children.clear();
        *self = Self {
            doc,
            open,
            children,
            ..Self::default()
        };
    }

    /// The fault, if Body holds one and nothing beside it.
    pub(super) fn fault(&self) -> Option<NodeId> {
        match self.children.as_slice() {
            [only] if self.in_fault => Some(*only),
            _ => None,
        }
    }

    /// Whether the reading is inside what may be a fault.
    pub(super) const fn is_fault(&self) -> bool {
        self.in_fault
    }

    fn fail(&mut self, what: impl Into<String>, at: usize) -> Flow {
        if self.error.is_none() {
            self.error = Some(structure(what, at));
        }
        Flow::Stop
    }

    fn envelope(&mut self, tag: &Tag<'_>, class: Class) -> Flow {
        let name = tag.name();
        match Version::from_namespace(name.namespace) {
            Some(version) if class & !0xFF == const { local("Envelope") } => {
                self.version = Some(version);
                self.record(tag, class);
                Flow::Continue
            }
            _ => {
                let found = format!("{{{}}}{}", name.namespace, name.local);
                self.error = Some(BridgeError::Version { found });
                Flow::Stop
            }
        }
    }

    fn child_of_envelope(&mut self, tag: &Tag<'_>, class: Class, version: Version) -> Flow {
        let at = place(tag.start());
        let own = class & of_version(version) != 0;
        let name = class & !0xFF;
        if own && name == const { local("Header") } {
            if self.header.is_some() {
                return self.fail("the Envelope has a second Header", at);
            }
            self.in_header = true;
            self.header = Some(self.record(tag, class));
            return Flow::Continue;
        }
        if own && name == const { local("Body") } {
            self.in_header = false;
            self.body = Some(self.record(tag, class));
            return Flow::Continue;
        }
        if class & class::XENC != 0 {
            self.error = Some(BridgeError::Cannot(
                "its Body is encrypted as a whole, so that no Body can be named".into(),
            ));
            return Flow::Stop;
        }
        let what = format!(
            "`{}` stands where Header or Body is expected",
            tag.qualified()
        );
        self.fail(what, at)
    }

    fn child_of_body(&mut self, tag: &Tag<'_>, class: Class, version: Version) -> Flow {
        let first = self.children.is_empty();
        let id = self.record(tag, class);
        self.children.push(id);
        if first && class == (of_version(version) | const { local("Fault") }) {
            self.in_fault = true;
            return Flow::Continue;
        }
        // A Fault beside other children is payload (SOAP 1.2 Part 1 §5.4).
        self.in_fault = false;
        self.reached = Reached::Child;
        Flow::Stop
    }

    /// Whether an element at this depth must be known.
    fn wants(&self, tag: &Tag<'_>, encoding: bool) -> bool {
        if encoding || self.in_header {
            return true;
        }
        if !self.in_fault {
            return false;
        }
        // Of the entries of a detail only their start tags: they are copied.
        let parent = self.open.last().and_then(|id| self.doc.node(*id));
        let follows = parent.is_some_and(|parent| parent.depth + 1 == tag.depth());
        let deep = tag.depth() > 5 && !self.in_code();
        follows && !deep && tag.depth() <= FAULT_DEPTH_MAX
    }

    fn in_code(&self) -> bool {
        let child = self.open.get(3).and_then(|id| self.doc.node(*id));
        child.is_some_and(|node| {
            [const { local("Code") }, const { local("Reason") }].contains(&(node.class & !0xFF))
        })
    }

    fn record(&mut self, tag: &Tag<'_>, class: Class) -> NodeId {
        if self.doc.nodes.len() >= NODES_MAX {
            let what = format!("its head or its fault has more than {NODES_MAX} elements");
            self.fail(what, place(tag.start()));
        }
        let parent = self.open.last().copied();
        let above = parent.and_then(|parent| self.doc.node(parent));
        let quoted = above.is_some_and(|above| above.quoted) || self.is_nested(tag, class);
        let id = self.doc.push(tag, parent, quoted);
        self.open.push(id);
        id
    }

    /// Whether this is an envelope's element where none belongs: the start of a quoted message.
    fn is_nested(&self, tag: &Tag<'_>, class: Class) -> bool {
        let own = match tag.depth() {
            3 => self.body.is_some() && class & !0xFF != const { local("Fault") },
            4 => !self.in_fault,
            depth => depth > 4,
        };
        own && class & class::ENVELOPE != 0
    }
}

/// Whether a tag has an `encodingStyle` of either version.
fn has_encoding(tag: &Tag<'_>) -> bool {
    tag.symbols().any(|(class, _)| is_encoding(class))
}

impl Sink for Shape {
    fn symbol(&mut self, namespace: &str, name: &str) -> u64 {
        classify(namespace, name)
    }

    // The scanner keeps it for who reads on.
    fn class(&mut self, namespace: &str, name: &str) -> u8 {
        attribute_class(namespace, name)
    }

    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        self.depth = tag.depth();
        self.last_offset = place(tag.end());
        if tag.declares() {
            for (name, symbol) in tag.written() {
                let name = tag.bytes().get(name).filter(|_| symbol.is_none());
                if let Some(prefix) = name.and_then(|name| name.strip_prefix(b"xmlns:")) {
                    self.taken.note(prefix);
                }
            }
        }
        let class = tag.symbol();
        let Some(version) = self.version else {
            return self.envelope(tag, class);
        };
        match tag.depth() {
            2 => self.child_of_envelope(tag, class, version),
            3 if self.body.is_some() => self.child_of_body(tag, class, version),
            _ => {
                let encoding = has_encoding(tag);
                if self.wants(tag, encoding) {
                    self.record(tag, class);
                }
                Flow::Continue
            }
        }
    }

    fn wants_text(&self) -> bool {
        self.depth == 1 || self.depth == 2 && self.in_header
    }

    fn text(&mut self, text: &str) {
        let blank = text
            .bytes()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if !blank {
            let place = if self.depth == 1 {
                "Envelope"
            } else {
                "Header"
            };
            self.fail(format!("text stands directly in {place}"), self.last_offset);
        }
    }

    fn comment(&mut self, _text: &str, _last: bool) {}

    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        self.depth = tag.depth - 1;
        self.last_offset = place(tag.end);
        let top = self.open.last().copied();
        if let Some(id) = top
            && let Some(node) = self.doc.nodes.get_mut(id)
            && node.depth == tag.depth
        {
            node.close_start = place(tag.start);
            node.end = place(tag.end);
            self.open.pop();
        }
        match tag.depth {
            1 => self.fail("the Envelope has no Body", place(tag.end)),
            2 if self.in_header => {
                self.in_header = false;
                Flow::Continue
            }
            2 if self.body.is_some() => {
                self.reached = Reached::BodyEnd;
                Flow::Stop
            }
            _ => Flow::Continue,
        }
    }
}
