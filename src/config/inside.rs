//! Places inside the text of a scalar: an XPath's syntax error is underlined in the expression, however the
//! expression was quoted.

use std::ops::Range;

use super::written::Spanned;
use crate::diag::{Pos, Sources, Span};

/// The place of the characters `chars` of a text that stands in a file as plain, quoted or block scalar.
/// Falls back to the whole text where it cannot be told.
pub fn inside(sources: &Sources, text: &Spanned<String>, chars: Range<usize>) -> Span {
    let Some(places) = places(sources, text) else {
        return text.span;
    };
    let end = places
        .last()
        .copied()
        .map_or(text.span.start, |last| Pos::new(last.line, last.col + 1));
    let at = |index: usize| places.get(index).copied();
    let start = at(chars.start).unwrap_or(end);
    // The end lies behind the last character, not before the next: blanks and line ends may come between.
    let last = chars
        .end
        .checked_sub(1)
        .filter(|last| *last >= chars.start)
        .and_then(at);
    let last = last.unwrap_or(start);
    let end = Pos::new(last.line, last.col + 1);
    Span::new(text.span.file, start, end)
}

/// Where each character of the text stands. Each way of quoting is tried: the right one is the one that
/// gives the text back.
fn places(sources: &Sources, text: &Spanned<String>) -> Option<Vec<Pos>> {
    let from = sources.offset(text.span.file, text.span.start)?;
    let raw = sources.text(text.span.file).get(from..)?;
    let quoted = match raw.chars().next() {
        Some('"') => follow(raw, text, 1, double_quoted),
        Some('\'') => follow(raw, text, 1, single_quoted),
        _ => None,
    };
    quoted.or_else(|| follow(raw, text, 0, |raw| raw.next()))
}

/// Goes through source and text side by side. Blanks are skipped on both sides, for folding changes them.
fn follow(
    raw: &str,
    text: &Spanned<String>,
    skip: usize,
    mut next: impl FnMut(&mut Raw<'_>) -> Option<(char, Pos)>,
) -> Option<Vec<Pos>> {
    let mut raw = Raw {
        rest: raw.chars(),
        at: text.span.start,
    };
    for _ in 0..skip {
        raw.next();
    }
    let mut places: Vec<Pos> = Vec::with_capacity(text.value.len());
    for wanted in text.value.chars() {
        if wanted.is_whitespace() {
            places.push(raw.at);
            continue;
        }
        let (found, at) =
            std::iter::from_fn(|| next(&mut raw)).find(|(found, _)| !found.is_whitespace())?;
        if found != wanted {
            return None;
        }
        places.push(at);
    }
    Some(places)
}

/// The source, with the place of its next character.
struct Raw<'s> {
    rest: std::str::Chars<'s>,
    at: Pos,
}

impl Raw<'_> {
    fn next(&mut self) -> Option<(char, Pos)> {
        let at = self.at;
        let found = self.rest.next()?;
        self.at = if found == '\n' {
            Pos::new(at.line + 1, 1)
        } else {
            Pos::new(at.line, at.col + 1)
        };
        Some((found, at))
    }
}

/// Two quotes stand for one.
fn single_quoted(raw: &mut Raw<'_>) -> Option<(char, Pos)> {
    let (found, at) = raw.next()?;
    if found == '\'' {
        raw.next();
    }
    Some((found, at))
}

/// Escapes stand for one character; an escaped line end for none.
fn double_quoted(raw: &mut Raw<'_>) -> Option<(char, Pos)> {
    let (found, at) = raw.next()?;
    if found != '\\' {
        return Some((found, at));
    }
    let (escape, _) = raw.next()?;
    let digits = match escape {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        'n' | 't' | 'r' | 'N' | '_' | 'L' | 'P' => return Some((' ', at)),
        other => return Some((other, at)),
    };
    let code = (0..digits)
        .filter_map(|_| raw.next())
        .try_fold(0, |code: u32, (digit, _)| {
            Some(code.checked_mul(16)? + digit.to_digit(16)?)
        });
    code.and_then(char::from_u32).map(|found| (found, at))
}

#[cfg(test)]
mod tests {
    use super::super::node::Kind;
    use super::super::yaml;
    use super::*;
    use crate::diag::Report;

    /// The text found at the place of each character of the first value.
    fn found(yaml: &str) -> (String, String) {
        let (mut sources, mut report) = (Sources::default(), Report::default());
        let file = sources.add("a", yaml);
        let node = yaml::parse(&sources, file, &mut report).unwrap();
        let Kind::Map(entries) = node.kind else {
            panic!("no mapping")
        };
        let Kind::Scalar { text, .. } = &entries[0].1.kind else {
            panic!("no text")
        };
        let text = Spanned::new(text.clone(), entries[0].1.span);
        let at = |index| {
            let span = inside(&sources, &text, index..index + 1);
            let line = sources.line(file, span.start.line).unwrap_or_default();
            line.chars().nth(span.start.col as usize - 1).unwrap_or(' ')
        };
        let count = text.value.chars().count();
        (text.value.clone(), (0..count).map(at).collect())
    }

    #[test]
    fn each_character_is_found_however_the_text_is_quoted() {
        let texts = [
            "x: //o:Tier = 'gold' or //ö\n",
            "x: \"//o:Tier = 'gold' or //ö\"\n",
            "x: '//o:Tier = ''gold'' or //ö'\n",
            "x: |\n  //o:Tier\n    = 'gold'\n\n  or //ö\n",
            "x: >-\n  'a' =\n  //o:Tier\n  or //ö\n",
            "x: //o:Tier\n   = 'gold'\n   or //ö\n",
            "x: \"//o:Tier\n   = 'gold' \\\n   or //ö\"\n",
            "x: !!str &a 'b'\n",
        ];
        for yaml in texts {
            let (text, found) = found(yaml);
            let bare = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(bare(&found), bare(&text), "{yaml}");
            assert!(!bare(&text).is_empty());
        }
    }

    #[test]
    fn escapes_are_pointed_at_where_they_begin() {
        let (text, found) = found("x: \"a\\u0062c\\\"d\\\\e\\x66\"\n");
        assert_eq!(text, "abc\"d\\ef");
        assert_eq!(found, "a\\c\\d\\e\\");
    }

    #[test]
    fn places_behind_the_end_and_lost_texts_are_no_crash() {
        let mut sources = Sources::default();
        let file = sources.add("a", "x: abc\n");
        let span = Span::new(file, Pos::new(1, 4), Pos::new(1, 7));
        let text = Spanned::new("abc".to_owned(), span);
        assert_eq!(inside(&sources, &text, 3..4).start, Pos::new(1, 7));
        #[allow(
            clippy::reversed_empty_ranges,
            reason = "a caller's mistake must not panic"
        )]
        let reversed = 99..7;
        assert_eq!(inside(&sources, &text, reversed).start, Pos::new(1, 7));
        let lost = Spanned::new("other".to_owned(), span);
        assert_eq!(inside(&sources, &lost, 0..1), span);
        assert_eq!(inside(&Sources::default(), &text, 0..1), span);
    }
}
