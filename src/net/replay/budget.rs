//! Memory that all held bodies of a router share.
//!
//! One body may hold a mebibyte; a thousand of them may not hold a gibibyte. When the budget is
//! spent, bodies are committed to the endpoint they are at instead of held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on bytes held, shared by clones.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Arc<AtomicU64>,
}

/// Bytes taken from a budget; given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(bytes)),
        }
    }

    pub(super) const fn share(self) -> Share {
        Share {
            budget: self,
            bytes: 0,
        }
    }
}

impl Share {
    /// Takes more, if it is there.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self
            .budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok();
        self.bytes += if taken { bytes } else { 0 };
        taken
    }

    /// Gives some back.
    pub(super) fn give(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give(self.bytes);
    }
}
