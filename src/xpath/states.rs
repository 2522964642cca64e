//! The lazy automaton: which trie nodes an element matches, remembered by parent state and name.
//!
//! States depend on the expressions and on the nesting of names that they mention; names that no
//! expression mentions are all one, so hostile ones add nothing. **Invariant:** at most
//! [`STATES_MAX`] states with [`NODES_MAX`] nodes are kept; when full, all but those of the open
//! elements are forgotten. Of [`TRANSITIONS_MAX`] transitions between them one replaces another.

use std::collections::HashMap;

use crate::xml::{Part, Tests};

use super::index::Hashing;
use super::program::{CondId, Listener, Place, Program};
use super::trie::{NodeId, Reach, SymbolTest};

pub(super) type StateId = u32;

const STATES_MAX: usize = 4096;
const NODES_MAX: usize = 1 << 18;
/// Up to so many attribute tests of a state are tried one by one.
const FEW: usize = 4;
/// Slots of remembered transitions at first, and at most: powers of two.
const TRANSITIONS: usize = 64;
const TRANSITIONS_MAX: usize = 2048;
/// Slots that a transition may be in, from its own on.
const WINDOW: usize = 4;
/// So often notes are taken on names after states were numbered anew; then no more.
const GENERATIONS: u32 = (1 << 24) - 1;

/// What an element matches.
#[derive(Debug)]
pub(super) struct State {
    /// Nodes the element matches, ascending.
    pub(super) matched: Box<[NodeId]>,
    /// Nodes matched at or above it whose descendants are looked for.
    waiting: Box<[NodeId]>,
    /// Nodes whose instances the element opens; those whose siblings are counted. In these and the
    /// following, outer nodes come before inner ones.
    pub(super) anchors: Box<[NodeId]>,
    pub(super) counted: Box<[NodeId]>,
    /// Listeners that are told of the start, and of the end.
    pub(super) starts: Box<[Start]>,
    pub(super) ends: Box<[End]>,
    /// Nodes at which attributes, text nodes, comments are listened for.
    pub(super) attributes: Box<[NodeId]>,
    /// The tests of those attributes, if they are few: with the node and the place's number of it.
    pub(super) few_attributes: Option<Box<[(SymbolTest, NodeId, u32)]>>,
    /// All that happens at its start tag, if that is little.
    pub(super) plain: Option<PlainStart>,
    pub(super) texts: Box<[NodeId]>,
    pub(super) comments: Box<[NodeId]>,
    pub(super) section: Option<u8>,
    pub(super) flags: u8,
    /// Its start is told to listeners only, and to which ones the elements on the stack say.
    only_starts: bool,
    /// Bytes of the element's text that its tests need.
    pub(super) need: usize,
}

/// A start tag at which at most one instance opens and values of attributes meet their tests.
#[derive(Debug)]
pub(super) struct PlainStart {
    pub(super) anchor: Option<NodeId>,
    /// The instance only opens when a value is wanted.
    pub(super) lazy: bool,
    pub(super) attributes: Box<[PlainAttribute]>,
}

/// An attribute of which only the value is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainAttribute {
    pub(super) symbol: u64,
    pub(super) index: u32,
    /// Whether its tests are the document's, not the instance's.
    pub(super) of_document: bool,
}

/// What a listener wants of an element's end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) node: NodeId,
    pub(super) anchor: NodeId,
    pub(super) up: Option<u32>,
    /// The tests on its text, and how much of it they need.
    pub(super) index: Option<u32>,
    pub(super) need: usize,
    /// The listener's number at the node, if slots take the text.
    pub(super) slots: Option<u32>,
}

/// What a listener wants of an element's start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) node: NodeId,
    pub(super) anchor: NodeId,
    pub(super) up: Option<u32>,
    /// The listener's number at the node.
    pub(super) number: u32,
    /// The condition that comes true, if that is all.
    pub(super) only: Option<CondId>,
}

/// What an element does at all, in bits: nothing for most.
pub(super) mod flags {
    /// Something happens at its start tag.
    pub(in super::super) const OPENS: u8 = 1;
    /// Nothing below it, and nothing in its own text, can matter.
    pub(in super::super) const DEAD: u8 = 2;
    /// Its text nodes are wanted one by one.
    pub(in super::super) const TEXTS: u8 = 4;
    /// It is a section.
    pub(in super::super) const SECTION: u8 = 8;
    /// Its text is wanted.
    pub(in super::super) const CAPTURES: u8 = 16;
    /// Its attributes are wanted.
    pub(in super::super) const ATTRIBUTES: u8 = 32;
    /// Its name as written may be wanted.
    pub(in super::super) const NAMES: u8 = 64;
}

/// What a state is: the nodes matched, the nodes waiting.
type Sets = (Box<[NodeId]>, Box<[NodeId]>);

