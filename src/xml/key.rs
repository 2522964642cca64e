//! A name's bytes as one number, so that names are compared and looked up without touching each byte.
//!
//! Up to sixteen bytes the number is the name; of longer names it holds the first and last eight, and
//! the rest must be compared besides.

/// Bytes that a key holds whole.
pub(super) const WHOLE: usize = 16;

/// The bits of the first so many bytes.
static MASKS: [u128; WHOLE + 1] = {
    let mut masks = [0; WHOLE + 1];
    let mut length = 1;
    while length <= WHOLE {
        // Invariant: `length` is at most `WHOLE`, and this runs when compiling.
        #[expect(clippy::indexing_slicing)]
        {
            masks[length] = u128::MAX >> (128 - 8 * length);
        }
        length += 1;
    }
    masks
};

/// The number and the length of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct NameKey {
    pub(super) word: u128,
    pub(super) length: u32,
}

impl NameKey {
    /// The key of the `length` bytes at `at`; bytes behind them are looked at where there are such.
    #[inline(always)]
    pub(super) fn at(buf: &[u8], at: usize, length: usize) -> Self {
        if let Some(mask) = MASKS.get(length)
            && let Some(window) = buf.get(at..).and_then(|rest| rest.first_chunk::<WHOLE>())
        {
            return Self {
                word: u128::from_le_bytes(*window) & mask,
                length: length as u32,
            };
        }
        Self::slow(buf.get(at..at + length).unwrap_or(&[]))
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
        Self {
            word: u128::from_le_bytes(bytes),
            length: name.len() as u32,
        }
    }

    /// Whether the key is the whole name.
    #[inline(always)]
    pub(super) fn is_whole(self) -> bool {
        self.length as usize <= WHOLE
    }

    /// A number that differs for different keys, mostly, in its upper bits.
    #[inline(always)]
    pub(super) fn hash(self, salt: u64) -> u64 {
        let (low, high) = (self.word as u64, (self.word >> 64) as u64);
        let mixed =
            low ^ high.rotate_left(23) ^ salt.rotate_left(47) ^ u64::from(self.length) << 59;
        (mixed ^ mixed >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
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
    }
}
