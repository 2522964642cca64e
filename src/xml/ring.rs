//! The items of a list as a ring: each value, and what stands behind it up to the next one, be that in the next
//! item. So whole items are passed at the least cost, without a look at their steps.
//!
//! **Invariant:** what is passed so could be passed step by step as well.

use fearless_simd::Simd;
use smallvec::SmallVec;

use super::find;
use super::likeness::Likeness;
use super::markup::{self, Bars, Gap, LANES, Markup};
use super::sink::{Sink, Tests};

/// Bytes from a value's start on that hold a value and the markup behind it, if both are short.
const NEAR: usize = 4 * LANES;
/// Longest markup of an item.
const MARKUP_MAX: usize = 512;

/// An item, its end joined to its begin.
#[derive(Debug)]
pub(super) struct Ring<'t> {
    /// What stands behind each value, the last of which goes on to the next item's first value.
    markup: [u8; MARKUP_MAX],
    length: usize,
    /// So much of it stands in the next item.
    before: usize,
    /// Longest value.
    longest: usize,
    links: SmallVec<[Link<'t>; 4]>,
}

/// A value and the markup up to the next one.
#[derive(Debug)]
struct Link<'t> {
    bars: Bars,
    /// The first bytes of the markup, and the last ones if there are more.
    head: [u8; LANES],
    tail: [u8; LANES],
    /// Bits of those of the first that count.
    wanted: u32,
    length: u32,
    /// What values that are wanted look like.
    like: Likeness,
    tests: Tests,
    /// Where the markup begins among all of the item.
    start: usize,
    gap: &'t Gap,
}

/// A value and the markup behind it, and what the sink wants of it.
pub(super) type Value<'t> = (&'t Gap, Tests);

impl<'t> Ring<'t> {
    pub(super) fn new() -> Self {
        Self {
            markup: [0; MARKUP_MAX],
            length: 0,
            before: 0,
            longest: 0,
            links: SmallVec::new(),
        }
    }

    /// Makes it the ring of an item whose parts are these, markup and the values behind it, if that can be; given
    /// how long a value and a tag may be.
    pub(super) fn join<'i, S: Sink>(
        &mut self,
        parts: impl Iterator<Item = (&'t Markup, &'i [Value<'t>])> + Clone,
        all: &[u8],
        (longest, longest_tag): (u32, u32),
        sink: &S,
    ) -> Option<()>
    where
        't: 'i,
    {
        for (lead, values) in parts.clone() {
            if !self.links.is_empty() {
                self.add(lead, all)?;
            }
            for (gap, tests) in values {
                self.links.push(Link::new(gap, *tests, self.length, sink));
                self.add(&gap.behind, all)?;
            }
        }
        let own = self.length;
        for (lead, values) in parts {
            self.add(lead, all)?;
            if !values.is_empty() {
                break;
            }
        }
        self.before = self.length - own;
        // All tags are within the limit if an item and the begin of the next one are.
        let room = (longest_tag as usize).checked_sub(self.length)?;
        self.longest = (longest as usize).min(room.checked_div(self.links.len())?);
        if self.longest < LANES {
            return None;
        }
        let mut end = self.length;
        for link in self.links.iter_mut().rev() {
            link.length = (end - link.start) as u32;
            if link.length == 0 {
                // It must move on.
                return None;
            }
            link.wanted = !u32::MAX.checked_shl(link.length).unwrap_or(0);
            link.head = *self.markup.get(link.start..)?.first_chunk()?;
            link.tail = *self.markup.get(..end)?.last_chunk().unwrap_or(&link.head);
            end = link.start;
        }
        Some(())
    }

    /// Adds markup, if there is room for it and for another head.
    fn add(&mut self, markup: &Markup, all: &[u8]) -> Option<()> {
        let free = self.markup.get_mut(self.length..)?;
        let (head, behind) = free.split_first_chunk_mut()?;
        *head = *markup.head();
        if markup.len() > LANES {
            let rest = markup.of(all).get(LANES..)?;
            behind.get_mut(..rest.len())?.copy_from_slice(rest);
        }
        self.length += markup.len();
        (self.length + LANES <= MARKUP_MAX).then_some(())
    }

    /// Passes items from `start` on as long as they stand there and none of their values means anything to the
    /// sink; the answer is where the last one ends.
    #[inline(always)]
    pub(super) fn pass<V: Simd, S: Sink>(
        &self,
        simd: V,
        buf: &[u8],
        start: usize,
        sink: &S,
    ) -> usize {
        match self.links.iter().all(|link| link.tests.is_none()) {
            true => self.pass_by::<V, S, false>(simd, buf, start, sink),
            false => self.pass_by::<V, S, true>(simd, buf, start, sink),
        }
    }

    /// The same; `TESTED` if the sink wants any of the values.
    #[inline(always)]
    fn pass_by<V: Simd, S: Sink, const TESTED: bool>(
        &self,
        simd: V,
        buf: &[u8],
        start: usize,
        sink: &S,
    ) -> usize {
        let before = self.markup.get(self.length - self.before..self.length);
        let rest = buf.get(start..).unwrap_or(&[]);
        let Some(mut rest) = before.and_then(|before| rest.strip_prefix(before)) else {
            return start;
        };
        let links = self.links.as_slice();
        let mut begun;
        'list: loop {
            begun = rest.len();
            for link in links {
                match link.near(simd, rest) {
                    Some((value, next)) => {
                        if TESTED && link.like.has(value) && link.means(value, sink) {
                            break 'list;
                        }
                        rest = next;
                    }
                    None => match self.closely(link, rest, 0, sink) {
                        Some(next) => rest = next,
                        None => {
                            let ends = link.start + link.length as usize == self.length;
                            match self.closely(link, rest, self.before, sink) {
                                Some(next) if ends => return buf.len() - next.len(),
                                _ => break 'list,
                            }
                        }
                    },
                }
            }
        }
        buf.len() - begun - self.before
    }

