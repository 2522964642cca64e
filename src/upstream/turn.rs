//! One message's place at a server, held to the last byte of the answer, and those who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::affinity::Token;
use super::group::{Group, GroupPlace, Seat, Wants};
use super::member::{Entered, Member};
use crate::fields::Fields;

/// A place at a server. Dropped, the place is free again.
#[derive(Debug)]
pub struct Turn {
    member: Arc<Member>,
    group: Arc<Group>,
    entered: Entered,
    /// What binds the caller here, if it did not show it already.
    to_set: Option<Token>,
    draw: u64,
    /// How it went was said already; the first word counts.
    judged: AtomicBool,
    place: Option<GroupPlace>,
}

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Group);

impl Turn {
    pub(super) fn new(
        group: &Arc<Group>,
        seat: &Seat,
        entered: Entered,
        place: GroupPlace,
        wants: &Wants<'_>,
        is_bound: bool,
    ) -> Self {
        let unknown = |token: &&Token| {
            let cookie = group.cookie().filter(|_| !is_bound);
            cookie.is_some_and(|cookie| !cookie.shown(wants.headers).contains(token))
        };
        Self {
            member: Arc::clone(&seat.member),
            group: Arc::clone(group),
            entered,
            to_set: seat.token().filter(unknown).copied(),
            draw: wants.draw,
            judged: AtomicBool::new(false),
            place: Some(place),
        }
    }

    /// The server.
    #[must_use]
    pub const fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Binds the caller to the server that answered, unless it is already.
    pub fn bind(&self, answer: &mut Fields) {
        if let (Some(token), Some(cookie)) = (&self.to_set, self.group.cookie()) {
            cookie.set(token, answer);
        }
    }

    /// The server answered.
    pub fn succeeded(&self) {
        if self.is_first_word() {
            self.member.succeeded();
        }
    }

    /// One message judges a turn, so nobody comes in between.
    fn is_first_word(&self) -> bool {
        let first = !self.judged.load(Ordering::Relaxed);
        self.judged.store(true, Ordering::Relaxed);
        first
    }

    /// The server failed. Whether that counts against it, the endpoint's `suspend` says.
    pub fn failed(&self, name: &str, why: &str, status: Option<u16>) {
        if !self.is_first_word() {
            return;
        }
        match &self.group.spec().servers.suspension {
            Some(suspension) if suspension.on.hit(name, status) => {
                self.member.failed(why, suspension, self.draw);
            }
            _ => self.member.failed_uncounted(),
        }
    }

    /// Whether a fault that blames the receiver counts against the server.
    #[must_use]
    pub fn minds_receiver_faults(&self) -> bool {
        let suspension = self.group.spec().servers.suspension.as_ref();
        suspension.is_some_and(|suspension| suspension.on.receiver_fault)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.member.leave(self.entered);
        self.place = None;
        if self.group.waiting.load(Ordering::SeqCst) > 0 {
            self.group.freed.notify_one();
        }
    }
}

impl<'a> Waiting<'a> {
    pub(super) fn join(group: &'a Group, max: u32) -> Option<Self> {
        let waiting = Self(group);
        let before = group.waiting.fetch_add(1, Ordering::SeqCst);
        (before < max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
