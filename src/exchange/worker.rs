//! What the exchanges of one worker share.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::net::Budget;
use crate::snapshot::Live;
use crate::telemetry::{AccessLog, Metrics, Sheet, clock};
use crate::upstream::Client;

/// One worker's hands: its connections to endpoints, and where it reads its orders from.
#[derive(Debug)]
pub struct Worker {
    pub(super) live: Arc<Live>,
    pub(super) client: Client,
    pub(super) metrics: Arc<Metrics>,
    /// Where it counts.
    pub(super) sheet: Arc<Sheet>,
    pub(super) access: AccessLog,
    /// Memory for bodies that may have to be sent again, shared by all workers.
    pub(super) budget: Budget,
    places: Places,
    ids: Ids,
    /// Whether whoever is still waiting for an endpoint is to be told that the router ends.
    pub(super) closing: Arc<Closing>,
}

/// The last word of a stopping router: no more waiting for endpoints.
#[derive(Debug, Default)]
pub struct Closing {
    said: AtomicBool,
    /// Exchanges that were broken off by it.
    broken_off: AtomicUsize,
    /// Wakes those who wait.
    pub wake: CancellationToken,
}

impl Closing {
    /// Says it.
    pub fn say(&self) {
        self.said.store(true, Ordering::Relaxed);
        self.wake.cancel();
    }

    pub(super) fn is_said(&self) -> bool {
        self.said.load(Ordering::Relaxed)
    }

    pub(super) fn breaks_off(&self) {
        self.broken_off.fetch_add(1, Ordering::Relaxed);
    }

    /// How many exchanges were broken off by it.
    #[must_use]
    pub fn broken_off(&self) -> usize {
        self.broken_off.load(Ordering::Relaxed)
    }
}

/// Names one exchange in its fault and in the log; written out only when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExchangeId {
    prefix: u32,
    number: u64,
}

impl std::fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}{:012x}", self.prefix, self.number)
    }
}

/// Exchanges in flight, all workers together (limit `exchanges`). Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<AtomicUsize>);

/// Exchange ids: unlikely to repeat across workers and restarts, cheap to make.
#[derive(Debug)]
struct Ids {
    prefix: u32,
    next: AtomicU64,
    seed: u64,
}

impl Worker {
    /// A worker without connections.
    #[must_use]
    pub fn new(
        live: Arc<Live>,
        metrics: Arc<Metrics>,
        access: AccessLog,
        budget: Budget,
        places: Places,
        closing: Arc<Closing>,
    ) -> Self {
        let client = Client::new(Arc::clone(&metrics));
        Self {
            live,
            client,
            sheet: metrics.sheet(),
            metrics,
            access,
            budget,
            places,
            ids: Ids::new(),
            closing,
        }
    }

    /// Said when the router has waited long enough.
    #[must_use]
    pub fn closing(&self) -> &CancellationToken {
        &self.closing.wake
    }

    /// How long what is under way may take when it is to end.
    #[must_use]
    pub fn drain(&self) -> Duration {
        self.live.load().snapshot.drain
    }

    /// Closes connections that nobody wanted for too long; to be called now and then.
    pub fn sweep(&self) {
        self.client.sweep();
    }

    /// Counts a caller's connection for as long as the value lives.
    #[must_use]
    pub fn connected(&self) -> Connected {
        let (opened, open) = &self.metrics.caller_connections;
        opened.inc();
        open.inc();
        Connected(Arc::clone(&self.metrics))
    }

    /// Counts a TLS handshake of a listener: `ok` or `failed`.
    pub fn handshake(&self, listener: &str, result: &str) {
        self.metrics.tls.handshake(listener, result);
    }

    /// Takes a place for one more exchange; says whether fewer than `max` were in flight. In either
    /// case it is to be given back.
    pub(super) fn take_place(&self, max: usize) -> bool {
        self.places.0.fetch_add(1, Ordering::Relaxed) < max
    }

    pub(super) fn give_place_back(&self) {
        self.places.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// A random number of a message's own.
    pub(super) fn draw(&self) -> u64 {
        self.ids.draw()
    }

    /// Another one.
    pub(super) fn draw_more(&self) -> u64 {
        self.ids.draw_of(!self.ids.next.load(Ordering::Relaxed))
    }

    /// Time since the Unix epoch.
    pub(super) fn now(&self) -> Duration {
        clock::since_epoch()
    }

    pub(super) fn next_id(&self) -> ExchangeId {
        self.ids.next()
    }
}

/// A caller's connection, counted.
#[derive(Debug)]
pub struct Connected(Arc<Metrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.caller_connections.1.dec();
    }
}

impl Ids {
    fn new() -> Self {
        // `RandomState` is seeded from the system; hashing something yields its randomness.
        let random = RandomState::new();
        let [a, b, c, d, e, f, g, h] = random.hash_one(0_u8).to_le_bytes();
        Self {
            prefix: u32::from_le_bytes([a, b, c, d]),
            next: AtomicU64::new(u64::from(u32::from_le_bytes([e, f, g, h]))),
            seed: random.hash_one(1_u8),
        }
    }

    /// Mixing a number that the next id also grows by gives each message its own.
    fn draw(&self) -> u64 {
        self.draw_of(self.next.load(Ordering::Relaxed))
    }

    /// SplitMix64: good enough for lots, and a tenth of a keyed hash.
    const fn draw_of(&self, number: u64) -> u64 {
        let mut mixed = self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn next(&self) -> ExchangeId {
        let number = self.next.fetch_add(1, Ordering::Relaxed) & 0xFFFF_FFFF_FFFF;
        ExchangeId {
            prefix: self.prefix,
            number,
        }
    }
}
