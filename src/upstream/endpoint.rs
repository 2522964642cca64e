//! What is known of an endpoint before anything is sent to it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{HeaderValue, Uri};

use crate::net::tls::ClientTls;

/// A host as written in an endpoint's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address: nothing to resolve.
    Address(IpAddr),
    /// A name, resolved when a connection is opened.
    Name(String),
}

/// A compiled endpoint: everything that sending needs, nothing that changes.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its name in the configuration.
    pub name: String,
    /// Where to connect.
    pub host: Host,
    /// Where to connect.
    pub port: u16,
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
    /// Longest one attempt may take up to the response head, all told; `None` leaves it to
    /// `response_timeout`.
    pub timeout: Option<Duration>,
    /// Longest silence within an answer.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept where the endpoint announces nothing.
    pub keep_idle: Duration,
    /// Most unused connections kept by one worker.
    pub idle_max: usize,
    /// Trust and own certificate; `None` speaks plain HTTP.
    pub tls: Option<ClientTls>,
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Endpoint {
    /// The address to connect to, where no name has to be resolved.
    #[must_use]
    pub const fn literal(&self) -> Option<SocketAddr> {
        match &self.host {
            Host::Address(address) => Some(SocketAddr::new(*address, self.port)),
            Host::Name(_) => None,
        }
    }
}
