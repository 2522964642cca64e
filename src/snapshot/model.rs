//! The compiled configuration: immutable, whole, and free of anything that changes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::mode::Mode;
use super::place::{self, PathPattern, RoutePath};
use super::rewrite::{Door, Redirect, Rewrites};
use crate::admission::Rules;
use crate::filter::{self, MessageValue};
use crate::naming;
use crate::net::tls::ServerTls;
use crate::routing::{EndpointId, Table};
use crate::soap::{Plan, QName};
use crate::upstream::{self, Triggers};
use crate::xml;

/// Position of a service in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceId(pub u32);

/// Position of a route in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteId(pub u32);

/// What answers at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A SOAP service.
    Service(ServiceId),
    /// A route for what is not SOAP.
    Route(RouteId),
}

/// Everything that one exchange needs to know, from start to end.
#[derive(Debug)]
pub struct Snapshot {
    /// Sockets to accept on.
    pub listeners: Vec<Listener>,
    /// Virtual services.
    pub services: Vec<Service>,
    /// Ways for what is not SOAP.
    pub routes: Vec<Route>,
    /// Destinations.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// How names are resolved.
    pub dns: naming::Settings,
    /// Where the admin interface listens.
    pub admin: Option<Admin>,
    /// Worker threads; `None` means one a core.
    pub threads: Option<u16>,
    /// How long a stopping router waits for what is in flight.
    pub drain: Duration,
    /// Whether file changes reload by themselves.
    pub watch: bool,
    /// Quiet time after a file change before it is read.
    pub debounce: Duration,
    /// Where access log lines go.
    pub access_log: AccessLog,
    /// Limits outside any service.
    pub limits: Limits,
    /// `connections`: most connections at a time over all listeners.
    pub connections_max: usize,
    /// `exchanges`: most exchanges in flight at a time.
    pub exchanges_max: usize,
    /// Certificates that the router shows, for their expiry to be watched.
    pub certificates: Vec<CertificateExpiry>,
    /// Files and folders that a change of is a change of the configuration.
    pub files: Vec<PathBuf>,
}

/// The admin interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Its address.
    pub bind: SocketAddr,
    /// Token that changing calls must show when the address is not loopback.
    pub token_file: Option<PathBuf>,
}

/// What happens to access log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nothing is kept.
    Off,
    /// JSON lines, to the file or to stdout.
    Json(Option<PathBuf>),
    /// Logfmt lines, to the file or to stdout.
    Logfmt(Option<PathBuf>),
}

/// A certificate that the router shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// `listener` or `endpoint`.
    pub side: &'static str,
    /// Whose it is.
    pub name: String,
    /// Whom it is made out to.
    pub subject: String,
    /// The last second of its validity, Unix time.
    pub not_after: i64,
}

/// A socket that callers connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// Where it listens.
    pub bind: Bind,
    /// Most connections at a time, all workers together.
    pub connections_max: usize,
    /// Longest an idle connection is kept.
    pub keep_alive: Duration,
    /// Longest a request head may take to arrive.
    pub header_read_timeout: Duration,
    /// Longest a caller may take no byte of its answer (`body_idle_timeout`).
    pub write_timeout: Duration,
    /// Largest request head, bytes.
    pub header_block_max: usize,
    /// Most header fields.
    pub header_count_max: usize,
    /// Certificates and trust; `None` speaks plain HTTP.
    pub tls: Option<ServerTls>,
    /// HTTP/2 besides HTTP/1.1, where it is switched on.
    pub http2: Option<Http2>,
    /// Balancers whose connections begin with the PROXY protocol.
    pub proxy_protocol: Option<Vec<IpNet>>,
    /// What it adds to requests and whom it believes.
    pub door: Arc<Door>,
}

/// What a listener listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// HTTP/2 of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// Most requests at a time on one connection.
    pub streams_max: u32,
}

/// How far a service reads before it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteOn {
    /// To the body only if a filter needs it.
    Auto,
    /// Never into the body.
    Headers,
    /// Into the body.
    Body,
}

