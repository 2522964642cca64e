//! How many messages may be sent again, so that an outage is not multiplied by those who try.
//!
//! A bucket of tokens: each message puts a part of one in, time adds a few, each resending takes
//! one out. Lock-free, because every message of an endpoint that has a budget pays in.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Most tokens that wait: ten seconds of a busy endpoint's share.
const TOKENS_MAX: i64 = 1_000 * MILLI;
/// Tokens are counted in thousandths.
const MILLI: i64 = 1_000;

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Resendings for each hundred messages.
    pub percent: u32,
    /// Resendings a second that are allowed in any case.
    pub per_second: u32,
}

/// What is left.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: AtomicI64,
    filled_ms: AtomicU64,
}

impl Bucket {
    pub(super) fn new(budget: RetryBudget, now: Duration) -> Self {
        Self {
            tokens: AtomicI64::new(i64::from(budget.per_second) * MILLI),
            filled_ms: AtomicU64::new(milliseconds(now)),
        }
    }

    /// A message is sent for the first time.
    pub(super) fn pay_in(&self, budget: RetryBudget) {
        if self.tokens.load(Ordering::Relaxed) < TOKENS_MAX {
            let part = i64::from(budget.percent) * MILLI / 100;
            self.tokens.fetch_add(part, Ordering::Relaxed);
        }
    }

    /// Whether one more may be sent again. `now` is the time since some fixed moment.
    pub(super) fn take(&self, budget: RetryBudget, now: Duration) -> bool {
        self.fill(budget, now);
        let take = |tokens: i64| (tokens >= MILLI).then(|| tokens - MILLI);
        self.tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    fn fill(&self, budget: RetryBudget, now: Duration) {
        let now = milliseconds(now);
        let before = self.filled_ms.fetch_max(now, Ordering::Relaxed);
        let passed = i64::try_from(now.saturating_sub(before)).unwrap_or(i64::MAX);
        let earned = passed.saturating_mul(i64::from(budget.per_second));
        // What time adds is for quiet hours: it does not pile up beyond one second's.
        let most = i64::from(budget.per_second) * MILLI;
        let add = |tokens: i64| (earned > 0 && tokens < most).then(|| (tokens + earned).min(most));
        let _ = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: RetryBudget = RetryBudget {
        percent: 20,
        per_second: 2,
    };

    fn taken(bucket: &Bucket, now: Duration) -> usize {
        (0..1_000).take_while(|_| bucket.take(BUDGET, now)).count()
    }

    #[test]
    fn a_fifth_of_the_messages_and_a_few_a_second() {
        let bucket = Bucket::new(BUDGET, Duration::ZERO);
        assert_eq!(taken(&bucket, Duration::ZERO), 2);
        for _ in 0..100 {
            bucket.pay_in(BUDGET);
        }
        assert_eq!(taken(&bucket, Duration::ZERO), 20);
        assert_eq!(taken(&bucket, Duration::from_millis(499)), 0);
        assert_eq!(taken(&bucket, Duration::from_millis(1_000)), 2);
        // An hour's quiet is no licence for a storm.
        assert_eq!(taken(&bucket, Duration::from_secs(3_600)), 2);
    }
}
