//! Changes to held bytes: what is taken out, what is put in; everything between is copied.

use std::ops::Range;

/// Edits, applied in the order of their places.
#[derive(Debug, Default)]
pub(super) struct Patch {
    edits: Vec<Edit>,
    /// What is put in, one piece behind the other.
    text: String,
}

#[derive(Debug, Clone)]
struct Edit {
    place: Range<usize>,
    /// What comes there, in the patch's text.
    with: Range<usize>,
}

impl Patch {
    /// Puts `with`, piece by piece, in the place of a range.
    pub(super) fn replace<const N: usize>(&mut self, range: Range<usize>, with: [&str; N]) {
        let start = self.text.len();
        for piece in with {
            self.text.push_str(piece);
        }
        self.edits.push(Edit {
            place: range,
            with: start..self.text.len(),
        });
    }

    /// Puts more behind what the last call put in.
    pub(super) fn extend<const N: usize>(&mut self, more: [&str; N]) {
        for piece in more {
            self.text.push_str(piece);
        }
        if let Some(last) = self.edits.last_mut() {
            last.with.end = self.text.len();
        }
    }

    /// Puts text before the byte at `at`. Several at one place stand in the order of the calls.
    pub(super) fn insert<const N: usize>(&mut self, at: usize, text: [&str; N]) {
        self.replace(at..at, text);
    }

    /// Takes a range out. What is changed inside it goes with it.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        self.replace(range, []);
    }

    /// Forgets everything but the room that it took.
    pub(super) fn clear(&mut self) {
        self.edits.clear();
        self.text.clear();
    }

    /// Brings the edits into the order of their places, insertions before what they stand before.
    pub(super) fn sort(&mut self) {
        self.edits
            .sort_by_key(|edit| (edit.place.start, !edit.place.is_empty()));
    }

    /// Appends the bytes of `within` to `out`, changed; [`Patch::sort`] must have been called.
    pub(super) fn apply(&self, bytes: &[u8], within: Range<usize>, out: &mut Vec<u8>) {
        let mut at = within.start;
        for Edit { place, with } in &self.edits {
            if place.start < at || place.start > within.end || place.end > within.end {
                continue;
            }
            out.extend_from_slice(bytes.get(at..place.start).unwrap_or_default());
            let with = self.text.get(with.clone()).unwrap_or_default();
            out.extend_from_slice(with.as_bytes());
            at = place.end;
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
        patch.replace(1..2, ["n:", "a"]);
        patch.remove(3..13);
        patch.replace(5..11, ["lost with what it stands in"]);
        patch.insert(3, ["["]);
        patch.insert(13, ["]"]);
        assert_eq!(patch.render(text, 0..17), "<n:a>[]</a>");
        assert_eq!(patch.render(text, 3..13), "[]");
    }
}
