//! The running configuration and its swap.
//!
//! An exchange loads it once and keeps what it loaded to its end, so a reload never changes the
//! rules under a message.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::model::{ServiceId, Snapshot};
use crate::routing::EndpointId;
use crate::telemetry::{EndpointMeter, Metrics, ServiceMeter};
use crate::upstream::Group;

/// A snapshot with the series that its exchanges count into.
#[derive(Debug)]
pub struct Active {
    /// The compiled configuration.
    pub snapshot: Arc<Snapshot>,
    services: Vec<Arc<ServiceMeter>>,
    endpoints: Vec<Arc<EndpointMeter>>,
    groups: Vec<Arc<Group>>,
}

/// The one place where the road finds its configuration.
#[derive(Debug)]
pub struct Live {
    active: ArcSwap<Active>,
}

impl Active {
    fn new(snapshot: Arc<Snapshot>, groups: Vec<Arc<Group>>, metrics: &Metrics) -> Self {
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
        let endpoints = snapshot
            .endpoints
            .iter()
            .map(|e| metrics.endpoint(&e.spec.name))
            .collect();
        Self {
            snapshot,
            services,
            endpoints,
            groups,
        }
    }

    /// Series of a service.
    #[must_use]
    pub fn service_meter(&self, id: ServiceId) -> Option<&Arc<ServiceMeter>> {
        self.services.get(id.0 as usize)
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

impl Live {
    /// Starts with this configuration; `groups` are its endpoints, in their order.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, groups: Vec<Arc<Group>>, metrics: &Metrics) -> Self {
        Self {
            active: ArcSwap::from_pointee(Active::new(snapshot, groups, metrics)),
        }
    }

    /// What is in force now.
    pub fn load(&self) -> Arc<Active> {
        self.active.load_full()
    }

    /// Puts another configuration in force; exchanges under way keep theirs.
    pub fn swap(&self, snapshot: Arc<Snapshot>, groups: Vec<Arc<Group>>, metrics: &Metrics) {
        let active = Active::new(snapshot, groups, metrics);
        self.active.store(Arc::new(active));
    }
}
