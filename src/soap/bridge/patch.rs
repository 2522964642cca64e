//! Changes to held bytes: what is taken out, what is put in; everything between is copied.

use std::ops::Range;

/// Edits, applied in the order of their places.
#[derive(Debug, Default)]
pub(super) struct Patch {
    edits: Vec<(Range<usize>, String)>,
}

impl Patch {
    /// Puts `with` in the place of a range.
    pub(super) fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.edits.push((range, with.into()));
    }

    /// Puts text before the byte at `at`. Several at one place stand in the order of the calls.
    pub(super) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.edits.push((at..at, text.into()));
    }

    /// Takes a range out. What is changed inside it goes with it.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        self.edits.push((range, String::new()));
    }

    /// Brings the edits into the order of their places, insertions before what they stand before.
    pub(super) fn sort(&mut self) {
        self.edits
            .sort_by_key(|(range, _)| (range.start, !range.is_empty()));
    }

    /// Appends the bytes of `within` to `out`, changed; [`Patch::sort`] must have been called.
    pub(super) fn apply(&self, bytes: &[u8], within: Range<usize>, out: &mut Vec<u8>) {
        let mut at = within.start;
        for (range, with) in &self.edits {
            if range.start < at || range.start > within.end || range.end > within.end {
                continue;
            }
            out.extend_from_slice(bytes.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(with.as_bytes());
            at = range.end;
        }
        out.extend_from_slice(bytes.get(at..within.end).unwrap_or_default());
    }

    /// The same as text.
    pub(super) fn render(&mut self, bytes: &[u8], within: Range<usize>) -> String {
        self.sort();
        let mut out = Vec::with_capacity(within.len());
        self.apply(bytes, within, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_in_any_order() {
        let text = b"<a><b x='1'/></a>";
        let mut patch = Patch::default();
        patch.replace(1..2, "n:a");
        patch.remove(3..13);
        patch.replace(5..11, "lost with what it stands in");
        patch.insert(3, "[");
        patch.insert(13, "]");
        assert_eq!(patch.render(text, 0..17), "<n:a>[]</a>");
        assert_eq!(patch.render(text, 3..13), "[]");
    }
}
