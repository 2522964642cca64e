//! How fast: a bucket of tokens (GCRA) for everything together or for each of many.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Callers or operations that are counted one by one; beyond, all further ones are counted
/// together, so that memory is bounded whoever calls.
const KEYS_MAX: usize = 50_000;

/// What is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Each address; IPv6 by its first 64 bits, of which a caller has all.
    Client,
    /// Each operation.
    Operation,
    /// Everything together.
    All,
}

/// So many within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: NonZeroU32,
    /// Within which time.
    pub per: Duration,
    /// How many at once.
    pub burst: NonZeroU32,
    /// What is counted by itself.
    pub by: By,
}

/// A rate with what was counted so far.
#[derive(Debug)]
pub(super) enum Meter {
    Client(Keyed<IpAddr>),
    Operation(Keyed<String>),
    All(DefaultDirectRateLimiter),
}

/// Buckets by key.
pub(super) struct Keyed<K: Hash + Eq + Clone> {
    buckets: DefaultKeyedRateLimiter<K>,
    /// Stands for all that find no place of their own.
    others: K,
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyed")
            .field("keys", &self.buckets.len())
            .finish()
    }
}

impl Rate {
    fn quota(&self) -> Quota {
        let each = self.per / self.requests.get();
        // A period of nothing is no period; a nanosecond is as good as none.
        Quota::with_period(each.max(Duration::from_nanos(1)))
            .unwrap_or_else(|| Quota::per_second(self.requests))
            .allow_burst(self.burst)
    }
}

impl Meter {
    pub(super) fn new(rate: &Rate) -> Self {
        let quota = rate.quota();
        match rate.by {
            By::Client => Self::Client(Keyed::new(quota, IpAddr::V6(Ipv6Addr::UNSPECIFIED))),
            By::Operation => Self::Operation(Keyed::new(quota, String::new())),
            By::All => Self::All(RateLimiter::direct(quota)),
        }
    }

    /// Counts a request that comes from here; how long to wait where that is too fast.
    pub(super) fn client(&self, address: IpAddr) -> Result<(), Duration> {
        match self {
            Self::Client(keyed) => keyed.check(network(address)),
            Self::All(bucket) => bucket
                .check()
                .map_err(|until| until.wait_time_from(DefaultClock::default().now())),
            Self::Operation(_) => Ok(()),
        }
    }

    /// Counts a request for this operation.
    pub(super) fn operation(&self, name: &str) -> Result<(), Duration> {
        match self {
            Self::Operation(keyed) => keyed.check(name.to_owned()),
            Self::Client(_) | Self::All(_) => Ok(()),
        }
    }
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(quota: Quota, others: K) -> Self {
        Self {
            buckets: RateLimiter::keyed(quota),
            others,
        }
    }

    fn check(&self, key: K) -> Result<(), Duration> {
        let key = if self.buckets.len() < KEYS_MAX {
            key
        } else {
            // Full buckets say nothing that a new one would not.
            self.buckets.retain_recent();
            if self.buckets.len() < KEYS_MAX {
                key
            } else {
                self.others.clone()
            }
        };
        self.buckets
            .check_key(&key)
            .map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: u32, burst: u32, by: By) -> Rate {
        Rate {
            requests: NonZeroU32::new(requests).unwrap(),
            per: Duration::from_secs(3600),
            burst: NonZeroU32::new(burst).unwrap(),
            by,
        }
    }

    #[test]
    fn each_client_has_a_bucket_and_ipv6_shares_one_by_network() {
        let meter = Meter::new(&rate(1, 2, By::Client));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for one in ["10.0.0.1", "10.0.0.2"] {
            assert!(meter.client(address(one)).is_ok() && meter.client(address(one)).is_ok());
            let wait = meter.client(address(one)).unwrap_err();
            assert!(wait > Duration::from_secs(3000), "{wait:?}");
        }
        assert!(meter.client(address("2001:db8::1")).is_ok());
        assert!(meter.client(address("2001:db8::2")).is_ok());
        assert!(meter.client(address("2001:db8::3")).is_err());
        assert!(meter.operation("any").is_ok());
    }

    #[test]
    fn keys_are_bounded() {
        let meter = Meter::new(&rate(1, 1, By::Operation));
        for number in 0..KEYS_MAX + 10 {
            let _ = meter.operation(&number.to_string());
        }
        let Meter::Operation(keyed) = &meter else {
            unreachable!()
        };
        assert!(keyed.buckets.len() <= KEYS_MAX + 1);
    }
}
