//! The admin interface: what operators and scrapers see.

use std::collections::BTreeSet;

use crate::support::messages::order;
use crate::support::router::router_to;
use crate::support::{Running, Service, held, root, router, service, soap_router};

fn one() -> (Running, Service) {
    let a = service("a").echoes();
    let router = router_to(&[&a]).start();
    (router, a)
}

#[test]
fn health_and_readiness() {
    let (router, _a) = one();
    let mut admin = router.admin();
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = admin.get(path);
        assert_eq!((answer.status(), answer.text().as_str()), (200, text));
        assert_eq!(admin.ask("HEAD", path, &[]).status(), 200);
    }
}

#[test]
fn a_router_that_stops_is_alive_but_not_ready() {
    let (a, gate) = held("a");
    let mut router = router_to(&[&a]).start();
    let mut client = router.client();
    let message = order();
    client.send("/orders", &message);
    a.got(1);
    router.signal("TERM");
    router.says("stopping");
    let mut admin = router.admin();
    assert_eq!(admin.get("/healthz").status(), 200);
    let ready = admin.get("/readyz");
    assert_eq!((ready.status(), ready.text().as_str()), (503, "draining\n"));
    gate.open();
    assert_eq!(client.answer("POST").unwrap().by(), "a");
    assert!(router.ends().success());
}

#[test]
fn every_metric_is_there_and_well_formed_and_described() {
    let (router, _a) = one();
    router.post(&order());
    router.post(&order().without("Content-Type"));
    let metrics = router.metrics();
    let docs = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    // A family without a sample is not written, so the names are taken from where they stand.
    let names = std::fs::read_to_string(root().join("src/telemetry/names.rs")).unwrap();
    let known: BTreeSet<String> = names
        .lines()
        .filter(|line| !line.contains(" PREFIX"))
        .filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1))
        .map(|name| format!("soap_router_{name}"))
        .collect();
    let described: BTreeSet<String> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(
        described, known,
        "docs/metrics.md has a line for each metric"
    );
    for family in &metrics.families {
        assert!(
            known.contains(family),
            "`{family}` is not in telemetry/names.rs"
        );
    }
    let one = [
        "soap_router_exchanges_total{service=\"orders\",soap=\"1.1\",outcome=\"reply\"}",
        "soap_router_faults_total{service=\"orders\",reason=\"UnsupportedMediaType\"}",
        "soap_router_entry_matches_total{service=\"orders\",entry=\"match-all\",endpoint=\"a\"}",
        "soap_router_endpoint_attempts_total{endpoint=\"a\",outcome=\"ok\"}",
        "soap_router_endpoint_response_seconds_count{endpoint=\"a\"}",
        "soap_router_config_last_reload_successful",
    ];
    for sample in one {
        assert!(
            (metrics.get(sample) - 1.0).abs() < 1e-9,
            "{sample} is {}",
            metrics.get(sample)
        );
    }
    let two = "soap_router_exchange_duration_seconds_count{service=\"orders\"}";
    assert!(
        (metrics.get(two) - 2.0).abs() < 1e-9,
        "{}",
        metrics.get(two)
    );
    assert!(metrics.get("soap_router_config_last_reload_success_timestamp_seconds") > 1.7e9);
    let bytes = metrics.get("soap_router_request_bytes_total{service=\"orders\"}");
    assert!(bytes >= order().body.len() as f64, "{bytes}");
}

#[test]
fn labels_that_users_chose_cannot_break_the_text() {
    let a = service("a").echoes();
    let table =
        "- { filter: { http_header: { name: X-A, equals: 'a\"b\\c{d}, e=\"f\"' } }, endpoint: a }";
    let router = router(table).to(&a).start();
    assert_eq!(
        router
            .post(&order().with("X-A", "a\"b\\c{d}, e=\"f\""))
            .by(),
        "a"
    );
    assert!(
        router
            .metrics()
            .names()
            .contains("soap_router_entry_matches_total")
    );
}

