//! When a server that fails is left alone, and for how long: passive health, without a clock.
//!
//! The vocabulary is WSO2's: after `after` failures in a row the server is suspended for
//! `initial`; when that time is over one message tries it; if that fails it is suspended for
//! `initial * factor`, and so on up to `maximum`. What a caller did wrong never counts.

use std::time::Duration;

/// When and for how long a server is suspended.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspension {
    /// Failures in a row that suspend it.
    pub after: u32,
    /// How long at first.
    pub initial: Duration,
    /// How much longer each time that it fails again.
    pub factor: f64,
    /// How long at most.
    pub maximum: Duration,
    /// Part of the time by which it is drawn shorter or longer, 0 to 1, so that many routers do
    /// not all come back at once.
    pub jitter: f64,
    /// What counts as a failure.
    pub on: Triggers,
}

/// A list of failures, as `failover: { on }` and `suspend: { on }` have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Triggers {
    /// `connect`, `dns`, `tls`, `reset`, `timeout`, `not-soap`, `down`, `busy`: those listed.
    pub words: Vec<String>,
    /// HTTP statuses.
    pub statuses: Vec<u16>,
    /// `fault: receiver`.
    pub receiver_fault: bool,
}

impl Triggers {
    /// Whether the failure of this name and status is listed.
    #[must_use]
    pub fn hit(&self, name: &str, status: Option<u16>) -> bool {
        let listed = |name: &str| self.words.iter().any(|on| on == name);
        match status {
            Some(status) if self.statuses.contains(&status) => true,
            Some(_) => match name {
                "receiver-fault" => self.receiver_fault,
                "cannot-bridge-back" => false,
                "timeout" => listed("timeout"),
                _ => listed("not-soap"),
            },
            None => listed(name),
        }
    }
}

impl Suspension {
    /// How long the server is left alone for the `round`-th time, from 0. `draw` is random.
    #[must_use]
    pub fn length(&self, round: u32, draw: u64) -> Duration {
        // Beyond 64 doublings every time is the longest.
        let exponent = i32::try_from(round.min(64)).unwrap_or(64);
        let seconds = self.initial.as_secs_f64() * self.factor.powi(exponent);
        let bounded = seconds.min(self.maximum.as_secs_f64());
        Duration::from_secs_f64(jittered(bounded, self.jitter, draw))
    }
}

/// `value`, up to `part` of it less or more.
#[allow(
    clippy::cast_precision_loss,
    reason = "a random number need not be exact"
)]
pub(super) fn jittered(value: f64, part: f64, draw: u64) -> f64 {
    let unit = (draw >> 11) as f64 / (1_u64 << 53) as f64;
    (value * (1.0 + part * (2.0 * unit - 1.0))).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspension(jitter: f64) -> Suspension {
        Suspension {
            after: 3,
            initial: Duration::from_secs(30),
            factor: 2.0,
            maximum: Duration::from_secs(100),
            jitter,
            on: Triggers::default(),
        }
    }

    #[test]
    fn grows_geometrically_up_to_its_maximum() {
        let lengths: Vec<u64> = [0, 1, 2, 3, 64, u32::MAX]
            .map(|round| suspension(0.0).length(round, 7).as_secs())
            .to_vec();
        assert_eq!(lengths, [30, 60, 100, 100, 100, 100]);
    }

    #[test]
    fn is_spread_by_its_jitter_and_no_further() {
        let at = |draw| suspension(0.1).length(0, draw).as_millis();
        assert_eq!(at(0), 27_000);
        assert_eq!(at(1 << 63), 30_000);
        assert!((32_999..=33_000).contains(&at(u64::MAX)));
    }

    #[test]
    fn the_callers_mistakes_are_no_failures() {
        let on = Triggers {
            words: vec!["connect".into(), "timeout".into()],
            statuses: vec![503],
            receiver_fault: false,
        };
        assert!(on.hit("connect", None) && on.hit("status-503", Some(503)));
        assert!(!on.hit("receiver-fault", Some(500)) && !on.hit("not-soap", Some(404)));
        assert!(!on.hit("caller", None));
    }
}
