//! A message as a plain tree, in document order.
//!
//! For expressions that one pass cannot decide, for `why`, and as the oracle of the tests. Written
//! for clarity: one flat list of nodes, an element followed by its namespace nodes (if asked for),
//! its attributes, then its children.

use std::collections::HashMap;

use crate::xml::{self, EndTag, Fed, Flow, Scanner, Sink, Tag, XML_NAMESPACE};

/// Nodes of one tree. 2 million: a message of 10 MiB has some hundred thousand, and each takes some
/// hundred bytes.
pub(super) const NODES_MAX: usize = 2_000_000;

/// Number of a node; smaller is earlier in the document. 0 is the root.
pub(super) type Id = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Root,
    Element,
    Attribute,
    Namespace,
    Text,
    Comment,
}

#[derive(Debug)]
pub(super) struct TreeNode {
    pub(super) kind: Kind,
    pub(super) parent: Id,
    /// One behind the last node of the subtree.
    pub(super) end: Id,
    /// First node that is neither attribute nor namespace; meaningful for elements and the root.
    pub(super) content: Id,
    pub(super) name: Name,
    /// Text, comment, attribute value or namespace.
    pub(super) value: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) prefix: String,
    pub(super) local: String,
    pub(super) namespace: String,
}

/// The tree of one message.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<TreeNode>,
}

impl Tree {
    /// A document without anything in it.
    pub(super) fn empty() -> Self {
        Builder::new(false).finished()
    }

    /// Reads a whole message; `namespaces` adds the nodes of the namespace axis.
    pub(super) fn read(
        bytes: &[u8],
        limits: &xml::Limits,
        charset: Option<&str>,
        namespaces: bool,
    ) -> Result<Self, xml::Error> {
        let mut scanner = Scanner::new();
        scanner.begin(limits, charset, 1)?;
        let mut builder = Builder::new(namespaces);
        let mut rest = bytes;
        while let Fed::Stopped(taken) = scanner.feed(rest, &mut builder)? {
            rest = rest.get(taken..).unwrap_or(&[]);
            builder.check(scanner.offset())?;
        }
        scanner.finish(&mut builder)?;
        Ok(builder.finished())
    }

    pub(super) fn node(&self, id: Id) -> Option<&TreeNode> {
        self.nodes.get(id)
    }

    pub(super) fn kind(&self, id: Id) -> Kind {
        self.node(id).map_or(Kind::Root, |node| node.kind)
    }

    /// The parent, except of the root.
    pub(super) fn parent(&self, id: Id) -> Option<Id> {
        self.node(id).filter(|_| id != 0).map(|node| node.parent)
    }

    pub(super) fn children(&self, id: Id) -> Vec<Id> {
        let Some(node) = self
            .node(id)
            .filter(|node| matches!(node.kind, Kind::Root | Kind::Element))
        else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let mut at = node.content;
        while at < node.end {
            out.push(at);
            at = self.end(at);
        }
        out
    }

    /// One behind the subtree of a node.
    pub(super) fn end(&self, id: Id) -> Id {
        self.node(id).map_or(id + 1, |node| node.end.max(id + 1))
    }

    pub(super) fn attributes(&self, id: Id, kind: Kind) -> impl Iterator<Item = Id> + '_ {
        let range = self
            .node(id)
            .filter(|node| node.kind == Kind::Element)
            .map_or(0..0, |node| id + 1..node.content);
        range.filter(move |&at| self.kind(at) == kind)
    }

    /// All nodes below that are neither attributes nor namespaces.
    pub(super) fn descendants(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        (id + 1..self.end(id))
            .filter(|&at| !matches!(self.kind(at), Kind::Attribute | Kind::Namespace))
    }

    /// The string-value of XPath 1.0 §5.
    pub(super) fn string(&self, id: Id) -> String {
        match self.node(id) {
            Some(node) if matches!(node.kind, Kind::Root | Kind::Element) => {
                let texts = self
                    .descendants(id)
                    .filter(|&at| self.kind(at) == Kind::Text);
                texts
                    .filter_map(|at| self.node(at))
                    .map(|node| node.value.as_str())
                    .collect()
            }
            Some(node) => node.value.clone(),
            None => String::new(),
        }
    }

    pub(super) fn name(&self, id: Id) -> Option<&Name> {
        let named = |node: &&TreeNode| {
            matches!(node.kind, Kind::Element | Kind::Attribute | Kind::Namespace)
        };
        self.node(id).filter(named).map(|node| &node.name)
    }
}

