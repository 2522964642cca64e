//! A table of literals, laid out so that a probe that finds nothing stays in little memory, and one that
//! finds something touches one cache line besides.
//!
//! Up to eight bytes a literal is one word in its slot; of longer ones a hash is there, and they are compared
//! besides. Keys come from the configuration, so no message can make probing slow.

use smallvec::{SmallVec, smallvec};

use crate::xml::Likeness;

use super::program::CondId;

/// Literals of a bucket: as many as fit into a cache line.
const SLOTS: usize = 5;
/// Bytes that a word holds whole.
const WHOLE: usize = 8;

/// The highest byte of words: in text of eight bytes it is the last one, and in UTF-8 none is this high. With
/// the length added, that of shorter texts.
const SHORT: u64 = 0xF8 << 56;
/// The same of longer texts, below which is a hash.
const LONG: u64 = 0xF7 << 56;
/// The word of a slot that is free.
const FREE: u64 = 0xF6 << 56;

/// A cache line of literals.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Bucket {
    words: [u64; SLOTS],
    /// The conditions of the literals, or the numbers of their entries.
    infos: [u32; SLOTS],
    /// The slots whose literals have entries, because they are long or have several conditions, as bits.
    entries: u8,
    taken: u8,
    /// Whether literals that are looked for here first stand in the bucket behind.
    passed: bool,
}

const EMPTY: Bucket = Bucket {
    words: [FREE; SLOTS],
    infos: [0; SLOTS],
    entries: 0,
    taken: 0,
    passed: false,
};

/// What does not fit into a slot.
#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    conds: SmallVec<[CondId; 2]>,
}

/// Literals and the conditions that are true of values equal to them.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// What they look like: what is unlike all of them is not looked for.
    pub(super) like: Likeness,
    /// For each bucket the literals that are looked for there first, as two bits from the hash of each.
    sketches: Box<[u32]>,
    buckets: Box<[Bucket]>,
    entries: Vec<Entry>,
}

/// Where a literal is looked for first, and its bits there.
#[derive(Debug, Clone, Copy)]
struct Start {
    bucket: usize,
    sketch: u32,
}

/// Where a literal stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    bucket: usize,
    slot: usize,
}

impl Literals {
    /// A table of these; equal literals may repeat.
    pub(super) fn build(all: &[(&str, CondId)]) -> Self {
        let mut table = Self::default();
        if all.is_empty() {
            return table;
        }
        // Some slot stays free, which is where probing ends at the latest; seven in ten are taken, so that few
        // literals stand elsewhere than in their first bucket.
        let count = all.len() * 2 / 7 + 1;
        table.buckets = vec![EMPTY; count].into_boxed_slice();
        table.sketches = vec![0; count].into_boxed_slice();
        for (text, cond) in all {
            table.insert(text.as_bytes(), *cond);
        }
        table
    }

    fn insert(&mut self, text: &[u8], cond: CondId) {
        self.like.add(text);
        let word = word(text);
        let start = self.start(word);
        if let Some(place) = self.look_up(word, text) {
            return self.add(place, text, cond);
        }
        if let Some(sketch) = self.sketches.get_mut(start.bucket) {
            *sketch |= start.sketch;
        }
        let long = text.len() > WHOLE;
        let info = if long {
            self.entry(text, smallvec![cond])
        } else {
            cond
        };
        let mut at = start.bucket;
        while let Some(bucket) = self.buckets.get_mut(at) {
            let slot = usize::from(bucket.taken);
            if let (Some(free), Some(own)) =
                (bucket.words.get_mut(slot), bucket.infos.get_mut(slot))
            {
                (*free, *own) = (word, info);
                bucket.entries |= u8::from(long) << slot;
                bucket.taken += 1;
                return;
            }
            bucket.passed = true;
            at = self.behind(at);
        }
    }

