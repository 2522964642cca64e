//! Writes traces: takes note of what `content.rs` reads, stretch by stretch.
//!
//! A *draft* is what was read since the last step ended. It becomes a step where a value that is wanted, or
//! something that must be shown to the sink, comes next; anything uncommon ends it.

use smallvec::SmallVec;

use super::chars::is_bare_space;
use super::content::Told;
use super::find;
use super::quiet;
use super::scanner::{Frame, Scanner};
use super::scope::NameRef;
use super::sink::{Part, Sink};
use super::trace::{ElementId, Event, HOLES_EACH_MAX, Step, StepId, UNPLACED};

/// The note of an element that has to be shown, and so is never taken unseen.
const SHOWN: u64 = u64::MAX;

/// So many different elements may begin in a step that has values before its end.
const BEGUN_MAX: usize = 16;

/// So many outermost elements, which are mostly read, have no note of their own.
const SHALLOW: usize = 2;

/// Values of which nothing is wanted: from where to where they stand in the buffer in hand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Values {
    all: [(usize, usize); HOLES_EACH_MAX],
    count: usize,
}

/// Elements that began in a draft: a step ends before one that comes again, so that lists are steps that
/// follow themselves, however long they are.
#[derive(Debug, Clone, Copy, Default)]
struct Begun {
    all: [ElementId; BEGUN_MAX],
    count: usize,
}

/// What was read since the last step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Draft {
    active: bool,
    /// Where it begins in the buffer in hand.
    from: usize,
    before: StepId,
    base: ElementId,
    /// The innermost open element, and the depth that stayed open all the while.
    element: ElementId,
    floor: u16,
    leaf: Option<Leaf>,
    values: Values,
    begun: Begun,
    /// Behind the element that is part of it and being passed over; or 0.
    over: usize,
}

/// A start tag that was read with nothing but text behind it.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    tag: usize,
    close: usize,
    part: Part,
}

/// Values that were read: name, quote, and the markup behind each.
type Holes<'b> = SmallVec<[(NameRef, u8, &'b [u8]); HOLES_EACH_MAX]>;

impl Values {
    /// Adds one; nothing if there is no room.
    pub(super) fn push(&mut self, start: usize, end: usize) -> Option<()> {
        *self.all.get_mut(self.count)? = (start, end);
        self.count += 1;
        Some(())
    }

    fn all(&self) -> &[(usize, usize)] {
        self.all.get(..self.count).unwrap_or(&[])
    }
}

impl Begun {
    fn add(&mut self, element: ElementId) {
        if let Some(next) = self.all.get_mut(self.count) {
            *next = element;
            self.count += 1;
        }
    }

    /// Whether another may begin besides.
    fn admits(&self, element: ElementId) -> bool {
        let all = self.all.get(..self.count).unwrap_or(&[]);
        self.count < BEGUN_MAX && !all.contains(&element)
    }
}

impl Draft {
    /// That begins here, in this innermost element of this depth.
    fn begin(from: usize, before: StepId, base: ElementId, floor: u16) -> Self {
        Self {
            active: true,
            from,
            before,
            base,
            element: base,
            floor,
            ..Self::default()
        }
    }

    /// Whether an element is being passed over that is part of it.
    pub(super) fn passes_over(&self) -> bool {
        self.active && self.over != 0
    }

    /// What was read so far becomes no step.
    pub(super) fn discard(&mut self) {
        self.active = false;
    }

    #[inline(always)]
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// The step that the draft becomes with the tag of `element` at its end, behind which `after` is the
    /// innermost open element.
    fn step(&self, event: Event, part: Part, (element, after): (ElementId, ElementId)) -> Step {
        Step {
            event,
            part,
            floor: self.floor,
            base: self.base,
            element,
            after,
            ..Step::NONE
        }
    }
}

impl Scanner {
    /// Begins a draft at a boundary between tokens, or ends one that may not go on.
    #[inline(always)]
    pub(super) fn continue_draft<S: Sink>(&mut self, at: usize, sink: &mut S) {
        let before = std::mem::take(&mut self.trace.last);
        if self.trace.draft.passes_over() {
            return;
        }
        if !self.trace.records() || !sink.traces() || self.is_shallow(sink) {
            self.trace.draft.discard();
        } else if !self.trace.draft.is_active() {
            self.begin_draft(at, before, sink);
        }
    }

