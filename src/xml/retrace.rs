//! Follows traces: what stands where it stood before is compared, not read.
//!
//! **Invariant:** what the sink is asked and told is what reading would ask and tell, at the same bytes.

use smallvec::SmallVec;

use super::find;
use super::scanner::{BLOCK_FIRST, Scanner, span};
use super::scope::Span;
use super::sink::{Flow, Opening, Record, Records, Sink, Taken};
use super::trace::{ElementId, Event, HOLES_EACH_MAX, Hole, Step, StepId, Trace, UNPLACED};

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

/// Where the parts of a step stand.
#[derive(Debug, Clone, Copy)]
struct Standing {
    id: StepId,
    /// The tag at its end.
    tag: usize,
    /// Behind the markup and its values: behind the start tag at its end, if there is one.
    behind: usize,
    /// Behind a leaf's text.
    open: usize,
    /// Behind all of it.
    next: usize,
}

/// What the sink wants of a step besides being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Nothing: the step is done.
    Nothing,
    /// The element of the tag at its end on the stacks.
    Frame,
    /// Not to see the content of that element.
    Skip,
    /// To stop behind that tag, or behind the whole step.
    StopAtTag,
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

/// How far a trace was followed.
#[derive(Debug, Clone, Copy)]
struct Way {
    at: usize,
    /// The innermost open element, most of which may be on no stack.
    inner: ElementId,
    /// How many elements are on the stacks.
    stays: usize,
    /// What the sink must be shown is not as deep.
    floor: u16,
    /// Offset in the document of the buffer's first byte.
    base: u64,
    /// `attribute_bytes_max` and `tag_bytes_max`.
    limits: (u32, u32),
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

