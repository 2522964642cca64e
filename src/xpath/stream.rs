//! One message through a program: the scanner's events to facts.
//!
//! Sketch of the cost: a start tag is one look-up of the next state; only where somebody listens
//! more is done. Text is copied only where a value is wanted, and only as far as its tests need.
//! What no live state wants is skipped by the scanner. No allocation once the buffers have grown.

use crate::xml::{Part, Records, Tag, Tests};

use super::facts::{DOCUMENT, Facts, Frame, NONE};
use super::index::VALUE_BYTES_MAX;
use super::kept::{char_end, is_cut, keep};
use super::listen;
use super::program::{PHASE_ROOT, Phase, Program};
use super::run::Pause;
use super::states::{StateId, States, flags};
use super::tally::Tally;

/// The state of a message.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) facts: Facts,
    pub(super) states: States,
    pub(super) tally: Tally,
    /// Text of open elements whose value is wanted.
    pub(super) kept: Vec<u8>,
    /// `kept` grows up to here.
    pub(super) wanted: usize,
    /// The text node in hand, where text nodes are wanted.
    node_text: Vec<u8>,
    pub(super) takes_nodes: bool,
    comment_open: bool,
    /// Offset behind the event in hand, and of the last decision.
    here: u64,
    pub(super) decided_at: u64,
    /// How much text was wanted by the listeners that were told of a start for which nothing is on the stack.
    asked: usize,
    pub(super) pause: Pause,
    program: u64,
    pub(super) over: bool,
}