    #[inline(never)]
    fn begin_draft<S: Sink>(&mut self, from: usize, before: StepId, sink: &mut S) {
        let Some(base) = self.identify(sink) else {
            return;
        };
        self.trace.draft = Draft::begin(from, before, base, self.frames.len() as u16);
    }

    /// The innermost open element's place in the traces, if there is room for it and those around it,
    /// which get theirs besides. Each open element is asked for once.
    #[inline(never)]
    pub(super) fn identify<S: Sink>(&mut self, sink: &mut S) -> Option<ElementId> {
        let known = self.frames.iter().rposition(|frame| frame.element != 0);
        let mut parent = known.map_or(0, |at| self.frames.get(at).map_or(0, |f| f.element));
        for at in known.map_or(0, |at| at + 1)..self.frames.len() {
            let element = match parent {
                UNPLACED => None,
                _ => self.place_of_frame(at, parent, sink),
            };
            parent = element.unwrap_or(UNPLACED);
            if let Some(frame) = self.frames.get_mut(at) {
                frame.element = parent;
            }
        }
        (parent != UNPLACED).then_some(parent)
    }

    fn place_of_frame<S: Sink>(
        &mut self,
        at: usize,
        parent: ElementId,
        sink: &mut S,
    ) -> Option<ElementId> {
        let frame = *self.frames.get(at)?;
        // What others are when they are taken by trace, they are also when they are read.
        let part = match at < SHALLOW {
            true => None,
            false => sink.part(at as u32, (frame.symbol, frame.class)),
        };
        let note = part.map_or(SHOWN, |(note, _)| note);
        self.element_of(parent, at + 1, &frame, note)
    }

    /// The element of an open frame.
    fn element_of(
        &mut self,
        parent: ElementId,
        depth: usize,
        frame: &Frame,
        note: u64,
    ) -> Option<ElementId> {
        if !self.scopes.lasts(frame.scope) {
            return None;
        }
        let held = frame.key.bytes();
        let name = match frame.key.is_whole() {
            true => held.get(..frame.key.length as usize),
            false => {
                let start = frame.name_start as usize;
                self.names.get(start..start + frame.key.length as usize)
            }
        };
        self.trace.element_of(parent, depth, frame, (name?, note))
    }