    #[inline(never)]
    fn follow<S: Sink>(
        &mut self,
        buf: &[u8],
        at: &mut usize,
        base: ElementId,
        sink: &mut S,
    ) -> Retraced {
        if !self.trace.is_of(sink.epoch()) {
            self.frames.iter_mut().for_each(|frame| frame.element = 0);
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
            let found = self.trace.run(buf, &mut way, &mut self.records, sink);
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

impl Trace {
    /// Goes on step by step as long as the sink need only be told; the answer is the step that comes next, if
    /// all of it stands there, and what is wanted of it.
    #[inline(never)]
    fn run<S: Sink>(
        &mut self,
        buf: &[u8],
        way: &mut Way,
        values: &mut Vec<Record>,
        sink: &mut S,
    ) -> Option<(Standing, Wanted)> {
        let Way {
            mut at,
            mut inner,
            stays,
            floor,
            base,
            limits,
        } = *way;
        let found = loop {
            let [first, second] = self.followers(inner).each();
            let standing = match self.standing(first, buf, (at, floor), values, limits) {
                Some(standing) => standing,
                None => match self.standing(second, buf, (at, floor), values, limits) {
                    Some(standing) => {
                        self.prefer_second(inner);
                        standing
                    }
                    None => break None,
                },
            };
            let step = self.step(standing.id);
            if usize::from(step.floor) < stays {
                break Some((standing, Wanted::Nothing));
            }
            if !step.part.is_quiet() {
                let wanted = self.tell(step, &standing, (buf, base), values, sink);
                if wanted != Wanted::Nothing {
                    break Some((standing, wanted));
                }
            }
            (at, inner) = (standing.next, step.after);
            if step.part.is_quiet() && step.comes_again(standing.id) {
                at = self.repeats(step, buf, at, limits);
            }
            self.last = standing.id;
        };
        (way.at, way.inner) = (at, inner);
        found
    }

    /// Tells the sink what it wants to know of a step.
    #[inline(always)]
    fn tell<S: Sink>(
        &self,
        step: &Step,
        standing: &Standing,
        (buf, base): (&[u8], u64),
        values: &[Record],
        sink: &mut S,
    ) -> Wanted {
        let part = step.part;
        if part.frame() {
            return Wanted::Frame;
        }
        let element = self.element(step.element);
        if part.values() {
            let values = Records {
                tag: buf.get(standing.tag..).unwrap_or(&[]),
                records: values,
            };
            match sink.values(element.note, values, base + standing.behind as u64) {
                Opening::Nothing => {}
                Opening::Frame => return Wanted::Frame,
                Opening::Stop => return Wanted::StopAtTag,
            }
        }
        match step.event {
            Event::Leaf => {
                let text = buf.get(standing.behind..standing.open).unwrap_or(&[]);
                let (depth, end) = (u32::from(element.depth), base + standing.next as u64);
                match sink.leaf(element.note, depth, text, end) {
                    Taken::Stop => Wanted::Stop,
                    _ => Wanted::Nothing,
                }
            }
            Event::Start if part.dead() => Wanted::Skip,
            _ => Wanted::Nothing,
        }
    }

    /// Where a step's parts stand, if all of it stands at `at`. Values are noted where they are wanted.
    #[inline(always)]
    fn standing(
        &self,
        id: StepId,
        buf: &[u8],
        (at, floor): (usize, u16),
        values: &mut Vec<Record>,
        limits: (u32, u32),
    ) -> Option<Standing> {
        let step = self.step(id);
        let lead = self.bytes(step.lead);
        if id == 0 || !find::stands_at(buf, at, lead) || step.floor < floor {
            return None;
        }
        let (mut tag, mut behind) = (at + usize::from(step.tag), at + lead.len());
        if step.holes > 0 {
            let (passed, own) = self.holes(step).split_at_checked(usize::from(step.quiet))?;
            if !passed.is_empty() {
                (tag, behind) = self.values_pass(passed, buf, (at, behind), limits)?;
                tag += usize::from(step.tag);
            }
            if !step.part.is_quiet() {
                behind = self.values_stand(own, buf, (tag, behind), values, limits)?;
            }
        } else if !step.part.is_quiet() {
            values.clear();
        }
        let (open, next) = match step.event {
            Event::Text => {
                let open = find::plain_text(buf, behind)?;
                // Where nothing is wanted of an element, what else is in it would not be read.
                if buf.get(open + 1) != Some(&b'/') {
                    return None;
                }
                (open, open)
            }
            Event::Leaf => {
                let end = self.bytes(self.element(step.element).end);
                let open = find::plain_text(buf, behind)?;
                if !find::stands_at(buf, open, end) {
                    return None;
                }
                (open, open + end.len())
            }
            _ => (behind, behind),
        };
        Some(Standing {
            id,
            tag,
            behind,
            open,
            next,
        })
    }

    /// Passes a step of which nothing is wanted as often as it stands there: lists are long.
    #[inline(never)]
    fn repeats(
        &self,
        step: &Step,
        buf: &[u8],
        mut at: usize,
        (longest, longest_tag): (u32, u32),
    ) -> usize {
        let lead = self.bytes(step.lead);
        let holes = self.holes(step).iter();
        let pieces: SmallVec<[(u8, &[u8]); HOLES_EACH_MAX]> = holes
            .map(|hole| (hole.stop, self.bytes(hole.behind)))
            .collect();
        while find::stands_at(buf, at, lead) {
            let mut end = at + lead.len();
            for piece in &pieces {
                let Some((_, next)) = value_stands(buf, end, *piece, longest) else {
                    return at;
                };
                end = next;
            }
            if end - at > longest_tag as usize || end == at {
                break;
            }
            at = end;
        }
        at
    }

    /// Passes values of which nothing is wanted; the answer is where the last one ends and what stands behind
    /// the markup behind it.
    #[inline(always)]
    fn values_pass(
        &self,
        holes: &[Hole],
        buf: &[u8],
        (from, mut at): (usize, usize),
        (longest, longest_tag): (u32, u32),
    ) -> Option<(usize, usize)> {
        let mut stop = at;
        for hole in holes {
            let piece = (hole.stop, self.bytes(hole.behind));
            (stop, at) = value_stands(buf, at, piece, longest)?;
        }
        // All tags are within the limit if they are so together.
        (at - from <= longest_tag as usize).then_some((stop, at))
    }

    /// Passes the values of the tag at a step's end and notes them; the answer is what stands behind the tag.
    #[inline(always)]
    fn values_stand(
        &self,
        holes: &[Hole],
        buf: &[u8],
        (tag, mut at): (usize, usize),
        values: &mut Vec<Record>,
        (longest, longest_tag): (u32, u32),
    ) -> Option<usize> {
        values.clear();
        for hole in holes {
            let piece = (hole.stop, self.bytes(hole.behind));
            let (stop, next) = value_stands(buf, at, piece, longest)?;
            values.push(Record {
                name: Span::default(),
                value: span(tag, at, stop),
                decoded: false,
                declaration: false,
                resolved: hole.name,
            });
            at = next;
        }
        (at - tag <= longest_tag as usize).then_some(at)
    }
}

/// Where the value that begins at `at` ends, if it stands as it is, is no longer than it may be and this markup
/// comes behind it; and what stands behind that.
#[inline(always)]
fn value_stands(
    buf: &[u8],
    at: usize,
    (stop, behind): (u8, &[u8]),
    longest: u32,
) -> Option<(usize, usize)> {
    let end = find::plain(buf, at, stop)?;
    let fits = find::stands_at(buf, end, behind) && end - at <= longest as usize;
    fits.then_some((end, end + behind.len()))
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
            let rest = self.trace.bytes(lead).get(behind..).unwrap_or(&[]);
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
