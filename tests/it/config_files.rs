//! The files that are shipped: samples are valid, schemas fresh, and both say the same as the reader.

use std::path::{Path, PathBuf};

use serde_json::Value;
use soap_router::{config, diag, filter, snapshot};
use tempfile::TempDir;

use crate::support::samples;

/// Everything that a user may write, once.
const EVERY_KEY: &str = r#"
version: 1
listeners:
  public: { bind: "[::]:8443", tls: { cert: a.pem, key: a.key, certificates: [{ cert: b.pem, key: b.key }], client_ca: ca.pem, client_crl: crl.pem, client_auth: request, min_version: 1.3, cipher_suites: [TLS_AES_128_GCM_SHA256] }, max_connections: 10, keep_alive_timeout: 1m, header_read_timeout: 5s, http2: true, http2_streams: 10, proxy_protocol: { from: [10.0.0.0/8] }, trusted_proxies: ["2001:db8::/32", 192.0.2.1], drop_odd_header_names: true, forwarded: gateway, client_certificate_header: Client-Cert, error_pages: { 503: pages/503.html } }
  local: { bind: "unix:/run/router.sock", forwarded: off }
services:
  orders:
    path: /orders/*
    hosts: [orders.example.com, "*.example.com"]
    listeners: public
    ignore_case: true
    priority: 20000
    table: orders
    pattern: request-reply
    route_on: body
    several_matches: first
    default_endpoint: a
    limits: { depth: 100, attributes: 10, attribute_bytes: 1KiB, name_bytes: 100, namespaces: 10, buffered_body: 1MiB, message_bytes: none, fault_bytes: 1MiB, body_idle_timeout: 1s }
    strict: true
    sender_fault_status: 500
    verify: full
    replay_buffer: 0
    on_overflow: refuse
    timeout: 1m
    rewrites:
      - when: [{ variable: http_req_X-A, matches: "^(.*)$", ignore_case: true, negate: true }]
        path: "/{http_req_X-A_1}"
        query: "a={client_ip}"
        reroute: true
        request: { set: { X-A: "1" }, add: { X-B: "{host}" }, remove: [X-C], replace: [{ name: X-D, matches: a, value: "{matched_0}b", ignore_case: true, negate: true }] }
        response: { remove: [Server] }
    admission: { allow: [10.0.0.0/8], deny: [10.1.0.0/16], concurrency: 5, queue: 10, queue_timeout: 1s, rates: [{ requests: 5, per: 1m, burst: 9, by: operation }] }
  inline:
    path: /inline
    hosts: inline.example.com
    table: [{ filter: { match_all: {} }, endpoint: a }]
routes:
  docs: { path: "/docs*", hosts: ["shop-?.example.*"], listeners: public, ignore_case: true, priority: 1, endpoint: a, rewrites: [], admission: { concurrency: 1 } }
  old: { path: { matches: "^/v[0-9]+/" }, redirect: { to: /other, status: 307, query: true } }
  up: { path: /up, redirect: { listener: public, path: false } }
error_pages: { 404: pages/404.html }
endpoints:
  a: { url: "http://a:81/x?y", soap: 1.1, addressing: 2004/08, timeout: 1s, connect_timeout: 1s, response_timeout: 1s, idle_timeout: 1s, max_idle: 0, http: 2, http2_streams: 7, idle_connection_timeout: 0s, on_signed: bridge_anyway, bridge: { to: "urn:x", default_action: "urn:y", roles: ["urn:r"], transparent_headers: true, keep_none_headers: true, trailers: drop, unqualified_headers: drop, addresses_in_body: forward }, failover: { on: [connect, dns, tls, reset, timeout, not-soap, 404, fault: receiver] }, resend: never, socket: a.sock, host: caller, override_path: /x/ }
  c:
    url: "http://c/"
    namespaces: { o: "urn:o" }
    servers: ["10.0.0.1:81", "[::1]", { address: c.internal, weight: 2, max_requests: 10 }]
    balance: { hash: { cookie: a } }
    affinity: { cookie: { name: A, path: /a, domain: a.b, max_age: 1h, secure: true, http_only: false, same_site: none, cors: true, strip: false, secret_file: secret }, on_lost: fault }
    probe: { path: /p, method: POST, host: h, port: 82, body: "<a/>", content_type: text/xml, action: "urn:a", interval: 1s, timeout: 1s, healthy: 2, unhealthy: 2, jitter: 5%, assume_healthy: true, expect: { status: "200-299,403", text: a, xpath: "//o:a" } }
    suspend: { after: 2, initial: 1s, factor: 1.5, maximum: 2s, jitter: 0, on: [connect, 503, fault: receiver] }
    min_servers: 1
    drain: 10s
    drain_unhealthy: false
    tries: 2
    retry_budget: { percent: 10, per_second: 1 }
    max_requests: 100
    max_queue: 10
    queue_timeout: 1s
    operations: [{ operation: "{urn:o}Report", timeout: 1m, response_timeout: 1m, idle_timeout: 1m }, { action: "urn:o/Report", timeout: 1m }]
  d: { url: "http://d/", balance: { hash: { header: X-A } }, affinity: { header: X-A } }
  e: { url: "http://e/", balance: { hash: { xpath: "//a" } }, affinity: { xpath: "//a" } }
  f: { url: "http://f/", servers: f.internal, host: server, source_address: "2001:db8::1", balance: least_requests, failover: { on: [down, busy] } }
  b: { url: "https://[::1]/", tls: { ca: ca.pem, cert: c.pem, key: c.key, server_name: b, pins: [ab], verify: none, min_version: 1.2 }, soap: keep, addressing: none, resend: if_not_delivered, on_signed: forward_unchanged }
backup_lists: { spare: b, other: [b] }
admin: { bind: "127.0.0.1:9901", token_file: token }
dns: { servers: ["127.0.0.1:53"], min_ttl: 2s, max_ttl: 1m, timeout: 1s }
threads: 2
limits: { bridge_head: 128KiB, message_bytes: 1GiB, replay_buffer: 2MiB, header_block: 32KiB, header_count: 50, header_read_timeout: 1s, connections: 100, exchanges: 100, xpath_nesting: 10, xpath_length: 1KiB }
filters_dir: ../filters
access_log: { format: logfmt, path: access.log }
drain: 0s
reload: { watch: false, debounce: 1s }
"#;

const EVERY_FILTER: &str = r#"
namespaces: { o: "urn:o" }
filters:
  action: { action: "" }
  actions: { action: ["urn:a", "urn:b"] }
  operation: { operation: ["{urn:o}Place", Track] }
  address: { endpoint_address: "http://a/x" }
  prefix: { prefix_endpoint_address: { uri: "http://a/x", host: true } }
  name: { endpoint_name: public }
  xpath: { xpath: "//o:x" }
  version: { soap_version: 1.2 }
  equals: { http_header: { name: X-A, equals: 1 } }
  begins: { http_header: { name: X-A, prefix: a } }
  matches: { http_header: { name: X-A, matches: "^a" } }
  present: { http_header: { name: X-A, present: false } }
  certificate: { client_certificate: { subject: a, issuer: b, san: c } }
  tree: { and: [action, { or: [actions, { not: operation }] }] }
  first: { round_robin: g }
  second: { round_robin: { group: g } }
  third: { round_robin: { group: h, of: 3, index: 3 } }
  tenth: { percent: 10 }
  fifth: { percent: { share: 20%, sticky_on: { xpath: "//o:customer" } } }
  half: { percent: { share: 12.5, sticky_on: { header: X-A } } }
  own: { custom: { type: mine, data: { any: [thing, 1] } } }
table:
  - { filter: { or: [address, prefix, name, xpath, version, equals, begins, matches, present, certificate] }, endpoint: a, backups: spare, priority: -1 }
  - { filter: { or: [tree, first, second, third, tenth, fifth, half, own] }, endpoint: a, backups: [b] }
"#;

#[test]
fn the_samples_have_no_mistakes() {
    let (_folder, samples) = samples();
    for main in samples {
        let loaded = config::load(&main);
        let (snapshot, report) = snapshot::compile(&loaded, &filter::Registry::default());
        let told = diag::human(&report, &loaded.sources, diag::Colour::Never);
        assert!(snapshot.is_some() && report.is_empty(), "{told}");
        assert!(loaded.watch.files.len() > 1 && loaded.watch.folders.len() == 1);
    }
}

#[test]
fn the_samples_tell_editors_their_schema_and_readers_what_to_try() {
    let (_folder, samples) = samples();
    let tables = samples
        .into_iter()
        .flat_map(|main| config::load(&main).watch.files)
        .filter(|path| is_yaml(path));
    for file in tables {
        let text = std::fs::read_to_string(&file).unwrap();
        let schema = text
            .strip_prefix("# yaml-language-server: $schema=")
            .and_then(|rest| rest.lines().next());
        let schema = file
            .parent()
            .unwrap()
            .join(schema.unwrap_or("no schema named"));
        assert!(
            schema.is_file(),
            "{} names {}",
            file.display(),
            schema.display()
        );
        let main = !file.components().any(|part| part.as_os_str() == "filters");
        assert!(
            !main || (text.contains("# Try:") && text.contains("curl ")),
            "{}",
            file.display()
        );
    }
}

#[test]
fn the_shipped_schemas_are_the_ones_that_the_code_gives() {
    let shipped = [
        ("config/router.schema.json", config::router_schema()),
        ("filters/table.schema.json", config::table_schema()),
    ];
    for (path, schema) in shipped {
        let fresh = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = root().join(path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, fresh, "UPDATE_GOLDEN=1 rewrites {}", path.display());
    }
}

/// What the reader takes the schema takes, key by key: here stands every key that there is.
#[test]
fn the_schema_takes_what_the_reader_takes() {
    let loaded = every_key();
    let told = diag::human(&loaded.report, &loaded.sources, diag::Colour::Never);
    assert!(!loaded.report.has_errors(), "{told}");
    let (router, table) = (yaml(EVERY_KEY), yaml(EVERY_FILTER));
    for (schema, value) in [
        (config::router_schema(), &router),
        (config::table_schema(), &table),
    ] {
        assert_eq!(mistakes(&schema, value), Vec::<String>::new());
        let mut unused = Vec::new();
        unwritten(&schema, &[&router, &table], &mut unused);
        assert_eq!(
            unused,
            Vec::<String>::new(),
            "keys of the schema that this test does not write"
        );
    }
    let (_folder, samples) = samples();
    for main in samples {
        let text = std::fs::read_to_string(&main).unwrap();
        assert_eq!(
            mistakes(&config::router_schema(), &yaml(&text)),
            Vec::<String>::new()
        );
        let files = config::load(&main).watch.files;
        for table in files.iter().skip(1).filter(|path| is_yaml(path)) {
            let text = std::fs::read_to_string(table).unwrap();
            assert_eq!(
                mistakes(&config::table_schema(), &yaml(&text)),
                Vec::<String>::new()
            );
        }
    }
}

/// What the reader refuses for its shape the schema refuses too, so that editors show it.
#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let router = [
        "listners: {}",
        "threads: 0",
        "threads: two",
        "drain: 30",
        "drain: [1]",
        "limits: { depth: 1001 }",
        "limits: { depht: 1 }",
        "version: 2",
        "reload: { watch: yes please }",
        "access_log: { format: xml }",
        "endpoints: { a: {} }",
        "endpoints: { a: { url: 'ftp://x' } }",
        "endpoints: { a: { url: 'http://x', soap: 1.3 } }",
        "endpoints: { -a: { url: 'http://x' } }",
        "services: { s: { path: /s } }",
        "services: { s: { path: s, table: t } }",
        "services: { s: { path: /s, table: t, hosts: [] } }",
        "endpoints: { a: { url: 'http://x', failover: { on: [42] } } }",
        "backup_lists: { b: [] }",
        "admin: { }",
    ];
    let table = [
        "table: x",
        "table: [{ filter: a }]",
        "table: [{ filter: {}, endpoint: a }]",
        "filters: { a: { xpath: //a, action: b } }",
        "filters: { a: { http_header: { equals: b } } }",
        "filters: { a: { soap_version: 2 } }",
        "filters: { a: { match_all: { x: 1 } } }",
        "filters: { a: { percent: 101 } }",
        "table: [{ filter: a, endpoint: b, priority: 3000000000 }]",
        "namespaces: { a: '' }",
    ];
    let (good_router, good_table) = (yaml(EVERY_KEY), yaml(EVERY_FILTER));
    let pairs = router.map(|text| (text, config::router_schema(), &good_router));
    let more = table.map(|text| (text, config::table_schema(), &good_table));
    for (text, schema, good) in pairs.into_iter().chain(more) {
        let mut value = good.clone();
        for (key, part) in yaml(text).as_object().unwrap() {
            value[key] = part.clone();
        }
        assert!(
            !mistakes(&schema, &value).is_empty(),
            "the schema takes `{text}`"
        );
        let text = serde_yaml::to_string(&value).unwrap();
        let loaded = if value.get("table").is_some() {
            read(EVERY_KEY, &text)
        } else {
            read(&text, EVERY_FILTER)
        };
        assert!(loaded.report.has_errors(), "the reader takes `{text}`");
    }
}

/// The configuration in force can be written out and read again, and is the same.
#[test]
fn what_is_written_out_is_read_again() {
    let (_folder, samples) = samples();
    let mut all: Vec<_> = samples.iter().map(|main| config::load(main)).collect();
    all.push(every_key());
    for loaded in all {
        let config = loaded.config.unwrap();
        let tables: Vec<_> = config
            .tables
            .iter()
            .map(|(name, table)| (name.value.clone(), config::to_yaml(table)))
            .collect();
        let texts = tables.iter().map(|(name, text)| config::TableText {
            name,
            path: name,
            text,
        });
        let again = config::read(
            "router.yaml",
            &config.router_yaml(),
            &texts.collect::<Vec<_>>(),
        );
        let told = diag::human(&again.report, &again.sources, diag::Colour::Never);
        let again = again.config.unwrap_or_else(|| panic!("{told}"));
        assert_eq!(again.effective(), config.effective(), "{told}");
    }
}

#[test]
fn a_round_robin_without_numbers_gets_them_from_its_order() {
    let config = every_key().config.unwrap();
    let table = config.tables.get("orders").unwrap();
    let place = |name: &str| match &table.filters.get(name).unwrap().value {
        config::Filter::RoundRobin(one) => (one.of, one.index),
        other => panic!("{other:?}"),
    };
    assert_eq!(place("first"), (Some(2), Some(1)));
    assert_eq!(place("second"), (Some(2), Some(2)));
    assert_eq!(place("third"), (Some(3), Some(3)));
}

fn every_key() -> config::Loaded {
    read(EVERY_KEY, EVERY_FILTER)
}

fn read(router: &str, table: &str) -> config::Loaded {
    config::read(
        "router.yaml",
        router,
        &[config::TableText {
            name: "orders",
            path: "orders.yaml",
            text: table,
        }],
    )
}

/// Whether it is a part of the configuration; certificates are not.
fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml")
}

/// The samples with what they need; in a folder that lasts as long as the first value.
fn samples() -> (TempDir, Vec<PathBuf>) {
    let folder = samples::tree(None);
    samples::certificates(folder.path());
    let all = samples::main_files(folder.path());
    (folder, all)
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn mistakes(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// Keys that the schema has and none of the values does.
fn unwritten(schema: &Value, values: &[&Value], found: &mut Vec<String>) {
    for (name, definition) in schema["definitions"].as_object().unwrap() {
        for key in definition["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
        {
            if !values.iter().any(|value| has_key(value, key)) {
                found.push(format!("{name}.{key}"));
            }
        }
    }
}

fn has_key(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(map) => {
            map.contains_key(key) || map.values().any(|value| has_key(value, key))
        }
        Value::Array(items) => items.iter().any(|value| has_key(value, key)),
        _ => false,
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