    /// Another condition for a literal that is there.
    fn add(&mut self, place: Place, text: &[u8], cond: CondId) {
        let Some(bucket) = self.buckets.get(place.bucket) else {
            return;
        };
        let Some(&info) = bucket.infos.get(place.slot) else {
            return;
        };
        if bucket.entries >> place.slot & 1 == 1 {
            if let Some(entry) = self.entries.get_mut(info as usize) {
                entry.conds.push(cond);
            }
            return;
        }
        let entry = self.entry(text, smallvec![info, cond]);
        let Some(bucket) = self.buckets.get_mut(place.bucket) else {
            return;
        };
        if let Some(info) = bucket.infos.get_mut(place.slot) {
            *info = entry;
            bucket.entries |= 1 << place.slot;
        }
    }

    fn entry(&mut self, text: &[u8], conds: SmallVec<[CondId; 2]>) -> u32 {
        let number = self.entries.len() as u32;
        let text = text.into();
        self.entries.push(Entry { text, conds });
        number
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The conditions of the literal that equals `text`.
    #[inline(always)]
    pub(super) fn find(&self, text: &[u8]) -> &[CondId] {
        if self.like.has(text) {
            self.find_like(text)
        } else {
            &[]
        }
    }

    /// The same for a text that may be one of them, as far as its length and its ends tell.
    // Not in line, for all who ask: what runs for a message is about as much as the nearest cache for code holds.
    #[inline(never)]
    pub(super) fn find_like(&self, text: &[u8]) -> &[CondId] {
        if text.len() > WHOLE {
            return self.find_long(text);
        }
        let found = self.probe(word(text));
        found
            .and_then(|(bucket, slot)| self.conditions(bucket, slot))
            .unwrap_or(&[])
    }

    #[inline(never)]
    fn find_long(&self, text: &[u8]) -> &[CondId] {
        let place = self.look_up(word(text), text);
        let bucket = place.and_then(|place| Some((self.buckets.get(place.bucket)?, place.slot)));
        bucket
            .and_then(|(bucket, slot)| self.conditions(bucket, slot))
            .unwrap_or(&[])
    }

    /// The conditions of the literal in a slot.
    #[inline(always)]
    fn conditions<'t>(&'t self, bucket: &'t Bucket, slot: usize) -> Option<&'t [CondId]> {
        let info = bucket.infos.get(slot)?;
        Some(if bucket.entries >> slot & 1 == 0 {
            std::slice::from_ref(info)
        } else {
            self.several(*info)
        })
    }

    #[inline(never)]
    fn several(&self, entry: u32) -> &[CondId] {
        let entry = self.entries.get(entry as usize);
        entry.map_or(&[], |entry| &entry.conds)
    }

    /// Where a literal stands.
    fn look_up(&self, word: u64, text: &[u8]) -> Option<Place> {
        let mut at = self.start(word).bucket;
        loop {
            let bucket = self.buckets.get(at)?;
            let mut same = bucket.like(word);
            while same != 0 {
                let slot = same.trailing_zeros() as usize;
                if text.len() <= WHOLE || self.is(bucket, slot, text) {
                    return Some(Place { bucket: at, slot });
                }
                same &= same - 1;
            }
            if !bucket.passed {
                return None;
            }
            at = self.behind(at);
        }
    }

    /// The slot of a word that holds its text whole, of which there is one at most.
    #[inline(always)]
    fn probe(&self, word: u64) -> Option<(&Bucket, usize)> {
        let start = self.start(word);
        // Little memory; a bucket takes longer to come.
        if self.sketches.get(start.bucket)? & start.sketch != start.sketch {
            return None;
        }
        let mut at = start.bucket;
        loop {
            let bucket = self.buckets.get(at)?;
            let same = bucket.like(word);
            if same != 0 {
                return Some((bucket, same.trailing_zeros() as usize));
            }
            if !bucket.passed {
                return None;
            }
            at = self.behind(at);
        }
    }

    /// The bucket where a literal is first looked for, and its bits in that bucket's sketch.
    #[inline(always)]
    fn start(&self, word: u64) -> Start {
        let mixed = u128::from(word) * 0x9E37_79B9_7F4A_7C15;
        let hash = mixed as u64 ^ (mixed >> 64) as u64;
        Start {
            bucket: ((u128::from(hash) * self.buckets.len() as u128) >> 64) as usize,
            sketch: 1 << (hash & 31) | 1 << (hash >> 5 & 31),
        }
    }

    /// The number of the next bucket.
    #[inline(always)]
    fn behind(&self, bucket: usize) -> usize {
        if bucket + 1 < self.buckets.len() {
            bucket + 1
        } else {
            0
        }
    }

    /// Whether the long literal in a slot is this text.
    fn is(&self, bucket: &Bucket, slot: usize, text: &[u8]) -> bool {
        let entry = bucket.infos.get(slot);
        entry
            .and_then(|entry| self.entries.get(*entry as usize))
            .is_some_and(|entry| *entry.text == *text)
    }
}

impl Bucket {
    /// The slots that hold this word, as bits; all are looked at, since which it will be cannot be foreseen.
    #[inline(always)]
    fn like(&self, word: u64) -> u32 {
        let [a, b, c, d, e] = self.words.map(|own| u32::from(own == word));
        a | b << 1 | c << 2 | d << 3 | e << 4
    }
}

/// All bytes and the length, if there are eight or fewer; else a hash.
#[inline(always)]
fn word(text: &[u8]) -> u64 {
    let length = text.len() as u64;
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), _) if length == 8 => u64::from_le_bytes(*first),
        (Some(first), Some(last)) if length <= 16 => {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            LONG | (first ^ last.wrapping_mul(0xA24B_AED4_963E_E407).rotate_left(31)) >> 8
        }
        (Some(_), _) => LONG | hash(text) >> 8,
        (None, _) => (SHORT + (length << 56)) | bytes(text),
    }
}

