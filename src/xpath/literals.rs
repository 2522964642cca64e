//! A table of literals, laid out so that a probe that finds nothing stays in little memory, and one that
//! finds something touches one cache line besides.
//!
//! Up to eight bytes a literal is one word in its slot; longer ones have a hash there and are compared
//! besides. Keys come from the configuration, so no message can make probing slow.

use super::program::CondId;

/// A literal: its word, and what to tell.
#[derive(Debug, Clone, Copy)]
struct Slot {
    word: u64,
    /// The condition, or the number of an entry when `length` says so.
    info: u32,
    /// Bytes, and [`ENTRY`].
    length: u32,
}

/// No literal is as long as this.
const FREE: Slot = Slot {
    word: 0,
    info: 0,
    length: u32::MAX,
};
/// In a length: there is an entry, because the literal is long or has several conditions.
const ENTRY: u32 = 1 << 31;
/// Slots that are probed at once: as many as there are bytes in a word of marks.
const BUCKET: usize = 8;
/// Bytes that a word holds whole.
const WHOLE: usize = 8;

/// What does not fit into a slot.
#[derive(Debug)]
struct Entry {
    text: Box<str>,
    conds: Vec<CondId>,
}

/// Literals and the conditions that are true of values equal to them.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// A byte for each slot of a bucket, from its literal's hash; 0 where it is free.
    marks: Box<[u64]>,
    slots: Box<[Slot]>,
    entries: Vec<Entry>,
    /// Lengths that occur, as bits; the last stands for all longer ones.
    lengths: u64,
    /// First and last bytes that occur together, as bits: what is unlike all literals is not looked for.
    ends: [u64; 4],
    /// Brings a hash to the number of a bucket, but for the last bit.
    shift: u32,
}

impl Literals {
    /// A table of these; equal literals may repeat.
    pub(super) fn build(all: &[(&str, CondId)]) -> Self {
        let mut table = Self::default();
        if all.is_empty() {
            return table;
        }
        // Some slot stays free, which is where probing ends at the latest.
        let count = (all.len() * 3 / 2).next_power_of_two().max(BUCKET);
        table.slots = vec![FREE; count].into_boxed_slice();
        table.marks = vec![0; count / BUCKET].into_boxed_slice();
        table.shift = 63 - table.marks.len().trailing_zeros();
        for (text, cond) in all {
            table.insert(text, *cond);
        }
        table
    }

    fn insert(&mut self, text: &str, cond: CondId) {
        self.lengths |= length_bit(text.len());
        let (at, bit) = ends_bit(text.as_bytes());
        if let Some(ends) = self.ends.get_mut(at) {
            *ends |= bit;
        }
        let word = word(text.as_bytes());
        let known = self.look_up(word, text.len(), |slot| {
            self.is(*slot, word, text.as_bytes())
        });
        if let Some(at) = known {
            return self.add(at, text, cond);
        }
        let short = Slot {
            word,
            info: cond,
            length: text.len() as u32,
        };
        let slot = if text.len() <= WHOLE {
            short
        } else {
            self.entry(short, text, vec![cond])
        };
        let (mut bucket, mark) = self.start(word, text.len());
        while let Some(marks) = self.marks.get_mut(bucket) {
            let free = zero_bytes(*marks);
            if free == 0 {
                bucket = (bucket + 1) & (self.marks.len() - 1);
                continue;
            }
            let place = free.trailing_zeros() & !7;
            *marks |= u64::from(mark) << place;
            if let Some(free) = self.slots.get_mut(bucket * BUCKET + place as usize / 8) {
                *free = slot;
            }
            return;
        }
    }

    /// Another condition for a literal that is there.
    fn add(&mut self, at: usize, text: &str, cond: CondId) {
        let Some(slot) = self.slots.get(at).copied() else {
            return;
        };
        if slot.length & ENTRY != 0 {
            if let Some(entry) = self.entries.get_mut(slot.info as usize) {
                entry.conds.push(cond);
            }
            return;
        }
        let slot = self.entry(slot, text, vec![slot.info, cond]);
        if let Some(old) = self.slots.get_mut(at) {
            *old = slot;
        }
    }

