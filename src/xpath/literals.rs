//! A table of literals, laid out so that a probe touches one cache line.
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
    /// Bytes, and [`ENTRY`]; or [`FREE`].
    length: u32,
}

/// In a length: there is an entry, because the literal is long or has several conditions.
const ENTRY: u32 = 1 << 31;
/// The length of a slot that is free.
const FREE: u32 = u32::MAX;
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
    slots: Box<[Slot]>,
    entries: Vec<Entry>,
    /// Lengths that occur, as bits; the last stands for all longer ones.
    lengths: u64,
    /// Brings a hash to the number of a slot.
    shift: u32,
}

impl Literals {
    /// A table of these; equal literals may repeat.
    pub(super) fn build(all: &[(&str, CondId)]) -> Self {
        let mut table = Self::default();
        if all.is_empty() {
            return table;
        }
        let free = Slot {
            word: 0,
            info: 0,
            length: FREE,
        };
        let count = (all.len() * 3 / 2).next_power_of_two().max(4);
        table.slots = vec![free; count].into_boxed_slice();
        table.shift = 64 - count.trailing_zeros();
        for (text, cond) in all {
            table.insert(text, *cond);
        }
        table
    }

    fn insert(&mut self, text: &str, cond: CondId) {
        self.lengths |= length_bit(text.len());
        let word = word(text.as_bytes());
        let mut at = self.start(word, text.len());
        let mask = self.slots.len() - 1;
        while let Some(slot) = self
            .slots
            .get(at)
            .copied()
            .filter(|slot| slot.length != FREE)
        {
            if self.is(slot, word, text.as_bytes()) {
                self.add(at, slot, text, cond);
                return;
            }
            at = (at + 1) & mask;
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
        if let Some(free) = self.slots.get_mut(at) {
            *free = slot;
        }
    }

    /// Another condition for a literal that is there.
    fn add(&mut self, at: usize, slot: Slot, text: &str, cond: CondId) {
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

    /// Tells the conditions of the literal that equals `text`.
    #[inline]
    pub(super) fn find(&self, text: &[u8], mut tell: impl FnMut(CondId)) {
        if self.lengths & length_bit(text.len()) == 0 {
            return;
        }
        let word = word(text);
        let mut at = self.start(word, text.len());
        let mask = self.slots.len().wrapping_sub(1);
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.length != FREE) {
            if slot.word == word && self.is(*slot, word, text) {
                if slot.length & ENTRY == 0 {
                    return tell(slot.info);
                }
                let entry = self.entries.get(slot.info as usize);
                entry
                    .iter()
                    .flat_map(|entry| &entry.conds)
                    .copied()
                    .for_each(tell);
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[inline(always)]
    fn start(&self, word: u64, length: usize) -> usize {
        let mixed = (word ^ (length as u64) << 59).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> self.shift) as usize
    }

    #[inline(always)]
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

#[inline(always)]
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
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
            let mut found = Vec::new();
            table.find(text.as_bytes(), |cond| found.push(cond));
            assert_eq!(found, [*cond], "{text}");
            table.find(format!("{text}x").as_bytes(), |cond| panic!("{cond}"));
        }
        let twice = Literals::build(&[("a", 1), ("a", 2), ("", 3)]);
        let mut found = Vec::new();
        twice.find(b"a", |cond| found.push(cond));
        twice.find(b"", |cond| found.push(cond));
        assert_eq!(found, [1, 2, 3]);
    }
}
