//! Tags that are expected next, as they stood before: white space, name, attributes up to their values.
//!
//! Messages of a service repeat the same tags in the same order. What stood behind a tag last time is
//! compared with what stands there now, values left out; where it is the same, names need neither be
//! searched nor looked up. **Invariants:** a tag is only taken in the scope it was read in; memory is
//! bounded: what collides replaces what was there.

use super::find;
use super::key::NameKey;
use super::scope::NameRef;

/// Places for tags; a power of two. A service's messages have some dozens of tags.
const PLACES: usize = 128;
/// Bytes up to a tag's first value, white space before it included.
pub(super) const LEAD: usize = 48;
/// Bytes of an end tag behind a text, and of a piece between two values.
pub(super) const PIECE: usize = 32;
/// Attributes of all tags.
const ATTRIBUTES_MAX: usize = 128;
/// Attributes of one tag.
pub(super) const ATTRIBUTES_EACH_MAX: usize = 8;
/// Places that a tag may have.
const WAYS: u8 = 4;
/// How many followers a tag has.
const FOLLOWERS: usize = 2;

/// Some bytes to compare with, at most `N`, and a bit for each that there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<const N: usize> {
    bytes: [u8; N],
    bits: u64,
    pub(super) length: u8,
}

/// A tag that stood before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// White space, `<`, name, and all up to the first value or the end.
    pub(super) lead: Piece<LEAD>,
    /// Its end tag, when it stood behind a text last time.
    pub(super) end: Piece<PIECE>,
    pub(super) name: NameRef,
    pub(super) key: NameKey,
    /// The sink's own note on the name in this place.
    pub(super) note: u64,
    /// The bits of the symbols of its attributes.
    pub(super) attribute_bits: u64,
    /// No other tag ever had it; 0 when the place is free.
    pub(super) number: u32,
    /// Of the scope around it.
    pub(super) serial: u32,
    /// For an end tag, the number of its start tag.
    pub(super) start: u32,
    pub(super) next: [u8; FOLLOWERS],
    pub(super) first_attribute: u8,
    pub(super) attributes: u8,
    /// Bytes of white space before `<`, and of the name.
    pub(super) space: u8,
    pub(super) named: u8,
    pub(super) empty: bool,
    pub(super) shows: Shows,
}

/// What the sink wanted of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// Its name's number.
    Nothing,
    /// The values of its attributes besides.
    Values,
    /// All of it.
    All,
}

/// An attribute of such a tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExpectedAttribute {
    /// From its closing quote to the next value, or to the end.
    pub(super) after: Piece<PIECE>,
    pub(super) name: NameRef,
    pub(super) quote: u8,
    /// Where its name begins in the piece before its value, and where it ends.
    pub(super) start: u8,
    pub(super) end: u8,
}

/// All that are expected.
#[derive(Debug)]
pub(super) struct Expectations {
    all: Box<[Expected; PLACES]>,
    attributes: Vec<ExpectedAttribute>,
    /// The place of the tag read last; 0 stands for all that are not kept.
    last: u8,
    next_number: u32,
}

impl<const N: usize> Piece<N> {
    const EMPTY: Self = Self {
        bytes: [0; N],
        bits: 0,
        length: 0,
    };

    /// The piece of these bytes, unless they are too many.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut piece = Self::EMPTY;
        piece.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        piece.bits = (1 << bytes.len()) - 1;
        piece.length = bytes.len() as u8;
        Some(piece)
    }

    /// Whether it stands at `at`. At a buffer's end the answer may be no although it does.
    #[inline(always)]
    pub(super) fn stands_at(&self, buf: &[u8], at: usize) -> bool {
        let Some(there) = buf.get(at..).and_then(|rest| rest.first_chunk::<N>()) else {
            return false;
        };
        // Most pieces end before their last sixteen bytes.
        let equal = if usize::from(self.length) <= N - 16 {
            find::equal_bits(&self.bytes, there, N / 16 - 1)
        } else {
            find::equal_bits(&self.bytes, there, N / 16)
        };
        equal & self.bits == self.bits
    }
}

