//! One address of one server of one endpoint, alive.
//!
//! What may be sent here is one flag that choosers read; the reasons behind it (what the operator
//! said, what probes found, suspension after failures, having left the configuration) stand
//! behind a lock that is taken only when one of them changes.
//!
//! **Invariant:** a message that succeeds, or fails in a way that does not count, takes no lock.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::group::take_one;
use super::shared::Shared;
use super::standing::{Order, Standing, State, Suspended};
use super::suspension::Suspension;
use super::tie::Tie;
use crate::telemetry::ServerMeter;

/// Not being tried out.
const NO_TRIAL: u8 = 0;
/// The next message is the trial.
const TRIAL_DUE: u8 = 1;
/// A message is out on trial.
const TRIAL_OUT: u8 = 2;

/// A live server address. Found again after a reload that leaves it where it is.
#[derive(Debug)]
pub struct Member {
    id: u64,
    server: Arc<str>,
    address: SocketAddr,
    /// May be chosen.
    open: AtomicBool,
    /// May be chosen for callers that are bound to it.
    open_to_bound: AtomicBool,
    /// May be chosen by messages that began under a configuration that still had it.
    open_to_old: AtomicBool,
    /// Unused connections may be kept.
    keeps: AtomicBool,
    trial: AtomicU8,
    /// Failures in a row.
    failures: AtomicU32,
    in_flight: AtomicU32,
    requests: AtomicU64,
    failed: AtomicU64,
    pub(super) meter: Arc<ServerMeter>,
    standing: Mutex<Standing>,
    /// Connections that must not outlive the drain.
    ties: Mutex<Vec<Weak<Tie>>>,
    shared: Arc<Shared>,
}

/// What the admin interface shows of a member.
#[derive(Debug, Clone)]
pub struct MemberView {
    /// The server's name, `host:port`.
    pub server: String,
    /// Where it is.
    pub address: SocketAddr,
    /// How it stands.
    pub state: State,
    /// Why.
    pub why: String,
    /// Since when.
    pub since: SystemTime,
    /// When it will be tried, or asked, next.
    pub next_try: Option<SystemTime>,
    /// When what it still has is broken off.
    pub drained_by: Option<SystemTime>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests sent.
    pub requests: u64,
    /// Of these, failed.
    pub failures: u64,
}

impl Member {
    pub(super) fn new(
        server: Arc<str>,
        address: SocketAddr,
        standing: Standing,
        meter: Arc<ServerMeter>,
        shared: &Arc<Shared>,
    ) -> Self {
        let member = Self {
            id: shared.next_member(),
            server,
            address,
            open: AtomicBool::new(false),
            open_to_bound: AtomicBool::new(false),
            open_to_old: AtomicBool::new(false),
            keeps: AtomicBool::new(true),
            trial: AtomicU8::new(NO_TRIAL),
            failures: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            meter,
            standing: Mutex::new(standing),
            ties: Mutex::default(),
            shared: Arc::clone(shared),
        };
        member.publish(&member.lock());
        member
    }

    /// Tells members apart for as long as the process lives: what connections are kept by.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's name, `host:port`.
    #[must_use]
    pub const fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// Ties a new connection to the server.
    pub(super) fn tie(&self) -> Arc<Tie> {
        let tie = Arc::<Tie>::default();
        let mut ties = self.ties.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended are swept out when there may be as many of them as of others.
        if ties.len() == ties.capacity() {
            ties.retain(|tie| tie.strong_count() > 0);
            let len = ties.len();
            ties.reserve(len + 1);
        }
        ties.push(Arc::downgrade(&tie));
        tie
    }

    /// Whether unused connections may be kept.
    pub(super) fn keeps(&self) -> bool {
        self.keeps.load(Ordering::Relaxed)
    }

