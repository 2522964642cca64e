//! The running configuration and its swap.
//!
//! An exchange loads it once and keeps what it loaded to its end, so a reload never changes the
//! rules under a message.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use super::model::{Place, RouteId, ServiceId, Snapshot};
use crate::admission::{Gate, Rules};
use crate::routing::{EndpointId, EntryId};
use crate::telemetry::{Count, EndpointMeter, Metrics, ServiceMeter, Sheet};
use crate::upstream::Group;

/// A snapshot with the series that its exchanges count into.
#[derive(Debug)]
pub struct Active {
    /// The compiled configuration.
    pub snapshot: Arc<Snapshot>,
    services: Vec<Arc<ServiceMeter>>,
    /// Where the entries of each service's table are counted, once one has won.
    entries: Vec<Box<[OnceLock<Count>]>>,
    endpoints: Vec<Arc<EndpointMeter>>,
    groups: Vec<Arc<Group>>,
    routes: Vec<Arc<ServiceMeter>>,
    /// One for each service, then one for each route, where there are rules.
    gates: [Vec<Option<Arc<Gate>>>; 2],
}

/// The one place where the road finds its configuration.
#[derive(Debug)]
pub struct Live {
    active: ArcSwap<Active>,
    /// What was in force before, as long as exchanges use it.
    old: Mutex<Vec<Arc<Active>>>,
}

impl Active {
    fn new(
        snapshot: Arc<Snapshot>,
        groups: Vec<Arc<Group>>,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Self {
        metrics
            .tls
            .certificates(snapshot.certificates.iter().map(|one| {
                (
                    one.side,
                    one.name.as_str(),
                    one.subject.as_str(),
                    one.not_after,
                )
            }));
        let services = snapshot
            .services
            .iter()
            .map(|s| metrics.service(&s.name))
            .collect();
        let entries = snapshot
            .services
            .iter()
            .map(|s| s.table.entries.iter().map(|_| OnceLock::new()).collect())
            .collect();
        let endpoints = snapshot
            .endpoints
            .iter()
            .map(|e| metrics.endpoint(&e.spec.name))
            .collect();
        let routes = snapshot
            .routes
            .iter()
            .map(|route| metrics.route(&route.name))
            .collect();
        let gates = [
            snapshot
                .services
                .iter()
                .map(|s| {
                    gate(
                        s.admission.as_ref(),
                        before.and_then(|b| b.gate_of_service(&s.name)),
                    )
                })
                .collect(),
            snapshot
                .routes
                .iter()
                .map(|r| {
                    gate(
                        r.admission.as_ref(),
                        before.and_then(|b| b.gate_of_route(&r.name)),
                    )
                })
                .collect(),
        ];
        Self {
            snapshot,
            services,
            entries,
            endpoints,
            groups,
            routes,
            gates,
        }
    }

    fn gate_of_service(&self, name: &str) -> Option<&Arc<Gate>> {
        let at = self
            .snapshot
            .services
            .iter()
            .position(|s| &*s.name == name)?;
        self.gates[0].get(at)?.as_ref()
    }

    fn gate_of_route(&self, name: &str) -> Option<&Arc<Gate>> {
        let at = self.snapshot.routes.iter().position(|r| &*r.name == name)?;
        self.gates[1].get(at)?.as_ref()
    }

    /// The gate of a service or route, if it has rules.
    #[must_use]
    pub fn gate(&self, place: Place) -> Option<&Arc<Gate>> {
        let [services, routes] = &self.gates;
        match place {
            Place::Service(id) => services.get(id.0 as usize)?.as_ref(),
            Place::Route(id) => routes.get(id.0 as usize)?.as_ref(),
        }
    }

    /// The router stops: nobody waits at a gate any more.
    pub fn close_gates(&self) {
        for gate in self.gates.iter().flatten().flatten() {
            gate.close();
        }
    }

    /// Series of a route.
    #[must_use]
    pub fn route_meter(&self, id: RouteId) -> Option<&Arc<ServiceMeter>> {
        self.routes.get(id.0 as usize)
    }

    /// Series of a service.
    #[must_use]
    pub fn service_meter(&self, id: ServiceId) -> Option<&Arc<ServiceMeter>> {
        self.services.get(id.0 as usize)
    }

    /// Counts an entry that won.
    pub fn count_entry(&self, sheet: &Sheet, id: ServiceId, entry: EntryId) {
        let own = self.entries.get(id.0 as usize);
        let Some(known) = own.and_then(|own| own.get(entry.0 as usize)) else {
            return;
        };
        let find = || {
            let entry = self.snapshot.service(id)?.table.entry(entry)?;
            let endpoint = self.snapshot.endpoint(entry.endpoint)?;
            let meter = self.service_meter(id)?;
            Some(meter.entry(&entry.name, &endpoint.spec.name))
        };
        let count = match known.get() {
            Some(count) => count,
            None => match find() {
                Some(found) => known.get_or_init(|| found),
                None => return,
            },
        };
        count.add(sheet, 1);
    }

    /// Series of an endpoint.
    #[must_use]
    pub fn endpoint_meter(&self, id: EndpointId) -> Option<&Arc<EndpointMeter>> {
        self.endpoints.get(id.0 as usize)
    }

    /// The servers of an endpoint, alive.
    #[must_use]
    pub fn group(&self, id: EndpointId) -> Option<&Arc<Group>> {
        self.groups.get(id.0 as usize)
    }
}

fn gate(rules: Option<&Rules>, before: Option<&Arc<Gate>>) -> Option<Arc<Gate>> {
    rules.map(|rules| Gate::new(rules.clone(), before))
}

impl Live {
    /// Starts with this configuration; `groups` are its endpoints, in their order.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, groups: Vec<Arc<Group>>, metrics: &Metrics) -> Self {
        Self {
            active: ArcSwap::from_pointee(Active::new(snapshot, groups, metrics, None)),
            old: Mutex::default(),
        }
    }

