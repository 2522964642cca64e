//! A name's bytes as one number, so that names are compared and looked up without touching each byte.
//!
//! Up to sixteen bytes the number is the name; of longer names it holds the first and last eight, and
//! the rest must be compared besides.

/// Bytes that a key holds whole.
pub(super) const WHOLE: usize = 16;

/// The bits of the first so many bytes, in two words.
static MASKS: [[u64; 2]; WHOLE + 1] = {
    let mut masks = [[0; 2]; WHOLE + 1];
    let mut length = 1;
    while length <= WHOLE {
        let all = u128::MAX >> (128 - 8 * length);
        // Invariant: `length` is at most `WHOLE`, and this runs when compiling.
        #[expect(clippy::indexing_slicing)]
        {
            masks[length] = [all as u64, (all >> 64) as u64];
        }
        length += 1;
    }
    masks
};

/// The number and the length of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct NameKey {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) length: u32,
}

impl NameKey {
    /// Of no name.
    pub(super) const NONE: Self = Self {
        low: 0,
        high: 0,
        length: 0,
    };

    /// The key of the `length` bytes at `at`; bytes behind them are looked at where there are such.
    #[inline(always)]
    pub(super) fn at(buf: &[u8], at: usize, length: usize) -> Self {
        if let Some([low, high]) = MASKS.get(length)
            && let Some((first, second)) = words(buf, at)
        {
            return Self {
                low: first & low,
                high: second & high,
                length: length as u32,
            };
        }
        Self::slow(buf.get(at..at + length).unwrap_or(&[]))
    }

    /// Whether the bytes at `at` are this name, which the key holds whole. What follows does not matter.
    #[inline(always)]
    pub(super) fn stands_at(self, buf: &[u8], at: usize) -> bool {
        if let Some([low, high]) = MASKS.get(self.length as usize)
            && let Some((first, second)) = words(buf, at)
        {
            return (first & low ^ self.low) | (second & high ^ self.high) == 0;
        }
        Self::slow(buf.get(at..at + self.length as usize).unwrap_or(&[])) == self
    }

    /// If the end tag of this name stands at `at` as it usually does, what follows it.
    #[inline(always)]
    pub(super) fn ends_at(self, buf: &[u8], at: usize) -> Option<usize> {
        let close = at + 2 + self.length as usize;
        let fits = buf.get(close) == Some(&b'>')
            && buf.get(at + 1) == Some(&b'/')
            && self.is_whole()
            && self.stands_at(buf, at + 2);
        fits.then_some(close + 1)
    }

    #[cold]
    fn slow(name: &[u8]) -> Self {
        let mut bytes = [0; WHOLE];
        match (
            name.len() <= WHOLE,
            name.first_chunk::<8>(),
            name.last_chunk::<8>(),
        ) {
            (false, Some(first), Some(last)) => {
                bytes
                    .iter_mut()
                    .zip(first.iter().chain(last))
                    .for_each(|(to, from)| *to = *from);
            }
            _ => bytes
                .iter_mut()
                .zip(name)
                .for_each(|(to, from)| *to = *from),
        }
        let (low, high) = words(&bytes, 0).unwrap_or_default();
        Self {
            low,
            high,
            length: name.len() as u32,
        }
    }

    /// Whether the key is the whole name.
    #[inline(always)]
    pub(super) fn is_whole(self) -> bool {
        self.length as usize <= WHOLE
    }

    /// The name's bytes, if the key is the whole name.
    pub(super) fn bytes(self) -> [u8; WHOLE] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes()
    }

    /// A number that differs for different keys, mostly, in its upper bits.
    #[inline(always)]
    pub(super) fn hash(self, salt: u64) -> u64 {
        let mixed = self.low
            ^ self.high.rotate_left(23)
            ^ salt.rotate_left(47)
            ^ u64::from(self.length) << 59;
        (mixed ^ mixed >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// The sixteen bytes at `at` as two words, if there are so many.
#[inline(always)]
fn words(buf: &[u8], at: usize) -> Option<(u64, u64)> {
    let window = buf.get(at..)?.first_chunk::<WHOLE>()?;
    let both = u128::from_le_bytes(*window);
    Some((both as u64, (both >> 64) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_the_name_alone() {
        let text = b"soap:Envelope xmlns:soap='x' and more that does not matter";
        for length in 0..=40 {
            let name = text.get(..length).unwrap();
            assert_eq!(
                NameKey::at(text, 0, length),
                NameKey::at(name, 0, length),
                "{length}"
            );
        }
        assert_ne!(NameKey::at(text, 0, 5), NameKey::at(text, 0, 6));
        let key = NameKey::at(text, 0, 13);
        assert!(key.stands_at(text, 0) && key.stands_at(&text[..13], 0));
        assert!(!key.stands_at(text, 1) && !key.stands_at(&text[..12], 0));
    }
}
