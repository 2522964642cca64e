//! One message through a program: the scanner's events to facts.
//!
//! Sketch of the cost: a start tag is one look-up of the next state; only where somebody listens
//! more is done. Text is copied only where a value is wanted, and only as far as its tests need.
//! What no live state wants is skipped by the scanner. No allocation once the buffers have grown.

use crate::xml::{EndTag, Flow, Observer, Sink, Tag};

use super::facts::{DOCUMENT, Facts, Frame, NONE, Progress, is_cut};
use super::index::{Found, VALUE_BYTES_MAX};
use super::program::{Listener, PHASE_ROOT, Phase, Program, SlotKind};
use super::run::Pause;
use super::states::{States, flags};
use super::tally::Tally;
use super::trie::NodeId;
use super::value;

/// The state of a message.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) facts: Facts,
    pub(super) states: States,
    pub(super) tally: Tally,
    /// Text of open elements whose value is wanted.
    kept: String,
    /// `kept` grows up to here.
    wanted: usize,
    /// The text node in hand, where text nodes are wanted.
    node_text: String,
    takes_nodes: bool,
    comment_open: bool,
    /// Offset behind the event in hand, and of the last decision.
    here: u64,
    pub(super) decided_at: u64,
    pub(super) pause: Pause,
    program: u64,
    over: bool,
}

impl Stream {
    pub(super) fn begin(&mut self, program: &Program, id: u64) {
        let fresh = self.program != id;
        self.program = id;
        self.facts.begin(program, fresh);
        self.tally.begin();
        let document = if fresh || self.states.full {
            self.states.reset(program)
        } else {
            0
        };
        self.facts.frames.push(Frame {
            state: document,
            flags: 0,
            insts: DOCUMENT,
            counters: 0,
            capture: NONE,
            need: 0,
            wanted_before: 0,
        });
        self.kept.clear();
        self.wanted = 0;
        self.node_text.clear();
        self.takes_nodes = false;
        self.comment_open = false;
        self.here = 0;
        self.decided_at = 0;
        self.over = false;
        self.facts.settle(program, &self.states, 0);
    }

    /// Brings the tally up to date after an event; the answer is whether to pause.
    #[inline]
    pub(super) fn news(&mut self, tally: &super::tally::Plan) -> bool {
        if !self.facts.news {
            return false;
        }
        self.facts.news = false;
        let was_settled = self.tally.settled;
        let decided = self
            .tally
            .update(tally, &self.facts.matched, self.facts.phase);
        if decided {
            self.decided_at = self.here;
        }
        let settled = self.tally.settled && !was_settled;
        self.over |= settled;
        match self.pause {
            Pause::WhenSettled => settled,
            Pause::WhenBestLevelIsSure => settled || decided && self.tally.best_is_sure(tally),
            Pause::AtEachDecision => settled || decided,
        }
    }

    fn finish(&mut self, program: &Program) {
        self.facts
            .settle(program, &self.states, program.last_phase());
    }

    /// Ends the document.
    pub(super) fn end_document(
        &mut self,
        program: &Program,
        tally: &super::tally::Plan,
        here: u64,
    ) {
        self.here = here;
        self.finish(program);
        self.news(tally);
    }

    // --- elements ---------------------------------------------------------------------------------

