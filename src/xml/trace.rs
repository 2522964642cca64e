//! What stood in earlier messages, step by step, so that it can be compared instead of read.
//!
//! Messages of a service repeat the same markup around other values. A *trace* is that markup as a graph:
//! a [`Step`] is a stretch of bytes up to the next value that is wanted, and knows which steps came behind it.
//! While a message follows, open elements are not even put on the stacks, since the step says which they are.
//! `record.rs` writes traces while `content.rs` reads what is new; `retrace.rs` follows them, `compare.rs` does
//! so from step to step, and `lists.rs` passes steps that come again and again, as the ring of `ring.rs`.
//!
//! **Invariants:** a step only holds for the open elements it was recorded in; memory is bounded by the
//! constants here: what is full stays as it is, and is begun anew after [`FULL_MESSAGES_MAX`] messages.

use super::markup::{Gap, Markup};
use super::room;
use super::scanner::Frame;
use super::scope::NameRef;
use super::sink::Part;

/// Steps of all messages of a worker's filter table; a service has some dozens a kind of message.
const STEPS_MAX: usize = 512;
/// Elements they are in.
const ELEMENTS_MAX: usize = 512;
/// Bytes of markup.
const BYTES_MAX: usize = 24 << 10;
/// Values of all steps, and of one.
const HOLES_MAX: usize = 512;
pub(super) const HOLES_EACH_MAX: usize = 8;
/// Longest stretch of markup in one step.
const LEAD_MAX: usize = 1 << 10;
/// Places to find steps and elements again by their content; a power of two, twice as many as there are
/// of either at most.
const PLACES: usize = 1024;
/// So many more elements, steps or values, and bytes, are made room for at a time.
const ENTRIES_MORE: usize = 8;
const BYTES_MORE: usize = 512;
/// So many messages may meet a full trace before it is begun anew.
const FULL_MESSAGES_MAX: u32 = 256;
/// How many steps are remembered to come behind a step or an element's start.
const FOLLOWERS: usize = 2;

/// Number of an element; 0 is none.
pub(super) type ElementId = u16;
/// Of an open element for which there was no room.
pub(super) const UNPLACED: ElementId = ElementId::MAX;
/// Number of a step; 0 is none.
pub(super) type StepId = u16;

/// The steps that came next, the last one first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Followers([StepId; FOLLOWERS]);

/// An element, in the place where it stood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub(super) frame: Frame,
    /// What ends a text that is all its content, and its end tag.
    pub(super) end: Gap,
    /// The sink's number for it in this place.
    pub(super) note: u64,
    pub(super) parent: ElementId,
    pub(super) depth: u16,
    next: Followers,
}

/// What stands at the end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing: what comes next was not common.
    Nothing,
    /// A start tag.
    Start,
    /// An empty element.
    Empty,
    /// A start tag and a text of which nothing is wanted.
    Text,
    /// An element with its text, which is wanted, and its end tag.
    Leaf,
}

/// A stretch of markup and what it ends with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// The markup up to its first value.
    pub(super) lead: Markup,
    pub(super) event: Event,
    pub(super) part: Part,
    pub(super) holes: u8,
    /// So many of them come before the tag at its end.
    pub(super) quiet: u8,
    pub(super) first_hole: u16,
    /// Where that tag begins in the markup behind those, or in the first.
    pub(super) tag: u16,
    /// No empty element stands in its first markup, so that the first `>` are those of the end tags.
    pub(super) neat: bool,
    /// The depth that stays open all the while.
    pub(super) floor: u16,
    /// The innermost open element before it, the one of the tag at its end, and the innermost behind it.
    pub(super) base: ElementId,
    pub(super) element: ElementId,
    pub(super) after: ElementId,
    pub(super) next: Followers,
    /// What may come behind it, but begins no list that can be passed.
    pub(super) barred: StepId,
}

/// A value, and the markup behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hole {
    pub(super) name: NameRef,
    /// What ends it, and all up to the next value or to the step's end.
    pub(super) gap: Gap,
}

/// All steps.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) bytes: Vec<u8>,
    elements: Vec<Element>,
    steps: Vec<Step>,
    holes: Vec<Hole>,
    steps_by_content: Box<[StepId]>,
    elements_by_content: Box<[ElementId]>,
    full: bool,
    full_messages: u32,
    /// How often all was forgotten.
    since: u64,
    epoch: u64,
    /// The step behind which the message stands, if it does.
    pub(super) last: StepId,
    /// How many lists ended in their first item; beyond some number, how many were not looked at since.
    pub(super) vain: u8,
    pub(super) draft: super::record::Draft,
}

