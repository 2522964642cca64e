//! Pieces of markup, and values before them, compared with what stands in a buffer.
//!
//! By vectors of 32 bytes: mostly one for a value and one for the markup behind it. Knows bytes, not XML rules,
//! and leaves to `find.rs` what is long, stands at a buffer's end or is not ASCII.

use fearless_simd::{Bytes, Simd, SimdBase, SimdFrom, SimdMask, i8x32, u8x16, u8x32};

use super::find;

/// Bytes that are compared at once.
pub(super) const LANES: usize = 32;

/// A piece of markup that is kept among others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Markup {
    /// Its first bytes.
    head: [u8; LANES],
    /// Bits of those that stand behind it.
    spare: u32,
    length: u32,
    /// Where it begins among the others.
    start: u32,
}

/// What ends a value, and the markup behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// A quote, or `<` for text: what the markup begins with.
    pub(super) stop: u8,
    /// What ends the value or does not stand in it as it is, besides control characters.
    pub(super) bars: &'static Bars,
    /// From the stop on.
    pub(super) behind: Markup,
}

/// Bytes that are looked for together: each in the place that its lower half says.
pub(super) type Bars = [u8; 16];

/// What stands for all bytes that are not looked for one by one: it has its own place, and in the other places
/// it is found nowhere.
const LOW: u8 = 0x1F;

const L: u8 = LOW;
const BARS_OF_TEXT: Bars = [L, L, L, L, L, L, b'&', L, L, L, L, L, b'<', b']', L, L];
const BARS_IN_QUOTES: Bars = [L, L, b'"', L, L, L, b'&', L, L, L, L, L, b'<', L, L, L];
const BARS_IN_SINGLE_QUOTES: Bars = [L, L, L, L, L, L, b'&', b'\'', L, L, L, L, b'<', L, L, L];

impl Markup {
    /// No byte at all.
    pub(super) const NONE: Self = Self {
        head: [0; LANES],
        spare: u32::MAX,
        length: 0,
        start: 0,
    };

    /// The piece that is kept from `start` to the end of all.
    pub(super) fn last_of(all: &[u8], start: usize) -> Self {
        let piece = all.get(start..).unwrap_or(&[]);
        let mut head = [0; LANES];
        head.iter_mut()
            .zip(piece)
            .for_each(|(to, from)| *to = *from);
        Self {
            head,
            spare: u32::MAX.checked_shl(piece.len() as u32).unwrap_or(0),
            length: piece.len() as u32,
            start: start as u32,
        }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.length as usize
    }

    /// Its first bytes, and some more if there are few.
    #[inline(always)]
    pub(super) fn head(&self) -> &[u8; LANES] {
        &self.head
    }

    /// Its bytes, given all that are kept.
    #[inline(always)]
    pub(super) fn of<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        all.get(start..start + self.len()).unwrap_or(&[])
    }

    /// What follows it, if the buffer begins with it.
    #[inline(always)]
    pub(super) fn strip<'b, V: Simd>(
        &self,
        simd: V,
        buf: &'b [u8],
        all: &[u8],
    ) -> Option<&'b [u8]> {
        match buf.first_chunk() {
            Some(near) => {
                if !self.has_head(simd, near)
                    || self.len() > LANES && !self.has_tail(simd, buf, all)
                {
                    return None;
                }
            }
            None => {
                if !self.stands_closely(buf, all) {
                    return None;
                }
            }
        }
        buf.get(self.len()..)
    }

    #[inline(never)]
    fn stands_closely(&self, buf: &[u8], all: &[u8]) -> bool {
        buf.starts_with(self.of(all))
    }

    #[inline(always)]
    fn has_head<V: Simd>(&self, simd: V, near: &[u8; LANES]) -> bool {
        equal(simd, near, &self.head) | self.spare == u32::MAX
    }

    /// Whether the rest of it comes behind its head.
    #[inline(always)]
    fn has_tail<V: Simd>(&self, simd: V, buf: &[u8], all: &[u8]) -> bool {
        if self.len() > 2 * LANES {
            return self.stands_closely(buf, all);
        }
        let tail = self.len() - LANES;
        let near = buf.get(tail..).and_then(<[u8]>::first_chunk);
        let kept = all.get(self.start as usize + tail..);
        match (near, kept.and_then(<[u8]>::first_chunk)) {
            (Some(near), Some(kept)) => equal(simd, near, kept) == u32::MAX,
            _ => false,
        }
    }
}

impl Gap {
    /// Text with nothing behind it.
    pub(super) const TEXT: Self = Self {
        stop: b'<',
        bars: &BARS_OF_TEXT,
        behind: Markup::NONE,
    };

    /// A value that this byte ends, and what stands behind it.
    pub(super) fn new(stop: u8, behind: Markup) -> Self {
        let bars = match stop {
            b'"' => &BARS_IN_QUOTES,
            b'\'' => &BARS_IN_SINGLE_QUOTES,
            _ => &BARS_OF_TEXT,
        };
        Self { stop, bars, behind }
    }

