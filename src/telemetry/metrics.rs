//! The registry, and the handles that the road counts with.
//!
//! Looking a labelled series up costs a lock and a hash, so the road never does: it holds a
//! [`ServiceMeter`] and an [`EndpointMeter`] whose series were looked up when the
//! configuration went live.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Metric, Registry};

use super::names;
use super::servers::{ServerFamilies, ServerMeter, ServerSample};
use super::sheets::{Count, Durations, Level, Maker, Sheet, Sheets};
use super::tls::TlsMeter;

/// What a meter's name is the name of, which is the label's name: `service`, `route`.
type Kind = &'static str;
/// Of the series of a route.
const ROUTE: Kind = "route";
pub(super) type Labels = Vec<(&'static str, String)>;
type Counts = Family<Labels, Count, Maker>;

/// Most series of one meter's open-ended label (entries of a service); what comes after is
/// counted under `other`, so that a large table cannot flood the metrics store.
pub const SERIES_MAX: usize = 1_000;

/// Every number of one router.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    sheets: Arc<Sheets>,
    families: Families,
    server_families: ServerFamilies,
    services: Mutex<HashMap<(Kind, String), Arc<ServiceMeter>>>,
    endpoints: Mutex<HashMap<String, Arc<EndpointMeter>>>,
    servers: Mutex<HashMap<(String, String), Arc<ServerMeter>>>,
    /// Connections accepted and open.
    pub caller_connections: (Counter, Gauge),
    /// Connections to endpoints, opened and open.
    pub endpoint_connections: (Counter, Gauge),
    /// 1 when the files and the running configuration agree.
    pub reload_ok: Gauge,
    /// When the last load succeeded.
    pub reload_time: Gauge,
    /// Access log lines lost.
    pub access_dropped: Counter,
    /// Handshakes and certificates.
    pub tls: TlsMeter,
}

#[derive(Debug)]
struct Families {
    exchanges: Counts,
    faults: Counts,
    seconds: Family<Labels, Durations, Maker>,
    in_flight: Family<Labels, Level, Maker>,
    entries: Counts,
    attempts: Counts,
    bridged: Counts,
    losses: Counts,
    resends: Counts,
    attempt_seconds: Family<Labels, Durations, Maker>,
    request_bytes: Counts,
    response_bytes: Counts,
    decided_bytes: Counts,
    held_bytes: Counts,
    spooled_bytes: Counts,
    overflows: Counts,
    modes: Counts,
    reloads: Counts,
    tolerated: Counts,
}

/// A gauge that belongs to somebody else.
struct Watched {
    name: &'static str,
    help: &'static str,
    look: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now = ConstGauge::new((self.look)());
        let place = encoder.encode_descriptor(self.name, self.help, None, now.metric_type())?;
        now.encode(place)
    }
}

/// Modes of reading whose counts are kept at hand.
const MODES_MAX: usize = 4;

/// The numbers of one service, or of one route.
#[derive(Debug)]
pub struct ServiceMeter {
    kind: Kind,
    service: String,
    exchanges: Counts,
    faults: Counts,
    entries: Counts,
    overflows: Counts,
    modes: Counts,
    tolerated: Counts,
    /// `reply` outcomes of SOAP 1.1 and 1.2, the two that nearly every message ends in.
    replies: [Count; 2],
    /// Those that were counted before.
    modes_known: [OnceLock<Count>; MODES_MAX],
    /// Entries that won before, by name.
    entries_known: Mutex<HashMap<String, Count>>,
    /// Exchanges in flight.
    pub in_flight: Level,
    /// Whole duration.
    pub seconds: Durations,
    /// Body bytes from callers.
    pub request_bytes: Count,
    /// Body bytes to callers.
    pub response_bytes: Count,
    /// Bytes read before deciding.
    pub decided_bytes: Count,
    /// Bytes held for the decision.
    pub held_bytes: Count,
    /// Bytes that went through a temporary file.
    pub spooled_bytes: Count,
}

/// Ways of bridging whose counters are kept at hand: there and back, from each of six to each.
const BRIDGED_MAX: usize = 2 * 6 * 6;

/// The numbers of one endpoint.
#[derive(Debug)]
pub struct EndpointMeter {
    endpoint: String,
    attempts: Counts,
    bridged: Counts,
    /// Those of them that were counted before.
    bridged_known: [OnceLock<Count>; BRIDGED_MAX],
    losses: Counts,
    resends: Counts,
    ok: Count,
    /// Time to the response head.
    pub seconds: Durations,
}

pub(super) fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect()
}

