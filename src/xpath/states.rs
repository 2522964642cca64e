//! The lazy automaton: which trie nodes an element matches, remembered by parent state and name.
//!
//! States depend on the expressions and on the nesting of names that they mention; names that no
//! expression mentions are all one, so hostile ones add nothing. **Invariant:** at most
//! [`STATES_MAX`] states with [`NODES_MAX`] nodes are kept; when full, all but those of the open
//! elements are forgotten.

use std::collections::HashMap;

use super::index::Hashing;
use super::program::Program;
use super::trie::{NodeId, Reach};

pub(super) type StateId = u32;

const STATES_MAX: usize = 4096;
const NODES_MAX: usize = 1 << 18;
/// Slots of remembered transitions; a power of two.
const TRANSITIONS: usize = 2048;

/// What an element matches.
#[derive(Debug)]
pub(super) struct State {
    /// Nodes the element matches, ascending.
    pub(super) matched: Box<[NodeId]>,
    /// Nodes matched at or above it whose descendants are looked for.
    waiting: Box<[NodeId]>,
    /// Those of `matched` that somebody listens at, outer before inner.
    pub(super) busy: Box<[NodeId]>,
    /// Nothing below, and nothing in its own text, can matter.
    pub(super) dead: bool,
    pub(super) texts: bool,
    pub(super) comments: bool,
    pub(super) attributes: bool,
    pub(super) anchors: bool,
    pub(super) counted: bool,
    pub(super) section: Option<u8>,
    pub(super) flags: u8,
    /// Bytes of the element's text that its tests need.
    pub(super) need: usize,
    /// Whether elements have slots to fill.
    pub(super) slots: bool,
}

/// What an element does at all, in bits: nothing for most.
pub(super) mod flags {
    /// Somebody listens at the element.
    pub(in super::super) const BUSY: u8 = 1;
    /// Nothing below it can matter.
    pub(in super::super) const DEAD: u8 = 2;
    /// Its text nodes are wanted one by one.
    pub(in super::super) const TEXTS: u8 = 4;
    /// It is a section.
    pub(in super::super) const SECTION: u8 = 8;
}

/// What a state is: the nodes matched, the nodes waiting.
type Sets = (Box<[NodeId]>, Box<[NodeId]>);

#[derive(Debug, Clone, Copy)]
struct Transition {
    from: StateId,
    next: StateId,
    symbol: u64,
    flags: u8,
}

/// All states of one program in one run.
#[derive(Debug, Default)]
pub(super) struct States {
    pub(super) all: Vec<State>,
    known: HashMap<Sets, StateId, Hashing>,
    transitions: Vec<Transition>,
    nodes: usize,
    /// Whether there is no room for another state.
    pub(super) full: bool,
}

impl States {
    /// Forgets everything, for another program or because it is full; gives the document's state.
    pub(super) fn reset(&mut self, program: &Program) -> StateId {
        self.forget();
        let mut matched = vec![0];
        let mut at = 0;
        // `descendant-or-self` steps hold of the document too.
        while let Some(node) = matched.get(at).and_then(|id| program.trie.node(*id)) {
            let own = node.candidates(0).filter(|id| {
                program
                    .trie
                    .node(*id)
                    .is_some_and(|n| n.reach == Reach::DescendantOrSelf && n.test.is_any())
            });
            let own: Vec<NodeId> = own.filter(|id| !matched.contains(id)).collect();
            matched.extend(own);
            at += 1;
        }
        matched.sort_unstable();
        let waiting = matched
            .iter()
            .copied()
            .filter(|id| has_useful_descendant(program, *id))
            .collect();
        self.intern(program, matched, waiting)
    }

    fn forget(&mut self) {
        self.all.clear();
        self.known.clear();
        self.transitions.clear();
        self.transitions.resize(
            TRANSITIONS,
            Transition {
                from: u32::MAX,
                next: 0,
                symbol: 0,
                flags: 0,
            },
        );
        self.full = false;
        self.nodes = 0;
    }

    #[inline]
    pub(super) fn get(&self, id: StateId) -> Option<&State> {
        self.all.get(id as usize)
    }

