//! One mistake as data.
//!
//! Holds what was found and what may help; knows neither how it is shown nor why it was looked for.

use super::source::Span;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but is probably not what was meant.
    Warning,
}

/// A second place that belongs to a finding, such as an earlier definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// The place.
    pub span: Span,
    /// What is there.
    pub label: String,
}

/// A finding: the rule, the place, what is allowed, what may help.
///
/// ```
/// use soap_router::diag::{Diagnostic, Pos, Sources, Span};
///
/// let mut sources = Sources::default();
/// let file = sources.add("router.yaml", "tabel: orders\n");
/// let span = Span::new(file, Pos::new(1, 1), Pos::new(1, 6));
/// let found = Diagnostic::error("unknown-key", "unknown key `tabel`", span)
///     .allowed(["path", "table"])
///     .hint("did you mean `table`?");
/// assert_eq!(found.label_line(), "available: `path`, `table`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The rule's name in kebab-case; `docs/diagnostics.md` has a section for each.
    pub rule: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// The place to blame.
    pub primary: Span,
    /// A few words beside the caret; may be empty.
    pub label: String,
    /// Other places that belong to it.
    pub other: Vec<Other>,
    /// What would have been allowed there.
    pub allowed: Vec<String>,
    /// How many more would have been; a list of thousands helps nobody and costs memory for each finding.
    pub allowed_more: usize,
    /// What may help; the last line of the human face.
    pub hint: Option<String>,
}

/// So many allowed words are kept; beyond it only their number helps.
const ALLOWED_MAX: usize = 30;

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Diagnostic {
    /// A mistake that makes the configuration unusable.
    pub fn error(rule: &'static str, message: impl Into<String>, primary: Span) -> Self {
        Self::new(rule, Severity::Error, message.into(), primary)
    }

    /// Something that is probably not what was meant.
    pub fn warning(rule: &'static str, message: impl Into<String>, primary: Span) -> Self {
        Self::new(rule, Severity::Warning, message.into(), primary)
    }

    fn new(rule: &'static str, severity: Severity, message: String, primary: Span) -> Self {
        let (label, other, allowed) = (String::new(), Vec::new(), Vec::new());
        Self {
            rule,
            severity,
            message,
            primary,
            label,
            other,
            allowed,
            allowed_more: 0,
            hint: None,
        }
    }

    /// Sets the words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn other(mut self, span: Span, label: impl Into<String>) -> Self {
        self.other.push(Other {
            span,
            label: label.into(),
        });
        self
    }

    /// Sets the list of what is allowed.
    #[must_use]
    pub fn allowed<S: Into<String>>(mut self, allowed: impl IntoIterator<Item = S>) -> Self {
        let mut allowed = allowed.into_iter();
        self.allowed = allowed.by_ref().take(ALLOWED_MAX).map(Into::into).collect();
        self.allowed_more = allowed.count();
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the hint if there is one.
    #[must_use]
    pub fn hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// The label together with what is allowed, as shown beside the caret.
    pub fn label_line(&self) -> String {
        let allowed = self.allowed_list();
        match (self.label.is_empty(), allowed.is_empty()) {
            (_, true) => self.label.clone(),
            (true, false) => format!("available: {allowed}"),
            (false, false) => format!("{}; available: {allowed}", self.label),
        }
    }

    fn allowed_list(&self) -> String {
        let shown = self.allowed.iter().map(|word| format!("`{word}`"));
        let list = shown.collect::<Vec<_>>().join(", ");
        match self.allowed_more {
            0 => list,
            more => format!("{list} and {more} more"),
        }
    }
}