impl Expected {
    const FREE: Self = Self {
        lead: Piece::EMPTY,
        end: Piece::EMPTY,
        name: NameRef::NONE,
        key: NameKey::NONE,
        note: 0,
        attribute_bits: 0,
        number: 0,
        serial: 0,
        start: 0,
        next: [0; FOLLOWERS],
        first_attribute: 0,
        attributes: 0,
        space: 0,
        named: 0,
        empty: false,
        shows: Shows::Nothing,
    };

    /// A tag that stands in a scope of this serial number.
    pub(super) fn new(
        serial: u32,
        (name, key): (NameRef, NameKey),
        lead: Piece<LEAD>,
        space: usize,
        named: usize,
    ) -> Self {
        Self {
            lead,
            name,
            key,
            serial,
            space: space as u8,
            named: named as u8,
            ..Self::FREE
        }
    }

    /// Where it is kept, or near it; never 0.
    fn place(&self) -> u8 {
        let salt = u64::from(self.serial) << 32
            ^ u64::from(self.start) << 16
            ^ u64::from(self.space) << 8
            ^ u64::from(self.attributes) << 4
            ^ u64::from(self.end.length);
        let hash = self.key.hash(salt) >> (64 - PLACES.trailing_zeros());
        (hash as u8).max(1)
    }
}

impl Default for Expectations {
    fn default() -> Self {
        let all = vec![Expected::FREE; PLACES].into_boxed_slice();
        // Invariant: the slice was made with this length just now.
        let all = all
            .try_into()
            .unwrap_or_else(|_| Box::new([Expected::FREE; PLACES]));
        Self {
            all,
            attributes: Vec::new(),
            last: 0,
            next_number: 1,
        }
    }
}

impl Expectations {
    pub(super) fn forget(&mut self) {
        self.all.fill(Expected::FREE);
        self.attributes.clear();
        self.last = 0;
    }

    /// Whether there is no room for another tag with attributes.
    pub(super) fn is_full(&self) -> bool {
        self.attributes.len() + ATTRIBUTES_EACH_MAX > ATTRIBUTES_MAX
    }

    /// What comes next is not known by what came last.
    #[inline(always)]
    pub(super) fn lose(&mut self) {
        self.last = 0;
    }

    /// The tag that stands at `at` if it is an expected one, as far as its first value.
    #[inline(always)]
    pub(super) fn follow(&mut self, buf: &[u8], at: usize, serial: u32, open: u32) -> Option<u8> {
        let [first, second] = self.at(self.last).next;
        if self.fits(first, buf, at, serial, open) {
            return Some(first);
        }
        self.follow_second(second, buf, at, serial, open)
    }

    #[inline(never)]
    fn follow_second(
        &mut self,
        second: u8,
        buf: &[u8],
        at: usize,
        serial: u32,
        open: u32,
    ) -> Option<u8> {
        if !self.fits(second, buf, at, serial, open) {
            return None;
        }
        self.at_mut(self.last).next.swap(0, 1);
        Some(second)
    }

    #[inline(always)]
    fn fits(&self, place: u8, buf: &[u8], at: usize, serial: u32, open: u32) -> bool {
        let tag = self.at(place);
        // Of start tags the number is 0.
        let of = tag.start == 0 || tag.start == open;
        of && tag.serial == serial && tag.lead.stands_at(buf, at)
    }

    /// The tag at `place` was read.
    #[inline(always)]
    pub(super) fn read(&mut self, place: u8) {
        self.last = place;
    }

    /// What stands at a place.
    #[inline(always)]
    pub(super) fn at(&self, place: u8) -> &Expected {
        // Invariant: the remainder is below the array's length.
        #[expect(clippy::indexing_slicing)]
        &self.all[usize::from(place) % PLACES]
    }