/// What happens to a message that is longer than `replay_buffer` while backups or other
/// endpoints may still want its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOverflow {
    /// It is committed to the endpoint that it is at.
    Commit,
    /// It is refused before anything is sent.
    Refuse,
    /// The rest is held in a temporary file.
    Spool,
}

/// A virtual SOAP service.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is found.
    pub path: PathPattern,
    /// Host names that it answers to (`*.example.com` for any below); empty means all.
    pub hosts: Vec<String>,
    /// Listeners that it is on; empty means all.
    pub listeners: Vec<Arc<str>>,
    /// Whether upper and lower case of the path are the same.
    pub ignore_case: bool,
    /// Orders its hosts among others that fit by `*` or `?`: 1 comes first, none last.
    pub priority: Option<u32>,
    /// The rows' filters.
    pub filters: Arc<filter::Set>,
    /// The rows.
    pub table: Table,
    /// Takes what is not SOAP.
    pub default_endpoint: Option<EndpointId>,
    /// How far it reads.
    pub route_on: RouteOn,
    /// Whether deviations that are otherwise tolerated are refused.
    pub strict: bool,
    /// HTTP status of a SOAP 1.2 fault that blames the sender, in bridged answers (H36).
    pub sender_fault_status: u16,
    /// How long sending may take in all, backups included.
    pub timeout: Option<Duration>,
    /// Whether a message is checked to its end.
    pub verify_full: bool,
    /// What happens to a message that is longer than may be held for another attempt.
    pub on_overflow: OnOverflow,
    /// How it reads its messages.
    pub mode: Mode,
    /// Its limits.
    pub limits: Limits,
    /// What is changed on the way.
    pub rewrites: Rewrites,
    /// Who may enter.
    pub admission: Option<Rules>,
}

/// Requests that are not SOAP, by host and path.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is found.
    pub path: RoutePath,
    /// Host names that it answers to; empty means all.
    pub hosts: Vec<String>,
    /// Listeners that it is on; empty means all.
    pub listeners: Vec<Arc<str>>,
    /// Whether upper and lower case of the path are the same.
    pub ignore_case: bool,
    /// Orders its hosts among others that fit by `*` or `?`: 1 comes first, none last.
    pub priority: Option<u32>,
    /// Where requests go, or where callers are sent.
    pub to: RouteTo,
    /// What is changed on the way.
    pub rewrites: Rewrites,
    /// Who may enter.
    pub admission: Option<Rules>,
}

/// What a route leads to.
#[derive(Debug, Clone)]
pub enum RouteTo {
    /// An endpoint gets the request.
    Endpoint(EndpointId),
    /// The caller is sent elsewhere.
    Redirect(Redirect),
}

/// Limits of one message, each with its name in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What the scanner accepts (`depth`, `attributes`, ...).
    pub xml: xml::Limits,
    /// `buffered_body`: most bytes read before the decision.
    pub buffered_body: u64,
    /// `replay_buffer`: most bytes held for another attempt.
    pub replay_buffer: u64,
    /// `message_bytes`: most bytes of a message, if limited.
    pub message_bytes: Option<u64>,
    /// `fault_bytes`: most bytes of an answer read to see whether it is a fault.
    pub fault_bytes: u64,
    /// `body_idle_timeout`: longest wait for a caller's next byte.
    pub body_idle_timeout: Duration,
}

/// An endpoint with what the router does around sending.
#[derive(Debug)]
pub struct Endpoint {
    /// How to reach it.
    pub spec: upstream::Endpoint,
    /// The versions that it speaks, if they are fixed, and how messages get there.
    pub bridge: Option<Arc<Plan>>,
    /// What makes the next backup be asked.
    pub failover: Triggers,
    /// Whether a message may be sent to a backup although this endpoint may have got it.
    pub resend: Resend,
    /// The same for another server of this endpoint.
    pub resend_within: Resend,
    /// Whether the retry budget also holds for sending to a backup.
    pub budget_along_list: bool,
    /// Operations with timeouts of their own.
    pub operations: Vec<Operation>,
    /// The value of a message that `balance: { hash }` names.
    pub balance_on: Option<ValueOf>,
    /// The value of a message that `affinity` names.
    pub bound_by: Option<ValueOf>,
}