/// Up to seven bytes.
#[inline(always)]
fn bytes(text: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        // Without the bytes that are in both.
        return u64::from(first) | u64::from(last) >> ((8 - text.len()) * 8) << 32;
    }
    let byte = |at: usize| text.get(at).map_or(0, |&byte| u64::from(byte));
    byte(0) | byte(1) << 8 | byte(2) << 16
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

    #[test]
    fn texts_that_differ_in_length_only_are_told_apart() {
        // All short texts of few bytes, those that look like padding among them.
        let mut texts = vec![String::new()];
        for length in 1..=9 {
            texts
                .extend((0..length + 1).map(|ones| "\0".repeat(length - ones) + &"a".repeat(ones)));
            texts.extend(
                (0..length).map(|at| "\0".repeat(at) + "b" + &"\0".repeat(length - at - 1)),
            );
        }
        let all = || texts.iter().map(String::as_str).zip(0..);
        for left_out in 0..texts.len() {
            let some: Vec<(&str, CondId)> = all()
                .filter(|(_, cond)| *cond as usize != left_out)
                .collect();
            let table = Literals::build(&some);
            for (text, cond) in all() {
                let expected: &[CondId] = if cond as usize == left_out {
                    &[]
                } else {
                    &[cond]
                };
                assert_eq!(table.find(text.as_bytes()), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn a_table_whose_buckets_overflow_finds_all() {
        for count in (1..60).chain([10_000]) {
            let texts: Vec<String> = (0..count).map(|n| format!("k{n}")).collect();
            let all: Vec<(&str, CondId)> = texts.iter().map(String::as_str).zip(0..).collect();
            let table = Literals::build(&all);
            for (text, cond) in &all {
                assert_eq!(table.find(text.as_bytes()), [*cond], "{text} of {count}");
            }
            for n in count..count + 100 {
                assert_eq!(table.find(format!("k{n}").as_bytes()), [0; 0]);
            }
        }
    }
}
