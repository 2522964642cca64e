//! The names a scanner has resolved, found again by their bytes.
//!
//! Names follow each other in documents as they did before, so each remembers which one came next and
//! mostly one comparison finds it. **Invariant:** memory is bounded: what collides replaces what was there.

use super::key::NameKey;
use super::scope::NameRef;

/// Places for names; a power of two. A service's messages have some dozens of names.
const NAMES: usize = 512;
/// Brings a hash to the number of a place.
const SHIFT: u32 = 64 - NAMES.trailing_zeros();
/// Bytes of names that their keys do not hold whole; when full, further ones are resolved each time.
const LONG_BYTES_MAX: usize = 16 << 10;

/// A name that was resolved.
#[derive(Debug, Clone, Copy, Default)]
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
    all: Box<[Known; NAMES]>,
    long: Vec<u8>,
    last: u16,
    /// What may come next: the name that followed the last one before.
    predicted: u16,
}

/// Which names are alike in kind: those of one scope, elements or attributes.
#[inline(always)]
pub(super) fn kind_of(serial: u32, attribute: bool) -> u32 {
    serial << 1 | u32::from(attribute)
}

impl Default for Names {
    fn default() -> Self {
        let all = vec![Known::default(); NAMES].into_boxed_slice();
        // Invariant: the slice was made with this length just now.
        let all = all
            .try_into()
            .unwrap_or_else(|_| Box::new([Known::default(); NAMES]));
        Self {
            all,
            long: Vec::new(),
            last: 0,
            predicted: 0,
        }
    }
}

impl Names {
    pub(super) fn forget(&mut self) {
        self.all.fill(Known::default());
        self.long.clear();
        (self.last, self.predicted) = (0, 0);
    }

    /// Whether there is no room for another long name.
    pub(super) fn is_full(&self) -> bool {
        self.long.len() >= LONG_BYTES_MAX
    }

    /// The name at `at` of this kind, if it ends as such a name does and is known: its place and its end.
    #[inline(always)]
    pub(super) fn follow(
        &mut self,
        buf: &[u8],
        at: usize,
        kind: u32,
        ends: impl Fn(u8) -> bool,
    ) -> Option<(u16, usize)> {
        let place = self.predicted;
        let predicted = self.at(place);
        let key = predicted.key();
        let end = at + key.length as usize;
        if predicted.kind == kind
            && key.is_whole()
            && buf.get(end).is_some_and(|&b| ends(b))
            && key.stands_at(buf, at)
        {
            self.predicted = predicted.next;
            self.last = place;
            return Some((place, end));
        }
        self.look_up(buf, at, kind)
    }

    #[inline(never)]
    fn look_up(&mut self, buf: &[u8], at: usize, kind: u32) -> Option<(u16, usize)> {
        let end = super::find::name_end(buf, at);
        let key = NameKey::at(buf, at, end - at);
        let place = place(key, kind);
        self.known(kind, key, buf.get(at..end)?)?;
        if let Some(last) = self.all.get_mut(usize::from(self.last)) {
            last.next = place;
        }
        self.last = place;
        self.predicted = self.at(place).next;
        Some((place, end))
    }

    /// The name with these bytes.
    #[inline]
    pub(super) fn known(&self, kind: u32, key: NameKey, raw: &[u8]) -> Option<NameRef> {
        let known = self.at(place(key, kind));
        let same = known.key() == key
            && known.kind == kind
            && (key.is_whole() || self.long_bytes(known) == raw);
        same.then_some(known.name)
    }

    /// What stands at a place.
    #[inline(always)]
    pub(super) fn at(&self, place: u16) -> &Known {
        // Invariant: the remainder is below the array's length.
        #[expect(clippy::indexing_slicing)]
        &self.all[usize::from(place) % NAMES]
    }

    #[inline(always)]
    pub(super) fn at_mut(&mut self, place: u16) -> &mut Known {
        // Invariant: as above.
        #[expect(clippy::indexing_slicing)]
        &mut self.all[usize::from(place) % NAMES]
    }

    /// Remembers a name in the place of what collides with it.
    pub(super) fn keep(&mut self, kind: u32, key: NameKey, raw: &[u8], name: NameRef) {
        let long = self.long.len() as u32;
        if !key.is_whole() {
            if self.is_full() {
                return;
            }
            self.long.extend_from_slice(raw);
        }
        *self.at_mut(place(key, kind)) = Known {
            low: key.low,
            high: key.high,
            length: key.length,
            kind,
            name,
            note: 0,
            long,
            next: 0,
        };
    }

    fn long_bytes(&self, known: &Known) -> &[u8] {
        let start = known.long as usize;
        self.long
            .get(start..start + known.length as usize)
            .unwrap_or(&[])
    }
}

impl Known {
    #[inline(always)]
    pub(super) fn key(&self) -> NameKey {
        NameKey {
            low: self.low,
            high: self.high,
            length: self.length,
        }
    }
}

#[inline(always)]
fn place(key: NameKey, kind: u32) -> u16 {
    (key.hash(kind.into()) >> SHIFT) as u16
}