#[derive(Debug, Clone, Copy)]
struct Transition {
    symbol: u64,
    from: StateId,
    /// The next state, and its flags in the lowest eight bits.
    next: u32,
}

/// All states of one program in one run.
#[derive(Debug, Default)]
pub(super) struct States {
    pub(super) all: Vec<State>,
    known: HashMap<Sets, StateId, Hashing>,
    /// Those that are remembered; none or a power of two of slots.
    transitions: Vec<Transition>,
    nodes: usize,
    /// Whether there is no room for another state.
    pub(super) full: bool,
    /// How often the states were numbered anew; notes of another time mean nothing.
    generation: u32,
    /// The same, for notes that are never mistaken for those of another run of numbers.
    epoch: u64,
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
        self.transitions.fill(Transition::NONE);
        self.full = false;
        self.nodes = 0;
        self.generation = (self.generation + 1).min(GENERATIONS);
        self.epoch += 1;
    }

    #[inline(always)]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
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

    /// The state of a child element, and its flags, if remembered.
    #[inline(always)]
    pub(super) fn known(&self, from: StateId, symbol: u64) -> Option<(StateId, u8)> {
        let own = self
            .transitions
            .get(slot(self.transitions.len(), from, symbol))?;
        match own.of(from, symbol) {
            None => self.known_beside(from, symbol),
            known => known,
        }
    }

    #[inline(never)]
    fn known_beside(&self, from: StateId, symbol: u64) -> Option<(StateId, u8)> {
        let mut slots = window(self.transitions.len(), from, symbol);
        slots.find_map(|slot| self.transitions.get(slot)?.of(from, symbol))
    }

    /// The same, with what the name's note says first.
    #[inline(always)]
    pub(super) fn noted(
        &self,
        from: StateId,
        symbol: u64,
        note: &mut u64,
    ) -> Option<(StateId, u8)> {
        if *note >> 24 == u64::from(from) << 24 | u64::from(self.generation) {
            return Some(((*note >> 8) as u16 as StateId, *note as u8));
        }
        let (next, flags) = self.known(from, symbol)?;
        if next <= StateId::from(u16::MAX) && from <= 0xFFFF && self.generation < GENERATIONS {
            let whence = u64::from(from) << 24 | u64::from(self.generation);
            *note = whence << 24 | u64::from(next) << 8 | u64::from(flags);
        }
        Some((next, flags))
    }

    /// The state of a child element, and its flags.
    #[inline]
    pub(super) fn step(&mut self, program: &Program, from: StateId, symbol: u64) -> (StateId, u8) {
        match self.known(from, symbol) {
            Some(known) => known,
            None => self.step_new(program, from, symbol),
        }
    }

    #[cold]
    fn step_new(&mut self, program: &Program, from: StateId, symbol: u64) -> (StateId, u8) {
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
        // What has too high a number is found out each time.
        if let Some(packed) = next.checked_mul(1 << 8) {
            self.remember(Transition {
                symbol,
                from,
                next: packed | u32::from(flags),
            });
        }
        (next, flags)
    }

    /// Remembers a transition where it has a slot, in a table of twice the size if it has none, or at last in the
    /// place of another.
    fn remember(&mut self, transition: Transition) {
        while !place(&mut self.transitions, transition) {
            let slots = (self.transitions.len() * 2).max(TRANSITIONS);
            if slots > TRANSITIONS_MAX {
                let own = slot(self.transitions.len(), transition.from, transition.symbol);
                if let Some(slot) = self.transitions.get_mut(own) {
                    *slot = transition;
                }
                return;
            }
            let before = std::mem::replace(&mut self.transitions, vec![Transition::NONE; slots]);
            for transition in before.into_iter().filter(|known| !known.is_none()) {
                place(&mut self.transitions, transition);
            }
        }
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
        let mut outward: Vec<NodeId> = matched.to_vec();
        outward.sort_by_key(|id| program.trie.node(*id).map_or(0, |node| node.depth));
        let places: Vec<(NodeId, &Place)> = outward
            .into_iter()
            .filter_map(|id| program.place(id).map(|place| (id, place)))
            .collect();
        let nodes = |wanted: &dyn Fn(&Place) -> bool| -> Box<[NodeId]> {
            let all = places.iter().filter(|(_, place)| wanted(place));
            all.map(|(id, _)| *id).collect()
        };
        let elements = || {
            places.iter().flat_map(|(id, place)| {
                let numbered = (0_u32..).zip(&place.element);
                numbered.map(|(number, listener)| (*id, number, listener))
            })
        };
        let index_need = |listener: &Listener| {
            let index = listener
                .index
                .and_then(|at| program.indexes.get(at as usize));
            index.map_or(0, |index| index.need)
        };
        let mut state = Self {
            anchors: nodes(&|place| place.anchor.is_some()),
            counted: nodes(&|place| !place.positions.is_empty()),
            starts: elements()
                .filter(|(_, _, listener)| {
                    !listener.exists.is_empty() || !listener.slots.is_empty()
                })
                .map(|(node, number, listener)| Start {
                    node,
                    anchor: listener.anchor,
                    up: listener.up,
                    number,
                    only: match (listener.exists.as_slice(), listener.slots.as_slice()) {
                        ([only], []) => Some(*only),
                        _ => None,
                    },
                })
                .collect(),
            ends: elements()
                .filter(|(_, _, l)| l.index.is_some() || !l.slots.is_empty())
                .map(|(node, number, listener)| End {
                    node,
                    anchor: listener.anchor,
                    up: listener.up,
                    index: listener.index,
                    need: index_need(listener),
                    slots: (!listener.slots.is_empty()).then_some(number),
                })
                .collect(),
            attributes: nodes(&|place| !place.attributes.is_empty()),
            few_attributes: few_attributes(&places),
            plain: None,
            texts: nodes(&|place| !place.texts.is_empty()),
            comments: nodes(&|place| !place.comments.is_empty()),
            section: places.iter().find_map(|(_, place)| place.section),
            need: elements()
                .map(|(_, _, listener)| index_need(listener))
                .max()
                .unwrap_or(0),
            flags: 0,
            only_starts: false,
            matched,
            waiting,
        };
        state.plain = plain_start(program, &places, &state);
        let named = elements().any(|(_, _, listener)| listener.wants_name(program));
        state.flags = state.flags_now(program, named);
        state.only_starts = state.anchors.is_empty()
            && state.counted.is_empty()
            && state.attributes.is_empty()
            && state.section.is_none()
            && state
                .starts
                .iter()
                .all(|start| start.up.is_some() || start.anchor == 0);
        state
    }

    /// What an element in this state wants when it is taken by trace; nothing if it must be shown.
    pub(super) fn part(&self) -> Option<Part> {
        // Which instances the text is told to, the open elements say, and not all of them are on the stack.
        let asks_above = self
            .ends
            .iter()
            .any(|end| end.up.is_none() && end.anchor != 0);
        if self.flags & (flags::NAMES | flags::TEXTS) != 0 || asks_above {
            return None;
        }
        let mut part = Part::QUIET;
        if self.flags & flags::SECTION != 0 {
            part = Part::FRAME;
        }
        if self.flags & flags::OPENS != 0 {
            part = match &self.plain {
                Some(plain) if part == Part::QUIET && (plain.anchor.is_none() || plain.lazy) => {
                    Part::VALUES
                }
                None if self.flags & flags::ATTRIBUTES != 0 => return None,
                None if self.only_starts => Part::FRAME.and(Part::LEAF),
                _ => Part::FRAME,
            };
        }
        if self.flags & flags::DEAD != 0 {
            part = part.and(Part::DEAD);
        }
        if self.flags & flags::CAPTURES != 0 {
            part = part.and(Part::TEXT);
        }
        Some(part)
    }

    /// The tests that alone decide whether the value of the attribute with this symbol or, without, the text
    /// means anything, if there are no other than these and they are few.
    pub(super) fn tests_of(&self, program: &Program, symbol: Option<u64>) -> Option<Tests> {
        let add = |tests: Tests, index: u32| match tests {
            _ if !program.indexes.get(index as usize)?.is_only_equal() => None,
            Tests(None, None) => Some(Tests(Some(index), None)),
            Tests(first, None) => Some(Tests(first, Some(index))),
            _ => None,
        };
        let none = Tests::default();
        if let Some(symbol) = symbol {
            let attributes = self.plain.as_ref()?.attributes.iter();
            let mut own = attributes.filter(|of| of.symbol == symbol);
            return own.try_fold(none, |tests, attribute| add(tests, attribute.index));
        }
        self.ends
            .iter()
            .try_fold(none, |tests, end| match end.slots {
                Some(_) => None,
                None => end.index.map_or(Some(tests), |index| add(tests, index)),
            })
    }

    fn flags_now(&self, program: &Program, named: bool) -> u8 {
        let live = self.matched.iter().any(|id| has_useful_child(program, *id));
        let dead =
            !live && self.waiting.is_empty() && self.texts.is_empty() && self.comments.is_empty();
        let opens = !self.anchors.is_empty()
            || !self.counted.is_empty()
            || !self.starts.is_empty()
            || !self.attributes.is_empty();
        [
            (opens, flags::OPENS),
            (dead, flags::DEAD),
            (!self.texts.is_empty(), flags::TEXTS),
            (self.section.is_some(), flags::SECTION),
            (self.need > 0, flags::CAPTURES),
            (!self.attributes.is_empty(), flags::ATTRIBUTES),
            (named, flags::NAMES),
        ]
        .iter()
        .filter(|(is, _)| *is)
        .fold(0, |bits, (_, flag)| bits | flag)
    }
}

