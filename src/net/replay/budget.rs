//! Memory and files that all held bodies of a router share.
//!
//! One body may hold a mebibyte; a thousand of them may not hold a gibibyte. When the budget is
//! spent, bodies are committed to the endpoint they are at instead of held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on bytes held for another attempt, and what is held now; shared by clones.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    left: AtomicU64,
    held: AtomicU64,
    files: AtomicU64,
}

/// What one body holds; given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    /// Taken from the budget.
    taken: u64,
    /// Held in all: what was read for the decision is held whatever the budget says.
    held: u64,
}

/// A temporary file, counted for as long as it is there.
#[derive(Debug)]
pub(super) struct CountedFile(Budget);

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let shared = Shared {
            left: AtomicU64::new(bytes),
            held: AtomicU64::new(0),
            files: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Bytes of bodies in memory now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// Temporary files now.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.shared.files.load(Ordering::Relaxed)
    }

    pub(super) const fn share(self) -> Share {
        Share {
            budget: self,
            taken: 0,
            held: 0,
        }
    }
}

impl Share {
    /// Takes more, if it is there.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self
            .budget
            .shared
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok();
        self.taken += if taken { bytes } else { 0 };
        taken
    }

    /// Gives some back.
    pub(super) fn give(&mut self, bytes: u64) {
        let bytes = bytes.min(self.taken);
        self.taken -= bytes;
        self.budget.shared.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what is held now.
    pub(super) fn count(&mut self, held: u64) {
        let all = &self.budget.shared.held;
        if held > self.held {
            all.fetch_add(held - self.held, Ordering::Relaxed);
        } else {
            all.fetch_sub(self.held - held, Ordering::Relaxed);
        }
        self.held = held;
    }

    /// Counts a temporary file.
    pub(super) fn file(&self) -> CountedFile {
        self.budget.shared.files.fetch_add(1, Ordering::Relaxed);
        CountedFile(self.budget.clone())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give(self.taken);
        self.count(0);
    }
}

impl Drop for CountedFile {
    fn drop(&mut self) {
        self.0.shared.files.fetch_sub(1, Ordering::Relaxed);
    }
}
