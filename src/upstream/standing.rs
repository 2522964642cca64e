//! How a server stands, and why: everything that lets it be chosen or not, in one value.
//!
//! Pure but for the times that are handed in. Several reasons may hold at a time; [`State`] names
//! the one that an operator has to deal with first.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// How a server stands, in the order in which one reason hides another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is in the configuration no more and finishes what it has.
    Leaving,
    /// The operator took it out.
    Disabled,
    /// The operator lets it finish what it has.
    Draining,
    /// Its probe fails.
    Unhealthy,
    /// No probe has answered yet.
    Unprobed,
    /// It failed too often and is left alone for a while.
    Suspended,
    /// It was suspended, and the next message tries it.
    Trial,
    /// It gets messages.
    Up,
}

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Use it.
    #[default]
    Enable,
    /// Give it nothing new but what is bound to it.
    Drain,
    /// Give it nothing new at all.
    Disable,
}

/// A server left alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspended {
    pub(super) until: Instant,
}

/// What probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probed {
    /// Nobody asks.
    Never,
    /// Nobody has answered yet.
    Unknown,
    Well,
    Unwell,
}

/// Everything that is known of how a server stands.
#[derive(Debug)]
pub(super) struct Standing {
    order: Order,
    probed: Probed,
    suspended: Option<Suspended>,
    on_trial: bool,
    /// How often it was suspended since it last worked.
    rounds: u32,
    left: bool,
    /// When what it still has is broken off.
    drained_by: Option<Instant>,
    cut: bool,
    pub(super) drain: Duration,
    pub(super) drain_unhealthy: bool,
    pub(super) next_probe: Option<SystemTime>,
    pub(super) probed_at: Option<Instant>,
    state: State,
    why: String,
    since: SystemTime,
}

impl State {
    /// Every state, for tables and metrics.
    pub const ALL: [Self; 8] = [
        Self::Up,
        Self::Trial,
        Self::Suspended,
        Self::Unprobed,
        Self::Unhealthy,
        Self::Draining,
        Self::Disabled,
        Self::Leaving,
    ];

    /// The word for it everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leaving => "leaving",
            Self::Disabled => "disabled",
            Self::Draining => "draining",
            Self::Unhealthy => "unhealthy",
            Self::Unprobed => "unprobed",
            Self::Suspended => "suspended",
            Self::Trial => "trial",
            Self::Up => "up",
        }
    }

    /// Whether it gets messages of callers that are not bound to it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Up | Self::Trial)
    }
}

impl Standing {
    /// A server of which nothing is known. `assumed` says how it counts until a probe has
    /// answered; `None` that nobody asks.
    pub(super) fn new(order: Order, assumed: Option<bool>, drain: Duration) -> Self {
        let mut standing = Self {
            order,
            probed: Probed::Never,
            suspended: None,
            on_trial: false,
            rounds: 0,
            left: false,
            drained_by: None,
            cut: false,
            drain,
            drain_unhealthy: false,
            next_probe: None,
            probed_at: None,
            state: State::Up,
            why: "configured".into(),
            since: SystemTime::now(),
        };
        if let Some(well) = assumed {
            standing.assume(well);
        }
        if order != Order::Enable {
            standing.ordered(order, "as ordered before", Instant::now());
        }
        standing
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) fn told(&self) -> (State, &str, SystemTime) {
        (self.state, &self.why, self.since)
    }

    pub(super) const fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Callers that are bound to it may come while it drains.
    pub(super) const fn is_open_to_bound(&self) -> bool {
        self.is_open() || (matches!(self.state, State::Draining | State::Leaving) && !self.cut)
    }

    /// A message keeps the configuration that it began with, so one that had the server may
    /// still go there.
    pub(super) const fn is_open_to_old(&self) -> bool {
        matches!(self.state, State::Leaving) && !self.cut
    }

    /// Unused connections to a server that gets nothing new are closed at once.
    pub(super) const fn keeps(&self) -> bool {
        matches!(self.state, State::Up | State::Trial | State::Suspended)
    }

    pub(super) const fn has_left(&self) -> bool {
        self.left
    }

    pub(super) const fn is_cut(&self) -> bool {
        self.cut
    }

    pub(super) const fn is_suspended(&self) -> bool {
        self.suspended.is_some()
    }

    pub(super) const fn suspended(&self) -> Option<Suspended> {
        self.suspended
    }

    pub(super) const fn rounds(&self) -> u32 {
        self.rounds
    }

    pub(super) const fn drained_by(&self) -> Option<Instant> {
        self.drained_by
    }

    pub(super) fn suspend(&mut self, why: &str, length: Duration, now: Instant) {
        self.suspended = Some(Suspended {
            until: now + length,
        });
        self.on_trial = false;
        self.rounds = self.rounds.saturating_add(1);
        self.conclude(why, now);
    }

    /// The trial succeeded.
    pub(super) fn recovered(&mut self) {
        self.suspended = None;
        self.on_trial = false;
        self.rounds = 0;
        self.conclude("a message was answered", Instant::now());
    }

    /// Whether the suspension is over; it is then on trial.
    pub(super) fn trial_due(&mut self, now: Instant) -> bool {
        let over = self
            .suspended
            .is_some_and(|Suspended { until }| until <= now);
        if over {
            self.suspended = None;
            self.on_trial = true;
            self.conclude("the suspension is over: the next message tries it", now);
        }
        over
    }