/// An operation with timeouts of its own.
#[derive(Debug)]
pub struct Operation {
    /// Which.
    pub is: OperationIs,
    /// The endpoint, with these timeouts.
    pub spec: upstream::Endpoint,
}

/// What an operation is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationIs {
    /// Body's first child.
    Named(QName),
    /// Its action.
    Action(String),
}

/// A value that comes with a message.
#[derive(Debug, Clone)]
pub enum ValueOf {
    /// A field of the request's head.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// An XPath's string value: the message has to be read whole.
    XPath(MessageValue),
}

/// When a message may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Only if the endpoint cannot have seen it.
    IfNotDelivered,
    /// Also when it may have, as WCF does along a backup list.
    Always,
    /// Not at all.
    Never,
}

impl Endpoint {
    /// How to reach it for the operation with this number, or for any other.
    #[must_use]
    pub fn spec_for(&self, operation: Option<usize>) -> &upstream::Endpoint {
        let own = operation.and_then(|number| self.operations.get(number));
        own.map_or(&self.spec, |operation| &operation.spec)
    }
}

impl Snapshot {
    /// The service with this number.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.services.get(id.0 as usize)
    }

    /// The endpoint with this number.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(id.0 as usize)
    }

    /// The service by name.
    #[must_use]
    pub fn service_named(&self, name: &str) -> Option<ServiceId> {
        let position = self
            .services
            .iter()
            .position(|service| &*service.name == name)?;
        u32::try_from(position).ok().map(ServiceId)
    }

    /// The service that answers at this place.
    #[must_use]
    pub fn find(&self, listener: &str, host: &str, path: &str) -> Option<ServiceId> {
        match self.place(listener, host, path)? {
            Place::Service(id) => Some(id),
            Place::Route(_) => None,
        }
    }

    /// What answers at this place: exact host before wildcard host (by priority, then the longer
    /// one) before any host; then exact path, then a pattern, then the longest path above.
    #[must_use]
    pub fn place(&self, listener: &str, host: &str, path: &str) -> Option<Place> {
        let host = place::host_name(host);
        let mut best: Option<(place::Rank, Place)> = None;
        let mut take = |rank: Option<place::Rank>, found: Place| {
            if let Some(rank) = rank
                && best.is_none_or(|(known, _)| rank > known)
            {
                best = Some((rank, found));
            }
        };
        for (service, number) in self.services.iter().zip(0..) {
            let (listeners, hosts) = (&service.listeners, &service.hosts);
            let of_path = || service.path.rank(path, service.ignore_case);
            let priority = service.priority;
            let rank = place::rank(listeners, hosts, priority, listener, host, of_path);
            take(rank, Place::Service(ServiceId(number)));
        }
        for (route, number) in self.routes.iter().zip(0..) {
            let (listeners, hosts) = (&route.listeners, &route.hosts);
            let of_path = || route.path.rank(path, route.ignore_case);
            let priority = route.priority;
            let rank = place::rank(listeners, hosts, priority, listener, host, of_path);
            take(rank, Place::Route(RouteId(number)));
        }
        best.map(|(_, found)| found)
    }

    /// Whether a service or route answers to this host by its name.
    pub(super) fn answers_to(&self, host: &str) -> bool {
        let services = self.services.iter().map(|service| &service.hosts);
        let mut all = services.chain(self.routes.iter().map(|route| &route.hosts));
        all.any(|hosts| place::names(hosts, host))
    }

    /// The route with this number.
    #[must_use]
    pub fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.0 as usize)
    }

    /// Endpoints by name, for look-ups from outside the road.
    #[must_use]
    pub fn endpoints_by_name(&self) -> HashMap<&str, &Arc<Endpoint>> {
        self.endpoints
            .iter()
            .map(|endpoint| (&*endpoint.spec.name, endpoint))
            .collect()
    }
}
