//! From what was written to what runs, with every mistake found on the way.
//!
//! Translates the written types into the types that the rooms below own. Checks of names and
//! shapes were made by `config`; here is what only the rooms below can know: expressions,
//! regular expressions, custom filters, features that are not there yet.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::bridge;
use super::circles;
use super::endpoints::{Pools, Times, host, operations, triggers};
use super::mode::Mode;
use super::model::{
    AccessLog, Admin, Bind, CertificateExpiry, Endpoint, Http2, Limits, Listener, OnOverflow,
    RouteOn, Service, Snapshot,
};
use super::routes::{self, RuleCompiler};
use super::specs::Specs;
use super::tls::TlsCompiler;
use crate::config::{self, Config, Loaded};
use crate::diag::{Diagnostic, Report};
use crate::filter::{self, Reading, Registry, Row};
use crate::naming;
use crate::routing::{self, EndpointId, Pattern, SeveralMatches};
use crate::upstream::{self, Host, HostField, Server, Servers};
use crate::xml;

/// Compiles a loaded configuration. The report holds every mistake, those of loading included;
/// without an error there is a snapshot.
#[must_use]
pub fn compile(loaded: &Loaded, registry: &Registry) -> (Option<Snapshot>, Report) {
    let mut report = loaded.report.clone();
    let Some(config) = &loaded.config else {
        return (None, report);
    };
    let mut compiler = Compiler {
        config,
        loaded,
        registry,
        report: &mut report,
        certificates: Vec::new(),
    };
    let snapshot = compiler.snapshot();
    if let Some(snapshot) = &snapshot {
        circles::check(snapshot, config, &mut report);
    }
    report.settle();
    (snapshot.filter(|_| !report.has_errors()), report)
}

struct Compiler<'a> {
    config: &'a Config,
    loaded: &'a Loaded,
    registry: &'a Registry,
    report: &'a mut Report,
    certificates: Vec<CertificateExpiry>,
}

