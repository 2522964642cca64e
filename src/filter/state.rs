//! What filters remember from message to message: whose turn it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Round-robin counters of a table, one a group.
#[derive(Debug, Default)]
pub(super) struct Turns {
    groups: Vec<(Arc<str>, AtomicU64)>,
}

impl Turns {
    /// The group's number, made on first use.
    pub(super) fn group(&mut self, name: &Arc<str>) -> usize {
        if let Some(known) = self.groups.iter().position(|(group, _)| group == name) {
            return known;
        }
        self.groups.push((Arc::clone(name), AtomicU64::new(0)));
        self.groups.len() - 1
    }

    /// Takes the group's next turn.
    pub(super) fn take(&self, group: usize) -> u64 {
        self.groups
            .get(group)
            .map_or(0, |(_, next)| next.fetch_add(1, Ordering::Relaxed))
    }
}