/// Builds the tree from the scanner's events.
struct Builder {
    nodes: Vec<TreeNode>,
    open: Vec<Id>,
    /// Prefixes in scope for each open element, when namespace nodes are wanted.
    scopes: Option<Vec<HashMap<String, String>>>,
    joining: bool,
}

impl Builder {
    fn new(namespaces: bool) -> Self {
        let root = TreeNode {
            kind: Kind::Root,
            parent: 0,
            end: 1,
            content: 1,
            name: Name::default(),
            value: String::new(),
        };
        let xml = HashMap::from([("xml".to_owned(), XML_NAMESPACE.to_owned())]);
        Self {
            nodes: vec![root],
            open: vec![0],
            scopes: namespaces.then(|| vec![xml]),
            joining: false,
        }
    }

    fn push(&mut self, kind: Kind, name: Name, value: String) -> Id {
        let id = self.nodes.len();
        let parent = self.open.last().copied().unwrap_or(0);
        self.nodes.push(TreeNode {
            kind,
            parent,
            end: id + 1,
            content: id + 1,
            name,
            value,
        });
        self.joining = matches!(kind, Kind::Text | Kind::Comment);
        id
    }

    fn namespaces(&mut self, tag: &Tag<'_>) {
        let Some(scopes) = &mut self.scopes else {
            return;
        };
        let mut scope = scopes.last().cloned().unwrap_or_default();
        for (prefix, namespace) in tag.declarations() {
            if namespace.is_empty() {
                scope.remove(prefix);
            } else {
                scope.insert(prefix.to_owned(), namespace.to_owned());
            }
        }
        let mut sorted: Vec<(String, String)> = scope.clone().into_iter().collect();
        // Any order will do (XPath §5); others begin with `xml`, too.
        sorted.sort_by(|(a, _), (b, _)| (a != "xml", a).cmp(&(b != "xml", b)));
        scopes.push(scope);
        for (prefix, namespace) in sorted {
            self.push(
                Kind::Namespace,
                Name {
                    local: prefix,
                    ..Name::default()
                },
                namespace,
            );
        }
    }

    /// Refuses a message of too many nodes.
    fn check(&self, offset: u64) -> Result<(), xml::Error> {
        let kind = xml::ErrorKind::Limit {
            name: "tree_nodes_max",
            max: NODES_MAX as u64,
        };
        match self.nodes.len() > NODES_MAX {
            true => Err(xml::Error { kind, offset }),
            false => Ok(()),
        }
    }

    fn close(&mut self, id: Id) {
        let end = self.nodes.len();
        if let Some(node) = self.nodes.get_mut(id) {
            node.end = end;
        }
        self.joining = false;
    }

    fn finished(mut self) -> Tree {
        self.close(0);
        Tree { nodes: self.nodes }
    }
}

fn owned(name: xml::Name<'_>) -> Name {
    Name {
        prefix: name.prefix.into(),
        local: name.local.into(),
        namespace: name.namespace.into(),
    }
}

impl Sink for Builder {
    fn symbol(&mut self, _: &str, _: &str) -> u64 {
        0
    }

    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        let id = self.push(Kind::Element, owned(tag.name()), String::new());
        self.open.push(id);
        self.namespaces(tag);
        for attribute in tag.attributes() {
            self.push(
                Kind::Attribute,
                owned(attribute.name),
                attribute.value.to_owned(),
            );
        }
        let content = self.nodes.len();
        if let Some(node) = self.nodes.get_mut(id) {
            node.content = content;
        }
        self.joining = false;
        match self.nodes.len() > NODES_MAX {
            true => Flow::Stop,
            false => Flow::Continue,
        }
    }

    fn wants_text(&self) -> bool {
        true
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self
            .nodes
            .last_mut()
            .filter(|node| self.joining && node.kind == Kind::Text)
        {
            Some(node) => node.value.push_str(text),
            None => {
                self.push(Kind::Text, Name::default(), text.to_owned());
            }
        }
    }

    fn comment(&mut self, text: &str, last: bool) {
        match self
            .nodes
            .last_mut()
            .filter(|node| self.joining && node.kind == Kind::Comment)
        {
            Some(node) => node.value.push_str(text),
            None => {
                self.push(Kind::Comment, Name::default(), text.to_owned());
            }
        }
        self.joining &= !last;
    }

    fn end(&mut self, _: &EndTag<'_>) -> Flow {
        if let Some(scopes) = &mut self.scopes {
            scopes.pop();
        }
        if let Some(id) = self.open.pop() {
            self.close(id);
        }
        Flow::Continue
    }
}
