//! The fields of one head.
//!
//! The text holds whole lines, `Name: value` with their ends, as they are written out; what is
//! changed is added behind it, and the place of the field then points there. So fields that lie
//! side by side and stayed as they came leave in one piece.
//!
//! Cost: two allocations, none for what is added to it; a look at a known name that is not there
//! is a test of a bit.

use super::known::{Known, Names, SOAP_ACTION, Tally};
use super::name::{Key, Name, has_capitals, write_name};
use super::value::{Value, as_text};

/// Room for what is added on the way, so that this takes no memory anew: bytes and fields.
const ROOM: (usize, usize) = (224, 6);
/// Between a name and its value.
const COLON: &[u8; 2] = b": ";
/// Behind a value.
const END: &[u8; 2] = b"\r\n";

/// The fields of a head, in their order, some of them there several times.
#[derive(Clone, Default)]
pub struct Fields {
    text: Vec<u8>,
    places: Vec<Line>,
    /// The known names among them.
    known: Tally,
}

/// Where in the text a field's line is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    start: u32,
    /// Where its value ends.
    end: u32,
    name: u16,
    /// Of a known name, or 0.
    number: u8,
}

/// There is more than one field of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Several;

/// A field as it stands in the text of a head: its name and its value.
type Place<'a> = (&'a [u8], &'a [u8]);