#[test]
fn the_configuration_in_force() {
    let (router, a) = one();
    let config = router.admin_json("/api/v1/config");
    assert_eq!(config["status"]["generation"], 1);
    assert_eq!(config["status"]["up_to_date"], true);
    assert!(
        config["status"]["loaded_at"]
            .as_u64()
            .is_some_and(|time| time > 1_700_000_000)
    );
    assert_eq!(config["listeners"][0]["name"], "public");
    assert_eq!(
        config["listeners"][0]["address"],
        router.address("public").to_string()
    );
    assert_eq!(config["services"][0]["name"], "orders");
    assert_eq!(config["services"][0]["path"], "/orders");
    assert_eq!(config["services"][0]["entries"][0]["filter"], "match-all");
    assert_eq!(config["services"][0]["entries"][0]["endpoint"], "a");
    assert_eq!(config["endpoints"][0]["url"], a.url());
}

#[test]
fn what_is_not_there_and_what_may_not_be_done() {
    let (router, _a) = one();
    let mut admin = router.admin();
    let cases = [
        ("GET", "/", 200),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/reload", 405),
        ("POST", "/healthz", 405),
        ("DELETE", "/api/v1/config", 405),
        ("POST", "/nothing", 404),
    ];
    for (method, path, status) in cases {
        let answer = admin.ask(method, path, &[("Content-Length", "0")]);
        assert_eq!(answer.status(), status, "{method} {path}");
    }
}

#[test]
fn changes_need_the_token_where_there_is_one() {
    let a = service("a").echoes();
    let router = router_to(&[&a])
        .with("admin: { bind: \"127.0.0.1:0\", token_file: token }")
        .file("config/token", "s3cret\n")
        .start();
    let mut admin = router.admin();
    let mut reload = |fields: &[(&str, &str)]| {
        let fields = [fields, &[("Content-Length", "0")]].concat();
        admin.ask("POST", "/api/v1/reload", &fields).status()
    };
    assert_eq!(reload(&[]), 403);
    assert_eq!(reload(&[("Authorization", "Bearer wrong")]), 403);
    assert_eq!(reload(&[("Authorization", "Bearer s3cre")]), 403);
    assert_eq!(reload(&[("Authorization", "Basic s3cret")]), 403);
    assert_eq!(reload(&[("Authorization", "Bearer ")]), 403);
    assert_eq!(reload(&[("Authorization", "Bearer s3cret")]), 200);
    assert_eq!(router.generation(), 2, "one of them was let through");
    assert_eq!(
        admin_status(&router, "/metrics"),
        200,
        "looking needs no token"
    );
    // The verb finds the token in the configuration.
    let address = router.address("admin").to_string();
    let without = soap_router(router.folder.path(), &["reload", "--admin", &address]);
    assert_eq!(without.code, 2, "{without:?}");
    assert!(without.err.contains("token"), "{without:?}");
}

fn admin_status(router: &Running, path: &str) -> u16 {
    router.admin().get(path).status()
}

#[test]
fn an_admin_address_beyond_loopback_is_warned_of() {
    let folder = router("- { filter: { match_all: {} }, endpoint: a }")
        .endpoint("a", "http://127.0.0.1:1/", "")
        .with("admin: { bind: \"0.0.0.0:9\" }")
        .write();
    let ran = soap_router(folder.path(), &["check", "--format", "concise"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("[admin-exposed]"), "{ran:?}");
}

#[test]
fn without_an_admin_section_there_is_no_admin() {
    let a = service("a").echoes();
    // The harness writes one by default: an empty one is none.
    let yaml = router_to(&[&a])
        .yaml()
        .replace("admin: { bind: \"127.0.0.1:0\" }\n", "");
    let folder = router_to(&[&a]).write();
    std::fs::write(folder.path().join("config/router.yaml"), yaml).unwrap();
    let router = router_to(&[&a]).start_in(folder);
    assert_eq!(router.post(&order()).by(), "a");
    let ready = std::fs::read_to_string(router.path("ready")).unwrap();
    assert!(!ready.contains("admin"), "{ready}");
}