    /// May be chosen by who has it in its configuration.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) || self.open_to_old.load(Ordering::Relaxed)
    }

    pub(super) fn is_open_to_bound(&self) -> bool {
        self.open_to_bound.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Takes a place for one request; `None` when all are taken, or a trial is out.
    pub(super) fn enter(&self, requests_max: Option<u32>) -> Option<Entered> {
        match requests_max {
            Some(max) => take_one(&self.in_flight, max)?,
            None => _ = self.in_flight.fetch_add(1, Ordering::SeqCst),
        }
        let on_trial = self.trial.load(Ordering::Relaxed) != NO_TRIAL;
        if on_trial && !self.take_trial() {
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.meter.requests.inc();
        Some(Entered { on_trial })
    }

    /// Gives the place back. A trial that ended without a verdict is due again.
    pub(super) fn leave(&self, entered: Entered) {
        if entered.on_trial {
            let _ = self.trial.compare_exchange(
                TRIAL_OUT,
                TRIAL_DUE,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    fn take_trial(&self) -> bool {
        self.trial
            .compare_exchange(TRIAL_DUE, TRIAL_OUT, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// A request was answered.
    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.trial.load(Ordering::Relaxed) != NO_TRIAL {
            let mut standing = self.lock();
            self.trial.store(NO_TRIAL, Ordering::Relaxed);
            standing.recovered();
            self.publish(&standing);
        }
    }

    /// A request failed in a way that counts.
    pub(super) fn failed(&self, why: &str, suspension: &Suspension, draw: u64) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let on_trial = self.trial.load(Ordering::Relaxed) != NO_TRIAL;
        if failures < suspension.after && !on_trial {
            return;
        }
        let mut standing = self.lock();
        // Of many that fail at the same time one suspends.
        if standing.is_suspended() {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.trial.store(NO_TRIAL, Ordering::Relaxed);
        let length = suspension.length(standing.rounds(), draw);
        standing.suspend(why, length, Instant::now());
        self.meter.suspensions.inc();
        tracing::warn!(server = %self.server, address = %self.address, ?length, why, "suspended");
        self.publish(&standing);
    }

    /// A request failed in a way that says nothing of the server's health here.
    pub(super) fn failed_uncounted(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// A probe was answered, or not; `Some` says what that lets conclude.
    pub(super) fn probed(&self, well: Option<bool>, why: &str) {
        let known = {
            let mut standing = self.lock();
            standing.probed_at = Some(Instant::now());
            standing.knows(well)
        };
        if let Some(well) = well.filter(|_| !known) {
            self.change(|standing, now| standing.probed(well, why, now));
        }
    }

    /// Whether a probe has still to say whether it is well.
    pub(super) fn is_unprobed(&self) -> bool {
        self.lock().is_unprobed()
    }

    /// How long ago it was asked.
    pub(super) fn probed_ago(&self) -> Option<Duration> {
        self.lock().probed_at.map(|at| at.elapsed())
    }

    /// When it is asked next.
    pub(super) fn next_probe(&self, at: SystemTime) {
        self.lock().next_probe = Some(at);
    }

    /// What the operator wants.
    pub(super) fn ordered(&self, order: Order, why: &str) {
        self.change(|standing, now| standing.ordered(order, why, now));
    }

    /// The configuration says so from now on.
    pub(super) fn settle(&self, drain: Duration, drain_unhealthy: bool, assumed: Option<bool>) {
        self.change(|standing, _| {
            standing.drain = drain;
            standing.drain_unhealthy = drain_unhealthy;
            match assumed {
                None => standing.forget_probes(),
                Some(well) => standing.assume(well),
            }
        });
    }

    /// It is in the configuration no more, or its name no longer leads here.
    pub(super) fn left(&self, why: &str) {
        self.change(|standing, now| standing.left(why, now));
    }

    /// It is back before it was gone.
    pub(super) fn returned(&self) {
        self.change(Standing::returned);
    }

    /// Does what is due, and says when to look again.
    pub(super) fn tend(&self, now: Instant) -> Option<Instant> {
        let mut standing = self.lock();
        if standing.trial_due(now) {
            self.trial.store(TRIAL_DUE, Ordering::Relaxed);
            self.publish(&standing);
        }
        if standing.cut_due(now) {
            self.cut_off(&standing);
            self.publish(&standing);
        }
        standing.next_look()
    }

    fn cut_off(&self, standing: &Standing) {
        let in_flight = self.in_flight();
        if in_flight > 0 {
            tracing::warn!(
                server = %self.server, address = %self.address, in_flight, drain = ?standing.drain,
                "the drain time is over: what is still in flight is broken off"
            );
        }
        let mut ties = self.ties.lock().unwrap_or_else(PoisonError::into_inner);
        for tie in ties.drain(..) {
            if let Some(tie) = tie.upgrade() {
                tie.cut();
            }
        }
    }

    /// Whether nothing of it is left to look after.
    pub(super) fn is_gone(&self) -> bool {
        let standing = self.lock();
        standing.has_left() && (self.in_flight() == 0 || standing.is_cut())
    }

    pub(super) fn state(&self) -> State {
        self.lock().state()
    }

    /// May be asked when too few are well.
    pub(super) fn is_of_last_resort(&self) -> bool {
        !matches!(
            self.state(),
            State::Leaving | State::Disabled | State::Draining
        )
    }

    /// When the earliest trial is, for `Retry-After`.
    pub(super) fn suspended_until(&self) -> Option<Instant> {
        self.lock().suspended().map(|Suspended { until }| until)
    }

    pub(super) fn view(&self) -> MemberView {
        let standing = self.lock();
        let (state, why, since) = standing.told();
        let at = |instant: Instant| {
            SystemTime::now() + instant.saturating_duration_since(Instant::now())
        };
        MemberView {
            server: self.server.to_string(),
            address: self.address,
            state,
            why: why.to_owned(),
            since,
            next_try: match standing.suspended() {
                Some(Suspended { until }) => Some(at(until)),
                None => standing.next_probe,
            },
            drained_by: standing.drained_by().map(at),
            in_flight: self.in_flight(),
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failed.load(Ordering::Relaxed),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Standing, Instant)) {
        let mut standing = self.lock();
        let before = standing.state();
        change(&mut standing, Instant::now());
        let after = standing.state();
        if before != after {
            let why = standing.told().1;
            tracing::info!(
                server = %self.server, address = %self.address, why,
                "{} (was {})", after.name(), before.name()
            );
        }
        self.publish(&standing);
    }

    /// Shows choosers what stands behind the lock.
    fn publish(&self, standing: &Standing) {
        self.open.store(standing.is_open(), Ordering::Relaxed);
        self.open_to_bound
            .store(standing.is_open_to_bound(), Ordering::Relaxed);
        self.open_to_old
            .store(standing.is_open_to_old(), Ordering::Relaxed);
        self.keeps.store(standing.keeps(), Ordering::Relaxed);
        self.shared.changed();
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's place at a member; given back with [`Member::leave`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Entered {
    on_trial: bool,
}
