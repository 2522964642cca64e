//! Idle connections of one worker.
//!
//! Newest first: what was used last is the least likely to have been closed meanwhile, and the
//! surplus of a busy hour ages out at the other end.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash as _, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Context;

use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::member::Member;
use crate::http1::{EndpointConnection, Keeper, Stream, Terms};
use crate::net::tls::ClientTls;
use crate::telemetry::{Metrics, clock};

/// Connections belong to one server of one endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Key {
    member: u64,
    /// A connection is only as good as the trust that it was opened with.
    tls: u64,
    /// Of the way there: the Unix socket's path, the address that connections come from.
    way: u64,
}

#[derive(Debug)]
struct Idle {
    connection: Box<EndpointConnection>,
    home: Arc<Home>,
    until: Instant,
}

/// Idle connections to one server, newest last.
#[derive(Debug)]
struct Kept {
    member: Arc<Member>,
    idle: Vec<Idle>,
}

type Connections = Mutex<HashMap<Key, Kept, BuildHasherDefault<Mix>>>;

/// The idle connections of a worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    idle: Arc<Connections>,
}

/// Hashes numbers that the router gives itself: nobody from outside can choose them, so
/// the cheapest mixing is good enough.
#[derive(Debug, Default, Clone, Copy)]
struct Mix(u64);

/// Where a connection belongs, and that it is open, for as long as it is.
#[derive(Debug)]
struct Home {
    key: Key,
    /// `None` for a connection that is never kept.
    member: Option<Arc<Member>>,
    pool: Weak<Connections>,
    metrics: Arc<Metrics>,
}

impl Key {
    pub(super) fn of(endpoint: &Endpoint, member: &Member) -> Self {
        Self {
            member: member.id(),
            tls: endpoint.tls.as_ref().map_or(0, ClientTls::identity),
            way: match (&endpoint.socket, &endpoint.source) {
                (None, None) => 0,
                way => {
                    let mut hasher = DefaultHasher::new();
                    way.hash(&mut hasher);
                    hasher.finish()
                }
            },
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
    /// The newest connection that is still good, for whoever sends a request on it at once.
    pub(super) fn take(
        &self,
        cx: &mut Context<'_>,
        endpoint: &Endpoint,
        member: &Member,
    ) -> Option<Box<EndpointConnection>> {
        let now = clock::now();
        let mut idle = lock(&self.idle);
        let connections = &mut idle.get_mut(&Key::of(endpoint, member))?.idle;
        while let Some(mut newest) = connections.pop() {
            if newest.until <= now {
                // What lies below is older still.
                connections.clear();
                return None;
            }
            if newest.connection.is_open_to(cx) {
                newest.connection.kept_by(newest.home);
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
        member: Option<&Arc<Member>>,
        metrics: &Arc<Metrics>,
    ) -> Box<EndpointConnection> {
        let (opened, open) = &metrics.endpoint_connections;
        opened.inc();
        open.inc();
        let home = Home {
            key: member.map_or_else(Key::default, |member| Key::of(endpoint, member)),
            member: member.cloned(),
            pool: Arc::downgrade(&self.idle),
            metrics: Arc::clone(metrics),
        };
        EndpointConnection::new(stream, Arc::new(home))
    }

    /// Closes what nobody wanted for too long, what was closed at the other end, and what leads
    /// to servers that get nothing new.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        lock(&self.idle).retain(|_, kept| {
            kept.idle
                .retain_mut(|idle| idle.until > now && idle.connection.is_open());
            !kept.idle.is_empty() && kept.member.keeps()
        });
    }
}

impl Keeper for Home {
    fn keep(self: Arc<Self>, connection: Box<EndpointConnection>, terms: Terms) {
        let member = self.member.as_ref().filter(|member| member.keeps());
        let (Some(pool), Some(member)) = (self.pool.upgrade(), member) else {
            return;
        };
        let until = clock::now() + terms.idle;
        let mut idle = lock(&pool);
        let kept = idle.entry(self.key).or_insert_with(|| Kept {
            member: Arc::clone(member),
            idle: Vec::new(),
        });
        let connections = &mut kept.idle;
        if connections.len() >= terms.idle_max {
            connections.remove(0);
        }
        connections.push(Idle {
            connection,
            home: self,
            until,
        });
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.metrics.endpoint_connections.1.dec();
    }
}

/// A panic while the lock was held leaves the map whole; so poisoning is passed over.
fn lock(idle: &Connections) -> MutexGuard<'_, HashMap<Key, Kept, BuildHasherDefault<Mix>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
