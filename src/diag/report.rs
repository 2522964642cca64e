//! All findings of one look at the configuration, in the order a reader wants them.
//!
//! Collects, sorts, drops repeats, counts; shows nothing.

use super::diagnostic::{Diagnostic, Severity};

/// Findings, collected without stopping at the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    found: Vec<Diagnostic>,
}

impl Report {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Takes over all findings of another report.
    pub fn absorb(&mut self, other: Self) {
        self.found.extend(other.found);
    }

    /// Sorts by file, line and column and drops repeats: what an anchor repeats in the YAML is one mistake.
    pub fn settle(&mut self) {
        self.found.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.primary.file, d.primary.start, d.severity, d.rule);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        self.found.dedup();
    }

    /// True if nothing was found at all.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// True if the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// The findings; sorted once [`Report::settle`] was called.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.found.iter()
    }

    /// `2 errors, 1 warning`, or `no mistakes`.
    pub fn summary(&self) -> String {
        let part = |count: usize, word: &str| match count {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{count} {word}s")),
        };
        let parts = [
            part(self.errors(), "error"),
            part(self.warnings(), "warning"),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            "no mistakes".to_owned()
        } else {
            parts.join(", ")
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.found
            .iter()
            .filter(|found| found.severity == severity)
            .count()
    }
}

impl<'a> IntoIterator for &'a Report {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::{Pos, Sources, Span};
    use super::*;

    #[test]
    fn repeats_are_one_and_the_order_is_by_place() {
        let mut sources = Sources::default();
        let file = sources.add("a", "one\ntwo\n");
        let at = |line| Span::new(file, Pos::new(line, 1), Pos::new(line, 4));
        let mut report = Report::default();
        report.push(Diagnostic::warning("later", "second", at(2)));
        report.push(Diagnostic::error("first", "first", at(1)));
        report.push(Diagnostic::error("first", "first", at(1)));
        report.settle();
        let rules: Vec<_> = report.iter().map(|found| found.rule).collect();
        assert_eq!(rules, ["first", "later"]);
        assert_eq!(report.summary(), "1 error, 1 warning");
        assert!(report.has_errors());
    }
}