    /// What is in force now.
    pub fn load(&self) -> Arc<Active> {
        self.active.load_full()
    }

    /// Puts another configuration in force; exchanges under way keep theirs.
    pub fn swap(&self, snapshot: Arc<Snapshot>, groups: Vec<Arc<Group>>, metrics: &Metrics) {
        let active = Active::new(snapshot, groups, metrics, Some(&self.load()));
        let before = self.active.swap(Arc::new(active));
        self.old().push(before);
        self.let_go();
    }

    /// Frees what was in force before and is used by no exchange any more. To be called now and then where
    /// no message waits: freeing ten thousand filters takes milliseconds, which the last exchange to use
    /// them would have to spend.
    pub fn let_go(&self) {
        let mut old = self.old();
        let all = std::mem::take(&mut *old).into_iter();
        let (over, used): (Vec<_>, Vec<_>) = all.partition(|old| Arc::strong_count(old) == 1);
        *old = used;
        drop(old);
        drop(over);
    }

    fn old(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Active>>> {
        self.old.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::filter::Registry;

    #[test]
    fn what_was_in_force_is_not_freed_by_the_last_exchange() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("router.yaml");
        let text = "version: 1\nlisteners: { front: { bind: \"127.0.0.1:0\" } }\n\
                    services: { all: { path: /, table: [ { filter: { match_all: {} }, endpoint: one } ] } }\n\
                    endpoints: { one: { url: \"http://127.0.0.1:9/\" } }\n";
        std::fs::write(&file, text).unwrap();
        let (snapshot, report) =
            crate::snapshot::compile(&config::load(&file), &Registry::default());
        let snapshot = Arc::new(snapshot.unwrap_or_else(|| panic!("{report:?}")));
        let metrics = Metrics::new("");
        let live = Live::new(Arc::clone(&snapshot), Vec::new(), &metrics);
        let exchange = live.load();
        let first = Arc::downgrade(&exchange);
        live.swap(snapshot, Vec::new(), &metrics);
        live.let_go();
        drop(exchange);
        assert_eq!(first.strong_count(), 1);
        live.let_go();
        assert_eq!(first.strong_count(), 0);
        assert_eq!(Arc::strong_count(&live.load()), 2);
    }
}
