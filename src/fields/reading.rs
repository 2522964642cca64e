//! Fields while a head is read: their places first, then the text that they stand in.

use super::held::{Fields, Line};
use super::known::{Known, Tally};

/// Room for the fields of most heads and for those that are added on the way.
const PLACES: usize = 16;

/// The lines of a head so far, each `Name: value` as it would be written again.
#[derive(Debug, Default)]
pub struct Reading {
    /// Where the first of them begins.
    begin: usize,
    places: Vec<Line>,
    known: Tally,
}

impl Reading {
    /// The fields begin here, behind the first line.
    pub fn begin(&mut self, at: usize) {
        self.begin = at;
        self.places.reserve(PLACES);
    }

    /// How many lines that is.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.places.len()
    }

    /// The next line, from `start` to the colon and to its end, which is that of its value. `known`
    /// is what its name is known as; another name must be a token. `None` if there is no room in
    /// what a place can say.
    pub fn line(
        &mut self,
        start: usize,
        colon: usize,
        end: usize,
        known: Option<Known>,
    ) -> Option<()> {
        let number = known.map_or(0, Known::number);
        let (from, to) = (start.checked_sub(self.begin)?, end.checked_sub(self.begin)?);
        let name = colon.checked_sub(start)?;
        self.places.push(Line::new(from, name, to, number)?);
        self.known.add(number);
        Some(())
    }

    /// The fields, with the text that they were read from.
    #[must_use]
    pub fn fields(self, input: &[u8]) -> Fields {
        let last = self.places.last().map_or(0, Line::behind);
        let text = input.get(self.begin..).and_then(|text| text.get(..last));
        Fields::of_lines(text.unwrap_or_default(), self.places, self.known)
    }
}
