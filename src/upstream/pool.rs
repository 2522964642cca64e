//! Idle connections of one worker.
//!
//! Newest first: what was used last is the least likely to have been closed meanwhile, and the
//! surplus of a busy hour ages out at the other end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;

use super::endpoint::{Endpoint, Host};
use crate::http1::{EndpointConnection, Keeper, Stream, Terms};
use crate::net::tls::ClientTls;
use crate::telemetry::Metrics;

/// Connections are shared by endpoints on the same host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    host: Host,
    port: u16,
    /// A connection is only as good as the trust that it was opened with.
    tls: u64,
}

#[derive(Debug)]
struct Idle {
    connection: EndpointConnection,
    until: Instant,
}

type Connections = Mutex<HashMap<Key, Vec<Idle>>>;

/// The idle connections of a worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    idle: Arc<Connections>,
}

/// Where a connection belongs, and that it is open, for as long as it is.
struct Home {
    key: Key,
    pool: Weak<Connections>,
    metrics: Arc<Metrics>,
}

impl Key {
    fn of(endpoint: &Endpoint) -> Self {
        Self {
            host: endpoint.host.clone(),
            port: endpoint.port,
            tls: endpoint.tls.as_ref().map_or(0, ClientTls::identity),
        }
    }
}

impl Pool {
    /// The newest connection that is still good.
    pub(super) fn take(&self, endpoint: &Endpoint) -> Option<EndpointConnection> {
        let now = Instant::now();
        let mut idle = lock(&self.idle);
        let connections = idle.get_mut(&Key::of(endpoint))?;
        while let Some(mut newest) = connections.pop() {
            if newest.until <= now {
                // What lies below is older still.
                connections.clear();
                return None;
            }
            if newest.connection.is_open() {
                return Some(newest.connection);
            }
        }
        None
    }

    /// A new connection over `stream`.
    pub(super) fn open(
        &self,
        stream: impl Stream + 'static,
        endpoint: &Endpoint,
        metrics: &Arc<Metrics>,
    ) -> EndpointConnection {
        let (opened, open) = &metrics.endpoint_connections;
        opened.inc();
        open.inc();
        let home = Home {
            key: Key::of(endpoint),
            pool: Arc::downgrade(&self.idle),
            metrics: Arc::clone(metrics),
        };
        EndpointConnection::new(stream, Arc::new(home))
    }

    /// Closes what nobody wanted for too long, and what was closed at the other end.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        lock(&self.idle).retain(|_, connections| {
            connections.retain_mut(|idle| idle.until > now && idle.connection.is_open());
            !connections.is_empty()
        });
    }
}

impl Keeper for Home {
    fn keep(&self, connection: EndpointConnection, terms: Terms) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let until = Instant::now() + terms.idle;
        let mut idle = lock(&pool);
        if !idle.contains_key(&self.key) {
            idle.insert(self.key.clone(), Vec::new());
        }
        let Some(connections) = idle.get_mut(&self.key) else {
            return;
        };
        if connections.len() >= terms.idle_max {
            connections.remove(0);
        }
        connections.push(Idle { connection, until });
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.metrics.endpoint_connections.1.dec();
    }
}

/// A panic while the lock was held leaves the map whole; so poisoning is passed over.
fn lock(idle: &Connections) -> MutexGuard<'_, HashMap<Key, Vec<Idle>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
