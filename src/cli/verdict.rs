//! How a verb that ran ended.

/// The answer of a verb, as its exit code tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well: 0.
    Fine,
    /// The answer is "no", or mistakes were found: 1.
    No,
    /// It was asked for what cannot be done: 2.
    CannotRun,
}
