//! All tests on the values of one place, so that a value meets its tests without trying each.
//!
//! Equality is one hash probe, ranges are sorted, prefixes are probed by length, `contains` runs one
//! automaton over all its words. Testing costs what it finds, not what there is.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::AhoCorasick;

use crate::xml::Likeness;

use super::ast::Comparison;
use super::literals::Literals;
use super::program::CondId;
use super::value;

/// Longest value that is kept for tests that need all of it. 64 KiB: longer ones go to the tree.
pub(super) const VALUE_BYTES_MAX: usize = 64 << 10;

/// One test on a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ValueTest {
    Equal(String),
    Differs(String),
    /// The number's bits, so that tests can be compared; never NaN.
    Number(Comparison, u64),
    StartsWith(String),
    Contains(String),
    /// Not empty, for text; neither zero nor NaN, for numbers; true, for booleans.
    Truth,
}

/// A value on its way through an index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found<'v> {
    /// Text, which is UTF-8, and whether it was cut at what the index needs.
    Text(&'v [u8], bool),
    Number(f64),
    Boolean(bool),
}

/// What an index remembers of the values one instance has shown it; differs per run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memo {
    serial: u32,
    /// The literal that a first value spared in `differs`: 0 none yet, 1 all done, else its number + 2.
    spared: u32,
    /// How far the sorted bounds have fired.
    above: u32,
    below: u32,
}

/// Prefixes of one length.
#[derive(Debug)]
struct Prefixes {
    length: usize,
    /// The bytes that they end with, as bits: mostly few, such as a colon or a hyphen.
    lasts: [u64; 4],
    literals: Literals,
}

impl Prefixes {
    fn new(length: usize, all: &[(&str, CondId)]) -> Self {
        let mut lasts = [0; 4];
        for last in all.iter().filter_map(|(text, _)| text.bytes().last()) {
            if let Some(word) = lasts.get_mut(usize::from(last / 64)) {
                *word |= 1 << (last % 64);
            }
        }
        Self {
            length,
            lasts,
            literals: Literals::build(all),
        }
    }

    /// Whether the last byte lets a text be one of them.
    #[inline(always)]
    fn may_be(&self, head: &[u8]) -> bool {
        head.last().is_none_or(|last| {
            let word = self.lasts.get(usize::from(last / 64)).copied();
            word.is_some_and(|word| word >> (last % 64) & 1 == 1)
        })
    }
}

/// The tests of one place.
#[derive(Debug, Default)]
pub(super) struct Index {
    equal: Literals,
    differs: HashMap<Box<[u8]>, (u32, Vec<CondId>), Hashing>,
    number_equal: HashMap<u64, Vec<CondId>, Hashing>,
    number_differs: Vec<(f64, CondId)>,
    /// `>` and `>=` by bound, ascending; `>=` first among equal bounds.
    above: Vec<(f64, bool, CondId)>,
    /// `<` and `<=` by bound, descending; `<=` first among equal bounds.
    below: Vec<(f64, bool, CondId)>,
    prefixes: Vec<Prefixes>,
    contains: Option<(AhoCorasick, Vec<CondId>)>,
    truth: Vec<CondId>,
    /// Bytes of text that suffice for every test.
    pub(super) need: usize,
    /// Whether a cut value leaves a test open.
    needs_all: bool,
    numeric: bool,
    /// Whether there is a test on text as such, and whether all are for equality with it.
    textual: bool,
    only_equal: bool,
    /// Whether the memo is used at all.
    pub(super) remembers: bool,
}