impl Stream {
    pub(super) fn begin(&mut self, program: &Program, tally: &super::tally::Plan, id: u64) {
        let fresh = self.program != id;
        self.program = id;
        self.facts.begin(program, fresh);
        self.tally.begin(tally);
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
            _spare: 0,
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
    #[inline(always)]
    pub(super) fn news(&mut self, tally: &super::tally::Plan) -> bool {
        self.facts.news && self.take_news(tally)
    }

    #[inline(never)]
    fn take_news(&mut self, tally: &super::tally::Plan) -> bool {
        let facts = &mut self.facts;
        facts.news = false;
        match self.tally.stays(tally, facts.matched.len(), facts.phase) {
            Some(false) => false,
            Some(true) => {
                self.decided_at = self.here;
                self.pause != Pause::WhenSettled && self.pauses_at_decision(tally)
            }
            None => self.reckon_news(tally),
        }
    }

    #[inline(never)]
    fn pauses_at_decision(&mut self, tally: &super::tally::Plan) -> bool {
        match self.pause {
            Pause::WhenSettled => false,
            Pause::WhenBestLevelIsSure => self.tally.best_is_sure(tally, &self.facts.matched),
            Pause::AtEachDecision => true,
        }
    }

    /// The same where an end of a phase, or of all that is open, is among the news.
    #[inline(never)]
    fn reckon_news(&mut self, tally: &super::tally::Plan) -> bool {
        let was_settled = self.tally.settled;
        let decided = self
            .tally
            .reckon(tally, &self.facts.matched, self.facts.phase);
        if decided {
            self.decided_at = self.here;
        }
        let settled = self.tally.settled && !was_settled;
        self.over |= settled;
        settled || decided && self.pauses_at_decision(tally)
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

    /// An element inside the root starts whose tag nobody needs to see and that was met before in this
    /// place; nothing has happened when the answer is nothing. Else it is whether nothing below matters.
    #[inline(always)]
    pub(super) fn enter_known(
        &mut self,
        program: &Program,
        (symbol, note): (u64, &mut u64),
        attributes: Records<'_>,
        end: u64,
    ) -> Option<bool> {
        let from = self.facts.frames.last()?.state;
        let (state, flags) = self.states.noted(from, symbol, note)?;
        let refused = flags & (flags::NAMES | flags::SECTION) != 0
            || flags & flags::ATTRIBUTES != 0 && !self.takes_values(state, attributes);
        if refused || !self.node_text.is_empty() {
            return None;
        }
        self.here = end;
        self.push(state, flags);
        if flags & flags::OPENS != 0 {
            let depth = self.facts.frames.len() as u32 - 1;
            self.listen(program, depth, None, attributes.all());
        } else if flags & flags::CAPTURES != 0 {
            let need = self.states.get(state).map_or(0, |state| state.need);
            self.capture(need);
        }
        Some(flags & flags::DEAD != 0 && self.kept.len() >= self.wanted)
    }

    /// Whether the values of attributes, as they are offered, suffice for a state that wants some.
    fn takes_values(&self, state: StateId, attributes: Records<'_>) -> bool {
        attributes.is_empty() || self.states.get(state).is_some_and(|s| s.plain.is_some())
    }

    /// An element with text only, for whose start nobody waits; nothing has happened when the answer
    /// is false.
    #[inline(always)]
    pub(super) fn leaf_known(
        &mut self,
        program: &Program,
        (symbol, note): (u64, &mut u64),
        text: &[u8],
        end: u64,
    ) -> bool {
        let Some(from) = self.facts.frames.last().map(|frame| frame.state) else {
            return false;
        };
        let Some((state, flags)) = self.states.noted(from, symbol, note) else {
            return false;
        };
        let ignored = flags::DEAD | flags::CAPTURES;
        if flags & !ignored != 0 || !self.node_text.is_empty() {
            return false;
        }
        if self.kept.len() < self.wanted {
            keep(&mut self.kept, text, self.wanted);
        }
        self.here = end;
        if flags & flags::CAPTURES != 0 {
            self.leaf_value(program, (state, flags), text);
        } else {
            self.facts.element += 1;
        }
        true
    }

    /// The text of a leaf meets its tests where it stands.
    fn leaf_value(&mut self, program: &Program, (state, flags): (StateId, u8), text: &[u8]) {
        let Self { facts, states, .. } = self;
        let Some(known) = states.get(state) else {
            return;
        };
        facts.element += 1;
        let depth = facts.frames.len() as u32;
        for end in &known.ends {
            if end.up.is_some() || end.anchor == 0 {
                listen::element_ends(facts, program, states, end, depth, text);
                continue;
            }
            // The way up to its instances begins at the element itself.
            facts.frames.push(Frame::of(facts, state, flags));
            listen::element_ends(facts, program, states, end, depth, text);
            facts.frames.pop();
        }
    }

    // --- elements taken by trace ------------------------------------------------------------------

    /// Whether elements may be taken by trace: no text is being kept, and nothing that a comment decided waits
    /// for the next tag.
    #[inline(always)]
    pub(super) fn is_idle(&self) -> bool {
        self.wanted == 0
            && !self.takes_nodes
            && self.node_text.is_empty()
            && !self.comment_open
            && !self.facts.news
    }

    /// The note on a child of the open element of depth `outer`, and what it wants, if it can do with less
    /// than its tag.
    pub(super) fn part(&self, outer: u32, symbol: u64) -> Option<(u64, Part)> {
        let from = self.facts.frames.get(outer as usize)?.state;
        let (id, flags) = self.states.known(from, symbol)?;
        let part = self.states.get(id)?.part()?;
        Some((u64::from(id) << 8 | u64::from(flags), part))
    }

    /// The values of an element's attributes meet their tests; the answer is whether it must be opened.
    #[inline(always)]
    pub(super) fn values_known(
        &mut self,
        program: &Program,
        note: u64,
        values: Records<'_>,
        end: u64,
    ) -> bool {
        let Self { facts, states, .. } = self;
        let plain = states
            .get((note >> 8) as StateId)
            .and_then(|state| state.plain.as_ref());
        let Some(plain) = plain else {
            return true;
        };
        self.here = end;
        self.asked = 0;
        listen::plain_values(facts, program, states, plain, values.all())
    }

    /// See [`crate::xml::Sink::tests_of`].
    pub(super) fn tests_of(
        &self,
        program: &Program,
        note: u64,
        symbol: Option<u64>,
    ) -> Option<Tests> {
        let state = self.states.get((note >> 8) as StateId)?;
        state.tests_of(program, symbol)
    }

    /// An element with nothing but text starts of which the start is told to listeners only.
    pub(super) fn starts(&mut self, program: &Program, note: u64, depth: u32, end: u64) {
        self.here = end;
        let Self { facts, states, .. } = self;
        facts.element += 1;
        let state = states.get((note >> 8) as StateId);
        self.asked = state.map_or(0, |state| {
            listen::starts(facts, program, states, state, depth, None)
        });
    }

    /// Starts keeping the text of the innermost element, whose start was told when it was not on the stack.
    pub(super) fn capture_unread(&mut self) {
        let state = self.facts.frames.last().map_or(0, |frame| frame.state);
        let need = self.states.get(state).map_or(0, |state| state.need);
        let need = need.max(self.asked);
        if need > 0 {
            self.capture(need);
        }
    }

    /// The text of a leaf meets its tests.
    #[inline(always)]
    pub(super) fn leaf(
        &mut self,
        program: &Program,
        note: u64,
        (depth, text): (u32, &[u8]),
        end: u64,
    ) {
        self.here = end;
        let Self { facts, states, .. } = self;
        facts.element += 1;
        let Some(state) = states.get((note >> 8) as StateId) else {
            return;
        };
        for end in &state.ends {
            listen::element_ends(facts, program, states, end, depth, text);
        }
    }

    /// An element is open of which nothing is told yet.
    #[inline(always)]
    pub(super) fn push_known(&mut self, note: u64) {
        self.push((note >> 8) as StateId, note as u8);
    }

    /// The innermost element's start is told; the answer is whether nothing below it can matter.
    pub(super) fn opened(&mut self, program: &Program, values: Records<'_>, end: u64) -> bool {
        self.here = end;
        let depth = self.facts.frames.len() as u32 - 1;
        let flags = self.facts.frames.last().map_or(0, |frame| frame.flags);
        if flags & flags::SECTION != 0 {
            self.near_root(program, depth, true);
        }
        if self.facts.has_collected() {
            self.opened_met(program, depth);
        } else if flags & (flags::OPENS | flags::CAPTURES) != 0 {
            self.listen(program, depth, None, values.all());
        }
        flags & flags::DEAD != 0 && self.kept.len() >= self.wanted
    }

    /// The same for an element whose values have met their tests already.
    #[inline(always)]
    fn opened_met(&mut self, program: &Program, depth: u32) {
        let Self { facts, states, .. } = self;
        let state = facts
            .frames
            .last()
            .and_then(|frame| states.get(frame.state));
        let Some((need, Some(plain))) = state.map(|state| (state.need, &state.plain)) else {
            return;
        };
        listen::plain_met(facts, program, states, plain, depth);
        if need > 0 {
            self.capture(need);
        }
    }

    /// Whether nothing comes of the ends of the elements deeper than `depth`.
    #[inline(always)]
    pub(super) fn ends_quietly(&self, depth: u32) -> bool {
        let outermost = self.facts.frames.get(depth as usize + 1);
        outermost.is_some_and(|frame| {
            depth >= 2 && self.wanted == 0 && self.facts.end_quietly(frame.insts)
        })
    }

    /// Ends the elements deeper than `depth`, if nothing comes of it.
    #[inline(always)]
    pub(super) fn pops(&mut self, depth: u32) -> bool {
        if !self.ends_quietly(depth) {
            return false;
        }
        self.close_frames(depth);
        true
    }

    /// Takes the elements deeper than `depth`, of whose ends all has been told, from the stack.
    #[inline(always)]
    fn close_frames(&mut self, depth: u32) {
        let Some(outermost) = self.facts.frames.get(depth as usize + 1) else {
            return;
        };
        let insts = outermost.insts;
        self.facts.counters.truncate(outermost.counters as usize);
        self.facts.frames.truncate(depth as usize + 1);
        if self.facts.insts.len() > insts as usize {
            self.facts.drop_instances(insts);
        }
        let above = self.facts.frames.last().map_or(0, |frame| frame.flags);
        self.takes_nodes = above & flags::TEXTS != 0;
    }

    /// An element starts; the answer is whether nothing below it can matter.
    #[inline]
    pub(super) fn enter(&mut self, program: &Program, tag: &Tag<'_>) -> bool {
        if !self.node_text.is_empty() {
            self.end_text_node(program);
        }
        self.here = tag.end();
        if self.states.full {
            self.states.compact(
                program,
                self.facts.frames.iter_mut().map(|frame| &mut frame.state),
            );
        }
        let from = self.facts.frames.last().map_or(0, |frame| frame.state);
        let (state, flags) = self.states.step(program, from, tag.symbol());
        let depth = self.facts.frames.len() as u32;
        self.push(state, flags);
        if flags & flags::SECTION != 0 {
            self.near_root(program, depth, true);
        }
        if flags & (flags::OPENS | flags::CAPTURES) != 0 {
            let values = tag.symbols().map(|(symbol, at)| (symbol, tag.value_at(at)));
            self.listen(program, depth, Some(tag), values);
        }
        let dead = flags & flags::DEAD != 0 && self.kept.len() >= self.wanted;
        if depth == 1 {
            // Nothing can come any more: neither from below, nor from its text, nor from its end or behind.
            let done = dead && self.facts.insts.len() == 1 && !self.waits_behind_root();
            let upto = if done {
                program.last_phase()
            } else {
                PHASE_ROOT
            };
            self.facts.settle(program, &self.states, upto);
        }
        dead
    }

    #[inline(always)]
    fn push(&mut self, state: StateId, flags: u8) {
        self.facts.element += 1;
        let frame = Frame::of(&self.facts, state, flags);
        self.facts.frames.push(frame);
        self.takes_nodes = flags & flags::TEXTS != 0;
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

    /// Does what the element's state asks for; the tag is there where its state may need it, the values
    /// of its attributes where the state wants no more.
    fn listen<'v>(
        &mut self,
        program: &Program,
        depth: u32,
        tag: Option<&Tag<'_>>,
        values: impl Iterator<Item = (u64, &'v [u8])>,
    ) {
        let Self { facts, states, .. } = self;
        let Some(frame) = facts.frames.last() else {
            return;
        };
        let (first, flags) = (frame.insts, frame.flags);
        let Some(state) = states.get(frame.state) else {
            return;
        };
        let mut need = state.need;
        if let Some(plain) = &state.plain {
            listen::plain_start(facts, program, states, plain, depth, values);
        } else if flags & flags::OPENS != 0 {
            for &node in &state.anchors {
                facts.open(program, node, depth);
            }
            for &node in &state.counted {
                listen::position(facts, program, states, node, depth);
            }
            need = need.max(listen::starts(facts, program, states, state, depth, tag));
            if let Some(tag) =
                tag.filter(|tag| flags & flags::ATTRIBUTES != 0 && tag.has_attributes())
            {
                listen::attributes(facts, program, states, state, depth, tag);
            }
            for inst in first..facts.insts.len() as u32 {
                facts.started(program, states, inst);
            }
        }
        if need > 0 {
            self.capture(need);
        }
    }

    /// Starts keeping the text of the innermost element.
    #[inline]
    fn capture(&mut self, need: usize) {
        let start = self.kept.len();
        if let Some(frame) = self.facts.frames.last_mut() {
            frame.capture = start as u32;
            frame.need = need as u32;
            frame.wanted_before = self.wanted as u32;
        }
        self.wanted = self.wanted.max(start + need);
    }

    /// An element inside the root ends; nothing has happened when the answer is false.
    #[inline(always)]
    pub(super) fn leave_known(&mut self, program: &Program, end: u64) -> bool {
        let Some(frame) = self.facts.frames.last() else {
            return false;
        };
        let busy = frame.capture != NONE || !self.facts.end_quietly(frame.insts);
        let depth = (self.facts.frames.len() as u32).saturating_sub(2);
        if frame.flags & flags::SECTION != 0 || !self.node_text.is_empty() {
            return false;
        }
        self.here = end;
        if busy {
            self.leave_busy(program);
        }
        self.close_frames(depth);
        true
    }

    #[inline]
    pub(super) fn leave(&mut self, program: &Program, end: u64) {
        if !self.node_text.is_empty() {
            self.end_text_node(program);
        }
        self.here = end;
        let Some(frame) = self.facts.frames.last() else {
            return;
        };
        let (flags, depth) = (frame.flags, self.facts.frames.len() as u32 - 1);
        self.leave_busy(program);
        if flags & flags::SECTION != 0 {
            self.near_root(program, depth, false);
        }
        self.close_frames(depth.saturating_sub(1));
        if self.facts.frames.len() == 1 {
            self.leave_root(program);
        }
    }

    /// What depends on the end of the innermost element.
    fn leave_busy(&mut self, program: &Program) {
        let Some(frame) = self.facts.frames.last() else {
            return;
        };
        let first = frame.insts as usize;
        if frame.capture != NONE {
            let frame = *frame;
            self.element_value(program, &frame, self.facts.frames.len() as u32 - 1);
        }
        while self.facts.insts.len() > first {
            let last = self.facts.insts.len() as u32 - 1;
            self.facts.finish_instance(program, &self.states, last);
        }
    }

    fn leave_root(&mut self, program: &Program) {
        if !self.waits_behind_root() {
            self.finish(program);
        }
    }

    /// Behind the root only comments can matter.
    fn waits_behind_root(&self) -> bool {
        let document = self.facts.frames.first().map_or(0, |frame| frame.state);
        let state = self.states.get(document);
        state.is_some_and(|state| !state.comments.is_empty())
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
        let text = kept.get(frame.capture as usize..).unwrap_or(&[]);
        let Some(state) = states.get(frame.state) else {
            return;
        };
        listen::ends(facts, program, states, state, depth, text);
        let before = frame.wanted_before as usize;
        *wanted = before;
        // An outer element that still wants text keeps it; one that has enough has been cut already.
        let floor = (frame.capture as usize).max(before);
        if before == 0 {
            kept.clear();
        } else if kept.len() > floor {
            kept.truncate(char_end(kept, floor));
        }
    }

    // --- text -------------------------------------------------------------------------------------

    #[inline]
    pub(super) fn take_text(&mut self, text: &[u8]) {
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
            for &node in &state.texts {
                let Some(place) = program.place(node) else {
                    continue;
                };
                for listener in &place.texts {
                    listen::leaf(
                        facts, program, states, node, listener, depth, &text, cut, None,
                    );
                }
            }
        }
        self.node_text = text;
        self.node_text.clear();
    }

    pub(super) fn take_comment(&mut self, program: &Program, text: &str, last: bool) {
        if !self.node_text.is_empty() && !self.comment_open {
            self.end_text_node(program);
        }
        let wanted = self
            .facts
            .frames
            .last()
            .and_then(|frame| self.states.get(frame.state))
            .is_some_and(|s| !s.comments.is_empty());
        self.comment_open = !last;
        if !wanted {
            return;
        }
        keep(&mut self.node_text, text.as_bytes(), VALUE_BYTES_MAX);
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
            for &node in &state.comments {
                let Some(place) = program.place(node) else {
                    continue;
                };
                for listener in &place.comments {
                    listen::leaf(
                        facts, program, states, node, listener, depth, &text, cut, None,
                    );
                }
            }
        }
        self.node_text = text;
        self.node_text.clear();
    }
}
