//! How many at a time, and who waits for a turn: first come, first served.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::gate::Refusal;

/// Turns, some of them taken. Their number may change while they are.
#[derive(Debug)]
pub(super) struct Slots {
    semaphore: Arc<Semaphore>,
    size: Mutex<usize>,
    /// Turns that are taken and not to be given out again: there are fewer than there were.
    surplus: AtomicUsize,
    waiting: AtomicUsize,
}

/// A turn, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
}

/// Somebody who waits, for as long as the value lives.
struct Waiter<'a>(&'a AtomicUsize);

impl Slots {
    pub(super) fn new(size: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(size)),
            size: Mutex::new(size),
            surplus: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// From now on there are so many.
    pub(super) fn resize(&self, size: usize) {
        let mut known = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size > *known {
            let more = size - *known;
            let owed = self.surplus.load(Ordering::Relaxed).min(more);
            self.surplus.fetch_sub(owed, Ordering::Relaxed);
            self.semaphore.add_permits(more - owed);
        } else {
            let fewer = *known - size;
            let gone = self.semaphore.forget_permits(fewer);
            self.surplus.fetch_add(fewer - gone, Ordering::Relaxed);
        }
        *known = size;
    }

    /// A turn, at once or after waiting among at most `queue` others for at most `wait`.
    pub(super) async fn take(
        self: &Arc<Self>,
        queue: usize,
        wait: Duration,
    ) -> Result<Turn, Refusal> {
        let turn = |permit| Turn {
            permit: Some(permit),
            slots: Arc::clone(self),
        };
        if let Ok(permit) = Arc::clone(&self.semaphore).try_acquire_owned() {
            return Ok(turn(permit));
        }
        if self.semaphore.is_closed() {
            return Err(Refusal::Closing);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiter = Waiter(&self.waiting);
        if before >= queue {
            return Err(Refusal::Full);
        }
        match timeout(wait, Arc::clone(&self.semaphore).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(turn(permit)),
            Ok(Err(_closed)) => Err(Refusal::Closing),
            Err(_elapsed) => Err(Refusal::Waited(wait)),
        }
    }

    /// Nobody waits any more, and nobody comes in.
    pub(super) fn close(&self) {
        self.semaphore.close();
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let less = |surplus: usize| surplus.checked_sub(1);
        let relaxed = Ordering::Relaxed;
        if let Some(permit) = self.permit.take()
            && self
                .slots
                .surplus
                .fetch_update(relaxed, relaxed, less)
                .is_ok()
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_counted_waited_for_and_resized() {
        let slots = Arc::new(Slots::new(2));
        let brief = Duration::from_millis(1);
        let one = slots.take(0, brief).await.unwrap();
        let two = slots.take(0, brief).await.unwrap();
        assert_eq!(slots.take(0, brief).await.unwrap_err(), Refusal::Full);
        assert_eq!(
            slots.take(1, brief).await.unwrap_err(),
            Refusal::Waited(brief)
        );
        // One less than are taken: the first that comes back is not given out again.
        slots.resize(1);
        drop(one);
        assert_eq!(slots.take(0, brief).await.unwrap_err(), Refusal::Full);
        drop(two);
        let three = slots.take(0, brief).await.unwrap();
        assert_eq!(slots.take(0, brief).await.unwrap_err(), Refusal::Full);
        slots.resize(2);
        let four = slots.take(0, brief).await.unwrap();
        slots.close();
        assert_eq!(slots.take(9, brief).await.unwrap_err(), Refusal::Closing);
        drop((three, four));
    }
}