fn plain_start(
    program: &Program,
    places: &[(NodeId, &Place)],
    state: &State,
) -> Option<PlainStart> {
    let anchor = state.anchors.first().copied();
    if state.anchors.len() > 1 || !state.counted.is_empty() || !state.starts.is_empty() {
        return None;
    }
    let mut attributes = Vec::new();
    for (node, place) in places {
        for (test, listeners) in &place.attributes {
            for listener in listeners {
                attributes.push(plain_attribute(program, *node, test.symbol()?, listener)?);
            }
        }
    }
    let lazy = anchor
        .and_then(|node| program.anchor(node))
        .is_some_and(|anchor| anchor.lazy);
    (attributes.len() <= FEW).then(|| PlainStart {
        anchor,
        lazy,
        attributes: attributes.into(),
    })
}

fn plain_attribute(
    program: &Program,
    node: NodeId,
    symbol: u64,
    listener: &Listener,
) -> Option<PlainAttribute> {
    let of_document = listener.anchor == 0;
    let own = listener.anchor == node && listener.up == Some(0);
    let index = listener.index?;
    let remembers = program.indexes.get(index as usize)?.remembers;
    let plain = listener.exists.is_empty() && listener.slots.is_empty() && !remembers;
    (plain && (of_document || own)).then_some(PlainAttribute {
        symbol,
        index,
        of_document,
    })
}

