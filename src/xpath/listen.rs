//! What an element, attribute, text or comment tells to those who listen at its place.
//!
//! Functions of the facts and the program; which places an element is at, the state says (`states.rs`),
//! and when something is told, the stream does (`stream.rs`).

use crate::xml::Tag;

use super::facts::{DOCUMENT, Facts};
use super::index::{Found, VALUE_BYTES_MAX};
use super::kept::{is_cut, upto};
use super::program::{Listener, Program, SlotKind};
use super::slots::Progress;
use super::states::{End, PlainStart, State, States};
use super::trie::NodeId;
use super::value;

/// Counts an element among its siblings and tells its instance.
pub(super) fn position(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    node: NodeId,
    depth: u32,
) {
    let Some(parent) = facts
        .frames
        .len()
        .checked_sub(2)
        .and_then(|at| facts.frames.get(at))
        .copied()
    else {
        return;
    };
    let own = facts.frames.last().map_or(0, |frame| frame.counters);
    let mut counters = facts
        .counters
        .iter_mut()
        .enumerate()
        .skip(parent.counters as usize);
    let known = counters.find(|(at, (of, _))| *of == node && (*at as u32) < own);
    let position = match known {
        Some((_, (_, count))) => {
            *count += 1;
            *count
        }
        None => {
            // The element's own counters begin behind the one added for its parent.
            facts.counters.push((node, 1));
            if let Some(frame) = facts.frames.last_mut() {
                frame.counters += 1;
            }
            1
        }
    };
    let Some(place) = program.place(node) else {
        return;
    };
    let inst = facts.instances(program, states, node, node, Some(0), depth);
    for &(op, number, cond) in &place.positions {
        if op.numbers(f64::from(position), number) {
            inst.iter()
                .for_each(|inst| facts.fire(program, states, cond, *inst));
        }
    }
}

/// Does something for each instance that a listener's place belongs to; mostly there is one.
#[inline(always)]
fn each_instance(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    (node, anchor, up): (NodeId, NodeId, Option<u32>),
    depth: u32,
    mut act: impl FnMut(&mut Facts, u32),
) {
    let (only, several);
    let insts = match up {
        _ if anchor == 0 => &[DOCUMENT][..],
        Some(up) => {
            only = facts.instance_at(anchor, depth.wrapping_sub(up));
            only.as_slice()
        }
        None => {
            several = facts.instances(program, states, node, anchor, None, depth);
            &several
        }
    };
    for &inst in insts {
        act(facts, inst);
    }
}

/// Tells all listeners of a state that an element starts; the answer is how much text they want beyond the
/// state's own need.
pub(super) fn starts(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    state: &State,
    depth: u32,
    tag: Option<&Tag<'_>>,
) -> usize {
    let mut need = 0;
    for start in &state.starts {
        let place = (start.node, start.anchor, start.up);
        each_instance(facts, program, states, place, depth, |facts, inst| {
            if let Some(cond) = start.only {
                return facts.fire(program, states, cond, inst);
            }
            let Some(listener) = program.listener(start.node, start.number) else {
                return;
            };
            for &cond in &listener.exists {
                facts.fire(program, states, cond, inst);
            }
            for &slot in &listener.slots {
                need = need.max(slot_starts(
                    facts,
                    program,
                    states,
                    listener.anchor,
                    slot,
                    inst,
                    depth,
                    tag,
                ));
            }
        });
    }
    need
}

#[expect(clippy::too_many_arguments)]
fn slot_starts(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    anchor: NodeId,
    slot: u32,
    inst: u32,
    depth: u32,
    tag: Option<&Tag<'_>>,
) -> usize {
    let Some(info) = program.slots(anchor).get(slot as usize) else {
        return 0;
    };
    let base = facts.insts.get(inst as usize).map_or(0, |inst| inst.slots);
    let element = facts.element;
    let Some(state) = facts.slots.get_mut((base + slot) as usize) else {
        return 0;
    };
    match info.kind {
        SlotKind::Count => {
            if std::mem::replace(&mut state.last, element) != element {
                facts.count(program, states, slot, inst, 1.0);
            }
            0
        }
        SlotKind::Sum => VALUE_BYTES_MAX,
        _ if state.progress != Progress::Empty => 0,
        SlotKind::Text => {
            state.progress = Progress::Taking(depth);
            info.need.max(1)
        }
        kind => {
            // A state whose listeners want names is always shown the tag.
            let Some(tag) = tag else { return 0 };
            let name = tag.name();
            let text = match kind {
                SlotKind::LocalName => name.local,
                SlotKind::NamespaceUri => name.namespace,
                _ => tag.qualified(),
            };
            facts.fill(program, states, slot, inst, text.as_bytes(), false);
            0
        }
    }
}