/// Registers families of one kind, each with its name and what it says.
pub(super) fn register_each<F: Metric + Clone, const N: usize>(
    registry: &mut Registry,
    families: [(&'static str, &'static str, &F); N],
) {
    for (name, help, family) in families {
        registry.register(name, help, family.clone());
    }
}

impl Metrics {
    /// An empty registry with every name in it.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::with_prefix(names::PREFIX);
        let sheets = Arc::<Sheets>::default();
        let families = Families::register(&mut registry, &Maker(Arc::clone(&sheets)));
        let server_families = ServerFamilies::register(&mut registry);
        let opened: Family<Labels, Counter> = Family::default();
        let open: Family<Labels, Gauge> = Family::default();
        registry.register(
            names::CONNECTIONS_OPENED,
            "Connections opened",
            opened.clone(),
        );
        registry.register(names::CONNECTIONS, "Connections open now", open.clone());
        let side = |name: &str| {
            let labels = labels([("side", name)]);
            (
                opened.get_or_create_owned(&labels),
                open.get_or_create_owned(&labels),
            )
        };
        let (caller_connections, endpoint_connections) = (side("caller"), side("endpoint"));
        let reload_ok = Gauge::default();
        registry.register(
            names::RELOAD_OK,
            "1 when the last reload succeeded",
            reload_ok.clone(),
        );
        let reload_time = Gauge::default();
        registry.register(
            names::RELOAD_TIME,
            "Unix time of the last load",
            reload_time.clone(),
        );
        let access_dropped = Counter::default();
        registry.register(
            names::ACCESS_DROPPED,
            "Access log lines lost",
            access_dropped.clone(),
        );
        let tls = TlsMeter::register(&mut registry);
        let build: Family<Labels, Gauge> = Family::default();
        registry.register(names::BUILD_INFO, "The running version", build.clone());
        build
            .get_or_create_owned(&labels([("version", version)]))
            .set(1);
        Self {
            registry: Mutex::new(registry),
            sheets,
            families,
            server_families,
            services: Mutex::default(),
            endpoints: Mutex::default(),
            servers: Mutex::default(),
            caller_connections,
            endpoint_connections,
            reload_ok,
            reload_time,
            access_dropped,
            tls,
        }
    }

    /// A sheet to count on, for one more worker.
    pub fn sheet(&self) -> Arc<Sheet> {
        self.sheets.sheet()
    }

    /// The meter of a service, the same one for the same name.
    pub fn service(&self, name: &str) -> Arc<ServiceMeter> {
        self.place("service", name)
    }

    /// The meter of a route: of its own, also where a service has the same name.
    pub fn route(&self, name: &str) -> Arc<ServiceMeter> {
        self.place(ROUTE, name)
    }

    fn place(&self, kind: Kind, name: &str) -> Arc<ServiceMeter> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = services
            .entry((kind, name.to_owned()))
            .or_insert_with(|| Arc::new(ServiceMeter::new(kind, name, &self.families)));
        Arc::clone(meter)
    }

    /// The meter of an endpoint, the same one for the same name.
    pub fn endpoint(&self, name: &str) -> Arc<EndpointMeter> {
        let mut endpoints = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let meter = endpoints
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(EndpointMeter::new(name, &self.families)));
        Arc::clone(meter)
    }

    /// The meter of a server, the same one for the same names.
    pub fn server(&self, endpoint: &str, server: &str) -> Arc<ServerMeter> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = servers
            .entry((endpoint.to_owned(), server.to_owned()))
            .or_insert_with(|| Arc::new(self.server_families.meter(endpoint, server)));
        Arc::clone(meter)
    }

    /// Sets the gauges of servers to how they stand at the moment.
    pub fn observe_servers<'a>(&self, samples: impl Iterator<Item = ServerSample<'a>>) {
        self.server_families.observe(samples);
    }

    /// Sets the lengths of endpoints' queues.
    pub fn observe_waiting<'a>(&self, waiting: impl Iterator<Item = (&'a str, u32)>) {
        self.server_families.observe_waiting(waiting);
    }

    /// Counts a look-up of a name.
    pub fn resolved(&self, ok: bool) {
        self.server_families.resolved(ok);
    }

    /// Counts a reload: `ok` or `refused`.
    pub fn reloaded(&self, result: &str) {
        self.families
            .reloads
            .get_or_create(&labels([("result", result)]))
            .inc();
    }

    /// Adds a number that is looked up whenever somebody asks.
    pub fn watch(
        &self,
        name: &'static str,
        help: &'static str,
        look: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let look = Box::new(look);
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(Watched { name, help, look }));
    }

    /// Everything in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl Families {
    fn register(registry: &mut Registry, maker: &Maker) -> Self {
        let counts = || Family::new_with_constructor(maker.clone());
        let durations = || Family::new_with_constructor(maker.clone());
        let families = Self {
            exchanges: counts(),
            faults: counts(),
            seconds: durations(),
            in_flight: Family::new_with_constructor(maker.clone()),
            entries: counts(),
            attempts: counts(),
            bridged: counts(),
            losses: counts(),
            resends: counts(),
            attempt_seconds: durations(),
            request_bytes: counts(),
            response_bytes: counts(),
            decided_bytes: counts(),
            held_bytes: counts(),
            spooled_bytes: counts(),
            overflows: counts(),
            modes: counts(),
            reloads: counts(),
            tolerated: counts(),
        };
        register_each(
            registry,
            [
                (names::EXCHANGES, "Exchanges ended", &families.exchanges),
                (names::FAULTS, "Faults made by the router", &families.faults),
                (names::ENTRIES, "Table entries that won", &families.entries),
                (
                    names::ATTEMPTS,
                    "Attempts to reach an endpoint",
                    &families.attempts,
                ),
                (
                    names::BRIDGED,
                    "Messages brought into other versions",
                    &families.bridged,
                ),
                (
                    names::BRIDGE_LOSSES,
                    "What bridged messages could not keep",
                    &families.losses,
                ),
                (
                    names::RESENDS,
                    "Messages to be sent again",
                    &families.resends,
                ),
                (
                    names::REQUEST_BYTES,
                    "Body bytes from callers",
                    &families.request_bytes,
                ),
                (
                    names::RESPONSE_BYTES,
                    "Body bytes to callers",
                    &families.response_bytes,
                ),
                (
                    names::DECIDED_BYTES,
                    "Body bytes read to decide",
                    &families.decided_bytes,
                ),
                (
                    names::HELD_BYTES,
                    "Body bytes held to decide",
                    &families.held_bytes,
                ),
                (
                    names::SPOOLED_BYTES,
                    "Body bytes in temporary files",
                    &families.spooled_bytes,
                ),
                (
                    names::OVERFLOWS,
                    "Messages that outgrew the replay buffer",
                    &families.overflows,
                ),
                (names::MODES, "Messages by reading mode", &families.modes),
                (
                    names::RELOADS,
                    "Reloads of the configuration",
                    &families.reloads,
                ),
                (
                    names::TOLERATED,
                    "Tolerated deviations",
                    &families.tolerated,
                ),
            ],
        );
        registry.register(
            names::IN_FLIGHT,
            "Exchanges in flight",
            families.in_flight.clone(),
        );
        registry.register(
            names::EXCHANGE_SECONDS,
            "Arrival of the head to the last byte of the answer",
            families.seconds.clone(),
        );
        registry.register(
            names::ATTEMPT_SECONDS,
            "Start of an attempt to the response head",
            families.attempt_seconds.clone(),
        );
        families
    }
}

