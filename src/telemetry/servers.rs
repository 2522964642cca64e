//! The numbers of servers behind endpoints.
//!
//! Counters are handles that live with their server; gauges are written just before they are
//! read, so that the road pays nothing for them.

use std::collections::BTreeMap;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::metrics::{Labels, labels, register_each};
use super::names;
use super::sheets::SECONDS;

/// The families of servers' numbers.
#[derive(Debug)]
pub(super) struct ServerFamilies {
    servers: Family<Labels, Gauge>,
    up: Family<Labels, Gauge>,
    in_flight: Family<Labels, Gauge>,
    requests: Family<Labels, Counter>,
    suspensions: Family<Labels, Counter>,
    probes: Family<Labels, Counter>,
    probe_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    waiting: Family<Labels, Gauge>,
    lookups: Family<Labels, Counter>,
}

/// The numbers of one server.
#[derive(Debug)]
pub struct ServerMeter {
    /// Requests sent.
    pub requests: Counter,
    /// How often it was suspended.
    pub suspensions: Counter,
    probes: [Counter; 2],
    probe_seconds: Histogram,
}

/// How one address of a server stands at the moment.
#[derive(Debug, Clone, Copy)]
pub struct ServerSample<'a> {
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// The server's name.
    pub server: &'a str,
    /// Its state in a word.
    pub state: &'static str,
    /// Whether it gets messages.
    pub is_up: bool,
    /// Requests in flight.
    pub in_flight: u32,
}

impl ServerFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self {
            servers: Family::default(),
            up: Family::default(),
            in_flight: Family::default(),
            requests: Family::default(),
            suspensions: Family::default(),
            probes: Family::default(),
            probe_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            waiting: Family::default(),
            lookups: Family::default(),
        };
        register_each(
            registry,
            [
                (names::SERVERS, "Servers by state", &families.servers),
                (
                    names::SERVER_UP,
                    "1 while a server gets messages",
                    &families.up,
                ),
                (
                    names::SERVER_IN_FLIGHT,
                    "Requests in flight",
                    &families.in_flight,
                ),
                (
                    names::WAITING,
                    "Messages that wait for a place",
                    &families.waiting,
                ),
            ],
        );
        register_each(
            registry,
            [
                (
                    names::SERVER_REQUESTS,
                    "Requests sent to a server",
                    &families.requests,
                ),
                (
                    names::SERVER_SUSPENSIONS,
                    "Suspensions",
                    &families.suspensions,
                ),
                (names::PROBES, "Probes of a server", &families.probes),
                (names::LOOKUPS, "Look-ups of names", &families.lookups),
            ],
        );
        registry.register(
            names::PROBE_SECONDS,
            "Duration of a probe",
            families.probe_seconds.clone(),
        );
        families
    }

    pub(super) fn meter(&self, endpoint: &str, server: &str) -> ServerMeter {
        let own = labels([("endpoint", endpoint), ("server", server)]);
        let probe = |result| {
            self.probes.get_or_create_owned(&labels([
                ("endpoint", endpoint),
                ("server", server),
                ("result", result),
            ]))
        };
        ServerMeter {
            requests: self.requests.get_or_create_owned(&own),
            suspensions: self.suspensions.get_or_create_owned(&own),
            probes: [probe("failed"), probe("ok")],
            probe_seconds: self.probe_seconds.get_or_create_owned(&own),
        }
    }

    pub(super) fn observe<'a>(&self, samples: impl Iterator<Item = ServerSample<'a>>) {
        let mut states: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        let mut servers: BTreeMap<(&str, &str), (bool, i64)> = BTreeMap::new();
        for sample in samples {
            *states.entry((sample.endpoint, sample.state)).or_default() += 1;
            let server = servers.entry((sample.endpoint, sample.server)).or_default();
            server.0 |= sample.is_up;
            server.1 += i64::from(sample.in_flight);
        }
        // Servers that are gone go from here too.
        for family in [&self.servers, &self.up, &self.in_flight] {
            family.clear();
        }
        for ((endpoint, state), count) in states {
            let own = labels([("endpoint", endpoint), ("state", state)]);
            self.servers.get_or_create(&own).set(count);
        }
        for ((endpoint, server), (up, in_flight)) in servers {
            let own = labels([("endpoint", endpoint), ("server", server)]);
            self.up.get_or_create(&own).set(i64::from(up));
            self.in_flight.get_or_create(&own).set(in_flight);
        }
    }

    pub(super) fn observe_waiting<'a>(&self, waiting: impl Iterator<Item = (&'a str, u32)>) {
        self.waiting.clear();
        for (endpoint, count) in waiting {
            let own = labels([("endpoint", endpoint)]);
            self.waiting.get_or_create(&own).set(i64::from(count));
        }
    }

    pub(super) fn resolved(&self, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.lookups
            .get_or_create(&labels([("result", result)]))
            .inc();
    }
}

impl ServerMeter {
    /// Counts a probe that took so many seconds.
    pub fn probed(&self, well: bool, seconds: f64) {
        let [failed, ok] = &self.probes;
        if well { ok } else { failed }.inc();
        self.probe_seconds.observe(seconds);
    }
}
