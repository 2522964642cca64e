//! Who may enter, how many at a time, and how fast, as it is written.

use super::amounts::Time;
use super::network::Network;
use super::shape::{words, written};
use super::written::Spanned;

written! {
    /// Who may enter a service or a route, how many at a time, and how fast.
    pub struct Admission as "admission" {
        /// Networks that callers may come from; from everywhere if left out.
        pub allow: Vec<Spanned<Network>> = Vec::new(),
        /// Networks that callers may not come from, whatever is allowed.
        pub deny: Vec<Spanned<Network>> = Vec::new(),
        /// Exchanges at a time; unbounded if left out.
        pub concurrency: Option<u32> [1..=1_000_000] = None,
        /// Exchanges that may wait for their turn; what comes beyond is told to come back later.
        pub queue: u32 [0..=1_000_000] = 0,
        /// How long an exchange may wait for its turn.
        pub queue_timeout: Time [1..=3_600_000] = Time::secs(5),
        /// How many requests are let in within a time.
        pub rates: Vec<Rate> = Vec::new(),
    }
}

written! {
    /// So many requests within a time, evenly spread but for bursts.
    pub struct Rate as "a rate" {
        /// How many.
        pub requests: u32 [1..=1_000_000] = 1,
        /// Within which time.
        pub per: Time [1..=86_400_000] = Time::secs(1),
        /// How many may come at once; as many as `requests` if left out.
        pub burst: Option<u32> [1..=1_000_000] = None,
        /// What is counted by itself.
        pub by: RateBy = RateBy::Client,
    }
}

words! {
    /// What a rate counts by itself.
    pub enum RateBy as "something to count by" {
        /// Each address that callers come from.
        Client = "client",
        /// Each operation, or action where no filter reads the body.
        Operation = "operation",
        /// Everything together.
        All = "all",
    }
}
