//! The rows of a compiled filter table.

use std::sync::Arc;

/// Position of a row in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u32);

/// Position of an endpoint in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// What callers expect back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pattern {
    /// Exactly one endpoint answers.
    #[default]
    RequestReply,
    /// Every chosen endpoint gets a copy; the caller gets 202.
    OneWay,
}

/// What several matches of one priority mean for request-reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeveralMatches {
    /// A fault, as WCF does.
    #[default]
    Fault,
    /// The first row of the table wins.
    First,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The filter's name, or for an inline filter its kind and value.
    pub name: Arc<str>,
    /// Higher wins.
    pub priority: i32,
    /// Where a match goes.
    pub endpoint: EndpointId,
    /// Where it goes next when that fails.
    pub backups: Vec<EndpointId>,
}

/// A compiled filter table without its filters.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Rows as written.
    pub entries: Vec<Entry>,
    /// What callers expect back.
    pub pattern: Pattern,
    /// How to take several matches.
    pub several: SeveralMatches,
}

impl Table {
    /// The row with this id.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id.0 as usize)
    }
}