impl Element {
    const NONE: Self = Self {
        frame: Frame::NONE,
        end: Gap::TEXT,
        note: 0,
        parent: 0,
        depth: 0,
        next: Followers([0; FOLLOWERS]),
    };
}

impl Step {
    pub(super) const NONE: Self = Self {
        lead: Markup::NONE,
        event: Event::Nothing,
        part: Part::QUIET,
        holes: 0,
        quiet: 0,
        first_hole: 0,
        tag: 0,
        neat: false,
        floor: 0,
        base: 0,
        element: 0,
        after: 0,
        next: Followers([0; FOLLOWERS]),
        barred: 0,
    };

    /// Whether what came behind this step, which has this number, came before it too, since steps are numbered as
    /// they come for the first time: it ends an item of a list that can perhaps be passed.
    #[inline(always)]
    pub(super) fn ends_item(&self, own: StepId) -> bool {
        let first = self.next.first();
        first <= own && first != self.barred
    }
}

impl Followers {
    /// Adds what came last; `yields` to what came before if that may stand there as well.
    fn add(&mut self, step: StepId, yields: bool) {
        let [first, second] = &mut self.0;
        if *first == step {
            return;
        }
        *second = match yields && *first != 0 {
            true => step,
            false => std::mem::replace(first, step),
        };
    }

    fn swap(&mut self) {
        self.0.swap(0, 1);
    }

    /// What came last.
    #[inline(always)]
    pub(super) fn first(self) -> StepId {
        let [first, _] = self.0;
        first
    }

    #[inline(always)]
    pub(super) fn each(self) -> [StepId; FOLLOWERS] {
        self.0
    }
}

impl Default for Trace {
    fn default() -> Self {
        let mut trace = Self {
            bytes: Vec::new(),
            elements: Vec::new(),
            steps: Vec::new(),
            holes: Vec::new(),
            steps_by_content: Box::default(),
            elements_by_content: Box::default(),
            full: false,
            full_messages: 0,
            since: 0,
            epoch: 0,
            last: 0,
            vain: 0,
            draft: super::record::Draft::default(),
        };
        trace.forget();
        trace
    }
}