/// Tells an element's text, which is complete, to all who want it of a state.
#[inline(never)]
pub(super) fn ends(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    state: &State,
    depth: u32,
    text: &[u8],
) {
    for end in &state.ends {
        element_ends(facts, program, states, end, depth, text);
    }
}

/// The same for one listener.
#[inline(always)]
pub(super) fn element_ends(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    end: &End,
    depth: u32,
    text: &[u8],
) {
    let place = (end.node, end.anchor, end.up);
    each_instance(facts, program, states, place, depth, |facts, inst| {
        if let Some(index) = end.index
            && !program.rejects(index, text)
        {
            let found = Found::Text(text, is_cut(text.len(), end.need));
            facts.test(program, states, index, found, inst);
        }
        if let Some(number) = end.slots
            && let Some(listener) = program.listener(end.node, number)
        {
            fill_slots(facts, program, states, listener, (inst, depth), text);
        }
    });
}

/// An element's text for the slots that wait for it.
#[inline(never)]
fn fill_slots(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    listener: &Listener,
    (inst, depth): (u32, u32),
    text: &[u8],
) {
    // What was not copied may be longer than what would have been kept.
    let text = upto(text, VALUE_BYTES_MAX);
    for &slot in &listener.slots {
        let Some(info) = program.slots(listener.anchor).get(slot as usize) else {
            continue;
        };
        let base = facts.insts.get(inst as usize).map_or(0, |inst| inst.slots);
        let Some(state) = facts.slots.get_mut((base + slot) as usize) else {
            continue;
        };
        match info.kind {
            SlotKind::Text if state.progress == Progress::Taking(depth) => {
                let cut = is_cut(text.len(), info.need.max(1));
                facts.fill_known(program, states, (info, slot), inst, text, cut);
            }
            SlotKind::Sum => {
                if is_cut(text.len(), VALUE_BYTES_MAX) {
                    facts.spilled = true;
                }
                facts.count(program, states, slot, inst, value::number_of(text));
            }
            _ => {}
        }
    }
}

/// Lets the values of a plain start's attributes meet their tests and opens its instance, if that can
/// matter.
#[inline(always)]
pub(super) fn plain_start<'v>(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    plain: &PlainStart,
    depth: u32,
    values: impl Iterator<Item = (u64, &'v [u8])>,
) {
    if plain_values(facts, program, states, plain, values) || !plain.lazy {
        plain_met(facts, program, states, plain, depth);
    }
}

/// Lets the values of a plain start's attributes meet their tests; the answer is whether any makes
/// something true of its instance, which waits in the list of what is to be fired from here on.
#[inline(always)]
pub(super) fn plain_values<'v>(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    plain: &PlainStart,
    values: impl Iterator<Item = (u64, &'v [u8])>,
) -> bool {
    let mut meets = false;
    for (symbol, value) in values {
        for attribute in plain.attributes.iter().filter(|a| a.symbol == symbol) {
            if program.rejects(attribute.index, value) {
                continue;
            }
            let found = Found::Text(value, is_cut(value.len(), VALUE_BYTES_MAX));
            if attribute.of_document {
                facts.test(program, states, attribute.index, found, DOCUMENT);
            } else {
                meets |= facts.collect(program, attribute.index, found);
            }
        }
    }
    meets
}

/// Opens the instance of a plain start whose values have met their tests.
pub(super) fn plain_met(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    plain: &PlainStart,
    depth: u32,
) {
    if let Some(node) = plain.anchor {
        let inst = facts.open(program, node, depth);
        facts.fire_all(program, states, 0, inst);
        facts.started(program, states, inst);
    }
}