    /// How long the value is and what follows the markup behind it, if the buffer begins with a value that stands
    /// as it is and is no longer than it may be.
    #[inline(always)]
    pub(super) fn strip<'b, V: Simd>(
        &self,
        simd: V,
        buf: &'b [u8],
        all: &[u8],
        longest: u32,
    ) -> Option<(usize, &'b [u8])> {
        let (end, behind) = match self.strip_near(simd, buf, all) {
            Some(near) => near,
            None => self.strip_closely(buf, all)?,
        };
        (end <= longest as usize).then_some((end, behind))
    }

    /// The same for a common value that ends within the first bytes.
    #[inline(always)]
    fn strip_near<'b, V: Simd>(
        &self,
        simd: V,
        buf: &'b [u8],
        all: &[u8],
    ) -> Option<(usize, &'b [u8])> {
        // As many as hold the longest such value and the head of the markup.
        let near: &[u8; 2 * LANES] = buf.first_chunk()?;
        let end = end_near(simd, near.first_chunk()?, self.bars);
        // Where the value is not plain, there is no stop, with which markup begins.
        if !self.behind.has_head(simd, near.get(end..)?.first_chunk()?) {
            return None;
        }
        let length = self.behind.len();
        if length > LANES && !self.behind.has_tail(simd, buf.get(end..)?, all) {
            return None;
        }
        Some((end, buf.get(end + length..)?))
    }

    #[inline(never)]
    fn strip_closely<'b>(&self, buf: &'b [u8], all: &[u8]) -> Option<(usize, &'b [u8])> {
        let end = find::plain(buf, 0, self.stop)?;
        let behind = self.behind.of(all);
        Some((end, buf.get(end..)?.strip_prefix(behind)?))
    }
}

/// The first byte that ends a value or makes it less than plain, or how many bytes there are.
#[inline(always)]
pub(super) fn end_near<V: Simd>(simd: V, near: &[u8; LANES], bars: &Bars) -> usize {
    // As signed numbers, bytes above 0x7F are below 0x20 as well.
    let near = load(simd, near).bitcast::<i8x32<V>>().max(LOW as i8);
    let near = near.bitcast::<u8x32<V>>();
    let bars = u8x32::block_splat(u8x16::simd_from(simd, *bars));
    let hits = near.simd_eq(bars.swizzle_dyn_within_blocks(near & 0xF));
    (hits.to_bitmask() as u32).trailing_zeros() as usize
}

/// The bytes that are the same, as bits.
#[inline(always)]
pub(super) fn equal<V: Simd>(simd: V, near: &[u8; LANES], kept: &[u8; LANES]) -> u32 {
    load(simd, near).simd_eq(load(simd, kept)).to_bitmask() as u32
}

#[inline(always)]
fn load<V: Simd>(simd: V, bytes: &[u8; LANES]) -> u8x32<V> {
    u8x32::simd_from(simd, *bytes)
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::*;
    use crate::xml::window::levels;

    /// No byte twice near each other.
    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|n| b'a' + (n % 25) as u8).collect()
    }

    #[test]
    fn markup_stands_where_all_its_bytes_do() {
        for level in levels() {
            for length in 0..=80 {
                let all = bytes(7 + length);
                let piece = Markup::last_of(&all, 7);
                assert_eq!(piece.of(&all), &all[7..]);
                for more in [0, 1, 40] {
                    let mut buf = all[7..].to_vec();
                    buf.resize(length + more, b'-');
                    let strip = |buf: &[u8]| {
                        let behind = dispatch!(level, simd => piece.strip(simd, buf, &all));
                        behind.map(<[u8]>::len)
                    };
                    assert_eq!(strip(&buf), Some(more), "{level:?} {length}");
                    for at in 0..length {
                        assert_eq!(strip(&buf[..at]), None, "{level:?} {length} cut at {at}");
                        buf[at] ^= 0x20;
                        assert_eq!(strip(&buf), None, "{level:?} {length} wrong at {at}");
                        buf[at] ^= 0x20;
                    }
                }
            }
        }
    }

    #[test]
    fn values_end_where_a_look_at_each_byte_says() {
        let markup = b"'/><p>text</p><q r='";
        for (level, stop) in levels()
            .into_iter()
            .flat_map(|level| [b'\'', b'"', b'<'].map(|stop| (level, stop)))
        {
            let mut all = markup.to_vec();
            all[0] = stop;
            let gap = Gap::new(stop, Markup::last_of(&all, 0));
            let lengths = [0, 1, 2, 15, 16, 17, 31, 32, 33, 64].into_iter();
            for (length, more) in lengths.flat_map(|length| [(length, 0), (length, 50)]) {
                let mut buf = bytes(length);
                buf.extend_from_slice(&all);
                buf.resize(length + all.len() + more, b'-');
                let strip = |buf: &[u8], longest| {
                    let found = dispatch!(level, simd => gap.strip(simd, buf, &all, longest));
                    found.map(|(end, behind)| (end, behind.len()))
                };
                assert_eq!(strip(&buf, u32::MAX), Some((length, more)));
                assert_eq!(strip(&buf, length as u32), Some((length, more)));
                if length > 0 {
                    assert_eq!(strip(&buf, length as u32 - 1), None);
                }
                for at in [0, 1, 15, 16, 31, 32, 63]
                    .into_iter()
                    .filter(|at| *at < length)
                {
                    for byte in 0..=u8::MAX {
                        let before = std::mem::replace(&mut buf[at], byte);
                        let plain = find::plain(&buf, 0, stop) == Some(length);
                        let found = strip(&buf, u32::MAX);
                        assert_eq!(found.is_some(), plain, "{level:?} {byte:#04X} at {at}");
                        buf[at] = before;
                    }
                }
            }
        }
    }
}
