//! Follows traces: what stands where it stood before is compared, not read.
//!
//! `compare.rs` goes from step to step; here is what must be done where elements are on the stacks.
//!
//! **Invariant:** what the sink is asked and told is what reading would ask and tell, at the same bytes.

use smallvec::SmallVec;

use super::compare::{Standing, Wanted, Way};
use super::find;
use super::scanner::{BLOCK_FIRST, Scanner};
use super::sink::{Flow, Records, Sink, Taken};
use super::trace::{ElementId, Event, StepId, UNPLACED};

/// How following a trace ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retraced {
    /// Nothing of what may come next stands here.
    Not,
    /// It went on for a while; what comes now must be read.
    Some,
    /// The content of the element just opened is to be passed over.
    Skip,
    /// The sink asked to stop.
    Stop,
}

/// What came of the ends of elements on the stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// They are told, and the step can be taken.
    Told,
    /// They are told, and what is behind them must be read.
    Cut,
    /// The same, and the sink asked to stop.
    Stop,
    /// Nothing was done: they must be read.
    Not,
}

impl Scanner {
    /// Follows the trace from `at` as far as it goes.
    #[inline(always)]
    pub(super) fn retrace<S: Sink>(
        &mut self,
        buf: &[u8],
        at: &mut usize,
        sink: &mut S,
    ) -> Retraced {
        if self.trace.draft.is_active() || !sink.traces() || self.is_shallow(sink) {
            return Retraced::Not;
        }
        let base = match self.frames.last() {
            Some(frame) if frame.element != 0 => Some(frame.element),
            _ => self.identify(sink),
        };
        match base {
            Some(base) if base != UNPLACED => self.follow(buf, at, base, sink),
            _ => Retraced::Not,
        }
    }

    /// Whether the next tag must be shown to the sink wherever it stands.
    #[inline(always)]
    pub(super) fn is_shallow<S: Sink>(&self, sink: &S) -> bool {
        self.frames.len() < usize::from(sink.floor())
    }

    /// Whether notes are of the sink's epoch; else all is forgotten, also which elements are open.
    #[inline(always)]
    pub(super) fn knows_notes<S: Sink>(&mut self, sink: &S) -> bool {
        let knows = self.trace.is_of(sink.epoch());
        if !knows {
            self.forget_elements();
        }
        knows
    }

    /// Open elements are of no place in the traces.
    pub(super) fn forget_elements(&mut self) {
        self.frames.iter_mut().for_each(|frame| frame.element = 0);
    }

    #[inline(never)]
    fn follow<S: Sink>(
        &mut self,
        buf: &[u8],
        at: &mut usize,
        base: ElementId,
        sink: &mut S,
    ) -> Retraced {
        if !self.knows_notes(sink) {
            return Retraced::Not;
        }
        if self.trace.step(self.trace.last).after != base {
            self.trace.last = 0;
        }
        let mut way = Way {
            at: *at,
            inner: base,
            stays: self.frames.len(),
            floor: sink.floor(),
            base: self.base,
            limits: (self.limits.attribute_bytes_max, self.limits.tag_bytes_max),
        };
        let ended = loop {
            let found = self
                .trace
                .run(self.level, buf, &mut way, &mut self.records, sink);
            let Some((standing, wanted)) = found else {
                break Retraced::Not;
            };
            match self.take(&standing, wanted, buf, &mut way, sink) {
                Retraced::Not => (way.stays, way.floor) = (self.frames.len(), sink.floor()),
                ended => break ended,
            }
        };
        let (here, inner) = (way.at, way.inner);
        if here == *at {
            return Retraced::Not;
        }
        *at = here;
        self.told = self.base + here as u64;
        // Markup is what it was when it was checked, and values were looked over one by one.
        self.checked = self.checked.max(here);
        self.block = BLOCK_FIRST;
        self.unfold(inner, sink);
        match ended {
            Retraced::Not => Retraced::Some,
            ended => ended,
        }
    }

    /// Takes a step that stands there and of which something is wanted, or that ends elements which are on
    /// the stacks: of these nothing was told yet.
    #[inline(always)]
    fn take<S: Sink>(
        &mut self,
        standing: &Standing,
        mut wanted: Wanted,
        buf: &[u8],
        way: &mut Way,
        sink: &mut S,
    ) -> Retraced {
        let step = self.trace.step(standing.id);
        let (event, element, after) = (step.event, step.element, step.after);
        if usize::from(step.floor) < way.stays {
            match self.close_frames(standing.id, &mut way.at, sink) {
                Ends::Told => {}
                Ends::Not => return Retraced::Some,
                ends => {
                    way.inner = self.frames.last().map_or(0, |frame| frame.element);
                    self.trace.last = 0;
                    return match ends {
                        Ends::Stop => Retraced::Stop,
                        _ => Retraced::Some,
                    };
                }
            }
            let step = self.trace.step(standing.id);
            wanted = self
                .trace
                .tell(step, standing, (buf, way.base), &self.records, sink);
        }
        self.trace.last = standing.id;
        (way.inner, way.at) = (after, standing.next);
        let ended = match wanted {
            Wanted::Nothing => Retraced::Not,
            Wanted::Skip => Retraced::Skip,
            Wanted::Stop => Retraced::Stop,
            Wanted::StopAtTag => {
                if event != Event::Empty {
                    self.leave_unread(event);
                    self.unfold(element, sink);
                    sink.unread();
                }
                Retraced::Stop
            }
            Wanted::Frame => self.open((element, event), buf, standing, sink),
        };
        if ended != Retraced::Not && self.trace.last == 0 {
            // The element of the tag is open, its text unread.
            (way.inner, way.at) = (element, standing.behind);
        }
        ended
    }