pub(super) fn attributes(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    state: &State,
    depth: u32,
    tag: &Tag<'_>,
) {
    for (symbol, place_in_tag) in tag.symbols() {
        let attribute = OwnAttribute {
            tag,
            place: place_in_tag,
        };
        facts.element += 1;
        let mut found = |node: NodeId, number: u32| {
            let place = program.place(node);
            if let Some((_, all)) = place.and_then(|place| place.attributes.get(number as usize)) {
                attribute_found(facts, program, states, node, all, depth, &attribute);
            }
        };
        if let Some(few) = &state.few_attributes {
            for (test, node, number) in few {
                if test.matches(symbol) {
                    found(*node, *number);
                }
            }
            continue;
        }
        for &node in &state.attributes {
            let Some(place) = program.place(node) else {
                continue;
            };
            let named = place.attributes_by_name.get(&Some(symbol as u32));
            let wild = place.attributes_by_name.get(&None);
            for &at in named.into_iter().chain(wild).flatten() {
                let test = place.attributes.get(at as usize);
                if test.is_some_and(|(test, _)| test.matches(symbol)) {
                    found(node, at);
                }
            }
        }
    }
}

/// An attribute in its tag; its name is only made where it is asked for.
pub(super) struct OwnAttribute<'t> {
    tag: &'t Tag<'t>,
    place: usize,
}

impl OwnAttribute<'_> {
    /// The text of a slot that keeps some part of the name.
    fn name(&self, kind: SlotKind) -> String {
        let Some(attribute) = self.tag.attribute(self.place) else {
            return String::new();
        };
        let name = attribute.name;
        match kind {
            SlotKind::LocalName => name.local.to_owned(),
            SlotKind::NamespaceUri => name.namespace.to_owned(),
            _ if name.prefix.is_empty() => name.local.to_owned(),
            _ => format!("{}:{}", name.prefix, name.local),
        }
    }
}

fn attribute_found(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    node: NodeId,
    listeners: &[Listener],
    depth: u32,
    attribute: &OwnAttribute<'_>,
) {
    let value = attribute.tag.value_at(attribute.place);
    let cut = is_cut(value.len(), VALUE_BYTES_MAX);
    for listener in listeners {
        leaf(
            facts,
            program,
            states,
            node,
            listener,
            depth,
            value,
            cut,
            Some(attribute),
        );
    }
}

/// An attribute, text or comment: a node that is complete at once.
#[expect(clippy::too_many_arguments)]
pub(super) fn leaf(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    node: NodeId,
    listener: &Listener,
    depth: u32,
    text: &[u8],
    cut: bool,
    attribute: Option<&OwnAttribute<'_>>,
) {
    each_instance(
        facts,
        program,
        states,
        (node, listener.anchor, listener.up),
        depth,
        |facts, inst| {
            for &cond in &listener.exists {
                facts.fire(program, states, cond, inst);
            }
            if let Some(index) = listener.index
                && !program.rejects(index, text)
            {
                facts.test(program, states, index, Found::Text(text, cut), inst);
            }
            for &slot in &listener.slots {
                let Some(info) = program.slots(listener.anchor).get(slot as usize) else {
                    continue;
                };
                let base = facts.insts.get(inst as usize).map_or(0, |inst| inst.slots);
                let node = facts.element;
                let Some(state) = facts.slots.get_mut((base + slot) as usize) else {
                    continue;
                };
                let empty = state.progress == Progress::Empty;
                match (info.kind, attribute) {
                    (SlotKind::Count, _) => {
                        if std::mem::replace(&mut state.last, node) != node {
                            facts.count(program, states, slot, inst, 1.0);
                        }
                    }
                    (SlotKind::Sum, _) => {
                        facts.spilled |= cut;
                        facts.count(program, states, slot, inst, value::number_of(text));
                    }
                    (_, _) if !empty => {}
                    (SlotKind::Text, _) => facts.fill(program, states, slot, inst, text, cut),
                    (kind, Some(attribute)) => {
                        let name = attribute.name(kind);
                        facts.fill(program, states, slot, inst, name.as_bytes(), false);
                    }
                    // Texts and comments have no name.
                    (_, None) => facts.fill(program, states, slot, inst, b"", false),
                }
            }
        },
    );
}
