//! The steps of all expressions in one trie, and the numbers names have in it.
//!
//! A node is a step from its parent node; expressions that begin alike share nodes. What listens at
//! a node is in `program.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::NameTest;

/// Number of a trie node; 0 is the document.
pub(super) type NodeId = u32;

/// How a node is reached from its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reach {
    Child,
    Descendant,
    DescendantOrSelf,
}

/// A test on symbols; `None` is anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SymbolTest {
    uris: Option<Vec<u32>>,
    local: Option<u32>,
}

impl SymbolTest {
    #[inline]
    pub(super) fn matches(&self, symbol: u64) -> bool {
        self.local.is_none_or(|local| local == symbol as u32)
            && self
                .uris
                .as_ref()
                .is_none_or(|uris| uris.contains(&((symbol >> 32) as u32)))
    }

    pub(super) fn is_any(&self) -> bool {
        self.uris.is_none() && self.local.is_none()
    }

    pub(super) fn local(&self) -> Option<u32> {
        self.local
    }

    /// Whether exactly one expanded name passes.
    pub(super) fn names_one(&self) -> bool {
        self.local.is_some() && self.uris.as_ref().is_some_and(|uris| uris.len() == 1)
    }

    /// The only symbol that passes, if there is one.
    pub(super) fn symbol(&self) -> Option<u64> {
        match (self.uris.as_deref(), self.local) {
            (Some([uri]), Some(local)) => Some(u64::from(*uri) << 32 | u64::from(local)),
            _ => None,
        }
    }

    /// The tests for one namespace each that make up this one.
    pub(super) fn split(&self) -> Option<Vec<Self>> {
        let uris = self.uris.as_ref().filter(|uris| uris.len() > 1)?;
        Some(
            uris.iter()
                .map(|uri| Self {
                    uris: Some(vec![*uri]),
                    local: self.local,
                })
                .collect(),
        )
    }

    /// Whether all that passes this test passes the other.
    pub(super) fn within(&self, other: &Self) -> bool {
        let local = other.local.is_none() || self.local == other.local;
        let uris = match (&self.uris, &other.uris) {
            (_, None) => true,
            (Some(own), Some(others)) => own.iter().all(|uri| others.contains(uri)),
            (None, Some(_)) => false,
        };
        local && uris
    }
}

/// The names that expressions mention; all others are 0.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    uris: HashMap<Arc<str>, u32>,
    locals: HashMap<Arc<str>, u32>,
}

impl Symbols {
    /// The symbol of a name in a message: unknown parts are 0, so hostile names are all one.
    pub(super) fn of(&self, namespace: &str, local: &str) -> u64 {
        let uri = self.uris.get(namespace).copied().unwrap_or(0);
        let local = self.locals.get(local).copied().unwrap_or(0);
        u64::from(uri) << 32 | u64::from(local)
    }

    pub(super) fn test(&mut self, test: &NameTest) -> SymbolTest {
        let uris = test.uris.as_ref().map(|uris| {
            let mut numbers: Vec<u32> =
                uris.iter().map(|uri| number(&mut self.uris, uri)).collect();
            numbers.sort_unstable();
            numbers
        });
        SymbolTest {
            uris,
            local: test
                .local
                .as_ref()
                .map(|local| number(&mut self.locals, local)),
        }
    }
}

fn number(known: &mut HashMap<Arc<str>, u32>, name: &Arc<str>) -> u32 {
    let next = known.len() as u32 + 1;
    *known.entry(name.clone()).or_insert(next)
}

/// One step.
#[derive(Debug)]
pub(super) struct TrieNode {
    pub(super) parent: NodeId,
    pub(super) reach: Reach,
    pub(super) test: SymbolTest,
    /// Children by local name, and those that take any.
    pub(super) named: HashMap<u32, Vec<NodeId>>,
    pub(super) wild: Vec<NodeId>,
    /// Which kinds of children there are.
    pub(super) has_child: bool,
    pub(super) has_descendant: bool,
    pub(super) has_self: bool,
    /// Steps from the document.
    pub(super) depth: u32,
}

/// All steps.
#[derive(Debug)]
pub(super) struct Trie {
    pub(super) nodes: Vec<TrieNode>,
    known: HashMap<(NodeId, Reach, SymbolTest), NodeId>,
}

impl Trie {
    pub(super) fn new() -> Self {
        let any = SymbolTest {
            uris: None,
            local: None,
        };
        Self {
            nodes: vec![TrieNode::new(0, Reach::Child, any, 0)],
            known: HashMap::new(),
        }
    }

    /// The node of a step, new or shared.
    pub(super) fn step(&mut self, parent: NodeId, reach: Reach, test: SymbolTest) -> NodeId {
        let id = self.nodes.len() as NodeId;
        let key = (parent, reach, test.clone());
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        self.known.insert(key, id);
        let depth = self.nodes.get(parent as usize).map_or(0, |node| node.depth) + 1;
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            match reach {
                Reach::Child => node.has_child = true,
                Reach::Descendant => node.has_descendant = true,
                Reach::DescendantOrSelf => (node.has_descendant, node.has_self) = (true, true),
            }
            match test.local() {
                Some(local) => node.named.entry(local).or_default().push(id),
                None => node.wild.push(id),
            }
        }
        self.nodes.push(TrieNode::new(parent, reach, test, depth));
        id
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&TrieNode> {
        self.nodes.get(id as usize)
    }

    /// How many levels `node` lies below `anchor`; nothing when that differs from match to match.
    pub(super) fn distance(&self, anchor: NodeId, mut node: NodeId) -> Option<u32> {
        let mut levels = 0;
        while node != anchor {
            let step = self
                .node(node)
                .filter(|step| step.reach == Reach::Child && node != 0)?;
            levels += 1;
            node = step.parent;
        }
        Some(levels)
    }

    /// The nodes from below the document down to `node`.
    pub(super) fn chain(&self, mut node: NodeId) -> Vec<NodeId> {
        let mut chain = Vec::new();
        while node != 0 {
            chain.push(node);
            node = self.node(node).map_or(0, |step| step.parent);
        }
        chain.reverse();
        chain
    }
}

impl TrieNode {
    fn new(parent: NodeId, reach: Reach, test: SymbolTest, depth: u32) -> Self {
        Self {
            parent,
            reach,
            test,
            named: HashMap::new(),
            wild: Vec::new(),
            has_child: false,
            has_descendant: false,
            has_self: false,
            depth,
        }
    }

    /// Children that may match an element of this symbol.
    pub(super) fn candidates(&self, symbol: u64) -> impl Iterator<Item = NodeId> + '_ {
        let named = self
            .named
            .get(&(symbol as u32))
            .map_or(&[][..], Vec::as_slice);
        named.iter().chain(&self.wild).copied()
    }
}
