//! The names a scanner has resolved, found again by their bytes.
//!
//! Names follow each other in documents as they did before, so each remembers which one came next and
//! mostly one comparison finds it. They stand one behind the other, as many as there were, and places among
//! which each has a few to be in say which number it has. **Invariant:** memory is bounded: what finds no room
//! replaces what was there.

use super::key::NameKey;
use super::room;
use super::scope::NameRef;

/// Names that are kept, and none. A service's messages have some dozens, those of many services some hundreds.
const NAMES_MAX: usize = 512;
/// So many more are made room for at a time.
const NAMES_MORE: usize = 16;
/// Places to find them again; a power of two, twice as many.
const PLACES: usize = 1024;
/// Places that a name may be in, from its own on.
const WINDOW: usize = 4;
/// Brings a hash to the number of a place.
const SHIFT: u32 = 64 - PLACES.trailing_zeros();
/// Bytes of names that their keys do not hold whole; when full, further ones are resolved each time.
const LONG_BYTES_MAX: usize = 16 << 10;

/// A name that was resolved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    low: u64,
    high: u64,
    length: u32,
    kind: u32,
    pub(super) name: NameRef,
    /// The sink's own note; 0 when it has made none.
    pub(super) note: u64,
    /// Where its bytes stand, when the key does not hold them.
    long: u32,
    /// The name that followed it last.
    next: u16,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Names {
    /// The first is none.
    all: Vec<Known>,
    /// By place: the number of a name, or [`GONE`], or 0 where none ever stood: none that may stand in such a place
    /// stands behind it.
    places: Box<[Number; PLACES]>,
    long: Vec<u8>,
    last: Number,
    /// What may come next: the name that followed the last one before.
    predicted: Number,
}

/// Number of a name; 0 is none.
pub(super) type Number = u16;
/// Number of no name, where one was taken from its place: others may stand behind it.
const GONE: Number = Number::MAX;

/// Which names are alike in kind: those of one scope, elements or attributes.
#[inline(always)]
pub(super) fn kind_of(serial: u32, attribute: bool) -> u32 {
    serial << 1 | u32::from(attribute)
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self {
            all: Vec::new(),
            places: Box::new([0; PLACES]),
            long: Vec::new(),
            last: 0,
            predicted: 0,
        };
        names.forget();
        names
    }
}

impl Names {
    pub(super) fn forget(&mut self) {
        self.all.clear();
        room::push(&mut self.all, Known::NONE, NAMES_MORE);
        self.places.fill(0);
        self.long.clear();
        (self.last, self.predicted) = (0, 0);
    }

    /// Whether there is no room for another long name.
    pub(super) fn is_full(&self) -> bool {
        self.long.len() >= LONG_BYTES_MAX
    }

    /// The name at `at` of this kind, if it ends as such a name does and is known: its number and its end.
    #[inline(always)]
    pub(super) fn follow(
        &mut self,
        buf: &[u8],
        at: usize,
        kind: u32,
        ends: impl Fn(u8) -> bool,
    ) -> Option<(Number, usize)> {
        let number = self.predicted;
        let predicted = self.at(number);
        let key = predicted.key();
        let end = at + key.length as usize;
        if predicted.kind == kind
            && key.is_whole()
            && buf.get(end).is_some_and(|&b| ends(b))
            && key.stands_at(buf, at)
        {
            self.predicted = predicted.next;
            self.last = number;
            return Some((number, end));
        }
        self.look_up(buf, at, kind)
    }

    #[inline(never)]
    fn look_up(&mut self, buf: &[u8], at: usize, kind: u32) -> Option<(Number, usize)> {
        let end = super::find::name_end(buf, at);
        let key = NameKey::at(buf, at, end - at);
        let number = self.find(kind, key, buf.get(at..end)?)?;
        if let Some(last) = self.all.get_mut(usize::from(self.last)) {
            last.next = number;
        }
        self.last = number;
        self.predicted = self.at(number).next;
        Some((number, end))
    }

    /// The name with these bytes.
    #[inline]
    pub(super) fn known(&self, kind: u32, key: NameKey, raw: &[u8]) -> Option<NameRef> {
        let number = self.find(kind, key, raw)?;
        Some(self.at(number).name)
    }

    /// The number of the name with these bytes, mostly found in its own place.
    #[inline]
    fn find(&self, kind: u32, key: NameKey, raw: &[u8]) -> Option<Number> {
        let own = *self.places.get(place(key, kind))?;
        match own {
            0 => None,
            _ if self.is(own, kind, key, raw) => Some(own),
            _ => self.find_beside(kind, key, raw),
        }
    }

    #[inline(never)]
    fn find_beside(&self, kind: u32, key: NameKey, raw: &[u8]) -> Option<Number> {
        let numbers = window(key, kind).filter_map(|place| self.places.get(place).copied());
        numbers
            .take_while(|number| *number != 0)
            .find(|number| self.is(*number, kind, key, raw))
    }

    #[inline(always)]
    fn is(&self, number: Number, kind: u32, key: NameKey, raw: &[u8]) -> bool {
        let known = self.at(number);
        known.key() == key
            && known.kind == kind
            && (key.is_whole() || self.long_bytes(known) == raw)
    }