    /// A step whose text is not read is not the last one.
    fn leave_unread(&mut self, event: Event) {
        if matches!(event, Event::Leaf | Event::Text) {
            self.trace.last = 0;
        }
    }
}

impl Scanner {
    /// Ends the elements on the stacks that a step ends.
    #[inline(always)]
    fn close_frames<S: Sink>(&mut self, id: StepId, at: &mut usize, sink: &mut S) -> Ends {
        let floor = self.trace.step(id).floor;
        if !sink.pops(u32::from(floor)) {
            return self.close_busy_frames(id, at, sink);
        }
        while self.frames.len() > usize::from(floor) {
            self.pop_frame();
        }
        Ends::Told
    }

    /// The same where something may come of their ends: one by one, each at its end tag.
    #[inline(never)]
    fn close_busy_frames<S: Sink>(&mut self, id: StepId, at: &mut usize, sink: &mut S) -> Ends {
        let step = self.trace.step(id);
        let (floor, lead) = (usize::from(step.floor), step.lead);
        let depth = usize::from(self.trace.element(step.base).depth);
        let (virtually, count) = (depth - self.frames.len(), depth - floor);
        if !step.neat {
            return Ends::Not;
        }
        let (start, mut behind) = (*at, 0);
        for number in 0..count {
            let rest = lead.of(&self.trace.bytes).get(behind..).unwrap_or(&[]);
            behind += find::greater_than(rest).map_or(0, |close| close + 1);
            if number < virtually {
                continue;
            }
            let name = self
                .frames
                .last()
                .map_or(0, |frame| frame.key.length as usize);
            let close = start + behind - 1;
            if self.tell_end(close - name - 2, close, sink) == Taken::Stop {
                *at = close + 1;
                return Ends::Stop;
            }
        }
        // Behind some ends tags must be shown that were taken unseen before.
        if usize::from(sink.floor()) > floor || !sink.traces() {
            *at = start + behind;
            return Ends::Cut;
        }
        Ends::Told
    }

    /// Opens the element at a step's end for the sink; a leaf is closed again.
    #[inline(never)]
    fn open<S: Sink>(
        &mut self,
        (element, event): (ElementId, Event),
        buf: &[u8],
        standing: &Standing,
        sink: &mut S,
    ) -> Retraced {
        self.unfold(element, sink);
        let values = Records {
            tag: buf.get(standing.tag..).unwrap_or(&[]),
            records: &self.records,
        };
        let end = self.base + standing.behind as u64;
        let taken = sink.opened(values, end);
        let mut stops = taken == Taken::Stop;
        let closes = event == Event::Leaf && !stops;
        if event == Event::Empty {
            stops |= self.close_element(end, end, sink) == Flow::Stop;
        } else if closes {
            let text = buf.get(standing.behind..standing.open).unwrap_or(&[]);
            if !text.is_empty() && sink.wants_text() {
                sink.text_bytes(text);
            }
            stops = self.tell_end(standing.open, standing.next - 1, sink) == Taken::Stop;
        }
        let goes_on = !stops && sink.traces();
        if !closes && !goes_on {
            self.leave_unread(event);
        }
        match taken {
            _ if stops => Retraced::Stop,
            Taken::Skip if event == Event::Start => Retraced::Skip,
            _ if goes_on => Retraced::Not,
            _ => Retraced::Some,
        }
    }

    /// Puts the elements that are open up to this one on the stacks.
    fn unfold<S: Sink>(&mut self, inner: ElementId, sink: &mut S) {
        let depth = usize::from(self.trace.element(inner).depth);
        if depth <= self.frames.len() {
            return;
        }
        if depth == self.frames.len() + 1 {
            return self.unfold_one(inner, sink);
        }
        let mut chain: SmallVec<[ElementId; 32]> = SmallVec::new();
        let mut id = inner;
        loop {
            let element = self.trace.element(id);
            if usize::from(element.depth) <= self.frames.len() {
                break;
            }
            chain.push(id);
            id = element.parent;
        }
        for id in chain.into_iter().rev() {
            self.unfold_one(id, sink);
        }
    }

    #[inline(always)]
    fn unfold_one<S: Sink>(&mut self, id: ElementId, sink: &mut S) {
        let element = self.trace.element(id);
        let mut frame = element.frame;
        frame.name_start = self.names.len() as u32;
        if !frame.key.is_whole() {
            self.names.extend_from_slice(self.trace.name(element));
        }
        self.frames.push(frame);
        sink.push(element.note, u32::from(element.depth));
    }
}
