//! Room for connections, all listeners together (limit `connections`).
//!
//! Where a listener's own bound closes what is too much, here nothing more is accepted: new
//! connections wait in the kernel until others end. Each socket may be one over the bound, when
//! several wake at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::snapshot::Live;

/// Counts connections against the bound of the configuration in force.
#[derive(Debug)]
pub struct Room {
    live: Arc<Live>,
    open: AtomicUsize,
    freed: Notify,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Room>);

impl Room {
    /// Room as the configuration says, none of it taken.
    #[must_use]
    pub fn new(live: Arc<Live>) -> Self {
        Self {
            live,
            open: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Waits until there is room for one more.
    pub(super) async fn wait(&self) {
        loop {
            let freed = self.freed.notified();
            if self.open.load(Ordering::Relaxed) < self.live.load().snapshot.connections_max {
                return;
            }
            freed.await;
        }
    }

    pub(super) fn take(self: &Arc<Self>) -> Place {
        self.open.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_waiters();
    }
}
