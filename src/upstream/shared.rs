//! What every live thing of one fleet shares: the count of its changes, and the bell that wakes
//! whoever looks after it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Shared by a fleet's members and groups.
#[derive(Debug, Default)]
pub(super) struct Shared {
    epoch: AtomicU64,
    members: AtomicU64,
    /// Rung when something has to be done at another time than was known.
    pub(super) wake: Notify,
}

impl Shared {
    /// Counts a change of what may be chosen. Choosers compare the count with the one that they
    /// have seen, so a change costs them one load while there is none.
    pub(super) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
        self.wake.notify_one();
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A number that no other member ever had.
    pub(super) fn next_member(&self) -> u64 {
        self.members.fetch_add(1, Ordering::Relaxed)
    }
}
