//! A table of literals, laid out so that a probe touches one cache line.
//!
//! Up to sixteen bytes a literal is two words in its slot; longer ones are compared besides. Keys come
//! from the configuration, so no message can make probing slow.

use super::program::CondId;

/// No further conditions.
const ALONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Slot {
    first: u64,
    last: u64,
    length: u32,
    cond: CondId,
    /// Index of a list of further conditions, or `ALONE`.
    more: u32,
    /// Index of the text of a longer literal.
    long: u32,
}

/// The length of a slot that is free.
const FREE: u32 = u32::MAX;

/// Literals and the conditions that are true of values equal to them.
#[derive(Debug, Default)]
pub(super) struct Literals {
    slots: Vec<Slot>,
    more: Vec<Vec<CondId>>,
    long: Vec<Box<str>>,
    count: usize,
    /// Lengths that occur, as bits; the last stands for all longer ones.
    lengths: u64,
}

impl Literals {
    /// A table of these; equal literals may repeat.
    pub(super) fn build(all: &[(&str, CondId)]) -> Self {
        let mut table = Self::default();
        if all.is_empty() {
            return table;
        }
        table.slots = vec![
            Slot {
                first: 0,
                last: 0,
                length: FREE,
                cond: 0,
                more: ALONE,
                long: 0
            };
            (all.len() * 2).next_power_of_two().max(4)
        ];
        for (text, cond) in all {
            table.insert(text, *cond);
        }
        table
    }

    fn insert(&mut self, text: &str, cond: CondId) {
        self.lengths |= length_bit(text.len());
        let (first, last) = words(text.as_bytes());
        let mut at = self.start(first, last, text.len());
        let mask = self.slots.len() - 1;
        while let Some(slot) = self
            .slots
            .get(at)
            .copied()
            .filter(|slot| slot.length != FREE)
        {
            if self.is(&slot, first, last, text) {
                self.add(at, cond);
                return;
            }
            at = (at + 1) & mask;
        }
        let long = self.long.len() as u32;
        if text.len() > 16 {
            self.long.push(text.into());
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Slot {
                first,
                last,
                length: text.len() as u32,
                cond,
                more: ALONE,
                long,
            };
        }
        self.count += 1;
    }

    fn add(&mut self, at: usize, cond: CondId) {
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        if slot.more == ALONE {
            slot.more = self.more.len() as u32;
            self.more.push(vec![cond]);
        } else if let Some(list) = self.more.get_mut(slot.more as usize) {
            list.push(cond);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Tells the conditions of the literal that equals `text`.
    #[inline]
    pub(super) fn find(&self, text: &str, mut tell: impl FnMut(CondId)) {
        if self.lengths & length_bit(text.len()) == 0 {
            return;
        }
        let (first, last) = words(text.as_bytes());
        let mut at = self.start(first, last, text.len());
        let mask = self.slots.len().wrapping_sub(1);
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.length != FREE) {
            if self.is(slot, first, last, text) {
                tell(slot.cond);
                if slot.more != ALONE {
                    self.more
                        .get(slot.more as usize)
                        .into_iter()
                        .flatten()
                        .copied()
                        .for_each(tell);
                }
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[inline(always)]
    fn start(&self, first: u64, last: u64, length: usize) -> usize {
        let mixed = (first ^ last.rotate_left(29) ^ (length as u64) << 56)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) as usize >> 20
            & self.slots.len().wrapping_sub(1)
    }

    #[inline(always)]
    fn is(&self, slot: &Slot, first: u64, last: u64, text: &str) -> bool {
        slot.first == first
            && slot.last == last
            && slot.length as usize == text.len()
            && (text.len() <= 16
                || self
                    .long
                    .get(slot.long as usize)
                    .is_some_and(|known| **known == *text))
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// The first and last eight bytes, or all in one or two words.
#[inline(always)]
fn words(text: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return (
            u64::from(u32::from_le_bytes(*first)),
            u64::from(u32::from_le_bytes(*last)),
        );
    }
    (
        text.iter()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
        0,
    )
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
            table.find(text, |cond| found.push(cond));
            assert_eq!(found, [*cond], "{text}");
            table.find(&format!("{text}x"), |cond| panic!("{cond}"));
        }
        let twice = Literals::build(&[("a", 1), ("a", 2), ("", 3)]);
        let mut found = Vec::new();
        twice.find("a", |cond| found.push(cond));
        twice.find("", |cond| found.push(cond));
        assert_eq!(found, [1, 2, 3]);
    }
}