    /// A start tag was read, and its element is open.
    #[inline(never)]
    pub(super) fn draft_start<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        told: &Told,
        sink: &mut S,
    ) {
        let draft = self.trace.draft;
        if !draft.active {
            return;
        }
        let depth = self.frames.len();
        let Some(frame) = self.frames.last().copied() else {
            return;
        };
        let part = sink.part(depth as u32 - 1, (frame.symbol, frame.class));
        let part = part.filter(|_| !self.has_classed_attribute());
        let note = part.map_or(SHOWN, |(note, _)| note);
        let element = self.element_of(draft.element, depth, &frame, note);
        let Some(element) = element.filter(|_| draft.leaf.is_none() && draft.over == 0) else {
            self.trace.draft.discard();
            return;
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.element = element;
        }
        let behind = told.close + 1;
        let Some(open) = find::less_than(buf, behind) else {
            self.trace.draft.discard();
            return;
        };
        let is_leaf = buf.get(open + 1) == Some(&b'/');
        let Some((_, part)) = part.filter(|(_, part)| is_leaf || !part.text()) else {
            self.draft_rest(buf, at);
            return;
        };
        if is_leaf && !part.frame() {
            self.make_room(buf, at, element, self.records.len() + 1);
            self.trace.draft.element = element;
            self.trace.draft.leaf = Some(Leaf {
                tag: at,
                close: told.close,
                part,
            });
            return;
        }
        if is_leaf && let Some(end) = self.own_end(buf, (at, open), told) {
            self.make_room(buf, at, element, self.records.len());
            let outer = self.trace.draft.element;
            let within = (element, outer);
            let step = self.trace.draft.step(Event::Leaf, part.of_leaf(), within);
            self.close_draft(buf, step, at, told.close);
            // The sink may want the text; what comes behind the element comes behind this step.
            self.begin_behind(outer, end);
            self.trace.draft.over = end;
            return;
        }
        let values = match part {
            Part::QUIET => self.tag_values(at).map(|values| (values, 0)),
            Part::DEAD => self.passed_values(buf, at, told),
            _ => None,
        };
        if part == Part::DEAD && values.is_none() && quiet::may_be_cut(buf, told.close) {
            // How large it is only shows when the rest has come.
            self.draft_rest(buf, at);
            return;
        }
        let Some((values, over)) = values else {
            self.make_room(buf, at, element, self.records.len());
            let step = self
                .trace
                .draft
                .step(Event::Start, part, (element, element));
            self.close_draft(buf, step, at, told.close);
            return;
        };
        self.make_room(buf, at, element, values.count);
        self.add_values(Some(values));
        if over == 0 {
            self.trace.draft.element = element;
        }
        self.trace.draft.over = over;
    }

    /// The values of the tag that was read last, if a step can have so many.
    fn tag_values(&self, tag: usize) -> Option<Values> {
        let mut values = Values::default();
        for record in &self.records {
            let value = record.value;
            values.push(tag + value.start as usize, tag + value.end as usize)?;
        }
        Some(values)
    }

    /// The values in an element of which nothing is wanted and whose start tag was read, and where it ends.
    fn passed_values(&self, buf: &[u8], tag: usize, told: &Told) -> Option<(Values, usize)> {
        let mut values = self.tag_values(tag)?;
        let name = buf.get(tag + 1..told.name_end)?;
        let end = quiet::content(buf, name, told.close + 1, &mut values)?;
        Some((values, end))
    }

    /// Lets the draft end before a tag if the tag's element is in it already, or there is no room for so many
    /// values more; what begins then is another draft.
    fn make_room(&mut self, buf: &[u8], tag: usize, element: ElementId, more: usize) {
        let Draft { values, begun, .. } = &self.trace.draft;
        if values.count > 0 && values.count + more > HOLES_EACH_MAX || !begun.admits(element) {
            self.split_draft(buf, tag);
        }
        self.trace.draft.begun.add(element);
    }

    /// Adds values to the draft, which ends if there is no room for them.
    fn add_values(&mut self, more: Option<Values>) {
        let values = &mut self.trace.draft.values;
        let add = |more: &Values| {
            more.all()
                .iter()
                .all(|(start, end)| values.push(*start, *end).is_some())
        };
        if !more.as_ref().is_some_and(add) {
            self.trace.draft.discard();
        }
    }

    /// Lets the draft end at `at` and another one begin there.
    fn split_draft(&mut self, buf: &[u8], at: usize) {
        let element = self.trace.draft.element;
        self.draft_rest(buf, at);
        self.begin_behind(element, at);
    }

    /// Begins a draft behind the step that was closed just now, in this innermost element.
    fn begin_behind(&mut self, element: ElementId, at: usize) {
        let before = std::mem::take(&mut self.trace.last);
        if before != 0 {
            let depth = self.trace.element(element).depth;
            self.trace.draft = Draft::begin(at, before, element, depth);
        }
    }

    /// Where the end tag at `open` ends, if it is the one of the tag at `tag`.
    fn own_end(&self, buf: &[u8], (tag, open): (usize, usize), told: &Told) -> Option<usize> {
        let name = buf.get(tag + 1..told.name_end)?;
        let behind = open + 2 + name.len();
        let fits = buf.get(open + 2..behind) == Some(name) && buf.get(behind) == Some(&b'>');
        fits.then_some(behind + 1)
    }

    /// An element with nothing but text was read from its start tag at `at` to its end tag, which stands from
    /// where to where `end` says.
    #[inline(never)]
    pub(super) fn draft_leaf<S: Sink>(
        &mut self,
        (buf, at): (&[u8], usize),
        end: (usize, usize),
        told: &Told,
        sink: &mut S,
    ) {
        let draft = self.trace.draft;
        if !draft.active {
            return;
        }
        let part = self.unopened((buf, at), told, sink);
        match part.filter(|(_, part)| draft.leaf.is_none() && draft.over == 0 && !part.frame()) {
            Some((element, part)) => {
                let leaf = Leaf {
                    tag: at,
                    close: told.close,
                    part,
                };
                self.make_room(buf, at, element, self.records.len() + 1);
                self.close_leaf(buf, end, (element, draft.element), leaf);
            }
            None => self.trace.draft.discard(),
        }
    }

    /// An element with nothing but text is over; its end tag stands from `end` to `behind`.
    fn close_leaf(
        &mut self,
        buf: &[u8],
        (end, behind): (usize, usize),
        (element, outer): (ElementId, ElementId),
        leaf: Leaf,
    ) {
        let draft = self.trace.draft;
        let part = leaf.part.living();
        if part.is_quiet() {
            let values = self.tag_values(leaf.tag).and_then(|mut values| {
                values.push(leaf.close + 1, end)?;
                Some(values)
            });
            self.add_values(values);
            self.trace.draft.element = outer;
            self.trace.draft.leaf = None;
            self.end_before_next(buf, (end, behind));
            return;
        }
        let (event, after) = match part.text() {
            true => (Event::Leaf, outer),
            false => (Event::Text, element),
        };
        let step = draft.step(event, part, (element, after));
        self.close_draft(buf, step, leaf.tag, leaf.close);
        if event == Event::Text && self.trace.last != 0 {
            // The end tag begins the next step.
            let before = std::mem::take(&mut self.trace.last);
            let floor = self.trace.element(outer).depth;
            self.trace.draft = Draft {
                element: outer,
                ..Draft::begin(end, before, element, floor)
            };
        }
    }

    /// An empty element was read.
    pub(super) fn draft_empty<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        told: &Told,
        sink: &mut S,
    ) {
        let draft = self.trace.draft;
        if !draft.active {
            return;
        }
        if draft.leaf.is_some() || draft.over != 0 {
            self.trace.draft.discard();
            return;
        }
        match self.unopened((buf, at), told, sink) {
            Some((_, part)) if part.frame() || part.text() => self.draft_rest(buf, at),
            Some((element, part)) if !part.values() => {
                self.make_room(buf, at, element, self.records.len());
                self.add_values(self.tag_values(at));
            }
            Some((element, part)) => {
                self.make_room(buf, at, element, self.records.len());
                let (draft, within) = (self.trace.draft, (element, draft.element));
                let step = draft.step(Event::Empty, part.living(), within);
                self.close_draft(buf, step, at, told.close);
            }
            None => self.draft_rest(buf, at),
        }
    }

    /// Whether the tag read last has an attribute that means something to the observer.
    fn has_classed_attribute(&self) -> bool {
        self.records.iter().any(|record| record.resolved.class > 1)
    }

    /// The element of a tag that is over already, and its part.
    fn unopened<S: Sink>(
        &mut self,
        (buf, at): (&[u8], usize),
        told: &Told,
        sink: &mut S,
    ) -> Option<(ElementId, Part)> {
        let outer = self.frames.last()?;
        let known = self.known.at(told.name);
        let frame = Frame {
            key: known.key(),
            symbol: known.name.symbol,
            class: known.name.class,
            scope: outer.scope,
            serial: outer.serial,
            ..Frame::NONE
        };
        let (note, part) = sink.part(self.frames.len() as u32, (frame.symbol, frame.class))?;
        if self.has_classed_attribute() {
            return None;
        }
        if !self.scopes.lasts(frame.scope) {
            return None;
        }
        let name = buf.get(at + 1..told.name_end)?;
        let (parent, depth) = (self.trace.draft.element, self.frames.len() + 1);
        let element = self.trace.element_of(parent, depth, &frame, (name, note))?;
        Some((element, part))
    }

    /// Text was read: it is part of a draft as white space, or in a leaf.
    #[inline(always)]
    pub(super) fn draft_text(&mut self, text: &[u8]) {
        let draft = &mut self.trace.draft;
        if draft.active
            && draft.leaf.is_none()
            && draft.over == 0
            && !text.iter().all(|byte| is_bare_space(*byte))
        {
            draft.discard();
        }
    }

    /// An end tag was read, from `at` to `behind`, and its element is closed; `quiet` when nothing came of it. Of
    /// what comes of it where a step begins, the sink can be told.
    #[inline(never)]
    pub(super) fn draft_end(&mut self, buf: &[u8], (at, behind): (usize, usize), quiet: bool) {
        let draft = self.trace.draft;
        if !draft.active {
            return;
        }
        let (inner, depth) = match self.frames.last() {
            Some(frame) => (frame.element, self.frames.len() as u16),
            None => (0, 0),
        };
        if draft.over != 0 {
            match behind == draft.over {
                true => {
                    self.trace.draft.over = 0;
                    self.end_before_next(buf, (at, behind));
                }
                false => self.trace.draft.discard(),
            }
            return;
        }
        let closed = self.trace.element(draft.element);
        if inner == 0 || closed.parent != inner || closed.depth != depth + 1 {
            self.trace.draft.discard();
        } else if let Some(leaf) = draft.leaf {
            self.close_leaf(buf, (at, behind), (draft.element, inner), leaf);
        } else if quiet || draft.begun.count == 0 {
            if depth < draft.floor && draft.begun.count > 0 {
                // Elements that were open before end at the first `>` of a step or not in it.
                self.split_draft(buf, at);
            }
            let draft = &mut self.trace.draft;
            draft.element = inner;
            draft.floor = draft.floor.min(depth);
            if at == draft.from && draft.before == 0 {
                // What was passed over is over; small elements may come.
                self.draft_rest(buf, behind);
            } else if draft.begun.count > 0 {
                self.end_before_next(buf, (at, behind));
            }
        } else {
            self.draft_rest(buf, at);
        }
    }

    /// Ends the draft behind an end tag if another element of its name comes next: lists are steps that follow
    /// themselves, and what is known of them can be followed from here on.
    fn end_before_next(&mut self, buf: &[u8], (end, behind): (usize, usize)) {
        let name = buf.get(end + 2..behind - 1).unwrap_or(&[]);
        let rest = buf.get(behind..).unwrap_or(&[]).trim_ascii_start();
        let next = rest
            .strip_prefix(b"<")
            .and_then(|next| next.strip_prefix(name));
        if next.is_some_and(|next| matches!(next.first(), Some(b' ' | b'>' | b'/'))) {
            self.draft_rest(buf, behind);
        }
    }

    /// What stands at `at` is not common, or must be shown: the draft ends before it.
    #[inline(never)]
    pub(super) fn draft_rest(&mut self, buf: &[u8], at: usize) {
        let draft = self.trace.draft;
        self.trace.draft.discard();
        self.trace.last = 0;
        if !draft.active || draft.leaf.is_some() || draft.over != 0 {
            return;
        }
        if memchr::memchr(b'<', buf.get(draft.from..at).unwrap_or(&[])).is_none() {
            return;
        }
        let step = draft.step(Event::Nothing, Part::QUIET, (0, draft.element));
        self.close_step(buf, &draft, step, at, &[]);
    }

    /// The draft becomes a step that ends with the tag from `tag` to `close`, whose attributes are noted.
    fn close_draft(&mut self, buf: &[u8], mut step: Step, tag: usize, close: usize) {
        let draft = self.trace.draft;
        self.trace.draft.discard();
        let before = draft
            .values
            .all()
            .last()
            .map_or(draft.from, |(_, end)| *end);
        let Ok(offset) = u16::try_from(tag.wrapping_sub(before)) else {
            return;
        };
        step.tag = offset;
        let Some(own) = self.tag_values(tag) else {
            return;
        };
        let names = self.records.iter().map(|record| record.resolved);
        let values: SmallVec<[_; HOLES_EACH_MAX]> = names.zip(own.all().iter().copied()).collect();
        self.close_step(buf, &draft, step, close + 1, &values);
    }

    /// The draft becomes this step, up to `end`; the values in the tag at its end are given.
    fn close_step(
        &mut self,
        buf: &[u8],
        draft: &Draft,
        mut step: Step,
        end: usize,
        values: &[(NameRef, (usize, usize))],
    ) {
        let passed = draft.values.all();
        let passed = passed.iter().map(|value| (NameRef::default(), *value));
        let all: SmallVec<[_; HOLES_EACH_MAX]> = passed.chain(values.iter().copied()).collect();
        step.quiet = draft.values.count as u8;
        let starts = all.iter().skip(1).map(|(_, (start, _))| *start);
        let next = starts.chain(std::iter::once(end));
        let mut holes = Holes::new();
        for ((name, (_, stop)), next) in all.iter().zip(next) {
            let (Some(byte), Some(behind)) = (buf.get(*stop), buf.get(*stop..next)) else {
                return;
            };
            if holes.len() >= HOLES_EACH_MAX {
                return;
            }
            holes.push((*name, *byte, behind));
        }
        let first = all.first().map_or(end, |(_, (start, _))| *start);
        if let Some(lead) = buf.get(draft.from..first) {
            self.trace.close(step, lead, &holes, draft.before);
        }
    }
}
