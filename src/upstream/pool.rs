//! Idle connections of one worker.
//!
//! Newest first: what was used last is the least likely to have been closed meanwhile, and the
//! surplus of a busy hour ages out at the other end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::endpoint::{Endpoint, Host};
use crate::net::Body;
use crate::net::tls::ClientTls;

/// Connections are shared by endpoints on the same host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    host: Host,
    port: u16,
    /// A connection is only as good as the trust that it was opened with.
    tls: Option<u64>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Body>,
    until: Instant,
}

/// The idle connections of a worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    idle: Arc<Mutex<HashMap<Key, Vec<Idle>>>>,
}

/// A connection in use. Given back once its answer was read to the end; dropped, it closes.
#[derive(Debug)]
pub struct Lease {
    pub(super) sender: SendRequest<Body>,
    pub(super) reused: bool,
    pub(super) keep_idle: Duration,
    idle_max: usize,
    key: Key,
    pool: Pool,
}

impl Key {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self {
            host: endpoint.host.clone(),
            port: endpoint.port,
            tls: endpoint.tls.as_ref().map(ClientTls::identity),
        }
    }
}

impl Pool {
    /// The newest connection that is still good.
    pub(super) fn take(&self, endpoint: &Endpoint) -> Option<Lease> {
        let key = Key::of(endpoint);
        let now = Instant::now();
        let mut idle = self.lock();
        let connections = idle.get_mut(&key)?;
        while let Some(Idle { sender, until }) = connections.pop() {
            if until <= now {
                // What lies below is older still.
                connections.clear();
                return None;
            }
            if !sender.is_closed() {
                return Some(self.lease(sender, true, key, endpoint));
            }
        }
        None
    }

    pub(super) fn fresh(&self, sender: SendRequest<Body>, endpoint: &Endpoint) -> Lease {
        self.lease(sender, false, Key::of(endpoint), endpoint)
    }

    fn lease(
        &self,
        sender: SendRequest<Body>,
        reused: bool,
        key: Key,
        endpoint: &Endpoint,
    ) -> Lease {
        Lease {
            sender,
            reused,
            keep_idle: endpoint.keep_idle,
            idle_max: endpoint.idle_max,
            key,
            pool: self.clone(),
        }
    }

    /// Closes what nobody wanted for too long.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.lock().retain(|_, connections| {
            connections.retain(|idle| idle.until > now && !idle.sender.is_closed());
            !connections.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The answer was read to its end: the connection may serve again.
    pub fn give_back(self) {
        if self.sender.is_closed() || self.keep_idle.is_zero() || self.idle_max == 0 {
            return;
        }
        let until = Instant::now() + self.keep_idle;
        let mut idle = self.pool.lock();
        let connections = idle.entry(self.key).or_default();
        if connections.len() >= self.idle_max {
            connections.remove(0);
        }
        connections.push(Idle {
            sender: self.sender,
            until,
        });
    }
}
