//! Where a mistake stands: files, positions, spans.
//!
//! Keeps each file's name and text; finds lines in it. Does not read files (`config::load` does) and
//! does not decide how a line is shown (`human.rs`).

/// One file of a [`Sources`], by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(u32);

/// A place in a file. Both numbers start at 1; the column counts characters, not bytes.
/// Line 0 stands for "the file as a whole".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pos {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub col: u32,
}

/// A stretch of a file; `end` is the first place behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first character.
    pub start: Pos,
    /// The first place behind the last character.
    pub end: Pos,
}

/// The files that diagnostics point into.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Debug, Clone)]
struct Source {
    name: String,
    text: String,
    /// Byte offset of each line's first character.
    line_starts: Vec<usize>,
}

impl Sources {
    /// Adds a file under the name the user knows it by. A byte order mark at the start is dropped, so
    /// that columns count what an editor shows.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source {
            name: name.into(),
            text,
            line_starts,
        });
        id
    }

    /// The name a file was added under.
    pub fn name(&self, file: FileId) -> &str {
        self.get(file).map_or("?", |source| &source.name)
    }

    /// The whole text of a file.
    pub fn text(&self, file: FileId) -> &str {
        self.get(file).map_or("", |source| &source.text)
    }

    /// One line of a file, from 1, without its line end.
    pub fn line(&self, file: FileId, line: u32) -> Option<&str> {
        let source = self.get(file)?;
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *source.line_starts.get(index)?;
        let end = source
            .line_starts
            .get(index + 1)
            .copied()
            .unwrap_or(source.text.len());
        Some(source.text.get(start..end)?.trim_end_matches(['\n', '\r']))
    }

    /// How many lines a file has.
    pub fn line_count(&self, file: FileId) -> u32 {
        let count = self.get(file).map_or(0, |source| source.line_starts.len());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The byte offset of a place, clamped to its line.
    pub fn offset(&self, file: FileId, pos: Pos) -> Option<usize> {
        let source = self.get(file)?;
        let start = *source
            .line_starts
            .get(usize::try_from(pos.line).ok()?.checked_sub(1)?)?;
        let line = self.line(file, pos.line)?;
        let column = usize::try_from(pos.col).ok()?.saturating_sub(1);
        Some(
            start
                + line
                    .char_indices()
                    .nth(column)
                    .map_or(line.len(), |(at, _)| at),
        )
    }

    /// The files in the order they were added.
    pub fn files(&self) -> impl Iterator<Item = FileId> + '_ {
        (0..self.files.len()).filter_map(|index| u32::try_from(index).ok().map(FileId))
    }

    /// `name:line:col`, or only the name where the file as a whole is meant.
    pub fn place(&self, span: Span) -> String {
        let name = self.name(span.file);
        match span.start.line {
            0 => name.to_owned(),
            line => format!("{name}:{line}:{}", span.start.col),
        }
    }

    fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(usize::try_from(file.0).ok()?)
    }
}

impl Span {
    /// A stretch between two places of one file.
    pub fn new(file: FileId, start: Pos, end: Pos) -> Self {
        Self { file, start, end }
    }

    /// The file as a whole, where no line is to blame.
    pub fn whole(file: FileId) -> Self {
        Self {
            file,
            start: Pos::default(),
            end: Pos::default(),
        }
    }
}

impl Pos {
    /// A place by line and column, both from 1.
    pub fn new(line: u32, col: u32) -> Self {
        Self { line, col }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_no_ends_whatever_the_line_end_is() {
        let mut sources = Sources::default();
        let file = sources.add("a", "\u{feff}one\r\ntwö\n\nfour");
        let lines: Vec<_> = (1..6).map(|line| sources.line(file, line)).collect();
        assert_eq!(
            lines,
            [Some("one"), Some("twö"), Some(""), Some("four"), None]
        );
        assert_eq!(sources.line(file, 0), None);
        assert_eq!(
            sources.offset(file, Pos::new(2, 4)),
            Some("one\r\ntwö".len())
        );
        assert_eq!(
            sources.offset(file, Pos::new(2, 99)),
            Some("one\r\ntwö".len())
        );
    }

    #[test]
    fn an_unknown_file_is_no_crash() {
        let sources = Sources::default();
        assert_eq!(sources.name(FileId(7)), "?");
        assert_eq!(sources.text(FileId(7)), "");
    }
}