    /// Whether what it still has is to be broken off now.
    pub(super) fn cut_due(&mut self, now: Instant) -> bool {
        let due = !self.cut && self.drained_by.is_some_and(|by| by <= now);
        if due {
            self.cut = true;
        }
        due
    }

    /// When something is due next.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let until = self.suspended.map(|Suspended { until }| until);
        let by = self.drained_by.filter(|_| !self.cut);
        [until, by].into_iter().flatten().min()
    }

    pub(super) const fn is_unprobed(&self) -> bool {
        matches!(self.probed, Probed::Unknown)
    }

    /// Whether this is no news. What makes a server unhealthy may change from probe to probe.
    pub(super) const fn knows(&self, well: Option<bool>) -> bool {
        matches!((well, self.probed), (None, _) | (Some(true), Probed::Well))
    }

    pub(super) fn probed(&mut self, well: bool, why: &str, now: Instant) {
        self.probed = if well { Probed::Well } else { Probed::Unwell };
        self.conclude(why, now);
    }

    /// How it counts until the first probe has answered. What earlier probes found stays.
    pub(super) fn assume(&mut self, well: bool) {
        if self.probed == Probed::Never {
            self.probed = if well { Probed::Well } else { Probed::Unknown };
            let why = if well {
                "assumed to be well until a probe has answered"
            } else {
                "no probe has answered yet"
            };
            self.conclude(why, Instant::now());
        }
    }

    /// Nobody asks any more.
    pub(super) fn forget_probes(&mut self) {
        if self.probed != Probed::Never {
            self.probed = Probed::Never;
            self.next_probe = None;
            self.probed_at = None;
            self.conclude("no longer probed", Instant::now());
        }
    }

    pub(super) fn ordered(&mut self, order: Order, why: &str, now: Instant) {
        if self.order != order {
            self.order = order;
            self.conclude(why, now);
        }
    }

    pub(super) fn left(&mut self, why: &str, now: Instant) {
        if !self.left {
            self.left = true;
            self.conclude(why, now);
        }
    }

    pub(super) fn returned(&mut self, now: Instant) {
        if self.left {
            self.left = false;
            self.conclude("configured again", now);
        }
    }

    /// Draws the conclusions of what has changed.
    fn conclude(&mut self, why: &str, now: Instant) {
        let state = self.verdict();
        if state == self.state {
            // The reason may be a new one all the same.
            if matches!(state, State::Unhealthy | State::Suspended) {
                why.clone_into(&mut self.why);
            }
        } else {
            self.state = state;
            self.since = SystemTime::now();
            why.clone_into(&mut self.why);
        }
        let drains = match state {
            State::Leaving | State::Disabled | State::Draining => true,
            State::Unhealthy => self.drain_unhealthy,
            _ => false,
        };
        if !drains {
            self.drained_by = None;
            self.cut = false;
        } else if self.drained_by.is_none() {
            self.drained_by = Some(now + self.drain);
        }
    }

    const fn verdict(&self) -> State {
        if self.left {
            return State::Leaving;
        }
        match (self.order, self.probed) {
            (Order::Disable, _) => State::Disabled,
            (Order::Drain, _) => State::Draining,
            (Order::Enable, Probed::Unwell) => State::Unhealthy,
            (Order::Enable, Probed::Unknown) => State::Unprobed,
            _ if self.suspended.is_some() => State::Suspended,
            _ if self.on_trial => State::Trial,
            _ => State::Up,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(30);

    fn standing(assumed: Option<bool>) -> Standing {
        Standing::new(Order::Enable, assumed, DRAIN)
    }

    #[test]
    fn one_reason_hides_another_and_none_is_forgotten() {
        let now = Instant::now();
        let mut standing = standing(Some(false));
        assert_eq!(standing.state(), State::Unprobed);
        standing.probed(true, "200", now);
        assert_eq!(standing.state(), State::Up);
        standing.suspend("connect", DRAIN, now);
        standing.probed(false, "500", now);
        standing.ordered(Order::Disable, "work on it", now);
        assert_eq!(standing.state(), State::Disabled);
        standing.ordered(Order::Enable, "done", now);
        assert_eq!(standing.state(), State::Unhealthy);
        standing.probed(true, "200", now);
        assert_eq!(standing.state(), State::Suspended);
        assert!(standing.trial_due(now + DRAIN));
        assert_eq!(standing.state(), State::Trial);
        standing.recovered();
        assert_eq!((standing.state(), standing.rounds()), (State::Up, 0));
    }

    #[test]
    fn what_drains_keeps_what_it_has_until_its_time_is_over() {
        let now = Instant::now();
        let mut standing = standing(None);
        standing.ordered(Order::Drain, "x", now);
        assert!(!standing.is_open() && standing.is_open_to_bound() && !standing.keeps());
        assert_eq!(standing.next_look(), Some(now + DRAIN));
        assert!(!standing.cut_due(now) && standing.cut_due(now + DRAIN));
        assert!(!standing.is_open_to_bound() && !standing.cut_due(now + DRAIN));
        standing.ordered(Order::Enable, "x", now);
        assert!(standing.is_open() && standing.drained_by().is_none());
    }

    #[test]
    fn an_unhealthy_server_is_drained_only_if_that_is_asked_for() {
        let now = Instant::now();
        for drains in [false, true] {
            let mut standing = standing(Some(true));
            standing.drain_unhealthy = drains;
            standing.probed(false, "500", now);
            assert_eq!(standing.drained_by().is_some(), drains);
        }
    }
}