    /// The name with a number.
    #[inline(always)]
    pub(super) fn at(&self, number: Number) -> &Known {
        self.all.get(usize::from(number)).unwrap_or(&NONE)
    }

    #[inline(always)]
    pub(super) fn at_mut(&mut self, number: Number) -> Option<&mut Known> {
        self.all.get_mut(usize::from(number))
    }

    /// Remembers a name that is not known.
    pub(super) fn keep(&mut self, kind: u32, key: NameKey, raw: &[u8], name: NameRef) {
        let long = self.long.len() as u32;
        if !key.is_whole() {
            if self.is_full() {
                return;
            }
            self.long.extend_from_slice(raw);
        }
        let known = Known {
            low: key.low,
            high: key.high,
            length: key.length,
            kind,
            name,
            note: 0,
            long,
            next: 0,
        };
        let number = self.number_for(key, kind);
        match self.all.get_mut(usize::from(number)) {
            Some(other) => *other = known,
            None => room::push(&mut self.all, known, NAMES_MORE),
        }
    }

    /// The number that a name is to have, which stands in one of its places from now on: a new one where there
    /// is room, or else that of what it replaces.
    fn number_for(&mut self, key: NameKey, kind: u32) -> Number {
        let own = place(key, kind);
        let free =
            window(key, kind).find(|place| matches!(self.places.get(*place), Some(&(0 | GONE))));
        let new = match free {
            None => return self.places.get(own).copied().unwrap_or(0),
            Some(_) if self.all.len() < NAMES_MAX => self.all.len() as Number,
            Some(_) => {
                // Always the same for a name, so that names which come in turn do not all replace each other.
                let other = 1 + (own % (NAMES_MAX - 1)) as Number;
                self.displace(other);
                other
            }
        };
        if let Some(place) = free.and_then(|free| self.places.get_mut(free)) {
            *place = new;
        }
        new
    }

    /// Takes the number of a name from its places.
    fn displace(&mut self, number: Number) {
        let known = self.at(number);
        let places = window(known.key(), known.kind);
        for place in places {
            if let Some(place) = self.places.get_mut(place).filter(|held| **held == number) {
                *place = GONE;
            }
        }
    }

    fn long_bytes(&self, known: &Known) -> &[u8] {
        let start = known.long as usize;
        self.long
            .get(start..start + known.length as usize)
            .unwrap_or(&[])
    }
}

impl Known {
    const NONE: Self = Self {
        low: 0,
        high: 0,
        length: 0,
        kind: 0,
        name: NameRef::NONE,
        note: 0,
        long: 0,
        next: 0,
    };

    #[inline(always)]
    pub(super) fn key(&self) -> NameKey {
        NameKey {
            low: self.low,
            high: self.high,
            length: self.length,
        }
    }
}

static NONE: Known = Known::NONE;

#[inline(always)]
fn place(key: NameKey, kind: u32) -> usize {
    (key.hash(kind.into()) >> SHIFT) as usize
}

/// The places that a name may be in.
#[inline(always)]
fn window(key: NameKey, kind: u32) -> impl Iterator<Item = usize> {
    let own = place(key, kind);
    (own..own + WINDOW).map(|place| place % PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(names: &mut Names, number: u64) {
        let raw = format!("name{number}");
        let key = NameKey::at(raw.as_bytes(), 0, raw.len());
        let name = NameRef {
            symbol: number,
            ..NameRef::NONE
        };
        names.keep(2, key, raw.as_bytes(), name);
    }

    fn known(names: &Names, number: u64) -> Option<u64> {
        let raw = format!("name{number}");
        let key = NameKey::at(raw.as_bytes(), 0, raw.len());
        let name = names.known(2, key, raw.as_bytes())?;
        assert_eq!(names.known(3, key, raw.as_bytes()).map(|n| n.symbol), None);
        Some(name.symbol)
    }

    #[test]
    fn names_leave_each_other_in_place_while_there_is_room() {
        let mut names = Names::default();
        (0..200).for_each(|number| keep(&mut names, number));
        (0..200).for_each(|number| assert_eq!(known(&names, number), Some(number)));
        assert!(names.all.capacity() <= 200 + NAMES_MORE);
    }

    #[test]
    fn names_without_end_take_the_room_of_others() {
        let mut names = Names::default();
        for number in 0..20 * NAMES_MAX as u64 {
            keep(&mut names, number);
            assert_eq!(known(&names, number), Some(number));
        }
        assert_eq!(names.all.capacity(), NAMES_MAX);
        let held = names.places.iter().copied();
        let mut held: Vec<Number> = held.filter(|n| !matches!(*n, 0 | GONE)).collect();
        held.sort_unstable();
        let every: Vec<Number> = (1..NAMES_MAX as Number).collect();
        assert_eq!(held, every);
    }

    #[test]
    fn most_names_stay_when_a_few_too_many_come_in_turn() {
        let mut names = Names::default();
        let all = NAMES_MAX as u64 * 9 / 8;
        let mut missed = 0;
        for round in 0..4 {
            for number in 0..all {
                if known(&names, number).is_none() {
                    missed += u64::from(round > 0);
                    keep(&mut names, number);
                }
            }
        }
        assert!(missed < 3 * all / 2, "{missed} of {}", 3 * all);
    }
}