impl Index {
    pub(super) fn build(tests: &HashMap<ValueTest, CondId>) -> Self {
        let mut index = Self::default();
        let mut words: Vec<(String, CondId)> = Vec::new();
        let mut equal: Vec<(&str, CondId)> = Vec::new();
        let mut prefixes: BTreeMap<usize, Vec<(&str, CondId)>> = BTreeMap::new();
        let mut sorted: Vec<_> = tests.iter().collect();
        sorted.sort_unstable_by_key(|(_, cond)| **cond);
        for (test, &cond) in sorted {
            match test {
                ValueTest::Equal(text) => {
                    index.need = index.need.max(text.len() + 1);
                    equal.push((text.as_str(), cond));
                }
                ValueTest::Differs(text) => {
                    index.need = index.need.max(text.len() + 1);
                    let next = index.differs.len() as u32;
                    index
                        .differs
                        .entry(text.as_bytes().into())
                        .or_insert((next, Vec::new()))
                        .1
                        .push(cond);
                }
                ValueTest::StartsWith(text) => {
                    index.need = index.need.max(text.len());
                    prefixes
                        .entry(text.len())
                        .or_default()
                        .push((text.as_str(), cond));
                }
                ValueTest::Contains(text) => words.push((text.clone(), cond)),
                ValueTest::Truth => {
                    index.need = index.need.max(1);
                    index.truth.push(cond);
                }
                ValueTest::Number(op, bits) => index.bound(*op, f64::from_bits(*bits), cond),
            }
        }
        index
            .above
            .sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        index
            .below
            .sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        index.equal = Literals::build(&equal);
        index.prefixes = prefixes
            .into_iter()
            .map(|(length, all)| Prefixes::new(length, &all))
            .collect();
        if !words.is_empty() {
            index.needs_all = true;
            let automaton = AhoCorasick::new(words.iter().map(|(word, _)| word.as_bytes()));
            // Words are short and within the length an expression may have, far below what it refuses.
            index.contains = automaton
                .ok()
                .map(|built| (built, words.iter().map(|(_, cond)| *cond).collect()));
        }
        index.remembers =
            !index.differs.is_empty() || !index.above.is_empty() || !index.below.is_empty();
        index.needs_all |= index.numeric;
        index.textual = !index.equal.is_empty()
            || !index.differs.is_empty()
            || !index.prefixes.is_empty()
            || !index.truth.is_empty()
            || index.contains.is_some();
        index.only_equal = tests.keys().all(|test| matches!(test, ValueTest::Equal(_)));
        if index.needs_all {
            index.need = VALUE_BYTES_MAX;
        }
        index
    }

    fn bound(&mut self, op: Comparison, number: f64, cond: CondId) {
        self.numeric = true;
        match op {
            Comparison::Equal => self.number_equal.entry(key(number)).or_default().push(cond),
            Comparison::NotEqual => self.number_differs.push((number, cond)),
            Comparison::Greater => self.above.push((number, false, cond)),
            Comparison::GreaterEqual => self.above.push((number, true, cond)),
            Comparison::Less => self.below.push((number, false, cond)),
            Comparison::LessEqual => self.below.push((number, true, cond)),
        }
    }

    /// Whether all tests are for equality with text.
    pub(super) fn is_only_equal(&self) -> bool {
        self.only_equal
    }

    /// Whether text, which may be longer than any test needs, equals what a test is for.
    #[inline(always)]
    pub(super) fn has_equal(&self, text: &[u8]) -> bool {
        !self.equal.find(text).is_empty()
    }

    /// What texts look like that a test for equality is for.
    pub(super) fn likeness(&self) -> Likeness {
        self.equal.like
    }

    /// The conditions that hold of the value, if all tests are for equality with text. Those who ask for many
    /// values have looked at [`Index::rejects`] before.
    #[inline(always)]
    pub(super) fn equal(&self, found: Found<'_>) -> Option<&[CondId]> {
        match found {
            Found::Text(_, true) if self.only_equal => Some(&[]),
            Found::Text(text, false) if self.only_equal => Some(self.equal.find_like(text)),
            _ => None,
        }
    }

    /// Whether it can be told at a glance that nothing comes of a text.
    #[inline(always)]
    pub(super) fn rejects(&self, text: &[u8]) -> bool {
        self.only_equal && !self.equal.like.has(text)
    }

    /// Tells every condition that holds of the value. False when the value was cut too short to say.
    pub(super) fn test(
        &self,
        found: Found<'_>,
        memo: &mut Memo,
        serial: u32,
        mut tell: impl FnMut(CondId),
    ) -> bool {
        if self.remembers && memo.serial != serial {
            *memo = Memo {
                serial,
                ..Memo::default()
            };
        }
        match found {
            Found::Text(text, cut) => {
                if cut && self.needs_all {
                    return false;
                }
                if self.textual {
                    self.test_text(text, cut, memo, &mut tell);
                }
                if self.numeric {
                    self.test_number(value::number_of(text), memo, &mut tell);
                }
            }
            Found::Number(number) => {
                if value::truth(number) {
                    self.truth.iter().copied().for_each(&mut tell);
                }
                self.test_number(number, memo, &mut tell);
                if !self.equal.is_empty() || !self.differs.is_empty() {
                    self.test_text(value::text(number).as_bytes(), false, memo, &mut tell);
                }
            }
            Found::Boolean(truth) => {
                if truth {
                    self.truth.iter().copied().for_each(&mut tell);
                }
            }
        }
        true
    }

