//! The resolver: `/etc/hosts` and `/etc/resolv.conf` as everywhere, or servers of one's own.
//!
//! The system's own functions hide how long an answer holds, so a library asks the servers
//! itself. Where that cannot be set up (no `resolv.conf`), the system is asked all the same.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{TokioResolver, system_conf};

/// How long the system's own answer is taken to hold.
const SYSTEM_TTL: Duration = Duration::from_secs(30);

/// How names are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Servers to ask instead of the system's. They must agree with one another.
    pub servers: Vec<SocketAddr>,
    /// Shortest time that an answer is taken to hold.
    pub ttl_min: Duration,
    /// Longest time that an answer is taken to hold.
    pub ttl_max: Duration,
    /// Longest wait for one server.
    pub timeout: Duration,
}

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Addresses, sorted, so that two answers can be compared.
    pub addresses: Vec<IpAddr>,
    /// How long to believe it.
    pub holds: Duration,
}

/// The name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot resolve `{name}`: {why}")]
pub struct LookupError {
    /// The name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Asks for addresses.
#[derive(Debug)]
pub struct Resolver {
    settings: Settings,
    library: Option<TokioResolver>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            ttl_min: Duration::from_secs(1),
            ttl_max: Duration::from_secs(3600),
            timeout: Duration::from_secs(2),
        }
    }
}

impl Resolver {
    /// A resolver with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let library = match build(&settings) {
            Ok(library) => Some(library),
            Err(why) => {
                tracing::warn!(why, "names are resolved by the system, without their TTL");
                None
            }
        };
        Self { settings, library }
    }

    /// Asks what a name leads to now. IPv6 addresses are asked for where there are no others.
    ///
    /// # Errors
    /// When nobody knows, or nobody answers.
    pub async fn lookup(&self, name: &str) -> Result<Found, LookupError> {
        let failed = |why: String| LookupError {
            name: name.to_owned(),
            why,
        };
        let Some(library) = &self.library else {
            return system(name)
                .await
                .map_err(|error| failed(error.to_string()));
        };
        // Without the dot at its end the name would be tried in the search domains as well,
        // which is what every other program on this machine does.
        let found = library
            .lookup_ip(name)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let left = found
            .valid_until()
            .saturating_duration_since(std::time::Instant::now());
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(failed("it has no address".to_owned()));
        }
        Ok(Found {
            addresses,
            holds: left.clamp(self.settings.ttl_min, self.settings.ttl_max),
        })
    }
}

fn build(settings: &Settings) -> Result<TokioResolver, String> {
    let (config, mut options) = if settings.servers.is_empty() {
        system_conf::read_system_conf().map_err(|error| error.to_string())?
    } else {
        (own_servers(settings), ResolverOpts::default())
    };
    options.timeout = settings.timeout;
    options.attempts = 2;
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    // The answer's time is kept by who asked; the library must not answer from memory.
    options.cache_size = 0;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().map_err(|error| error.to_string())
}

fn own_servers(settings: &Settings) -> ResolverConfig {
    let servers = settings.servers.iter().map(|address| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let connections = connections.map(|mut connection| {
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.to_vec())
    });
    ResolverConfig::from_parts(None, Vec::new(), servers.collect())
}

async fn system(name: &str) -> std::io::Result<Found> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(Found {
        addresses,
        holds: SYSTEM_TTL,
    })
}
