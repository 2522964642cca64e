//! The main file as it is written: listeners, services, endpoints, backup lists, admin, limits.
//!
//! Services are in `service.rs`, endpoints in `endpoint.rs`. What names another thing is checked in `check/`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::amounts::Time;
use super::endpoint::Endpoint;
use super::limits::Limits;
use super::names::Named;
use super::network::{Bind, Network};
use super::node::Node;
use super::request::HeaderName;
use super::rules::{ErrorPages, Route};
use super::schema::Book;
use super::servers::Dns;
use super::service::Service;
use super::shape::{words, written};
use super::tls::ListenerTls;
use super::values::{FormatVersion, OneOrMany};
use super::written::{Reader, Spanned, Written};

written! {
    /// The main file of the router.
    pub struct Router as "router.yaml" {
        /// The version of the file format: 1.
        pub version: FormatVersion = FormatVersion(1),
        /// The sockets that the router accepts on, by name.
        pub listeners: Named<Listener>,
        /// The virtual SOAP services, by name.
        pub services: Named<Service>,
        /// Requests that are not SOAP, by host and path: REST, static files, redirects.
        pub routes: Named<Route> = Named::default(),
        /// The destinations, by name.
        pub endpoints: Named<Endpoint>,
        /// Ordered lists of endpoints tried after an entry's endpoint fails, by name.
        pub backup_lists: Named<BackupList> = Named::default(),
        /// How the names of endpoints and servers are resolved.
        pub dns: Dns = Dns::default(),
        /// Where the router is watched; without it there is no admin listener.
        pub admin: Option<Admin> = None,
        /// Worker threads; one per core if left out.
        pub threads: Option<u16> [1..=1024] = None,
        /// Pages for callers that are no SOAP clients, by status: `{ 404: pages/404.html }`.
        pub error_pages: ErrorPages = ErrorPages::default(),
        /// Limits for the whole router.
        pub limits: Limits = Limits::default(),
        /// The folder with the filter tables, relative to this file.
        pub filters_dir: Spanned<PathBuf> = Spanned::new(PathBuf::from("../filters"), crate::diag::Span::default()),
        /// One line for each exchange.
        pub access_log: AccessLog = AccessLog::default(),
        /// How long exchanges in flight may take to end when the router stops.
        pub drain: Time [0..=3_600_000] = Time::secs(30),
        /// Whether and when changed files are read again.
        pub reload: Reload = Reload::default(),
    }
}

written! {
    /// A socket that the router accepts on.
    pub struct Listener as "a listener" {
        /// The IP address and port, or `unix:/path` of a socket.
        pub bind: Spanned<Bind>,
        /// Certificate, key and trust; without it the listener speaks plain HTTP.
        pub tls: Option<Spanned<ListenerTls>> = None,
        /// Connections at a time.
        pub max_connections: u32 [1..=1_000_000] = 10_000,
        /// How long a connection may wait for its next request.
        pub keep_alive_timeout: Time [1..=86_400_000] = Time::secs(75),
        /// How long the head of a request may take; left out: as `limits.header_read_timeout`.
        pub header_read_timeout: Option<Time> [100..=86_400_000] = None,
        /// Whether HTTP/2 is spoken too: agreed on by TLS (ALPN), or begun by callers that know beforehand.
        pub http2: bool = false,
        /// HTTP/2: requests at a time on one connection; 100 if left out.
        pub http2_streams: Option<Spanned<u32>> [1..=10_000] = None,
        /// Balancers in front that say with the PROXY protocol who the caller is.
        pub proxy_protocol: Option<ProxyProtocol> = None,
        /// Proxies in front whose `X-Forwarded-*` is believed.
        pub trusted_proxies: Vec<Spanned<Network>> = Vec::new(),
        /// Whether request fields are dropped whose names hold other than letters, digits and `-`: some servers take
        /// `X_User` for `X-User`, which a gateway in front may have checked.
        pub drop_odd_header_names: bool = false,
        /// What endpoints are told of the caller.
        pub forwarded: Forwarded = Forwarded::Plain,
        /// A header field that carries the caller's certificate to endpoints, as RFC 9440 writes it.
        pub client_certificate_header: Option<Spanned<HeaderName>> = None,
        /// Pages of this listener, by status, before those of the router.
        pub error_pages: ErrorPages = ErrorPages::default(),
    }
}

written! {
    /// Who may say with the PROXY protocol, version 1 or 2, who the caller is.
    pub struct ProxyProtocol as "proxy_protocol" {
        /// Networks of the balancers; their connections must begin with it, others are refused.
        pub from: Vec<Spanned<Network>>,
    }
}

words! {
    /// What endpoints are told of the caller.
    pub enum Forwarded as "a style of forwarding" {
        /// `X-Forwarded-For`, `-Proto` and `-Host`.
        Plain = "plain",
        /// As Azure Application Gateway: addresses with ports, the port of the listener, the host and URL as
        /// they were asked for, and an id for tracing.
        Gateway = "gateway",
        /// Nothing is added, and nothing taken away.
        Off = "off",
    }
}

written! {
    /// The admin listener: health, metrics, the page, the API.
    pub struct Admin as "admin" {
        /// The IP address and port; loopback unless there is a token.
        pub bind: Spanned<SocketAddr>,
        /// A file with the token that changes need, relative to this file; on loopback none is needed.
        pub token_file: Option<Spanned<PathBuf>> = None,
    }
}

words! {
    /// How a line of the access log looks.
    pub enum AccessFormat as "a format of the access log" {
        /// One JSON object a line.
        Json = "json",
        /// `key=value` pairs.
        Logfmt = "logfmt",
        /// No access log.
        Off = "off",
    }
}

written! {
    /// The access log.
    pub struct AccessLog as "access_log" {
        /// How a line looks.
        pub format: AccessFormat = AccessFormat::Json,
        /// The file that lines are appended to, relative to this file; standard output if left out.
        pub path: Option<Spanned<PathBuf>> = None,
    }
}

written! {
    /// Reading changed files again.
    pub struct Reload as "reload" {
        /// Whether files are watched; SIGHUP reloads in any case.
        pub watch: bool = true,
        /// How long files must be quiet first: editors write in several steps.
        pub debounce: Time [0..=60_000] = Time::millis(200),
    }
}

/// Endpoints tried one after the other; never empty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackupList(pub Vec<Spanned<String>>);

impl Written for BackupList {
    const NOUN: &'static str = "a backup list";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        OneOrMany::read(node, reader).map(|endpoints| Self(endpoints.0))
    }

    fn schema(book: &mut Book) -> Value {
        OneOrMany::<Spanned<String>>::schema(book)
    }
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            format: AccessFormat::Json,
            path: None,
        }
    }
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            watch: true,
            debounce: Time::millis(200),
        }
    }
}