impl Fields {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: Vec::new(),
            places: Vec::new(),
            known: Tally::NOTHING,
        }
    }

    /// The fields of a head, whoever found them, with names and values of HTTP.
    #[must_use]
    pub fn read<'a>(fields: impl ExactSizeIterator<Item = Place<'a>>) -> Self {
        let mut own = Self::new();
        own.places.reserve(fields.len() + ROOM.1);
        for (name, value) in fields {
            let number = Known::of(name).map_or(0, Known::number);
            let start = own.text.len();
            own.text.extend_from_slice(name);
            own.end_line(start, value, number);
        }
        own
    }

    /// The fields in a text of lines.
    pub(super) fn of_lines(text: &[u8], places: Vec<Line>, known: Tally) -> Self {
        let mut own = Self {
            text: Vec::with_capacity(text.len() + ROOM.0),
            places,
            known,
        };
        own.text.extend_from_slice(text);
        own
    }

    /// Spells all names the usual way, but for a caller that writes `SOAPAction` to the letter: it
    /// goes by the letter.
    pub fn spell(&mut self) {
        let letters = SOAP_ACTION.as_str().as_bytes();
        if self.contains(SOAP_ACTION) && self.iter().any(|(name, _)| name == letters) {
            return;
        }
        for at in 0..self.places.len() {
            let Some(&line) = self.places.get(at) else {
                return;
            };
            let name = self.name_at(&line);
            let usual = match Known::numbered(line.number) {
                Some(known) => known.as_str().as_bytes() == name,
                None => has_capitals(name),
            };
            if !usual {
                let (name, value) = (name.to_vec(), self.value_at(&line).to_vec());
                let start = self.text.len();
                write_name(&name, &mut self.text);
                if let (Some(line), Some(own)) = (
                    self.finish_line(start, &value, line.number),
                    self.places.get_mut(at),
                ) {
                    *own = line;
                }
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// All of them, in their order: names as they are written, and values.
    pub fn iter(&self) -> impl Iterator<Item = Place<'_>> {
        self.places
            .iter()
            .map(|line| (self.name_at(line), self.value_at(line)))
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get<'n>(&self, name: impl Name<'n>) -> Option<&[u8]> {
        let at = self.position(name.key())?;
        self.places.get(at).map(|line| self.value_at(line))
    }

    /// The same, if it is plain text: visible ASCII.
    #[must_use]
    pub fn text<'n>(&self, name: impl Name<'n>) -> Option<&str> {
        as_text(self.get(name)?)
    }

    /// The value of the only field of this name, if there is one.
    ///
    /// # Errors
    /// [`Several`] when there is more than one.
    pub fn only(&self, name: Known) -> Result<Option<&[u8]>, Several> {
        if self.known.doubled.has(name) {
            return Err(Several);
        }
        Ok(self.get(name))
    }

    /// The values of all fields of this name.
    pub fn get_all<'n, N: Name<'n>>(
        &self,
        name: N,
    ) -> impl DoubleEndedIterator<Item = &[u8]> + use<'_, 'n, N> {
        let key = name.key();
        let lines = match key.number() {
            // Mostly there are none, and that takes no search.
            number if number != 0 && !self.known.present.has_number(number) => &[],
            _ => self.places.as_slice(),
        };
        lines
            .iter()
            .filter(move |line| self.is(line, key))
            .map(|line| self.value_at(line))
    }

    /// Whether there is one of this name.
    #[must_use]
    pub fn contains<'n>(&self, name: impl Name<'n>) -> bool {
        match name.key() {
            Key::Known(known) => self.known.present.has(known),
            other @ Key::Other(_) => self.position(other).is_some(),
        }
    }

    /// Whether there is one of these.
    #[must_use]
    pub const fn contains_any(&self, names: Names) -> bool {
        self.known.present.meets(names)
    }

    /// Puts the value where the first field of this name stands, or behind all others; there is no
    /// other of the name then. What can be no value changes nothing, and is told by `false`.
    pub fn insert<'n>(&mut self, name: impl Name<'n>, value: impl Value) -> bool {
        let Some(value) = value.as_value() else {
            return false;
        };
        let key = name.key();
        let Some(at) = self.position(key) else {
            return self.push(key, value);
        };
        let Some(&old) = self.places.get(at) else {
            return false;
        };
        let start = self.text.len();
        self.text
            .extend_from_within(span(old.start, old.name_end()));
        let Some(new) = self.finish_line(start, value, old.number) else {
            return false;
        };
        if let Some(line) = self.places.get_mut(at) {
            *line = new;
        }
        if old.number == 0 || self.known.doubled.has_number(old.number) {
            self.retain_from(at + 1, |own, line| !own.is(line, key));
            self.known.single_out(old.number);
        }
        true
    }

    /// Adds a field behind all others. What can be no value is not added, and told by `false`.
    pub fn append<'n>(&mut self, name: impl Name<'n>, value: impl Value) -> bool {
        match value.as_value() {
            Some(value) => self.push(name.key(), value),
            None => false,
        }
    }

    /// Adds all fields of the others behind these.
    pub fn extend(&mut self, others: &Self) {
        let from = self.text.len();
        let fits = from + others.text.len() + END.len() <= u32::MAX as usize;
        let Some(from) = u32::try_from(from).ok().filter(|_| fits) else {
            return;
        };
        self.text.extend_from_slice(&others.text);
        let moved = |line: &Line| Line {
            start: line.start + from,
            end: line.end + from,
            ..*line
        };
        self.places.extend(others.places.iter().map(moved));
        self.known.add_all(others.known);
    }

    /// Takes all fields of this name out; says whether there were any.
    pub fn remove<'n>(&mut self, name: impl Name<'n>) -> bool {
        let key = name.key();
        let Some(at) = self.position(key) else {
            return false;
        };
        self.retain_from(at, |own, line| !own.is(line, key));
        if let Key::Known(known) = key {
            self.known.take_out(Names::of(&[known]));
        }
        true
    }

    /// Takes all fields of these names out.
    pub fn remove_any(&mut self, names: Names) {
        if self.contains_any(names) {
            self.retain_from(0, |_, line| !names.has_number(line.number));
            self.known.take_out(names);
        }
    }

    /// Takes out all fields of whose names this is said.
    pub fn remove_where(&mut self, mut says: impl FnMut(&[u8]) -> bool) {
        self.retain_from(0, |own, line| !says(own.name_at(line)));
        self.count_again();
    }

    /// Writes them out as lines of HTTP/1, but for these.
    pub fn write(&self, but: Names, out: &mut Vec<u8>) {
        let (mut from, mut to) = (0, 0);
        for line in &self.places {
            if but.has_number(line.number) {
                continue;
            }
            if line.start != to {
                out.extend_from_slice(self.piece(from, to));
                from = line.start;
            }
            to = line.end + 2;
        }
        out.extend_from_slice(self.piece(from, to));
    }

    fn position(&self, key: Key<'_>) -> Option<usize> {
        match key {
            Key::Known(known) if !self.known.present.has(known) => None,
            key => self.places.iter().position(|line| self.is(line, key)),
        }
    }

    fn is(&self, line: &Line, key: Key<'_>) -> bool {
        match key {
            Key::Known(known) => line.number == known.number(),
            Key::Other(name) => {
                usize::from(line.name) == name.len()
                    && line.number == 0
                    && self.name_at(line).eq_ignore_ascii_case(name.as_bytes())
            }
        }
    }

    fn name_at(&self, line: &Line) -> &[u8] {
        self.piece(line.start, line.name_end())
    }

    fn value_at(&self, line: &Line) -> &[u8] {
        self.piece(line.name_end() + 2, line.end)
    }

    fn piece(&self, from: u32, to: u32) -> &[u8] {
        self.text.get(span(from, to)).unwrap_or_default()
    }

    fn push(&mut self, key: Key<'_>, value: &[u8]) -> bool {
        if self.text.capacity() == 0 {
            self.text.reserve(ROOM.0);
            self.places.reserve(ROOM.1);
        }
        let start = self.text.len();
        key.write(&mut self.text);
        self.end_line(start, value, key.number())
    }

    /// Adds a field whose name stands in the text from `start` on.
    fn end_line(&mut self, start: usize, value: &[u8], number: u8) -> bool {
        let line = self.finish_line(start, value, number);
        if line.is_some() {
            self.known.add(number);
        }
        self.places.extend(line);
        line.is_some()
    }

    /// The line whose name stands in the text from `start` on. There is none if the text has grown
    /// to gibibytes, or the name beyond what `http` takes.
    fn finish_line(&mut self, start: usize, value: &[u8], number: u8) -> Option<Line> {
        let name = self.text.len() - start;
        self.text.extend_from_slice(COLON);
        self.text.extend_from_slice(value);
        let end = self.text.len();
        self.text.extend_from_slice(END);
        Line::new(start, name, end, number)
    }

    /// Keeps, from this one on, the fields of which that is said.
    fn retain_from(&mut self, first: usize, mut keep: impl FnMut(&Self, &Line) -> bool) {
        let mut places = std::mem::take(&mut self.places);
        let mut at = 0;
        places.retain(|line| {
            at += 1;
            at <= first || keep(self, line)
        });
        self.places = places;
    }

    fn count_again(&mut self) {
        self.known = Tally::NOTHING;
        for line in &self.places {
            self.known.add(line.number);
        }
    }
}

impl Line {
    pub(super) fn new(start: usize, name: usize, end: usize, number: u8) -> Option<Self> {
        // Room for the line's end, too.
        u32::try_from(end + END.len()).ok()?;
        Some(Self {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
            name: u16::try_from(name).ok()?,
            number,
        })
    }

    const fn name_end(&self) -> u32 {
        self.start + self.name as u32
    }

    /// Where the next line begins.
    pub(super) const fn behind(&self) -> usize {
        self.end as usize + END.len()
    }
}

fn span(from: u32, to: u32) -> std::ops::Range<usize> {
    from as usize..to as usize
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts = self
            .iter()
            .map(|(name, value)| (name.escape_ascii(), value.escape_ascii()));
        f.debug_map()
            .entries(texts.map(|(name, value)| (name.to_string(), value.to_string())))
            .finish()
    }
}

/// The same fields in the same order, however their names are spelled.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        let same = |(own, other): (Place<'_>, Place<'_>)| {
            own.0.eq_ignore_ascii_case(other.0) && own.1 == other.1
        };
        self.len() == other.len() && self.iter().zip(other.iter()).all(same)
    }
}