    /// An element starts; the answer is whether nothing below it can matter.
    #[inline]
    fn enter(&mut self, program: &Program, tag: &Tag<'_>) -> bool {
        if !self.node_text.is_empty() {
            self.end_text_node(program);
        }
        self.here = tag.end();
        self.facts.element += 1;
        if self.states.full {
            self.states.compact(
                program,
                self.facts.frames.iter_mut().map(|frame| &mut frame.state),
            );
        }
        let from = self.facts.frames.last().map_or(0, |frame| frame.state);
        let (state, flags) = self.states.step(program, from, tag.symbol());
        let depth = self.facts.frames.len() as u32;
        self.facts.frames.push(Frame {
            state,
            flags,
            insts: self.facts.insts.len() as u32,
            counters: self.facts.counters.len() as u32,
            capture: NONE,
            need: 0,
            wanted_before: 0,
        });
        self.takes_nodes = flags & flags::TEXTS != 0;
        if flags & flags::SECTION != 0 {
            self.near_root(program, depth, true);
        }
        if flags & flags::BUSY != 0 {
            self.listen(program, tag, depth);
        }
        let dead = flags & flags::DEAD != 0 && self.kept.len() >= self.wanted;
        if depth == 1 {
            // Nothing can come any more: neither from below, nor from its text, nor from its end.
            let done = dead && self.facts.insts.len() == 1;
            let upto = if done {
                program.last_phase()
            } else {
                PHASE_ROOT
            };
            self.facts.settle(program, &self.states, upto);
        }
        dead
    }

    /// Sections begin and end at depth 2.
    fn near_root(&mut self, program: &Program, depth: u32, begins: bool) {
        if depth != 2 {
            return;
        }
        let state = self.facts.frames.last().map_or(0, |frame| frame.state);
        if let Some(section) = self.states.get(state).and_then(|state| state.section) {
            let upto: Phase = PHASE_ROOT + section + u8::from(!begins);
            self.facts.settle(program, &self.states, upto);
        }
    }

    /// Does what the element's state asks for.
    fn listen(&mut self, program: &Program, tag: &Tag<'_>, depth: u32) {
        let Self { facts, states, .. } = self;
        let Some(frame) = facts.frames.last().copied() else {
            return;
        };
        let Some(state) = states.get(frame.state) else {
            return;
        };
        let mut need = state.need;
        if state.anchors {
            for &node in &state.busy {
                if program.anchor(node).is_some() {
                    facts.open(program, node, depth);
                }
            }
        }
        for &node in &state.busy {
            let Some(place) = program.place(node) else {
                continue;
            };
            if state.counted && !place.positions.is_empty() {
                position(facts, program, states, node, depth);
            }
            for listener in &place.element {
                need = need.max(element_starts(
                    facts, program, states, node, listener, depth, tag,
                ));
            }
        }
        if state.attributes && tag.has_attributes() {
            attributes(facts, program, states, &state.busy, depth, tag);
        }
        let mut inst = frame.insts;
        while (inst as usize) < facts.insts.len() {
            facts.started(program, states, inst);
            inst += 1;
        }
        if need > 0 {
            self.capture(need);
        }
    }

    /// Starts keeping the text of the innermost element.
    fn capture(&mut self, need: usize) {
        let start = self.kept.len();
        if let Some(frame) = self.facts.frames.last_mut() {
            frame.capture = start as u32;
            frame.need = need as u32;
            frame.wanted_before = self.wanted as u32;
        }
        self.wanted = self.wanted.max(start + need);
    }

    #[inline]
    fn leave(&mut self, program: &Program, end: u64) {
        if !self.node_text.is_empty() {
            self.end_text_node(program);
        }
        self.here = end;
        let Some(frame) = self.facts.frames.last().copied() else {
            return;
        };
        if frame.flags & (flags::BUSY | flags::SECTION) != 0 {
            self.leave_busy(program, &frame);
        }
        self.facts.counters.truncate(frame.counters as usize);
        self.facts.frames.pop();
        let above = self.facts.frames.last().map_or(0, |frame| frame.flags);
        self.takes_nodes = above & flags::TEXTS != 0;
        if self.facts.frames.len() == 1 {
            self.leave_root(program);
        }
    }

    fn leave_busy(&mut self, program: &Program, frame: &Frame) {
        let depth = self.facts.frames.len() as u32 - 1;
        if frame.capture != NONE {
            self.element_value(program, frame, depth);
        }
        while self.facts.insts.len() as u32 > frame.insts {
            let last = self.facts.insts.len() as u32 - 1;
            self.facts.finish_instance(program, &self.states, last);
        }
        if frame.flags & flags::SECTION != 0 {
            self.near_root(program, depth, false);
        }
    }

