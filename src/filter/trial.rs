//! One expression on one document, decided as a filter would decide it.
//!
//! For the `xpath` verb: the document need not be an envelope, everything else is the engine,
//! the environment and the limits that filters have.

use std::time::Duration;

use super::environment::{Externals, days_since_year_one, environment, landmarks};
use super::error::ReadError;
use crate::xml::{self, Nobody};
use crate::xpath::{self, Atom, AtomId, Expr, ParseLimits, Pause, Progress, Run, Set, Strategy};

pub use crate::xpath::SyntaxError;

/// A parsed expression.
#[derive(Debug)]
pub struct XPathTrial {
    expr: Expr,
    set: Set,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialOutcome {
    /// The boolean value.
    pub result: bool,
    /// `streaming` or `tree`.
    pub strategy: &'static str,
    /// Bytes after which the value was certain.
    pub bytes_read: u64,
}

impl XPathTrial {
    /// Parses the expression with these prefixes beside the predefined ones.
    ///
    /// # Errors
    /// Its first mistake.
    pub fn new(text: &str, namespaces: &[(&str, &str)]) -> Result<Self, SyntaxError> {
        let environment = environment(namespaces.iter().copied());
        let expr = xpath::parse(text, &environment, &ParseLimits::default())?;
        let atoms = vec![Atom {
            expr: expr.clone(),
            level: 0,
        }];
        Ok(Self {
            expr,
            set: Set::compile(atoms, &landmarks()),
        })
    }

    /// What keeps it from being decided in one pass; `None` when nothing does.
    #[must_use]
    pub fn tree_reason(&self) -> Option<String> {
        match self.set.strategy(AtomId(0)) {
            Some(Strategy::Tree { why }) => Some(why),
            Some(Strategy::Streaming { .. }) | None => None,
        }
    }

    /// What makes it true or false of a document; empty when that cannot be said.
    #[must_use]
    pub fn why(&self, document: &[u8], now: Duration) -> String {
        let externals = externals(now);
        let limits = xml::Limits::default();
        xpath::why(&self.expr, document, &externals.values(), &limits, None)
            .map_or_else(|_| String::new(), |diagnosis| diagnosis.why)
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// When the document is not well-formed as far as it was read.
    pub fn run(&self, document: &[u8], now: Duration) -> Result<TrialOutcome, ReadError> {
        let externals = externals(now);
        let limits = xml::Limits::default();
        let mut run = Run::new();
        run.set_pause(Pause::WhenSettled);
        run.begin(&self.set, &externals.values(), &limits, None)?;
        let atom = AtomId(0);
        let mut read = document.len() as u64;
        if run.feed(&self.set, document, &mut Nobody)? == Progress::More
            && run.state(atom).is_none()
        {
            run.finish(&self.set, &mut Nobody)?;
        }
        if run.state(atom).is_some() {
            read = run.decided_at().min(read);
        } else if run.needs_tree() {
            run.evaluate_trees(&self.set, document)
                .map_err(|error| ReadError::Tree(error.to_string()))?;
        }
        let strategy = match self.set.strategy(atom) {
            Some(Strategy::Streaming { .. }) => "streaming",
            Some(Strategy::Tree { .. }) | None => "tree",
        };
        Ok(TrialOutcome {
            result: run.state(atom) == Some(true),
            strategy,
            bytes_read: read,
        })
    }
}

/// What comes with a message that nobody sent.
fn externals(now: Duration) -> Externals<'static> {
    Externals {
        http_action: "",
        url: "",
        now_days: days_since_year_one(now),
    }
}