    /// What follows a value that is not near and means nothing, and the markup behind it but for its last bytes.
    #[inline(never)]
    fn closely<'b, S: Sink>(
        &self,
        link: &Link<'_>,
        buf: &'b [u8],
        without: usize,
        sink: &S,
    ) -> Option<&'b [u8]> {
        let end = find::plain(buf, 0, link.gap.stop)?;
        let (value, rest) = buf.split_at_checked(end)?;
        let length = (link.length as usize).checked_sub(without)?;
        let markup = self.markup.get(link.start..link.start + length)?;
        let next = rest.strip_prefix(markup)?;
        let fits = end <= self.longest && (link.tests.is_none() || !link.means(value, sink));
        fits.then_some(next)
    }
}

impl<'t> Link<'t> {
    /// A value, and markup that is not known but for where it begins.
    fn new<S: Sink>(gap: &'t Gap, tests: Tests, start: usize, sink: &S) -> Self {
        Self {
            bars: *gap.bars,
            head: [0; LANES],
            tail: [0; LANES],
            wanted: 0,
            length: 0,
            like: match tests.is_none() {
                true => Likeness::default(),
                false => sink.likeness(tests),
            },
            tests,
            start,
            gap,
        }
    }

    #[inline(never)]
    fn means<S: Sink>(&self, value: &[u8], sink: &S) -> bool {
        sink.meets(self.tests, value)
    }

    /// The value that the buffer begins with, if it and the markup behind it are common, and what follows.
    #[inline(always)]
    fn near<'b, V: Simd>(&self, simd: V, buf: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
        let near: &[u8; NEAR] = buf.first_chunk()?;
        let end = markup::end_near(simd, near.first_chunk()?, &self.bars);
        let head = near.get(end..)?.first_chunk()?;
        if markup::equal(simd, head, &self.head) & self.wanted != self.wanted {
            return None;
        }
        let length = self.length as usize;
        if length > LANES {
            if length > 2 * LANES {
                return None;
            }
            let tail = near.get(end + length - LANES..)?;
            if markup::equal(simd, tail.first_chunk()?, &self.tail) != u32::MAX {
                return None;
            }
        }
        Some((near.get(..end)?, buf.get(end + length..)?))
    }
}
