//! Telling a listener's connections that it closes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Said once, to all connections of a listener. Whoever waits is woken; whoever is busy looks,
/// which costs a load, where asking the token takes its lock.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    said: Arc<AtomicBool>,
    wake: CancellationToken,
}

impl Stop {
    /// Says it.
    pub fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.wake.cancel();
    }

    pub(super) fn is_said(&self) -> bool {
        self.said.load(Ordering::Acquire)
    }

    /// Ready when it is said.
    pub(super) async fn said(&self) {
        self.wake.cancelled().await;
    }
}