impl Compiler<'_> {
    fn snapshot(&mut self) -> Option<Snapshot> {
        let router = &self.config.router;
        let in_force = self.config.router_limits();
        let endpoints: Vec<Arc<Endpoint>> = router
            .endpoints
            .iter()
            .map(|(name, written)| Arc::new(self.endpoint(&name.value, written)))
            .collect();
        let ids: HashMap<&str, EndpointId> = router
            .endpoints
            .names()
            .zip(0_u32..)
            .map(|(name, number)| (name, EndpointId(number)))
            .collect();
        let services: Vec<Service> = router
            .services
            .iter()
            .filter_map(|(name, written)| self.service(&name.value, written, &ids))
            .collect();
        let routes = router
            .routes
            .iter()
            .filter_map(|(name, written)| self.rules().route(name, written, &ids))
            .collect();
        let listeners = router
            .listeners
            .iter()
            .map(|(name, l)| self.listener(&name.value, l))
            .collect();
        Some(Snapshot {
            listeners,
            services,
            routes,
            endpoints,
            dns: dns(&router.dns),
            admin: router.admin.as_ref().map(|admin| Admin {
                bind: admin.bind.value,
                token_file: admin.token_file.as_ref().map(|path| path.value.clone()),
            }),
            threads: router.threads,
            drain: router.drain.0,
            watch: router.reload.watch,
            debounce: router.reload.debounce.0,
            access_log: access_log(&router.access_log),
            limits: limits(&in_force),
            connections_max: in_force.connections as usize,
            exchanges_max: in_force.exchanges as usize,
            certificates: std::mem::take(&mut self.certificates),
            files: self.files(),
        })
    }

    fn files(&self) -> Vec<PathBuf> {
        let watch = &self.loaded.watch;
        watch.files.iter().chain(&watch.folders).cloned().collect()
    }

    fn listener(&mut self, name: &str, written: &config::Listener) -> Listener {
        let tls = written.tls.as_ref();
        let tls = tls.and_then(|tls| self.tls().listener(name, tls, written.http2));
        let limits = self.config.router_limits();
        Listener {
            name: name.into(),
            bind: match &written.bind.value {
                config::Bind::Tcp(address) => Bind::Tcp(*address),
                config::Bind::Unix(path) => Bind::Unix(path.clone()),
            },
            connections_max: written.max_connections as usize,
            keep_alive: written.keep_alive_timeout.0,
            header_read_timeout: written
                .header_read_timeout
                .map_or(limits.header_read_timeout.0, |time| time.0),
            write_timeout: limits.body_idle_timeout.0,
            header_block_max: bytes(limits.header_block.0),
            header_count_max: limits.header_count as usize,
            tls,
            http2: written.http2.then_some(Http2 {
                streams_max: written
                    .http2_streams
                    .as_ref()
                    .map_or(100, |count| count.value),
            }),
            proxy_protocol: written
                .proxy_protocol
                .as_ref()
                .map(|proxy| routes::networks(&proxy.from)),
            door: Arc::new(self.rules().door(written)),
        }
    }

    fn rules(&mut self) -> RuleCompiler<'_> {
        RuleCompiler {
            config: self.config,
            files: &self.loaded.files,
            report: self.report,
        }
    }

    fn tls(&mut self) -> TlsCompiler<'_> {
        TlsCompiler {
            files: &self.loaded.files,
            report: self.report,
            shown: &mut self.certificates,
        }
    }

    fn endpoint(&mut self, name: &str, written: &config::Endpoint) -> Endpoint {
        let url = &written.url.value;
        let http2 = written.http == config::HttpVersion::V2;
        let tls = self.tls().endpoint(name, written, http2);
        let pool = Pools {
            config: self.config,
            loaded: self.loaded,
            report: self.report,
        }
        .of(written);
        let times = Times::of(written);
        let spec = upstream::Endpoint {
            name: name.into(),
            host: host(&url.host),
            port: url.port,
            servers: match &written.socket {
                // A socket has no name to resolve and no address to choose.
                Some(_) => Servers {
                    all: vec![Server::at(
                        Host::Address(Ipv4Addr::LOCALHOST.into()),
                        url.port,
                    )],
                    ..pool.servers
                },
                None => pool.servers,
            },
            // Its syntax was checked when it was read.
            target: url.path.parse().unwrap_or_default(),
            authority: HeaderValue::from_str(&url.authority)
                .unwrap_or_else(|_| HeaderValue::from_static("")),
            url: url.to_string(),
            connect_timeout: written.connect_timeout.0,
            response_timeout: times.response,
            timeout: times.whole,
            idle_timeout: written.idle_timeout.0,
            keep_idle: written.idle_connection_timeout.0,
            idle_max: written.max_idle as usize,
            http2_streams: http2.then_some(written.http2_streams),
            tls,
            socket: written.socket.as_ref().map(|path| path.value.clone()),
            source: written.source_address.as_ref().map(|source| source.value),
            host_field: match &written.host {
                config::EndpointHost::Endpoint => HostField::Endpoint,
                config::EndpointHost::Caller => HostField::Caller,
                config::EndpointHost::Server => HostField::Server,
                // Its syntax was checked when it was read.
                config::EndpointHost::Name(name) => {
                    HeaderValue::from_str(name).map_or(HostField::Endpoint, HostField::Fixed)
                }
            },
            override_path: written
                .override_path
                .as_ref()
                .map(|path| path.value.0.clone()),
        };
        let in_force = self.config.router_limits();
        let (limits, head) = (limits(&in_force), in_force.bridge_head.0);
        Endpoint {
            operations: operations(written, &spec),
            spec,
            bridge: bridge::plan(written, &limits, bytes(head)),
            failover: triggers(&written.failover.on),
            resend: pool.resend,
            resend_within: pool.resend_within,
            budget_along_list: pool.budget_along_list,
            balance_on: pool.balance_on,
            bound_by: pool.bound_by,
        }
    }

    fn service(
        &mut self,
        name: &str,
        written: &config::Service,
        ids: &HashMap<&str, EndpointId>,
    ) -> Option<Service> {
        let table = self.config.table_of(written)?;
        let (entries, rows) = self.rows(table, ids);
        let filters = filter::Set::compile(rows);
        let route_on = match written.route_on {
            config::RouteOn::Auto => RouteOn::Auto,
            config::RouteOn::Headers => RouteOn::Headers,
            config::RouteOn::Body => RouteOn::Body,
        };
        self.check_route_on(name, written, table, route_on, &filters);
        Some(Service {
            name: name.into(),
            path: routes::path(&written.path.value),
            hosts: routes::hosts(written.hosts.as_ref()),
            listeners: routes::listeners(written.listeners.as_ref()),
            ignore_case: written.ignore_case,
            priority: written.priority.as_ref().map(|priority| priority.value),
            mode: Mode::of(filters.reading()),
            filters: Arc::new(filters),
            table: routing::Table {
                entries,
                pattern: match written.pattern {
                    config::Pattern::RequestReply => Pattern::RequestReply,
                    config::Pattern::OneWay => Pattern::OneWay,
                },
                several: match written.several_matches() {
                    config::SeveralMatches::Fault => SeveralMatches::Fault,
                    config::SeveralMatches::First => SeveralMatches::First,
                },
            },
            default_endpoint: written
                .default_endpoint
                .as_ref()
                .and_then(|endpoint| ids.get(endpoint.value.as_str()).copied()),
            route_on,
            strict: written.strict,
            sender_fault_status: match written.sender_fault_status {
                config::SenderFaultStatus::S400 => 400,
                config::SenderFaultStatus::S500 => 500,
            },
            timeout: written.timeout.map(|time| time.0),
            verify_full: matches!(written.verify, config::Verify::Full),
            on_overflow: match written.on_overflow {
                config::OnOverflow::Commit => OnOverflow::Commit,
                config::OnOverflow::Refuse => OnOverflow::Refuse,
                config::OnOverflow::Spool => OnOverflow::Spool,
            },
            limits: limits(&self.config.limits_of(written)),
            rewrites: self.rules().rewrites(&written.rewrites),
            admission: written
                .admission
                .as_ref()
                .map(|one| routes::admission(&one.value)),
        })
    }

    /// The table's entries twice: where they lead, and what they ask.
    fn rows(
        &mut self,
        table: &config::Table,
        ids: &HashMap<&str, EndpointId>,
    ) -> (Vec<routing::Entry>, Vec<Row>) {
        let mut specs = Specs::new(self.config, self.loaded, table, self.registry);
        let mut entries = Vec::with_capacity(table.table.len());
        let mut rows = Vec::with_capacity(table.table.len());
        for entry in &table.table {
            let entry = &entry.value;
            let (Some(spec), Some(&endpoint)) = (
                specs.of(&entry.filter),
                ids.get(entry.endpoint.value.as_str()),
            ) else {
                continue;
            };
            let name = entry.filter.title();
            entries.push(routing::Entry {
                name: name.as_str().into(),
                priority: entry.priority,
                endpoint,
                backups: self.backups(entry, ids),
            });
            rows.push(Row {
                name,
                priority: entry.priority,
                spec,
            });
        }
        specs.unused();
        self.report.absorb(specs.into_report());
        (entries, rows)
    }

    fn backups(&self, entry: &config::Entry, ids: &HashMap<&str, EndpointId>) -> Vec<EndpointId> {
        let names = match &entry.backups {
            None => return Vec::new(),
            Some(config::Backups::Inline(names)) => &names.value,
            Some(config::Backups::Named(list)) => {
                match self.config.router.backup_lists.get(&list.value) {
                    Some(list) => &list.0,
                    None => return Vec::new(),
                }
            }
        };
        names
            .iter()
            .filter_map(|name| ids.get(name.value.as_str()).copied())
            .collect()
    }

    /// With `route_on: headers` a filter that needs the body is a mistake here, not a surprise
    /// at run time.
    fn check_route_on(
        &mut self,
        name: &str,
        written: &config::Service,
        table: &config::Table,
        route_on: RouteOn,
        filters: &filter::Set,
    ) {
        if route_on != RouteOn::Headers {
            return;
        }
        let (Reading::Body(filter) | Reading::Whole(filter, _)) = filters.reading() else {
            return;
        };
        let entry = table
            .table
            .iter()
            .find(|entry| entry.value.filter.title() == filter);
        let span = entry.map_or(written.path.span, |entry| entry.value.filter.span());
        self.report.push(
            Diagnostic::error(
                "body-filter-in-headers-mode",
                format!("service `{name}` routes on headers, but filter `{filter}` needs the body"),
                span,
            )
            .hint("set `route_on: auto`, or ask for something in the Header"),
        );
    }
}