    #[inline(always)]
    pub(super) fn at_mut(&mut self, place: u8) -> &mut Expected {
        // Invariant: as above.
        #[expect(clippy::indexing_slicing)]
        &mut self.all[usize::from(place) % PLACES]
    }

    /// Its attributes.
    #[inline(always)]
    pub(super) fn attributes(&self, tag: &Expected) -> &[ExpectedAttribute] {
        let first = usize::from(tag.first_attribute);
        self.attributes
            .get(first..first + usize::from(tag.attributes))
            .unwrap_or(&[])
    }

    /// Expects a tag behind the one read last; the answer is its number, or 0 when it cannot be kept.
    #[inline(never)]
    pub(super) fn keep(&mut self, mut tag: Expected, attributes: &[ExpectedAttribute]) -> u32 {
        tag.attributes = attributes.len() as u8;
        let symbols = attributes.iter().map(|attribute| attribute.name.symbol);
        tag.attribute_bits = symbols.fold(0, |bits, symbol| bits | symbol);
        let first = tag.place();
        let mut places = (0..WAYS).map(|way| (first ^ way).max(1));
        let known = places.find(|place| self.is_same(*place, &tag, attributes));
        let place = match known {
            Some(place) => place,
            None => {
                let mut places = (0..WAYS).map(|way| (first ^ way).max(1));
                let place = places.find(|place| self.at(*place).number == 0);
                let place = place.unwrap_or(first);
                if !self.replace(place, tag, attributes) {
                    self.lose();
                    return 0;
                }
                place
            }
        };
        let last = self.at_mut(self.last);
        if let [first, second] = &mut last.next
            && *first != place
        {
            *second = std::mem::replace(first, place);
        }
        self.last = place;
        self.at(place).number
    }

    fn is_same(&self, place: u8, tag: &Expected, attributes: &[ExpectedAttribute]) -> bool {
        let known = self.at(place);
        let same = |a: &ExpectedAttribute, b: &ExpectedAttribute| {
            a.quote == b.quote && a.after.bytes == b.after.bytes
        };
        known.number != 0
            && known.serial == tag.serial
            && known.start == tag.start
            && known.lead.bytes == tag.lead.bytes
            && known.end.bytes == tag.end.bytes
            && known.attributes == tag.attributes
            && self
                .attributes(known)
                .iter()
                .zip(attributes)
                .all(|(a, b)| same(a, b))
    }

    fn replace(&mut self, place: u8, mut tag: Expected, attributes: &[ExpectedAttribute]) -> bool {
        if !attributes.is_empty() && self.is_full() || attributes.len() > ATTRIBUTES_EACH_MAX {
            return false;
        }
        tag.number = self.next_number;
        // After so many tags a number may come again, when nothing of its first time is left.
        self.next_number = self.next_number.checked_add(1).unwrap_or(1);
        let old = self.at(place);
        let first = usize::from(old.first_attribute);
        let kept = usize::from(old.attributes) == attributes.len();
        match self.attributes.get_mut(first..first + attributes.len()) {
            Some(own) if kept => {
                tag.first_attribute = first as u8;
                own.copy_from_slice(attributes);
            }
            _ => {
                tag.first_attribute = self.attributes.len() as u8;
                self.attributes.extend_from_slice(attributes);
            }
        }
        *self.at_mut(place) = tag;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_compared_to_their_last_byte() {
        let text =
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijkl";
        for length in 1..=LEAD {
            let piece: Piece<LEAD> = Piece::of(&text[3..3 + length]).unwrap();
            assert!(piece.stands_at(text, 3));
            assert!(!piece.stands_at(text, 4));
            let mut other = text.to_vec();
            other[2 + length] = b'.';
            assert!(!piece.stands_at(&other, 3), "{length}");
            other[2 + length] = text[2 + length];
            other[3 + length] = b'.';
            assert!(piece.stands_at(&other, 3), "{length}");
        }
        assert!(Piece::<PIECE>::of(&text[..PIECE + 1]).is_none());
    }
}