    /// Behind the root only comments can matter.
    fn leave_root(&mut self, program: &Program) {
        let document = self.facts.frames.first().map_or(0, |frame| frame.state);
        if !self
            .states
            .get(document)
            .is_some_and(|state| state.comments)
        {
            self.finish(program);
        }
    }

    /// The text of an element is complete.
    fn element_value(&mut self, program: &Program, frame: &Frame, depth: u32) {
        let Self {
            facts,
            states,
            kept,
            wanted,
            ..
        } = self;
        let text = kept.get(frame.capture as usize..).unwrap_or("");
        let Some(state) = states.get(frame.state) else {
            return;
        };
        for &node in &state.busy {
            let Some(place) = program.place(node) else {
                continue;
            };
            for listener in &place.element {
                element_ends(facts, program, states, node, listener, depth, text);
            }
        }
        let before = frame.wanted_before as usize;
        *wanted = before;
        // An outer element that still wants text keeps it; one that has enough has been cut already.
        let floor = (frame.capture as usize).max(before);
        if before == 0 {
            kept.clear();
        } else if kept.len() > floor {
            let floor = (floor..=kept.len())
                .find(|at| kept.is_char_boundary(*at))
                .unwrap_or(0);
            kept.truncate(floor);
        }
    }

    // --- text -------------------------------------------------------------------------------------

    #[inline]
    fn take_text(&mut self, text: &str) {
        if self.kept.len() < self.wanted {
            keep(&mut self.kept, text, self.wanted);
        }
        if self.takes_nodes {
            keep(&mut self.node_text, text, VALUE_BYTES_MAX);
        }
    }

    /// A text node of the innermost element is complete.
    fn end_text_node(&mut self, program: &Program) {
        self.facts.element += 1;
        let text = std::mem::take(&mut self.node_text);
        let cut = is_cut(text.len(), VALUE_BYTES_MAX);
        let depth = self.facts.frames.len() as u32 - 1;
        let Self { facts, states, .. } = self;
        if let Some(state) = facts
            .frames
            .last()
            .and_then(|frame| states.get(frame.state))
        {
            for &node in &state.busy {
                let Some(place) = program.place(node) else {
                    continue;
                };
                for listener in &place.texts {
                    leaf(
                        facts, program, states, node, listener, depth, &text, cut, None,
                    );
                }
            }
        }
        self.node_text = text;
        self.node_text.clear();
    }

    fn take_comment(&mut self, program: &Program, text: &str, last: bool) {
        if !self.node_text.is_empty() && !self.comment_open {
            self.end_text_node(program);
        }
        let wanted = self
            .facts
            .frames
            .last()
            .and_then(|frame| self.states.get(frame.state))
            .is_some_and(|s| s.comments);
        self.comment_open = !last;
        if !wanted {
            return;
        }
        keep(&mut self.node_text, text, VALUE_BYTES_MAX);
        if !last {
            return;
        }
        self.facts.element += 1;
        let text = std::mem::take(&mut self.node_text);
        let cut = is_cut(text.len(), VALUE_BYTES_MAX);
        let depth = self.facts.frames.len() as u32 - 1;
        let Self { facts, states, .. } = self;
        if let Some(state) = facts
            .frames
            .last()
            .and_then(|frame| states.get(frame.state))
        {
            for &node in &state.busy {
                let Some(place) = program.place(node) else {
                    continue;
                };
                for listener in &place.comments {
                    leaf(
                        facts, program, states, node, listener, depth, &text, cut, None,
                    );
                }
            }
        }
        self.node_text = text;
        self.node_text.clear();
    }
}

