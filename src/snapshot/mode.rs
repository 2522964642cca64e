//! How a service reads its messages, and why: told by `check`, counted by metrics.

use super::model::Service;
use crate::filter::Reading;

/// How far a message is read before it is sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeKind {
    /// The body is never looked at.
    Headers,
    /// The body is read up to the deciding byte.
    Streaming,
    /// The message is read whole.
    Buffered,
}

/// The mode of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// How far.
    pub kind: ModeKind,
    /// What makes it so.
    pub why: String,
}

impl ModeKind {
    /// The word in metrics, logs and `check`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Streaming => "streaming",
            Self::Buffered => "buffered",
        }
    }
}

impl Mode {
    pub(super) fn of(reading: Reading) -> Self {
        let (kind, why) = match reading {
            Reading::Nothing => (
                ModeKind::Headers,
                "no filter looks at the envelope beyond its version".to_owned(),
            ),
            Reading::Header => (ModeKind::Headers, "no filter needs the body".to_owned()),
            Reading::Body(filter) => (
                ModeKind::Streaming,
                format!("filter `{filter}` needs the body"),
            ),
            Reading::Whole(filter, why) => (
                ModeKind::Buffered,
                format!("filter `{filter}` needs a tree: {why}"),
            ),
        };
        Self { kind, why }
    }
}

impl Service {
    /// Whether two rows of one priority lead to different endpoints, so that one message may
    /// go to several.
    #[must_use]
    pub fn may_multicast(&self) -> bool {
        let entries = &self.table.entries;
        self.table.pattern == crate::routing::Pattern::OneWay
            && entries.iter().enumerate().any(|(at, entry)| {
                entries.iter().take(at).any(|other| {
                    other.priority == entry.priority && other.endpoint != entry.endpoint
                })
            })
    }

    /// Whether some endpoint has backups, so that a message may be sent again.
    #[must_use]
    pub fn may_fail_over(&self) -> bool {
        self.table
            .entries
            .iter()
            .any(|entry| !entry.backups.is_empty())
    }
}