fn access_log(written: &config::AccessLog) -> AccessLog {
    let path = || written.path.as_ref().map(|path| path.value.clone());
    match written.format {
        config::AccessFormat::Off => AccessLog::Off,
        config::AccessFormat::Json => AccessLog::Json(path()),
        config::AccessFormat::Logfmt => AccessLog::Logfmt(path()),
    }
}

fn dns(written: &config::Dns) -> naming::Settings {
    let servers = written.servers.iter().flat_map(|servers| &servers.0);
    naming::Settings {
        servers: servers.map(|server| server.value).collect(),
        ttl_min: written.min_ttl.0,
        ttl_max: written.max_ttl.0.max(written.min_ttl.0),
        timeout: written.timeout.0,
    }
}

fn limits(written: &config::LimitsInForce) -> Limits {
    Limits {
        xml: xml::Limits {
            depth_max: written.depth,
            attributes_max: written.attributes,
            attribute_bytes_max: small(written.attribute_bytes.0),
            name_bytes_max: small(written.name_bytes.0),
            namespaces_max: written.namespaces,
            ..xml::Limits::default()
        },
        buffered_body: written.buffered_body.0,
        replay_buffer: written.replay_buffer.0,
        message_bytes: written.message_bytes.0,
        fault_bytes: written.fault_bytes.0,
        body_idle_timeout: written.body_idle_timeout.0.max(Duration::from_millis(1)),
    }
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn small(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