    #[inline]
    fn test_text(&self, text: &[u8], cut: bool, memo: &mut Memo, tell: &mut impl FnMut(CondId)) {
        if !cut {
            self.equal.find(text).iter().copied().for_each(&mut *tell);
        }
        if !text.is_empty() {
            self.truth.iter().copied().for_each(&mut *tell);
        }
        for prefixes in &self.prefixes {
            let Some(head) = text.get(..prefixes.length) else {
                break;
            };
            if prefixes.may_be(head) {
                let conds = prefixes.literals.find(head);
                conds.iter().copied().for_each(&mut *tell);
            }
        }
        if let Some((automaton, conds)) = &self.contains {
            for found in automaton.find_overlapping_iter(text) {
                conds
                    .get(found.pattern().as_usize())
                    .copied()
                    .into_iter()
                    .for_each(&mut *tell);
            }
        }
        if !self.differs.is_empty() {
            self.test_differs(if cut { None } else { Some(text) }, memo, tell);
        }
    }

    /// The first value settles all but the literal it equals; a second, other value settles that too.
    fn test_differs(&self, text: Option<&[u8]>, memo: &mut Memo, tell: &mut impl FnMut(CondId)) {
        let equal = text
            .and_then(|text| self.differs.get(text))
            .map(|(number, _)| number + 2);
        match memo.spared {
            1 => {}
            0 => {
                for (number, conds) in self.differs.values() {
                    if equal != Some(number + 2) {
                        conds.iter().copied().for_each(&mut *tell);
                    }
                }
                memo.spared = equal.unwrap_or(1);
            }
            spared if equal == Some(spared) => {}
            spared => {
                let left = self
                    .differs
                    .values()
                    .find(|(number, _)| number + 2 == spared);
                left.iter()
                    .flat_map(|(_, conds)| conds)
                    .copied()
                    .for_each(&mut *tell);
                memo.spared = 1;
            }
        }
    }

    fn test_number(&self, number: f64, memo: &mut Memo, tell: &mut impl FnMut(CondId)) {
        for (bound, cond) in &self.number_differs {
            if number != *bound {
                tell(*cond);
            }
        }
        if number.is_nan() {
            return;
        }
        if let Some(conds) = self.number_equal.get(&key(number)) {
            conds.iter().copied().for_each(&mut *tell);
        }
        self.test_above(number, memo, &mut *tell);
        while let Some((bound, inclusive, cond)) = self.below.get(memo.below as usize) {
            if !(number < *bound || *inclusive && number == *bound) {
                break;
            }
            tell(*cond);
            memo.below += 1;
        }
    }

    /// The bounds a growing number has passed; each fires once an instance.
    pub(super) fn test_above(&self, number: f64, memo: &mut Memo, mut tell: impl FnMut(CondId)) {
        while let Some((bound, inclusive, cond)) = self.above.get(memo.above as usize) {
            if !(number > *bound || *inclusive && number == *bound) {
                break;
            }
            tell(*cond);
            memo.above += 1;
        }
    }

    /// [`Index::test_above`] for a count that is not final.
    pub(super) fn test_growing(
        &self,
        number: f64,
        memo: &mut Memo,
        serial: u32,
        tell: impl FnMut(CondId),
    ) {
        if memo.serial != serial {
            *memo = Memo {
                serial,
                ..Memo::default()
            };
        }
        self.test_above(number, memo, tell);
    }
}

/// Both zeros are equal.
fn key(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

/// A fast hash for tables whose keys come from the configuration; probing values cannot make it slow.
pub(super) type Hashing = std::hash::BuildHasherDefault<Mixing>;

/// Multiply and fold, eight bytes at a time.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Mixing(u64);

impl std::hash::Hasher for Mixing {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            if let Some(into) = word.get_mut(..chunk.len()) {
                into.copy_from_slice(chunk);
            }
            self.write_u64(u64::from_le_bytes(word) ^ (chunk.len() as u64) << 56);
        }
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93_u128;
        self.0 = (wide as u64) ^ ((wide >> 64) as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