/// Appends text up to `wanted` bytes, at a character's end.
fn keep(kept: &mut String, text: &str, wanted: usize) {
    let room = wanted.saturating_sub(kept.len());
    if text.len() <= room {
        kept.push_str(text);
        return;
    }
    let end = (room..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    kept.push_str(text.get(..end).unwrap_or(text));
}

/// Counts an element among its siblings and tells its instance.
fn position(facts: &mut Facts, program: &Program, states: &States, node: NodeId, depth: u32) {
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
    node: NodeId,
    listener: &Listener,
    depth: u32,
    mut act: impl FnMut(&mut Facts, u32),
) {
    match listener.up {
        _ if listener.anchor == 0 => act(facts, DOCUMENT),
        Some(up) => {
            if let Some(inst) = facts.instance_at(listener.anchor, depth.wrapping_sub(up)) {
                act(facts, inst);
            }
        }
        None => {
            for inst in facts.instances(program, states, node, listener.anchor, None, depth) {
                act(facts, inst);
            }
        }
    }
}

/// Tells what is known at a start tag; the answer is how much text is wanted beyond the state's own need.
fn element_starts(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    node: NodeId,
    listener: &Listener,
    depth: u32,
    tag: &Tag<'_>,
) -> usize {
    if listener.exists.is_empty() && listener.slots.is_empty() {
        return 0;
    }
    let mut need = 0;
    each_instance(
        facts,
        program,
        states,
        node,
        listener,
        depth,
        |facts, inst| {
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
        },
    );
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
    tag: &Tag<'_>,
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
            let name = tag.name();
            let text = match kind {
                SlotKind::LocalName => name.local,
                SlotKind::NamespaceUri => name.namespace,
                _ => tag.qualified(),
            };
            facts.fill(program, states, slot, inst, text, false);
            0
        }
    }
}

fn element_ends(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    node: NodeId,
    listener: &Listener,
    depth: u32,
    text: &str,
) {
    if listener.index.is_none() && listener.slots.is_empty() {
        return;
    }
    each_instance(
        facts,
        program,
        states,
        node,
        listener,
        depth,
        |facts, inst| {
            if let Some(index) = listener.index {
                let need = program
                    .indexes
                    .get(index as usize)
                    .map_or(0, |index| index.need);
                facts.test(
                    program,
                    states,
                    index,
                    Found::Text(text, is_cut(text.len(), need)),
                    inst,
                );
            }
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
                        facts.fill(program, states, slot, inst, text, cut);
                    }
                    SlotKind::Sum => {
                        if is_cut(text.len(), VALUE_BYTES_MAX) {
                            facts.spilled = true;
                        }
                        facts.count(program, states, slot, inst, value::number(text));
                    }
                    _ => {}
                }
            }
        },
    );
}

fn attributes(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    busy: &[NodeId],
    depth: u32,
    tag: &Tag<'_>,
) {
    for (symbol, value, place_in_tag) in tag.values() {
        let attribute = OwnAttribute {
            tag,
            place: place_in_tag,
            value,
        };
        facts.element += 1;
        for &node in busy {
            let Some(place) = program
                .place(node)
                .filter(|place| !place.attributes.is_empty())
            else {
                continue;
            };
            if place.attributes.len() <= FEW {
                for (test, listeners) in &place.attributes {
                    if test.matches(symbol) {
                        attribute_found(facts, program, states, node, listeners, depth, &attribute);
                    }
                }
                continue;
            }
            let named = place.attributes_by_name.get(&Some(symbol as u32));
            let wild = place.attributes_by_name.get(&None);
            for &at in named.into_iter().chain(wild).flatten() {
                let found = place
                    .attributes
                    .get(at as usize)
                    .filter(|(test, _)| test.matches(symbol));
                if let Some((_, listeners)) = found {
                    attribute_found(facts, program, states, node, listeners, depth, &attribute);
                }
            }
        }
    }
}

/// An attribute in its tag; its name is only made where it is asked for.
struct OwnAttribute<'t> {
    tag: &'t Tag<'t>,
    place: usize,
    value: &'t str,
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

/// Up to so many attribute tests of a place are tried one by one.
const FEW: usize = 4;

fn attribute_found(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    node: NodeId,
    listeners: &[Listener],
    depth: u32,
    attribute: &OwnAttribute<'_>,
) {
    let cut = is_cut(attribute.value.len(), VALUE_BYTES_MAX);
    for listener in listeners {
        leaf(
            facts,
            program,
            states,
            node,
            listener,
            depth,
            attribute.value,
            cut,
            Some(attribute),
        );
    }
}