impl ServiceMeter {
    fn new(kind: Kind, service: &str, families: &Families) -> Self {
        let own = labels([(kind, service)]);
        let reply = |soap| {
            families.exchanges.get_or_create_owned(&labels([
                (kind, service),
                ("soap", soap),
                ("outcome", "reply"),
            ]))
        };
        Self {
            kind,
            service: service.to_owned(),
            exchanges: families.exchanges.clone(),
            faults: families.faults.clone(),
            entries: families.entries.clone(),
            overflows: families.overflows.clone(),
            modes: families.modes.clone(),
            tolerated: families.tolerated.clone(),
            replies: [reply("1.1"), reply("1.2")],
            modes_known: [const { OnceLock::new() }; MODES_MAX],
            entries_known: Mutex::default(),
            in_flight: families.in_flight.get_or_create_owned(&own),
            seconds: families.seconds.get_or_create_owned(&own),
            request_bytes: families.request_bytes.get_or_create_owned(&own),
            response_bytes: families.response_bytes.get_or_create_owned(&own),
            decided_bytes: families.decided_bytes.get_or_create_owned(&own),
            held_bytes: families.held_bytes.get_or_create_owned(&own),
            spooled_bytes: families.spooled_bytes.get_or_create_owned(&own),
        }
    }

    /// Counts the end of an exchange.
    pub fn ended(&self, sheet: &Sheet, soap: &'static str, outcome: &'static str) {
        match (soap, outcome) {
            ("1.1", "reply") => self.replies[0].add(sheet, 1),
            ("1.2", "reply") => self.replies[1].add(sheet, 1),
            _ => self.ended_otherwise(soap, outcome),
        }
    }

