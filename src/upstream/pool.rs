//! Idle connections of one worker.
//!
//! Newest first: what was used last is the least likely to have been closed meanwhile, and the
//! surplus of a busy hour ages out at the other end.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;

use super::endpoint::{Endpoint, Host};
use crate::http1::{EndpointConnection, Keeper, Stream, Terms};
use crate::net::tls::ClientTls;
use crate::telemetry::{Metrics, clock};

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

type Connections = Mutex<HashMap<Key, Vec<Idle>, BuildHasherDefault<Mix>>>;

/// The idle connections of a worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    idle: Arc<Connections>,
}

/// Hashes addresses, which come from the configuration: nobody from outside can choose them, so
/// the cheapest mixing is good enough.
#[derive(Debug, Default, Clone, Copy)]
struct Mix(u64);

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

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The multiplier is 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Pool {
    /// The newest connection that is still good.
    pub(super) fn take(&self, endpoint: &Endpoint) -> Option<EndpointConnection> {
        let now = clock::now();
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
        let until = clock::now() + terms.idle;
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
fn lock(idle: &Connections) -> MutexGuard<'_, HashMap<Key, Vec<Idle>, BuildHasherDefault<Mix>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