    fn entry(&mut self, slot: Slot, text: &str, conds: Vec<CondId>) -> Slot {
        let info = self.entries.len() as u32;
        let text = text.into();
        self.entries.push(Entry { text, conds });
        Slot {
            info,
            length: slot.length | ENTRY,
            ..slot
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The conditions of the literal that equals `text`.
    #[inline(always)]
    pub(super) fn find(&self, text: &[u8]) -> &[CondId] {
        if !self.is_like_any(text) {
            return &[];
        }
        if text.len() > WHOLE {
            return self.find_long(text);
        }
        let word = word(text);
        let length = text.len() as u32;
        match self.look_up(word, text.len(), |slot| {
            slot.word == word && slot.length & !ENTRY == length
        }) {
            Some(at) => self.conditions(at),
            None => &[],
        }
    }

    /// Whether a literal may equal this text, as far as its length and its ends tell.
    #[inline(always)]
    fn is_like_any(&self, text: &[u8]) -> bool {
        let (at, bit) = ends_bit(text);
        self.lengths & length_bit(text.len()) != 0
            && self.ends.get(at).is_some_and(|ends| ends & bit != 0)
    }

    #[inline(never)]
    fn find_long(&self, text: &[u8]) -> &[CondId] {
        let word = word(text);
        let found = self.look_up(word, text.len(), |slot| self.is(*slot, word, text));
        found.map_or(&[], |at| self.conditions(at))
    }

    /// The conditions of the literal in a slot.
    #[inline(always)]
    fn conditions(&self, at: usize) -> &[CondId] {
        match self.slots.get(at) {
            Some(slot) if slot.length & ENTRY == 0 => std::slice::from_ref(&slot.info),
            Some(slot) => self.several(slot.info),
            None => &[],
        }
    }

    #[inline(never)]
    fn several(&self, entry: u32) -> &[CondId] {
        let entry = self.entries.get(entry as usize);
        entry.map_or(&[], |entry| &entry.conds)
    }

    /// The number of a literal's slot.
    #[inline(always)]
    fn look_up(&self, word: u64, length: usize, is: impl Fn(&Slot) -> bool) -> Option<usize> {
        let (mut bucket, mark) = self.start(word, length);
        loop {
            let marks = *self.marks.get(bucket)?;
            let mut alike = zero_bytes(marks ^ (u64::from(mark) * EACH_BYTE));
            while alike != 0 {
                let at = bucket * BUCKET + alike.trailing_zeros() as usize / 8;
                if is(self.slots.get(at)?) {
                    return Some(at);
                }
                alike &= alike - 1;
            }
            if zero_bytes(marks) != 0 {
                return None;
            }
            bucket = (bucket + 1) & (self.marks.len() - 1);
        }
    }

    /// The bucket where a literal is first looked for, and its mark.
    #[inline(always)]
    fn start(&self, word: u64, length: usize) -> (usize, u8) {
        let mixed = u128::from(word ^ (length as u64) << 59) * 0x9E37_79B9_7F4A_7C15;
        let hash = mixed as u64 ^ (mixed >> 64) as u64;
        ((hash >> 1 >> self.shift) as usize, hash as u8 | 1)
    }

    fn is(&self, slot: Slot, word: u64, text: &[u8]) -> bool {
        slot.word == word
            && (slot.length & !ENTRY) as usize == text.len()
            && (text.len() <= WHOLE
                || self
                    .entries
                    .get(slot.info as usize)
                    .is_some_and(|entry| entry.text.as_bytes() == text))
    }
}

/// One in each byte.
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;

/// The highest bit of bytes that are zero: the lowest such byte for certain, above it perhaps others.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EACH_BYTE) & !word & (EACH_BYTE << 7)
}

#[inline(always)]
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// The place and bit of a text's first and last byte.
#[inline(always)]
fn ends_bit(text: &[u8]) -> (usize, u64) {
    let end = |byte: Option<&u8>| byte.copied().unwrap_or(0);
    // Digits and letters of one case differ in their lower half.
    let both = end(text.first()) ^ end(text.last()) << 4;
    (usize::from(both / 64), 1 << (both % 64))
}

/// All bytes, if there are eight or fewer; else a hash of the first and last eight of each sixteen.
#[inline(always)]
fn word(text: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        return match text.len() {
            8 => first,
            9..=16 => first ^ last.wrapping_mul(0xA24B_AED4_963E_E407).rotate_left(31),
            _ => hash(text),
        };
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << 32;
    }
    text.iter()
        .fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn hash(text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let tail = rest
        .iter()
        .fold(0, |word, &byte| word << 8 | u64::from(byte));
    words.chain(std::iter::once(tail)).fold(0, |hash, word| {
        (hash ^ word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in() {
        let texts: Vec<String> = (0..500)
            .map(|n| "abcdefghij-".repeat(n % 4) + &n.to_string())
            .collect();
        let all: Vec<(&str, CondId)> = texts
            .iter()
            .zip(0..)
            .map(|(text, cond)| (text.as_str(), cond))
            .collect();
        let table = Literals::build(&all);
        for (text, cond) in &all {
            assert_eq!(table.find(text.as_bytes()), [*cond], "{text}");
            assert_eq!(table.find(format!("{text}x").as_bytes()), [0; 0], "{text}");
        }
        let twice = Literals::build(&[("a", 1), ("a", 2), ("", 3)]);
        assert_eq!(twice.find(b"a"), [1, 2]);
        assert_eq!(twice.find(b""), [3]);
    }
}
