//! A timer that is set for each message and fires for none.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::telemetry::clock;

/// Waits until a time that is usually moved before it comes.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes, where that is always the same task.
    owner: Option<Waker>,
}

impl Timer {
    /// Ready when it is `until`, for the one task that it belongs to: a timer that is set already,
    /// and wakes that task, is not even looked at.
    pub(super) fn poll_as_owner(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let set = self.sleep.as_ref().map(|sleep| sleep.deadline());
        let known = |owner: &Waker| owner.will_wake(cx.waker());
        if set.is_some_and(|set| set <= until && clock::now() < set)
            && self.owner.as_ref().is_some_and(known)
        {
            return Poll::Pending;
        }
        let polled = self.poll(cx, until);
        // A task that had used up its turn was put off instead, without its timer being set.
        self.owner = has_budget_remaining().then(|| cx.waker().clone());
        polled
    }

    /// Ready when it is `until`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        // Whoever asks here may be put off as well.
        self.owner = None;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        // A timer that is set for earlier is left as it is and set anew when it fires: most
        // messages come long before, and setting timers is what would cost.
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        ready!(sleep.as_mut().poll(cx));
        if Instant::now() < until {
            sleep.as_mut().reset(until);
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(())
    }
}