impl Trace {
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
        self.elements.clear();
        room::push(&mut self.elements, Element::NONE, ENTRIES_MORE);
        self.steps.clear();
        room::push(&mut self.steps, Step::NONE, ENTRIES_MORE);
        self.holes.clear();
        self.steps_by_content.fill(0);
        self.elements_by_content.fill(0);
        self.full = false;
        self.full_messages = 0;
        self.since += 1;
        self.lose();
    }

    /// Differs whenever elements and steps have been numbered anew.
    #[inline(always)]
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// Starts a document; the sink's notes of another epoch mean nothing.
    pub(super) fn begin(&mut self) {
        self.lose();
        self.vain = 0;
        if self.full {
            self.full_messages += 1;
            if self.full_messages > FULL_MESSAGES_MAX {
                self.forget();
            }
        }
    }

    /// Whether notes are of this epoch; else all is forgotten, and open elements must not be known any more.
    #[inline(always)]
    pub(super) fn is_of(&mut self, epoch: u64) -> bool {
        self.epoch == epoch || self.turn_to(epoch)
    }

    #[cold]
    fn turn_to(&mut self, epoch: u64) -> bool {
        self.forget();
        self.epoch = epoch;
        false
    }

    /// What comes next is not known by what came last.
    #[inline(always)]
    pub(super) fn lose(&mut self) {
        self.last = 0;
        self.draft.discard();
    }

    /// Whether steps can be added.
    #[inline(always)]
    pub(super) fn records(&self) -> bool {
        !self.full
    }

    #[inline(always)]
    pub(super) fn element(&self, id: ElementId) -> &Element {
        self.elements.get(usize::from(id)).unwrap_or(&NO_ELEMENT)
    }

    #[inline(always)]
    pub(super) fn step(&self, id: StepId) -> &Step {
        self.steps.get(usize::from(id)).unwrap_or(&NO_STEP)
    }

    #[inline(always)]
    pub(super) fn holes(&self, step: &Step) -> &[Hole] {
        let first = usize::from(step.first_hole);
        let end = first + usize::from(step.holes);
        self.holes.get(first..end).unwrap_or(&[])
    }

    /// What may come next: behind the last step, or behind the start or end tag after which `element` is
    /// the innermost.
    #[inline(always)]
    pub(super) fn followers(&self, element: ElementId) -> Followers {
        match self.last {
            0 => self.element(element).next,
            last => self.step(last).next,
        }
    }

    /// The second of these followers was right.
    pub(super) fn prefer_second(&mut self, element: ElementId) {
        if let Some(next) = self.followers_of(self.last, element) {
            next.swap();
        }
    }

    /// What came behind the last step begins no list that can be passed.
    #[cold]
    pub(super) fn bar(&mut self) {
        if let Some(step) = self.steps.get_mut(usize::from(self.last)) {
            step.barred = step.next.first();
        }
    }

    /// What came behind a step or, if that is none, behind a tag after which `element` is the innermost.
    fn followers_of(&mut self, step: StepId, element: ElementId) -> Option<&mut Followers> {
        Some(match step {
            0 => &mut self.elements.get_mut(usize::from(element))?.next,
            _ => &mut self.steps.get_mut(usize::from(step))?.next,
        })
    }

    /// The element with this parent, tag name, scope and note, if there is room for it.
    pub(super) fn element_of(
        &mut self,
        parent: ElementId,
        depth: usize,
        frame: &Frame,
        (name, note): (&[u8], u64),
    ) -> Option<ElementId> {
        let salt = u64::from(parent) << 32 ^ u64::from(frame.serial) ^ note.rotate_left(40);
        let same = |id: ElementId| {
            let element = self.element(id);
            element.parent == parent
                && element.frame.key == frame.key
                && element.frame.scope == frame.scope
                && element.frame.declares == frame.declares
                && element.note == note
                && (frame.key.is_whole() || self.name(element) == name)
        };
        let place = match look_up(&self.elements_by_content, frame.key.hash(salt), same) {
            Ok(known) => return Some(known),
            Err(place) => place,
        };
        if self.elements.len() >= ELEMENTS_MAX || depth >= usize::from(u16::MAX) {
            self.full = true;
            return None;
        }
        let end = self.keep(&[b"</", name, b">"])?;
        let id = self.elements.len() as ElementId;
        let element = Element {
            frame: Frame {
                element: id,
                ..*frame
            },
            end: Gap::new(b'<', end),
            note,
            parent,
            depth: depth as u16,
            next: Followers::default(),
        };
        room::push(&mut self.elements, element, ENTRIES_MORE);
        remember(&mut self.elements_by_content, place, id);
        Some(id)
    }

    /// The name of an element as written.
    pub(super) fn name(&self, element: &Element) -> &[u8] {
        let end = element.end.behind.of(&self.bytes);
        end.get(2..end.len().saturating_sub(1)).unwrap_or(&[])
    }

    /// Closes a step with this markup and these values, and makes it the last one. `before` is the step
    /// it came behind.
    pub(super) fn close(
        &mut self,
        mut step: Step,
        lead: &[u8],
        holes: &[(NameRef, u8, &[u8])],
        before: StepId,
    ) {
        let found = self.find(&step, lead, holes);
        let Some(id) = found.map_or_else(
            |place| {
                if self.steps.len() >= STEPS_MAX
                    || self.holes.len() + holes.len() > HOLES_MAX
                    || holes.len() > HOLES_EACH_MAX
                {
                    self.full |= holes.len() <= HOLES_EACH_MAX;
                    return None;
                }
                step.lead = self.keep(&[lead])?;
                step.neat = !super::find::is_empty_tag_in(lead);
                step.first_hole = self.holes.len() as u16;
                step.holes = holes.len() as u8;
                for (name, stop, behind) in holes {
                    let behind = self.keep(&[behind])?;
                    let hole = Hole {
                        name: *name,
                        gap: Gap::new(*stop, behind),
                    };
                    room::push(&mut self.holes, hole, ENTRIES_MORE);
                }
                let id = self.steps.len() as StepId;
                room::push(&mut self.steps, step, ENTRIES_MORE);
                remember(&mut self.steps_by_content, place, id);
                Some(id)
            },
            Some,
        ) else {
            self.last = 0;
            return;
        };
        let before = match self.step(before).after == step.base {
            true => before,
            false => 0,
        };
        if let Some(next) = self.followers_of(before, step.base) {
            // A small element is better taken whole than passed over.
            next.add(id, step.event == Event::Start && step.part.dead());
        }
        self.last = id;
    }

    /// The step with this content, or the place where it is to be remembered.
    fn find(
        &self,
        step: &Step,
        lead: &[u8],
        holes: &[(NameRef, u8, &[u8])],
    ) -> Result<StepId, usize> {
        let salt = u64::from(step.base) << 32
            ^ u64::from(step.element) << 16
            ^ u64::from(step.after)
            ^ (step.event as u64) << 56;
        let same = |id: StepId| {
            let known = self.step(id);
            known.base == step.base
                && known.element == step.element
                && known.after == step.after
                && known.event == step.event
                && known.part == step.part
                && known.quiet == step.quiet
                && usize::from(known.holes) == holes.len()
                && known.lead.of(&self.bytes) == lead
                && self.holes(known).iter().zip(holes).all(|(a, b)| {
                    a.gap.stop == b.1
                        && a.name.symbol == b.0.symbol
                        && a.gap.behind.of(&self.bytes) == b.2
                })
        };
        look_up(
            &self.steps_by_content,
            super::scope::hash_bytes(salt, lead),
            same,
        )
    }

    /// Keeps pieces of markup, one behind the other, if there is room.
    fn keep(&mut self, pieces: &[&[u8]]) -> Option<Markup> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.bytes.len() + length > BYTES_MAX || length > LEAD_MAX {
            self.full |= length <= LEAD_MAX;
            return None;
        }
        let start = self.bytes.len();
        pieces
            .iter()
            .for_each(|piece| room::extend(&mut self.bytes, piece.iter().copied(), BYTES_MORE));
        Some(Markup::last_of(&self.bytes, start))
    }
}

