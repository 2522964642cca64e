//! What is wrong with an expression, and where.

use std::fmt;

/// An expression that was refused: place, reason, what would have been right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// First character at fault, counted in characters from 1.
    pub column: usize,
    /// How many characters are at fault; at least 1.
    pub length: usize,
    /// One sentence without a full stop.
    pub message: String,
    /// What was expected there, if that can be said.
    pub expected: Option<String>,
    /// A better spelling or another way.
    pub hint: Option<String>,
}

impl SyntaxError {
    /// An error for the bytes `start..end` of `text`.
    pub(super) fn at(text: &str, start: usize, end: usize, message: impl Into<String>) -> Self {
        let chars = |bytes: usize| {
            text.get(..bytes.min(text.len()))
                .unwrap_or(text)
                .chars()
                .count()
        };
        let column = chars(start) + 1;
        Self {
            column,
            length: (chars(end) + 1).saturating_sub(column).max(1),
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    pub(super) fn expected(mut self, what: impl Into<String>) -> Self {
        self.expected = Some(what.into());
        self
    }

    pub(super) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        write!(f, " (column {})", self.column)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SyntaxError {}

/// The known word closest to a wrong one, as a hint.
pub(super) fn did_you_mean<'a>(
    wrong: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let allowed = 1 + wrong.chars().count() / 4;
    // A word in other letters is the same word.
    let apart = |word: &str| match word.eq_ignore_ascii_case(wrong) {
        true => 0,
        false => distance(wrong, word),
    };
    let best = known
        .map(|word| (apart(word), word))
        .filter(|(d, _)| *d <= allowed)
        .min()?;
    Some(format!("did you mean `{}`?", best.1))
}

/// Edit distance with neighbours exchanged as one edit; words are short.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let cell = |r: &[usize], at: usize| r.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (cell(&row, j) + usize::from(ca != cb))
                .min(cell(&row, j + 1) + 1)
                .min(cell(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped && ca != cb {
                best = best.min(cell(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        let known = ["contains", "count", "concat"];
        assert_eq!(
            did_you_mean("contians", known.into_iter()),
            Some("did you mean `contains`?".into())
        );
        assert_eq!(did_you_mean("zzz", known.into_iter()), None);
    }

    #[test]
    fn columns_count_characters() {
        let error = SyntaxError::at("é = $x", 5, 7, "no");
        assert_eq!((error.column, error.length), (5, 2));
    }
}
