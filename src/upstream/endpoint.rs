//! What is known of an endpoint before anything is sent to it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};

use super::affinity::Affinity;
use super::budget::RetryBudget;
use super::probe::Probe;
use super::suspension::Suspension;
use crate::net::tls::ClientTls;

/// A host as written in an endpoint's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address: nothing to resolve.
    Address(IpAddr),
    /// A name, resolved in the background for as long as it is in the configuration.
    Name(String),
}

/// One server of an endpoint, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `host:port`: how it is called in metrics, logs and the admin interface.
    pub name: String,
    /// Where to connect.
    pub host: Host,
    /// Where to connect.
    pub port: u16,
    /// Its part of the messages, against the other servers' weights.
    pub weight: u32,
    /// Most requests at a time, if bounded.
    pub requests_max: Option<u32>,
}

/// Who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn.
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastRequests,
    /// The less busy of two drawn at random.
    Random,
    /// The same one for the same value.
    Hash,
}

/// Most requests at a time to all servers of an endpoint, and who may wait for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Most requests at a time, all servers together, if bounded.
    pub requests_max: Option<u32>,
    /// Most that may wait.
    pub waiting_max: u32,
    /// Longest that one may wait.
    pub wait_max: Duration,
}

/// How the servers of an endpoint are used.
#[derive(Debug, Clone, PartialEq)]
pub struct Servers {
    /// All of them; never empty.
    pub all: Vec<Server>,
    /// Who is next.
    pub balance: Balance,
    /// Most servers tried with one message.
    pub tries: u32,
    /// If fewer servers than this are well, the others are asked too.
    pub servers_min: u32,
    /// What binds callers to a server.
    pub affinity: Option<Affinity>,
    /// When a server that fails is left alone for a while.
    pub suspension: Option<Suspension>,
    /// How servers are asked whether they are well.
    pub probe: Option<Probe>,
    /// How long a server that gets nothing new may take to finish what it has.
    pub drain: Duration,
    /// Whether a server found unhealthy is drained: what it still has is broken off in the end.
    pub drain_unhealthy: bool,
    /// How many messages may be in flight and wait.
    pub queue: Option<Queue>,
    /// How many messages may be sent again, as a part of those sent.
    pub budget: Option<RetryBudget>,
}

/// A compiled endpoint: everything that sending needs, nothing that changes.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Host of its URL.
    pub host: Host,
    /// Port of its URL.
    pub port: u16,
    /// The servers behind it.
    pub servers: Servers,
    /// Path, and query if the address has one, as sent in the request line.
    pub target: Uri,
    /// `Host` header field.
    pub authority: HeaderValue,
    /// Whole address, for logs and `wsa:To`.
    pub url: String,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the response head while nothing of the request moves.
    pub response_timeout: Duration,
    /// Longest one attempt may take in all, to the last byte of the answer; here to the response
    /// head, the rest is watched by who hands the answer on.
    pub timeout: Option<Duration>,
    /// Longest silence within an answer.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept where the endpoint announces nothing.
    pub keep_idle: Duration,
    /// Most unused connections to one server kept by one worker.
    pub idle_max: usize,
    /// Requests at a time on one connection, where HTTP/2 is spoken; `None` speaks HTTP/1.1.
    pub http2_streams: Option<u32>,
    /// Trust and own certificate; `None` speaks plain HTTP.
    pub tls: Option<ClientTls>,
    /// A Unix socket to connect to instead of host and port.
    pub socket: Option<PathBuf>,
    /// The address that connections come from, if it is not the system's to choose.
    pub source: Option<IpAddr>,
    /// What goes into the `Host` field.
    pub host_field: HostField,
    /// What stands for the beginning of the path that matched.
    pub override_path: Option<String>,
}

/// What goes into the `Host` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostField {
    /// The address's own.
    Endpoint,
    /// What the caller asked for.
    Caller,
    /// The chosen server's, which is then also the name that TLS asks for.
    Server,
    /// This.
    Fixed(HeaderValue),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Server {
    /// The server that an address stands for, with nothing said beyond it.
    #[must_use]
    pub fn at(host: Host, port: u16) -> Self {
        let name = match &host {
            Host::Address(address) => SocketAddr::new(*address, port).to_string(),
            Host::Name(name) => format!("{name}:{port}"),
        };
        Self {
            name,
            host,
            port,
            weight: 1,
            requests_max: None,
        }
    }
}

impl Servers {
    /// One server, used without any conditions.
    #[must_use]
    pub fn only(server: Server) -> Self {
        Self {
            all: vec![server],
            balance: Balance::RoundRobin,
            tries: 1,
            servers_min: 0,
            affinity: None,
            suspension: None,
            probe: None,
            drain: Duration::from_secs(30),
            drain_unhealthy: true,
            queue: None,
            budget: None,
        }
    }

    /// Whether there can be another server to send a message to: several are configured, or
    /// one name may have several addresses.
    #[must_use]
    pub fn may_be_several(&self) -> bool {
        self.tries > 1
            && (self.all.len() > 1 || self.all.iter().any(|s| matches!(s.host, Host::Name(_))))
    }
}

impl Endpoint {
    /// The `Host` of a server, by its name `host:port`: the URL's, unless servers have their own.
    #[must_use]
    pub fn host_of(&self, server: &str) -> HeaderValue {
        let own = match (&self.host_field, &self.tls) {
            (HostField::Server, Some(_)) => server.strip_suffix(":443").unwrap_or(server),
            (HostField::Server, None) => server.strip_suffix(":80").unwrap_or(server),
            _ => return self.authority.clone(),
        };
        HeaderValue::from_str(own).unwrap_or_else(|_| self.authority.clone())
    }

    /// The name that TLS asks a server for, where that is not the endpoint's.
    pub(super) fn tls_name_of<'a>(&self, server: &'a str) -> Option<&'a str> {
        let named = self.tls.as_ref().is_none_or(ClientTls::has_name);
        if named || self.host_field != HostField::Server {
            return None;
        }
        let (host, _) = server.rsplit_once(':')?;
        Some(host.trim_start_matches('[').trim_end_matches(']'))
    }

    /// The address of its URL, where no name has to be resolved.
    #[must_use]
    pub const fn literal(&self) -> Option<SocketAddr> {
        match &self.host {
            Host::Address(address) => Some(SocketAddr::new(*address, self.port)),
            Host::Name(_) => None,
        }
    }
}