/// The attribute tests of all places, if looking at each is quicker than looking names up.
fn few_attributes(places: &[(NodeId, &Place)]) -> Option<Box<[(SymbolTest, NodeId, u32)]>> {
    let all = places.iter().flat_map(|(id, place)| {
        (0_u32..)
            .zip(&place.attributes)
            .map(|(number, (test, _))| (test.clone(), *id, number))
    });
    let all: Box<[_]> = all.collect();
    (all.len() <= FEW).then_some(all)
}

impl Transition {
    const NONE: Self = Self {
        symbol: 0,
        from: StateId::MAX,
        next: 0,
    };

    fn is_none(&self) -> bool {
        self.from == StateId::MAX
    }

    /// The next state and its flags, if this is the transition from that state by that name.
    #[inline(always)]
    fn of(&self, from: StateId, symbol: u64) -> Option<(StateId, u8)> {
        (self.symbol == symbol && self.from == from).then_some((self.next >> 8, self.next as u8))
    }
}

/// Puts a transition into a free slot that it may be in; false when there is none.
fn place(slots: &mut [Transition], transition: Transition) -> bool {
    let mut window = window(slots.len(), transition.from, transition.symbol);
    let free = window.find(|slot| slots.get(*slot).is_some_and(Transition::is_none));
    match free.and_then(|free| slots.get_mut(free)) {
        Some(slot) => *slot = transition,
        None => return false,
    }
    true
}

/// The slots, of so many, that a transition may be in.
fn window(slots: usize, from: StateId, symbol: u64) -> impl Iterator<Item = usize> {
    let own = slot(slots, from, symbol);
    (own..own + WINDOW).map(move |slot| slot & slots.wrapping_sub(1))
}

/// The first of them.
#[inline]
fn slot(slots: usize, from: StateId, symbol: u64) -> usize {
    let mixed = (symbol ^ u64::from(from).rotate_left(40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 48) as usize & slots.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remember(states: &mut States, number: u32) {
        states.remember(Transition {
            symbol: u64::from(number) << 32 | 1,
            from: number % 50,
            next: number << 8 | 3,
        });
    }

    fn known(states: &States, number: u32) -> Option<(StateId, u8)> {
        states.known(number % 50, u64::from(number) << 32 | 1)
    }

    #[test]
    fn transitions_leave_each_other_in_place_while_there_is_room() {
        let mut states = States::default();
        assert_eq!(known(&states, 0), None);
        (0..500).for_each(|number| remember(&mut states, number));
        (0..500).for_each(|number| assert_eq!(known(&states, number), Some((number, 3))));
        assert!(states.transitions.len() <= TRANSITIONS_MAX);
    }

    #[test]
    fn few_transitions_need_few_slots_and_many_no_more_than_there_may_be() {
        let mut states = States::default();
        (0..20).for_each(|number| remember(&mut states, number));
        assert!(states.transitions.len() <= 2 * TRANSITIONS);
        for number in 20..5 * TRANSITIONS_MAX as u32 {
            remember(&mut states, number);
            assert_eq!(known(&states, number), Some((number, 3)));
        }
        assert_eq!(states.transitions.len(), TRANSITIONS_MAX);
        states.forget();
        assert_eq!(known(&states, 5 * TRANSITIONS_MAX as u32 - 1), None);
    }
}