static NO_ELEMENT: Element = Element::NONE;
static NO_STEP: Step = Step::NONE;

/// The number in a table of which this is the hash and the content is the `same`, or else its place.
fn look_up(table: &[u16], hash: u64, same: impl Fn(u16) -> bool) -> Result<u16, usize> {
    let mut place = (hash >> 32) as usize % PLACES;
    // The tables are never full, so the search ends.
    while let Some(&known) = table.get(place).filter(|known| **known != 0) {
        if same(known) {
            return Ok(known);
        }
        place = (place + 1) % PLACES;
    }
    Err(place)
}

fn remember(table: &mut Box<[u16]>, place: usize, id: u16) {
    if table.is_empty() {
        *table = vec![0; PLACES].into_boxed_slice();
    }
    if let Some(slot) = table.get_mut(place) {
        *slot = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::key::NameKey;

    fn element(trace: &mut Trace, name: &[u8]) -> Option<ElementId> {
        let frame = Frame {
            key: NameKey::at(name, 0, name.len()),
            ..Frame::NONE
        };
        trace.element_of(0, 1, &frame, (name, 0))
    }

    #[test]
    fn what_is_full_stays_until_many_messages_have_met_it() {
        let mut trace = Trace::default();
        let names: Vec<String> = (0..2 * ELEMENTS_MAX).map(|n| format!("name{n}")).collect();
        let kept = names
            .iter()
            .filter(|name| element(&mut trace, name.as_bytes()).is_some());
        assert_eq!(kept.count(), ELEMENTS_MAX - 1);
        assert!(!trace.records());
        let first = element(&mut trace, b"name0");
        assert!(first.is_some());
        for _ in 0..FULL_MESSAGES_MAX {
            trace.begin();
            assert_eq!(element(&mut trace, b"name0"), first);
        }
        trace.begin();
        assert!(trace.records());
        assert!(element(&mut trace, names.last().unwrap().as_bytes()).is_some());
    }

    #[test]
    fn steps_are_found_again_by_their_content_and_follow_each_other() {
        let mut trace = Trace::default();
        let base = element(&mut trace, b"a").unwrap();
        let step = || Step {
            floor: 1,
            base,
            after: base,
            ..Step::NONE
        };
        trace.close(step(), b"<b/>", &[], 0);
        let first = trace.last;
        trace.close(step(), b"<c/>", &[], first);
        let second = trace.last;
        assert_ne!(first, second);
        trace.close(step(), b"<b/>", &[], second);
        assert_eq!(trace.last, first);
        assert_eq!(trace.followers(base).each(), [second, 0]);
        trace.last = 0;
        assert_eq!(trace.followers(base).each(), [first, 0]);
        trace.close(step(), &[b'x'; LEAD_MAX + 1], &[], 0);
        assert_eq!(trace.last, 0);
        assert!(trace.records());
    }
}
