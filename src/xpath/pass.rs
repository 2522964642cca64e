//! The scanner's sink: a stream, its program, and somebody who reads along.

use crate::xml::{
    EndTag, Flow, Likeness, Observer, Opening, Part, Records, Sink, Tag, Taken, Tests, Want,
};

use super::program::Program;
use super::stream::Stream;

/// Where in a note the observer's class stands, if the text is for the observer too.
const CLASS: u32 = 48;

/// All of it for the time of one feed.
pub(super) struct Pass<'p, O> {
    pub(super) stream: &'p mut Stream,
    pub(super) program: &'p Program,
    pub(super) tally: &'p super::tally::Plan,
    pub(super) observer: &'p mut O,
    pub(super) observes: u32,
    pub(super) depth: u32,
    pub(super) check_all: bool,
}

impl<O> Pass<'_, O> {
    /// What an event means for the scanner, given whether nothing below the element can matter.
    #[inline(always)]
    fn taken(&mut self, dead: bool) -> Taken {
        if self.stream.news(self.tally) {
            Taken::Stop
        } else if (dead || self.stream.over) && !self.check_all {
            Taken::Skip
        } else {
            Taken::Continue
        }
    }
}

impl<O: Observer> Sink for Pass<'_, O> {
    fn symbol(&mut self, namespace: &str, local: &str) -> u64 {
        self.program.symbols.of(namespace, local)
    }

    fn class(&mut self, namespace: &str, local: &str) -> u8 {
        let classes = self.program.classes;
        classes.map_or(0, |class| class(namespace, local))
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
    fn text_bytes(&mut self, text: &[u8]) {
        if self.depth <= self.observes {
            self.text(std::str::from_utf8(text).unwrap_or(""));
        } else if !self.stream.over {
            self.stream.take_text(text);
        }
    }

    #[inline]
    fn text(&mut self, text: &str) {
        if !self.stream.over {
            self.stream.take_text(text.as_bytes());
        }
        if self.depth <= self.observes {
            self.observer.text(self.depth, text);
        }
    }

    #[inline(always)]
    fn start_known(
        &mut self,
        (symbol, note): (u64, &mut u64),
        attributes: Records<'_>,
        depth: u32,
        end: u64,
    ) -> Taken {
        if depth <= self.observes.max(1) || self.stream.over {
            return Taken::Not;
        }
        let known = (symbol, note);
        let Some(dead) = self
            .stream
            .enter_known(self.program, known, attributes, end)
        else {
            return Taken::Not;
        };
        self.depth = depth;
        self.taken(dead)
    }

    #[inline(always)]
    fn leaf_known(&mut self, known: (u64, &mut u64), depth: u32, text: &[u8], end: u64) -> Taken {
        if depth <= self.observes.max(1)
            || self.stream.over
            || !self.stream.leaf_known(self.program, known, text, end)
        {
            return Taken::Not;
        }
        if self.stream.news(self.tally) {
            Taken::Stop
        } else {
            Taken::Continue
        }
    }

    #[inline(always)]
    fn end_known(&mut self, depth: u32, end: u64) -> Taken {
        if depth <= self.observes.max(1)
            || self.stream.over
            || !self.stream.leave_known(self.program, end)
        {
            return Taken::Not;
        }
        self.depth = depth - 1;
        if self.stream.news(self.tally) {
            Taken::Stop
        } else {
            Taken::Continue
        }
    }

    #[inline(always)]
    fn traces(&self) -> bool {
        !self.stream.over && self.stream.is_idle()
    }

    fn epoch(&self) -> u64 {
        self.stream.states.epoch() << 1 | u64::from(self.check_all)
    }

    fn floor(&self) -> u16 {
        self.observer.told_to().clamp(1, u32::from(u16::MAX)) as u16
    }

    fn part(&mut self, outer: u32, (symbol, class): (u64, u8)) -> Option<(u64, Part)> {
        let (mut note, mut part) = self.stream.part(outer, symbol)?;
        if outer < self.observes {
            match self.observer.wants(outer + 1, class) {
                Want::Nothing => {}
                // Were it put on the stack, the observer would have to be told of its start as well.
                Want::Text if part.frame() || part.values() => return None,
                Want::Text => {
                    note |= u64::from(class) << CLASS;
                    part = part.and(Part::TEXT);
                }
                Want::Tag => return None,
            }
        }
        Some((note, if self.check_all { part.living() } else { part }))
    }

    // Not part of the loop that follows a trace, which has enough to keep in registers.
    #[inline(never)]
    fn values(&mut self, note: u64, values: Records<'_>, end: u64) -> Opening {
        if self.stream.values_known(self.program, note, values, end) {
            return Opening::Frame;
        }
        if self.stream.news(self.tally) {
            Opening::Stop
        } else {
            Opening::Nothing
        }
    }

    #[inline(never)]
    fn starts(&mut self, note: u64, depth: u32, end: u64) -> Opening {
        self.stream.starts(self.program, note, depth, end);
        if self.stream.news(self.tally) {
            Opening::Stop
        } else {
            Opening::Nothing
        }
    }

    #[inline(never)]
    fn leaf(&mut self, note: u64, depth: u32, text: &[u8], end: u64) -> Taken {
        self.stream.leaf(self.program, note, (depth, text), end);
        let class = (note >> CLASS) as u8;
        if class != 0 {
            let text = std::str::from_utf8(text).unwrap_or("");
            if self.observer.leaf(class, text) == Flow::Stop {
                self.stream.news(self.tally);
                return Taken::Stop;
            }
        }
        self.taken(false)
    }

    fn tests_of(&self, note: u64, symbol: Option<u64>) -> Option<Tests> {
        if symbol.is_none() && note >> CLASS != 0 {
            return None;
        }
        self.stream.tests_of(self.program, note, symbol)
    }

    #[inline(always)]
    fn meets(&self, tests: Tests, value: &[u8]) -> bool {
        self.program.meets(tests, value)
    }

    fn likeness(&self, tests: Tests) -> Likeness {
        self.program.likeness(tests)
    }

    #[inline(always)]
    fn push(&mut self, note: u64, depth: u32) {
        self.stream.push_known(note);
        self.depth = depth;
    }

    fn unread(&mut self) {
        self.stream.capture_unread();
    }

    fn opened(&mut self, values: Records<'_>, end: u64) -> Taken {
        let dead = self.stream.opened(self.program, values, end);
        self.taken(dead)
    }

    #[inline(always)]
    fn pops(&mut self, depth: u32) -> bool {
        let pops = self.stream.pops(depth);
        if pops {
            self.depth = depth;
        }
        pops
    }

    fn ends_quietly(&self, depth: u32) -> bool {
        self.stream.ends_quietly(depth.saturating_sub(1))
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
