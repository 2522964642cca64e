//! All findings of one look at the configuration, in the order a reader wants them.
//!
//! Collects, sorts, drops repeats, counts; shows nothing.

use super::diagnostic::{Diagnostic, Severity};

/// Findings, collected without stopping at the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    found: Vec<Diagnostic>,
    /// How many of each severity are kept, so that adding one costs the same however many there are.
    kept: Tally,
    /// How many of each severity were left out.
    dropped: Tally,
}

/// A number for each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    errors: usize,
    warnings: usize,
}

/// So many errors, and so many warnings, are kept: a file of another kind given by mistake has one in every
/// line, and nobody reads on.
const KEPT_MAX: usize = 1000;

impl Report {
    /// Adds a finding; beyond `KEPT_MAX` it is only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let kept = self.kept.of(diagnostic.severity);
        if *kept < KEPT_MAX {
            *kept += 1;
            self.found.push(diagnostic);
        } else {
            *self.dropped.of(diagnostic.severity) += 1;
        }
    }

    /// Takes over all findings of another report.
    pub fn absorb(&mut self, other: Self) {
        other.found.into_iter().for_each(|found| self.push(found));
        self.dropped.errors += other.dropped.errors;
        self.dropped.warnings += other.dropped.warnings;
    }

    /// Sorts by file, line and column and drops repeats: what an anchor repeats in the YAML is one mistake.
    pub fn settle(&mut self) {
        self.found.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.primary.file, d.primary.start, d.severity, d.rule);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        self.found.dedup();
        self.kept = Tally::default();
        for found in &self.found {
            *self.kept.of(found.severity) += 1;
        }
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
        self.kept.errors + self.dropped.errors
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.kept.warnings + self.dropped.warnings
    }

    /// The findings; sorted once [`Report::settle`] was called.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.found.iter()
    }

    /// `2 errors, 1 warning`, or `no mistakes`; says how many of them are not listed.
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
        match self.dropped.errors + self.dropped.warnings {
            0 if parts.is_empty() => "no mistakes".to_owned(),
            0 => parts.join(", "),
            left_out => format!("{} ({left_out} of them are not listed)", parts.join(", ")),
        }
    }
}

impl Tally {
    fn of(&mut self, severity: Severity) -> &mut usize {
        match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        }
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

    #[test]
    fn findings_without_end_are_counted_but_not_kept() {
        let mut report = Report::default();
        for number in 0..KEPT_MAX + 5 {
            report.push(Diagnostic::error(
                "rule",
                format!("{number}"),
                Span::default(),
            ));
        }
        report.push(Diagnostic::warning("rule", "kept", Span::default()));
        report.settle();
        assert_eq!(report.iter().len(), KEPT_MAX + 1);
        assert_eq!(
            report.summary(),
            "1005 errors, 1 warning (5 of them are not listed)"
        );
    }
}