    #[cold]
    fn ended_otherwise(&self, soap: &'static str, outcome: &'static str) {
        let own = [
            (self.kind, self.service.as_str()),
            ("soap", soap),
            ("outcome", outcome),
        ];
        self.exchanges.get_or_create(&labels(own)).inc();
    }

    /// Counts a fault that the router made.
    pub fn fault(&self, reason: &'static str) {
        self.faults
            .get_or_create(&labels([(self.kind, &self.service), ("reason", reason)]))
            .inc();
    }

    /// The name of the service or route.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.service
    }

    /// Whether it is a route's.
    #[must_use]
    pub fn is_of_route(&self) -> bool {
        self.kind == ROUTE
    }

    /// Where a winning entry is counted.
    pub fn entry(&self, entry: &str, endpoint: &str) -> Count {
        let mut known = self
            .entries_known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.get(entry) {
            return count.clone();
        }
        let (entry, endpoint) = if known.len() < SERIES_MAX {
            (entry, endpoint)
        } else {
            ("other", "other")
        };
        let own = labels([
            (self.kind, &self.service),
            ("entry", entry),
            ("endpoint", endpoint),
        ]);
        let count = self.entries.get_or_create_owned(&own);
        known.insert(entry.to_owned(), count.clone());
        count
    }

    /// Counts a message by the mode that it was read in, which has this number.
    pub fn mode(&self, sheet: &Sheet, number: usize, mode: &'static str) {
        let find = || {
            let own = labels([(self.kind, &self.service), ("mode", mode)]);
            self.modes.get_or_create_owned(&own)
        };
        match self.modes_known.get(number) {
            Some(known) => known.get_or_init(find).add(sheet, 1),
            None => find().add(sheet, 1),
        }
    }

    /// Counts a message that outgrew the replay buffer, by what was done.
    pub fn overflow(&self, action: &'static str) {
        self.overflows
            .get_or_create(&labels([(self.kind, &self.service), ("action", action)]))
            .inc();
    }

    /// Counts something accepted although it deviates.
    pub fn tolerated(&self, kind: &'static str) {
        self.tolerated
            .get_or_create(&labels([(self.kind, &self.service), ("kind", kind)]))
            .inc();
    }
}

impl EndpointMeter {
    fn new(endpoint: &str, families: &Families) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            attempts: families.attempts.clone(),
            bridged: families.bridged.clone(),
            bridged_known: [const { OnceLock::new() }; BRIDGED_MAX],
            losses: families.losses.clone(),
            resends: families.resends.clone(),
            ok: families
                .attempts
                .get_or_create_owned(&labels([("endpoint", endpoint), ("outcome", "ok")])),
            seconds: families
                .attempt_seconds
                .get_or_create_owned(&labels([("endpoint", endpoint)])),
        }
    }

    /// Counts a message that was brought into other versions. The same words have the same `number`,
    /// by which their counter is found again.
    pub fn bridged(&self, number: usize, direction: &str, from: &str, to: &str) {
        let find = || {
            let endpoint = self.endpoint.as_str();
            let pairs = [
                ("endpoint", endpoint),
                ("direction", direction),
                ("from", from),
                ("to", to),
            ];
            self.bridged.get_or_create(&labels(pairs)).clone()
        };
        match self.bridged_known.get(number) {
            Some(known) => known.get_or_init(find).inc(),
            None => find().inc(),
        };
    }

    /// Counts something that a bridged message could not keep.
    pub fn lost(&self, loss: &'static str) {
        let pairs = [("endpoint", self.endpoint.as_str()), ("loss", loss)];
        self.losses.get_or_create(&labels(pairs)).inc();
    }

    /// Counts a message that is sent again, or would be but for the retry budget.
    pub fn resend(&self, allowed: bool) {
        let result = if allowed { "sent" } else { "refused" };
        self.resends
            .get_or_create(&labels([("endpoint", &self.endpoint), ("result", result)]))
            .inc();
    }

    /// Counts an attempt that brought an answer.
    pub fn answered(&self, sheet: &Sheet) {
        self.ok.add(sheet, 1);
    }

    /// Counts an attempt that failed, by how.
    pub fn failed(&self, outcome: &str) {
        let own = [("endpoint", self.endpoint.as_str()), ("outcome", outcome)];
        self.attempts.get_or_create(&labels(own)).inc();
    }
}