/// An attribute, text or comment: a node that is complete at once.
#[expect(clippy::too_many_arguments)]
fn leaf(
    facts: &mut Facts,
    program: &Program,
    states: &States,
    node: NodeId,
    listener: &Listener,
    depth: u32,
    text: &str,
    cut: bool,
    attribute: Option<&OwnAttribute<'_>>,
) {
    each_instance(
        facts,
        program,
        states,
        node,
        listener,
        depth,
        |facts, inst| {
            for &cond in &listener.exists {
                facts.fire(program, states, cond, inst);
            }
            if let Some(index) = listener.index {
                facts.test(program, states, index, Found::Text(text, cut), inst);
            }
            for &slot in &listener.slots {
                let Some(info) = program.slots(listener.anchor).get(slot as usize) else {
                    continue;
                };
                let base = facts.insts.get(inst as usize).map_or(0, |inst| inst.slots);
                let Some(state) = facts.slots.get((base + slot) as usize) else {
                    continue;
                };
                let empty = state.progress == Progress::Empty;
                match (info.kind, attribute) {
                    (SlotKind::Count, _) => facts.count(program, states, slot, inst, 1.0),
                    (SlotKind::Sum, _) => {
                        facts.spilled |= cut;
                        facts.count(program, states, slot, inst, value::number(text));
                    }
                    (_, _) if !empty => {}
                    (SlotKind::Text, _) => facts.fill(program, states, slot, inst, text, cut),
                    (kind, Some(attribute)) => {
                        facts.fill(program, states, slot, inst, &attribute.name(kind), false);
                    }
                    // Texts and comments have no name.
                    (_, None) => facts.fill(program, states, slot, inst, "", false),
                }
            }
        },
    );
}

/// The scanner's sink: a stream, its program, and somebody who reads along.
pub(super) struct Pass<'p, O> {
    pub(super) stream: &'p mut Stream,
    pub(super) program: &'p Program,
    pub(super) tally: &'p super::tally::Plan,
    pub(super) observer: &'p mut O,
    pub(super) observes: u32,
    pub(super) depth: u32,
    pub(super) check_all: bool,
}

impl<O: Observer> Sink for Pass<'_, O> {
    fn symbol(&mut self, namespace: &str, local: &str) -> u64 {
        self.program.symbols.of(namespace, local)
    }

    #[inline]
    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        self.depth = tag.depth();
        let idle = if self.stream.over {
            true
        } else {
            self.stream.enter(self.program, tag)
        };
        let pause = self.stream.news(self.tally);
        let mut flow = Flow::Continue;
        if self.depth <= self.observes {
            flow = self.observer.start(tag);
        }
        if pause {
            return Flow::Stop;
        }
        let skip = (idle || self.stream.over) && self.depth >= self.observes && !self.check_all;
        match flow {
            Flow::Stop => Flow::Stop,
            _ if skip => Flow::Skip,
            _ => Flow::Continue,
        }
    }

    #[inline]
    fn wants_text(&self) -> bool {
        self.stream.kept.len() < self.stream.wanted
            || self.stream.takes_nodes
            || self.depth <= self.observes
    }

    #[inline]
    fn text(&mut self, text: &str) {
        if !self.stream.over {
            self.stream.take_text(text);
        }
        if self.depth <= self.observes {
            self.observer.text(self.depth, text);
        }
    }

    fn comment(&mut self, text: &str, last: bool) {
        if !self.stream.over {
            self.stream.take_comment(self.program, text, last);
            // Told with the next tag: a comment alone is no place to stop at.
        }
    }

    #[inline]
    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        self.depth = tag.depth - 1;
        if !self.stream.over {
            self.stream.leave(self.program, tag.end);
        }
        let pause = self.stream.news(self.tally);
        let mut flow = Flow::Continue;
        if tag.depth <= self.observes {
            flow = self.observer.end(tag);
        }
        if pause { Flow::Stop } else { flow }
    }
}