    /// Keeps only the states of the open elements, whose numbers are changed in place.
    pub(super) fn compact<'f>(
        &mut self,
        program: &Program,
        open: impl Iterator<Item = &'f mut StateId>,
    ) {
        let open: Vec<&mut StateId> = open.collect();
        let sets: Vec<_> = open
            .iter()
            .map(|id| {
                self.get(**id).map_or_else(Default::default, |s| {
                    (s.matched.to_vec(), s.waiting.to_vec())
                })
            })
            .collect();
        self.forget();
        for (id, (matched, waiting)) in open.into_iter().zip(sets) {
            *id = self.intern(program, matched, waiting);
        }
    }

    /// The state of a child element, and its flags.
    #[inline]
    pub(super) fn step(&mut self, program: &Program, from: StateId, symbol: u64) -> (StateId, u8) {
        let at = slot(from, symbol);
        if let Some(known) = self.transitions.get(at)
            && known.from == from
            && known.symbol == symbol
        {
            return (known.next, known.flags);
        }
        self.step_new(program, from, symbol, at)
    }

    #[cold]
    fn step_new(
        &mut self,
        program: &Program,
        from: StateId,
        symbol: u64,
        at: usize,
    ) -> (StateId, u8) {
        let Some(state) = self.get(from) else {
            return (from, 0);
        };
        let mut waiting = state.waiting.to_vec();
        let mut matched = Vec::new();
        let matches = |id: NodeId, reach: &[Reach]| {
            program.useful.get(id as usize).copied().unwrap_or(false)
                && program
                    .trie
                    .node(id)
                    .is_some_and(|n| reach.contains(&n.reach) && n.test.matches(symbol))
        };
        for id in &state.matched {
            let Some(node) = program.trie.node(*id).filter(|node| node.has_child) else {
                continue;
            };
            matched.extend(
                node.candidates(symbol)
                    .filter(|id| matches(*id, &[Reach::Child])),
            );
        }
        for id in &waiting {
            let Some(node) = program.trie.node(*id) else {
                continue;
            };
            let below = [Reach::Descendant, Reach::DescendantOrSelf];
            matched.extend(node.candidates(symbol).filter(|id| matches(*id, &below)));
        }
        let mut at_node = 0;
        while let Some(node) = matched.get(at_node).and_then(|id| program.trie.node(*id)) {
            if node.has_self {
                let own: Vec<NodeId> = node
                    .candidates(symbol)
                    .filter(|id| matches(*id, &[Reach::DescendantOrSelf]))
                    .collect();
                matched.extend(own);
            }
            at_node += 1;
        }
        matched.sort_unstable();
        matched.dedup();
        waiting.extend(
            matched
                .iter()
                .copied()
                .filter(|id| has_useful_descendant(program, *id)),
        );
        waiting.sort_unstable();
        waiting.dedup();
        let next = self.intern(program, matched, waiting);
        let flags = self.get(next).map_or(0, |state| state.flags);
        if let Some(slot) = self.transitions.get_mut(at) {
            *slot = Transition {
                from,
                next,
                symbol,
                flags,
            };
        }
        (next, flags)
    }

    fn intern(&mut self, program: &Program, matched: Vec<NodeId>, waiting: Vec<NodeId>) -> StateId {
        let key = (matched.into_boxed_slice(), waiting.into_boxed_slice());
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let id = self.all.len() as StateId;
        self.nodes += key.0.len() + key.1.len() + 16;
        self.all
            .push(State::new(program, key.0.clone(), key.1.clone()));
        self.known.insert(key, id);
        self.full = self.all.len() >= STATES_MAX || self.nodes >= NODES_MAX;
        id
    }
}

fn has_useful_descendant(program: &Program, id: NodeId) -> bool {
    let Some(node) = program.trie.node(id).filter(|node| node.has_descendant) else {
        return false;
    };
    let all = node.named.values().flatten().chain(&node.wild);
    all.copied().any(|child| {
        program.useful.get(child as usize).copied().unwrap_or(false)
            && program
                .trie
                .node(child)
                .is_some_and(|child| child.reach != Reach::Child)
    })
}

fn has_useful_child(program: &Program, id: NodeId) -> bool {
    let Some(node) = program.trie.node(id).filter(|node| node.has_child) else {
        return false;
    };
    let all = node.named.values().flatten().chain(&node.wild);
    all.copied().any(|child| {
        program.useful.get(child as usize).copied().unwrap_or(false)
            && program
                .trie
                .node(child)
                .is_some_and(|child| child.reach == Reach::Child)
    })
}

impl State {
    fn new(program: &Program, matched: Box<[NodeId]>, waiting: Box<[NodeId]>) -> Self {
        let mut state = Self {
            busy: Box::default(),
            dead: true,
            texts: false,
            comments: false,
            attributes: false,
            anchors: false,
            counted: false,
            section: None,
            flags: 0,
            need: 0,
            slots: false,
            matched,
            waiting,
        };
        let mut busy = Vec::new();
        for id in &state.matched {
            let Some(place) = program.place(*id) else {
                continue;
            };
            let listens =
                !place.element.is_empty() || !place.attributes.is_empty() || place.anchor.is_some();
            if listens || !place.texts.is_empty() || !place.comments.is_empty() {
                busy.push(*id);
            }
            state.texts |= !place.texts.is_empty();
            state.comments |= !place.comments.is_empty();
            state.attributes |= !place.attributes.is_empty();
            state.anchors |= place.anchor.is_some();
            state.counted |= !place.positions.is_empty();
            state.section = state.section.or(place.section);
            for listener in &place.element {
                let need = listener
                    .index
                    .and_then(|index| program.indexes.get(index as usize))
                    .map_or(0, |i| i.need);
                state.need = state.need.max(need);
                state.slots |= !listener.slots.is_empty();
            }
        }
        busy.sort_by_key(|id| program.trie.node(*id).map_or(0, |node| node.depth));
        state.busy = busy.into_boxed_slice();
        let live = state
            .matched
            .iter()
            .any(|id| has_useful_child(program, *id));
        state.dead = !live && state.waiting.is_empty() && !state.texts && !state.comments;
        state.flags = (u8::from(!state.busy.is_empty()) * flags::BUSY)
            | (u8::from(state.dead) * flags::DEAD)
            | (u8::from(state.texts) * flags::TEXTS)
            | (u8::from(state.section.is_some()) * flags::SECTION);
        state
    }
}

#[inline]
fn slot(state: StateId, symbol: u64) -> usize {
    let mixed = (symbol ^ u64::from(state).rotate_left(40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 48) as usize & (TRANSITIONS - 1)
}
