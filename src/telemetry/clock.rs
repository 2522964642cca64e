//! The time, read once for everything that happens at once.
//!
//! A message needs the time in a dozen places, and reading it costs as much as parsing a header
//! field. Whoever drives a message holds the clock for as long as it runs without waiting.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

thread_local! {
    static HELD: Cell<Option<Instant>> = const { Cell::new(None) };
    /// What the calendar said, and when.
    static DATE: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// Lets the clock go when it is dropped.
#[derive(Debug)]
pub struct Held(());

/// Stops the clock of this thread for as long as the value lives; to be held while something is
/// polled, never across a wait.
#[must_use]
pub fn hold() -> Held {
    HELD.set(Some(Instant::now()));
    Held(())
}

/// The time, or when the clock was stopped.
#[must_use]
pub fn now() -> Instant {
    HELD.get().unwrap_or_else(Instant::now)
}

/// How long the calendar is not read again, and the clock believed instead: a date that is set anew
/// is seen that late.
const DATE_MAX: Duration = Duration::from_millis(100);

/// Time since the Unix epoch, or when the clock was stopped.
#[must_use]
pub fn since_epoch() -> Duration {
    let now = now();
    if let Some((then, date)) = DATE.get()
        && let Some(since) = now.checked_duration_since(then)
        && since < DATE_MAX
    {
        return date + since;
    }
    let date = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    DATE.set(Some((now, date)));
    date
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_stands_and_goes_on() {
        let held = hold();
        let then = now();
        assert_eq!(now(), then);
        assert_eq!(since_epoch(), since_epoch());
        drop(held);
        assert!(now() >= then);
        assert_eq!(HELD.get(), None);
    }
}
