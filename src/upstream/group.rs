//! The servers of one endpoint, alive, and who of them is next.
//!
//! One [`Group`] belongs to one snapshot; its members are shared with the groups before and after
//! it. A pick reads one flag that says whether anything changed since the last look, and chooses
//! from what it saw then; it takes no lock. Members that fail, leave or recover move the fleet's
//! epoch, and the next pick looks anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::affinity::{Affinity, BoundBy, CookieSpec, Token};
use super::balance::{Ring, Roster};
use super::budget::Bucket;
use super::endpoint::{Balance, Endpoint};
use super::member::Member;
use super::shared::Shared;
use super::turn::{Turn, Waiting};
use crate::fields::Fields;

/// What a message says about who should get it.
#[derive(Debug, Clone, Copy)]
pub struct Wants<'a> {
    /// A random number of the message's own.
    pub draw: u64,
    /// Hash of the value that `balance: { hash }` names.
    pub hash: Option<u64>,
    /// Hash of the value that `affinity` names.
    pub bound: Option<u64>,
    /// The caller's fields, for its cookie.
    pub headers: &'a Fields,
}

/// Why there is no server for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoServer {
    /// The name has no address.
    Dns(String),
    /// None may be chosen; the time until one may, if that is known.
    Down(Option<Duration>),
    /// All are busy, and so is the queue.
    Busy,
    /// The server that the caller is bound to is lost, and it may get no other.
    Lost,
    /// All that may be chosen were tried with this message.
    Tried,
}

/// A live endpoint.
#[derive(Debug)]
pub struct Group {
    spec: Arc<Endpoint>,
    view: ArcSwap<View>,
    next: AtomicUsize,
    pub(super) in_flight: AtomicU32,
    pub(super) waiting: AtomicU32,
    pub(super) freed: Notify,
    bucket: Option<Bucket>,
    begun: Instant,
    shared: Arc<Shared>,
}

/// The members of a group, at one time.
#[derive(Debug, Default)]
pub(super) struct Membership {
    pub(super) all: Vec<Seat>,
    /// How many of them, the first ones, are in the configuration.
    pub(super) configured: usize,
    /// Why names have no address.
    pub(super) problem: Option<String>,
    ring: Option<Ring>,
    /// Where the servers stand that the router's cookie names.
    by_token: HashMap<Token, usize>,
}

/// A member in its place in the configuration.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) member: Arc<Member>,
    pub(super) weight: u32,
    pub(super) requests_max: Option<u32>,
    token: Option<Token>,
}

/// What choosers saw at their last look.
#[derive(Debug)]
struct View {
    epoch: u64,
    members: Arc<Membership>,
    open: Vec<usize>,
    roster: Roster,
}

impl Group {
    pub(super) fn new(spec: Arc<Endpoint>, shared: &Arc<Shared>) -> Self {
        let bucket = spec.servers.budget.map(|b| Bucket::new(b, Duration::ZERO));
        Self {
            view: ArcSwap::from_pointee(View::of(&spec, Arc::default(), shared.epoch())),
            spec,
            next: AtomicUsize::new(0),
            in_flight: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            freed: Notify::new(),
            bucket,
            begun: Instant::now(),
            shared: Arc::clone(shared),
        }
    }

    /// The endpoint's description.
    #[must_use]
    pub const fn spec(&self) -> &Arc<Endpoint> {
        &self.spec
    }

    /// Whether a message may be sent to another server of this endpoint after one failed.
    #[must_use]
    pub fn may_be_several(&self) -> bool {
        self.spec.servers.may_be_several()
    }

    /// How many servers a message may be sent to, one after the other.
    #[must_use]
    pub fn tries(&self) -> usize {
        let addresses = self.view.load().members.configured;
        addresses.min(self.spec.servers.tries as usize)
    }

