//! What some texts are like: a glance at another text that tells in most cases that it is none of them.

/// The lengths of texts, and the bytes at their ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Likeness {
    /// Lengths that occur, as bits; the last stands for all longer ones.
    lengths: u64,
    /// First and last bytes that occur together, as bits.
    ends: [u64; 4],
}

impl Likeness {
    /// All texts are like this.
    pub const ANY: Self = Self {
        lengths: u64::MAX,
        ends: [u64::MAX; 4],
    };

    /// Adds a text.
    pub(crate) fn add(&mut self, text: &[u8]) {
        self.lengths |= length_bit(text.len());
        if let ([first, ..], [.., last]) = (text, text) {
            let (at, bit) = ends_bit(*first, *last);
            if let Some(ends) = self.ends.get_mut(at) {
                *ends |= bit;
            }
        }
    }

    /// What is like this or the other.
    pub(crate) fn or(self, other: Self) -> Self {
        let mut both = self;
        both.lengths |= other.lengths;
        let ends = both.ends.iter_mut().zip(other.ends);
        ends.for_each(|(own, other)| *own |= other);
        both
    }

    /// Whether a text may be one of those that were added.
    #[inline(always)]
    pub(crate) fn has(&self, text: &[u8]) -> bool {
        if self.lengths & length_bit(text.len()) == 0 {
            return false;
        }
        let ([first, ..], [.., last]) = (text, text) else {
            return true;
        };
        let (at, bit) = ends_bit(*first, *last);
        self.ends.get(at).is_some_and(|ends| ends & bit != 0)
    }
}

#[inline(always)]
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// The place and bit of a text's first and last byte.
#[inline(always)]
fn ends_bit(first: u8, last: u8) -> (usize, u64) {
    // Digits and letters of one case differ in their lower half.
    let both = first ^ last << 4;
    (usize::from(both / 64), 1 << (both % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_what_was_added_and_little_else() {
        let texts = ["", "a", "C-1", "C-22", "R-3", "\u{E9}t\u{E9}"];
        let long = "7".repeat(100);
        let mut like = Likeness::default();
        for text in texts.into_iter().chain([long.as_str()]) {
            assert!(!like.has(text.as_bytes()), "{text}");
            like.add(text.as_bytes());
            assert!(like.has(text.as_bytes()), "{text}");
        }
        // Long texts are all of one length.
        assert!(like.has(&long.as_bytes()[..70]) && !like.has(&long.as_bytes()[..60]));
        // `C-2` has the length of one and the ends of another.
        assert!(!like.has(b"C-") && !like.has(b"B-1") && !like.has(b"C-3") && like.has(b"C-2"));
        let (mut one, mut other) = (Likeness::default(), Likeness::default());
        one.add(b"x");
        other.add(b"yy");
        let both = one.or(other);
        assert!(both.has(b"x") && both.has(b"yy") && !both.has(b"zz"));
        assert!(Likeness::ANY.has(b"") && Likeness::ANY.has(b"anything"));
    }
}