    /// A place at the next server, waiting for one if all are busy and waiting is allowed.
    /// `tried` are those that this message was sent to already.
    ///
    /// # Errors
    /// [`NoServer`] says why there is none.
    pub async fn turn(
        self: &Arc<Self>,
        wants: &Wants<'_>,
        tried: &[u64],
    ) -> Result<Turn, NoServer> {
        let Some(queue) = self.spec.servers.queue else {
            return self.pick(wants, tried);
        };
        if self.waiting.load(Ordering::SeqCst) == 0 {
            match self.pick(wants, tried) {
                Err(NoServer::Busy) => {}
                other => return other,
            }
        }
        let _waiting = Waiting::join(self, queue.waiting_max).ok_or(NoServer::Busy)?;
        let until = Instant::now() + queue.wait_max;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Listened to before the pick: a place that is freed in between is not missed.
            freed.as_mut().enable();
            match self.pick(wants, tried) {
                Err(NoServer::Busy) => {}
                other => return other,
            }
            timeout_at(until, freed)
                .await
                .map_err(|_elapsed| NoServer::Busy)?;
        }
    }

    /// A place at the next server.
    ///
    /// # Errors
    /// [`NoServer`] says why there is none.
    pub fn pick(self: &Arc<Self>, wants: &Wants<'_>, tried: &[u64]) -> Result<Turn, NoServer> {
        let entered = self.enter()?;
        let view = self.view();
        let bound = match &self.spec.servers.affinity {
            Some(affinity) => view.bound(affinity, wants),
            None => None,
        };
        if let Some(seat) = bound {
            let may = seat.member.is_open_to_bound() && !tried.contains(&seat.member.id());
            if may && let Some(place) = seat.member.enter(seat.requests_max) {
                return Ok(Turn::new(self, seat, place, entered, wants, true));
            }
            if !self.redistributes() {
                return Err(if may { NoServer::Busy } else { NoServer::Lost });
            }
        }
        self.choose(&view, wants, tried, entered)
    }

    fn choose(
        self: &Arc<Self>,
        view: &View,
        wants: &Wants<'_>,
        tried: &[u64],
        entered: GroupPlace,
    ) -> Result<Turn, NoServer> {
        let mut full = false;
        let mut take = |at: usize| {
            let seat = view.members.all.get(at)?;
            if tried.contains(&seat.member.id()) {
                return None;
            }
            let place = seat.member.enter(seat.requests_max);
            full |= place.is_none();
            Some((seat, place?))
        };
        let first = self.first(view, wants, !tried.is_empty());
        let found = match first.and_then(&mut take) {
            Some(found) => Some(found),
            None => self.others(view, wants, first).find_map(take),
        };
        match found {
            Some((seat, place)) => Ok(Turn::new(self, seat, place, entered, wants, false)),
            None => Err(self.nobody(view, full, !tried.is_empty())),
        }
    }

    /// The first choice, as a place among all members.
    fn first(&self, view: &View, wants: &Wants<'_>, retried: bool) -> Option<usize> {
        if let [only] = view.open.as_slice() {
            return Some(*only);
        }
        if let Some(ring) = self.ring_for(view, wants) {
            return ring
                .into_iter()
                .find(|at| view.is_open(*at))
                .or_else(|| view.open.first().copied());
        }
        // Who stands in for one that failed takes no turn from who comes next.
        let turn = match retried {
            true => self.next.load(Ordering::Relaxed),
            false => self.next.fetch_add(1, Ordering::Relaxed),
        };
        let first = match self.spec.servers.balance {
            Balance::RoundRobin | Balance::Hash => view.roster.in_turn(turn),
            Balance::LeastRequests => view.roster.least_busy(turn, |at| view.load(at)),
            Balance::Random => view.drawn(wants.draw),
        };
        view.open.get(first?).copied()
    }

    /// Whom to ask where the first choice has no place: those behind it, once around.
    fn others<'v>(
        &self,
        view: &'v View,
        wants: &Wants<'_>,
        first: Option<usize>,
    ) -> impl Iterator<Item = usize> + use<'v> {
        // `open` is in the order of the members.
        let at = |first| view.open.binary_search(&first).ok();
        let behind = first.and_then(at).map_or(0, |at| at + 1);
        let by_hash = self.ring_for(view, wants).into_iter().flatten();
        // If fewer are well than must be, the roster holds those that are not open.
        let in_turn = view.roster.from(behind);
        by_hash
            .filter(|at| view.is_open(*at))
            .chain(in_turn.filter_map(|at| view.open.get(at).copied()))
    }

    fn ring_for<'v>(
        &self,
        view: &'v View,
        wants: &Wants<'_>,
    ) -> Option<impl Iterator<Item = usize> + use<'v>> {
        if self.spec.servers.balance != Balance::Hash {
            return None;
        }
        Some(view.members.ring.as_ref()?.around(wants.hash?))
    }

    fn nobody(&self, view: &View, full: bool, tried: bool) -> NoServer {
        if full {
            return NoServer::Busy;
        }
        if tried {
            return NoServer::Tried;
        }
        if view.members.all.is_empty() {
            let problem = view.members.problem.clone();
            return NoServer::Dns(problem.unwrap_or_else(|| "no address is known yet".into()));
        }
        let now = Instant::now();
        let all = view.members.all.iter();
        let next = all.filter_map(|seat| seat.member.suspended_until()).min();
        NoServer::Down(next.map(|until| until.saturating_duration_since(now)))
    }

    fn enter(self: &Arc<Self>) -> Result<GroupPlace, NoServer> {
        let Some(max) = self.spec.servers.queue.and_then(|queue| queue.requests_max) else {
            return Ok(GroupPlace(None));
        };
        take_one(&self.in_flight, max).ok_or(NoServer::Busy)?;
        Ok(GroupPlace(Some(Arc::clone(self))))
    }

    fn redistributes(&self) -> bool {
        let affinity = self.spec.servers.affinity.as_ref();
        affinity.is_none_or(|affinity| affinity.redistribute)
    }

    /// What may be chosen, looked at anew if anything changed.
    fn view(&self) -> Guard<Arc<View>> {
        let view = self.view.load();
        if view.epoch == self.shared.epoch() {
            return view;
        }
        // Read before looking: what changes meanwhile is looked at next time.
        let epoch = self.shared.epoch();
        let fresh = Arc::new(View::of(&self.spec, Arc::clone(&view.members), epoch));
        // A membership that came in between must not be undone.
        self.view.compare_and_swap(&view, fresh);
        drop(view);
        self.view.load()
    }

    /// Its members from now on.
    /// Behind the first `configured` are those that leave and may still be bound to.
    pub(super) fn seat(&self, all: Vec<Seat>, configured: usize, problem: Option<String>) {
        let servers = &self.spec.servers;
        let by_value = matches!(&servers.affinity, Some(a) if a.by == BoundBy::Value);
        let ring = (servers.balance == Balance::Hash || by_value).then(|| {
            let names: Vec<String> = all
                .iter()
                .take(configured)
                .map(|seat| seat.member.address().to_string())
                .collect();
            let weights = all.iter().map(|seat| seat.weight);
            Ring::new(names.iter().map(String::as_str).zip(weights))
        });
        let tokens = all.iter().enumerate();
        let by_token = tokens
            .filter_map(|(at, seat)| Some((seat.token?, at)))
            .collect();
        let members = Arc::new(Membership {
            by_token,
            all,
            configured,
            problem,
            ring,
        });
        let epoch = self.shared.epoch();
        self.view
            .store(Arc::new(View::of(&self.spec, members, epoch)));
        self.freed.notify_waiters();
    }

    pub(super) fn make_seat(&self, member: Arc<Member>, server: &super::endpoint::Server) -> Seat {
        let token = match &self.spec.servers.affinity {
            Some(Affinity {
                by: BoundBy::Cookie(cookie),
                ..
            }) => Some(Token::of(&cookie.secret, &self.spec.name, member.address())),
            _ => None,
        };
        Seat {
            member,
            weight: server.weight,
            requests_max: server.requests_max,
            token,
        }
    }

    pub(super) fn membership(&self) -> Arc<Membership> {
        Arc::clone(&self.view.load().members)
    }

    /// The router's own cookie, if callers are bound by one.
    #[must_use]
    pub fn cookie(&self) -> Option<&CookieSpec> {
        match &self.spec.servers.affinity {
            Some(Affinity {
                by: BoundBy::Cookie(cookie),
                ..
            }) => Some(cookie),
            _ => None,
        }
    }

    /// A message is sent for the first time: part of what may be resent.
    pub fn pay_in(&self) {
        if let (Some(bucket), Some(budget)) = (&self.bucket, self.spec.servers.budget) {
            bucket.pay_in(budget);
        }
    }

    /// Whether one more message may be sent again.
    #[must_use]
    pub fn may_resend(&self) -> bool {
        match (&self.bucket, self.spec.servers.budget) {
            (Some(bucket), Some(budget)) => bucket.take(budget, self.begun.elapsed()),
            _ => true,
        }
    }

    /// Messages that wait for a place.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl View {
    fn of(spec: &Endpoint, members: Arc<Membership>, epoch: u64) -> Self {
        // Who leaves stands behind the others, for callers that are bound to it alone.
        let places = members.all.iter().take(members.configured).enumerate();
        let mut open: Vec<usize> = places
            .clone()
            .filter_map(|(at, seat)| seat.member.is_open().then_some(at))
            .collect();
        if open.len() < spec.servers.servers_min as usize {
            open = places
                .filter(|(_, seat)| seat.member.is_of_last_resort())
                .map(|(at, _)| at)
                .collect();
        }
        let weights: Vec<u32> = open
            .iter()
            .filter_map(|at| Some(members.all.get(*at)?.weight))
            .collect();
        Self {
            epoch,
            roster: Roster::new(&weights),
            members,
            open,
        }
    }

    fn seat(&self, at: usize) -> Option<&Seat> {
        self.members.all.get(at)
    }

    fn is_open(&self, at: usize) -> bool {
        self.seat(at).is_some_and(|seat| seat.member.is_open())
    }

    fn load(&self, at: usize) -> Option<(u32, u32)> {
        let seat = self.seat(*self.open.get(at)?)?;
        Some((seat.member.in_flight(), seat.weight))
    }

    /// The less busy of two.
    fn drawn(&self, draw: u64) -> Option<usize> {
        let one = self.roster.drawn(draw >> 32)?;
        let other = self.roster.drawn(super::balance::mix(draw) >> 32)?;
        let ((a, wa), (b, wb)) = (self.load(one)?, self.load(other)?);
        let (a, b) = (u64::from(a) + 1, u64::from(b) + 1);
        Some(if a * u64::from(wb) <= b * u64::from(wa) {
            one
        } else {
            other
        })
    }

    /// The server that the caller is bound to, whether or not it can be asked.
    fn bound(&self, affinity: &Affinity, wants: &Wants<'_>) -> Option<&Seat> {
        match &affinity.by {
            BoundBy::Cookie(cookie) => {
                let shown = cookie.shown(wants.headers);
                let at = shown
                    .iter()
                    .find_map(|token| self.members.by_token.get(token))?;
                self.seat(*at)
            }
            BoundBy::Value => {
                let at = self.members.ring.as_ref()?.around(wants.bound?).next()?;
                self.seat(at)
            }
        }
    }
}

/// Counts one more, unless there are `max` already. Nobody ever sees a count above it.
pub(super) fn take_one(count: &AtomicU32, max: u32) -> Option<()> {
    let one_more = |count: u32| (count < max).then(|| count + 1);
    count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
        .ok()
        .map(|_before| ())
}

impl Seat {
    pub(super) const fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }
}

/// A place among the requests of the whole group.
#[derive(Debug)]
pub(super) struct GroupPlace(Option<Arc<Group>>);

impl Drop for GroupPlace {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            group.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
