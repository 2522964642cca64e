//! The road beyond selection: which service is meant, how early a message moves on, one-way to
//! many, filters that count, filters from an embedding program.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::HeaderName;
use soap_router::filter::{MessageFilter, MessageView, Registry};
use soap_router::{app, config, snapshot};

use crate::support::messages::{long_order, order, order12, soap11};
use crate::support::router::router_to;
use crate::support::service::{Received, fault, html};
use crate::support::wire::chunked;
use crate::support::{Client, Gate, Reply, Wire, refusing, router, service, until};

const TO_ALL: &str = "
- { filter: { match_all: {} }, endpoint: a }
- { filter: { match_all: {} }, endpoint: b }";

#[test]
fn one_way_sends_to_all_at_the_same_time() {
    // Each answers only when the other has its copy too: one after the other would hang.
    let (a_has, b_has) = (Gate::default(), Gate::default());
    let waiting = |own: &Gate, other: &Gate| {
        let (own, other) = (own.clone(), other.clone());
        move |_: &Received| {
            own.open();
            other.pass();
            Reply::Echo
        }
    };
    let a = service("a").replies(waiting(&a_has, &b_has));
    let b = service("b").replies(waiting(&b_has, &a_has));
    let router = router(TO_ALL)
        .service("pattern: one-way")
        .to(&a)
        .to(&b)
        .start();
    let answer = router.post(&order());
    assert_eq!((answer.status(), answer.body.as_slice()), (202, &b""[..]));
    assert_eq!(a.only().body, order().body);
    assert_eq!(b.only().body, order().body);
    let line = router.exchange();
    assert_eq!(line["outcome"], "accepted");
    assert_eq!(line["endpoint"], serde_json::json!(["a", "b"]));
}

#[test]
fn one_way_to_a_dead_endpoint_stops_no_other() {
    let (nowhere, _held) = refusing();
    let b = service("b").echoes();
    let router = router(TO_ALL)
        .service("pattern: one-way")
        .endpoint("a", &format!("http://{nowhere}/"), "")
        .to(&b)
        .start();
    assert_eq!(router.post(&order()).status(), 202);
    assert_eq!(b.only().body, order().body);
    let attempts = router.exchange()["attempts"].to_string();
    assert!(
        attempts.contains("\"connect\"") && attempts.contains("\"ok\""),
        "{attempts}"
    );
}

#[test]
fn one_way_that_nobody_takes_is_a_fault() {
    let (nowhere, _held) = refusing();
    let b = service("b").replies(|_| html("503 Service Unavailable"));
    let router = router(TO_ALL)
        .service("pattern: one-way")
        .endpoint("a", &format!("http://{nowhere}/"), "")
        .to(&b)
        .start();
    assert_eq!(
        router.post(&order()).fault().as_deref(),
        Some("EndpointsUnavailable")
    );
}

#[test]
fn one_way_fails_over_for_each_copy_by_itself() {
    let (nowhere, _held) = refusing();
    let (b, c) = (service("b").echoes(), service("c").echoes());
    let table = "
- { filter: { match_all: {} }, endpoint: a, backups: [c] }
- { filter: { match_all: {} }, endpoint: b, backups: [c] }";
    let router = router(table)
        .service("pattern: one-way")
        .endpoint("a", &format!("http://{nowhere}/"), "")
        .to(&b)
        .to(&c)
        .start();
    assert_eq!(router.post(&order()).status(), 202);
    assert_eq!((b.only().body, c.only().body), (order().body, order().body));
}

#[test]
fn a_header_decides_before_the_body_is_there() {
    let gate = Gate::default();
    let opener = gate.clone();
    let a = service("a").speaks(move |wire, _| {
        let head = wire.head().unwrap().unwrap();
        assert_eq!(head.get("transfer-encoding"), Some("chunked"));
        let first = wire.some().unwrap();
        assert!(!first.is_empty());
        opener.open();
        let mut rest = first;
        while !rest.ends_with(b"0\r\n\r\n") {
            rest.extend(wire.some().unwrap());
        }
        wire.write("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let table = "- { filter: { action: \"urn:example:orders/Place\" }, endpoint: a }";
    let router = router(table).to(&a).start();
    let message = order();
    let whole = chunked(&message.body, message.body.len() - 20);
    let (beginning, end) = whole.split_at(whole.len() - 30);
    let mut client = router.client();
    let head = client.head("/orders", &message, "Transfer-Encoding: chunked");
    client
        .wire()
        .write([head.as_bytes(), beginning].concat())
        .unwrap();
    // The rest is sent only when the endpoint has the beginning.
    gate.pass();
    client.wire().write(end).unwrap();
    assert_eq!(client.answer("POST").unwrap().status(), 202);
}

#[test]
fn what_lies_behind_the_deciding_byte_is_passed_on_unchecked() {
    let a = service("a").echoes();
    let mut message = order();
    message.body.extend(b"<this is=not xml");
    let table = "- { filter: { action: \"urn:example:orders/Place\" }, endpoint: a }";
    let lenient = router(table).to(&a).start();
    assert_eq!(lenient.post(&message).by(), "a");
    assert_eq!(a.only().body, message.body);
}

#[test]
fn verify_full_breaks_off_what_is_not_well_formed_to_its_end() {
    let a = service("a").echoes();
    let mut message = order();
    message.body.extend(b"<this is=not xml");
    let table = "- { filter: { action: \"urn:example:orders/Place\" }, endpoint: a }";
    let router = router(table).service("verify: full").to(&a).start();
    let answer = router.client().try_post("/orders", &message);
    let refused = answer.map_or(true, |answer| {
        answer.fault().as_deref() == Some("MalformedMessage")
    });
    assert!(refused, "a malformed message was answered");
    assert_eq!(a.count(), 0, "the endpoint must not take it for whole");
    assert_eq!(router.post(&order()).by(), "a");
}

#[test]
fn messages_in_older_character_sets_are_routed_and_passed_on_as_they_are() {
    let table = "
namespaces: { o: \"urn:example:orders\" }
table:
  - { filter: { xpath: \"//o:City = 'K\u{f6}ln'\" }, endpoint: a, priority: 1 }
  - { filter: { match_all: {} }, endpoint: b }";
    let (a, b) = (service("a").echoes(), service("b").echoes());
    for keys in ["verify: none", "verify: full"] {
        let router = router(table).service(keys).to(&a).to(&b).start();
        for (city, expected) in [("K\u{f6}ln", "a"), ("M\u{fc}nchen", "b")] {
            let body = format!(
                "<o:Place xmlns:o=\"urn:example:orders\"><o:City>{city}</o:City></o:Place>"
            );
            let mut message =
                soap11("", &body).with("Content-Type", "text/xml; charset=iso-8859-1");
            let text = String::from_utf8(message.body).unwrap();
            message.body = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
            assert_eq!(router.post(&message).outcome(), expected, "{keys} {city}");
        }
    }
}

#[test]
fn services_are_found_by_listener_host_and_path() {
    let names = ["exact", "below", "deeper", "host", "wild", "inner"];
    let services: Vec<_> = names.iter().map(|name| service(name).echoes()).collect();
    let mut builder = router("- { filter: { match_all: {} }, endpoint: exact }");
    for own in &services {
        builder = builder.to(own);
    }
    let entry =
        |name: &str| format!("table: [{{ filter: {{ match_all: {{}} }}, endpoint: {name} }}]");
    let yaml = format!(
        "services:
  exact: {{ path: /a, {} }}
  below: {{ path: /a/*, {} }}
  deeper: {{ path: /a/b/*, {} }}
  host: {{ path: /a, hosts: one.example.com, {} }}
  wild: {{ path: /a, hosts: \"*.example.com\", {} }}
  inner: {{ path: /a, listeners: inner, hosts: only.example.com, {} }}",
        entry("exact"),
        entry("below"),
        entry("deeper"),
        entry("host"),
        entry("wild"),
        entry("inner")
    );
    let router = builder
        .with("listeners: { public: { bind: \"127.0.0.1:0\" }, inner: { bind: \"127.0.0.1:0\" } }")
        .with(&yaml)
        .start();
    let cases = [
        ("public", "x", "/a", "exact"),
        ("public", "x:8080", "/a", "exact"),
        ("public", "x", "/a?x=/a/b/c", "exact"),
        ("public", "x", "/a/x", "below"),
        ("public", "x", "/a/bx", "below"),
        ("public", "x", "/a/b/c", "deeper"),
        ("public", "one.example.com", "/a", "host"),
        ("public", "ONE.example.com:80", "/a", "host"),
        ("public", "two.example.com", "/a", "wild"),
        ("public", "example.com", "/a", "exact"),
        ("public", "only.example.com", "/a", "wild"),
        ("inner", "only.example.com", "/a", "inner"),
        ("public", "x", "/ab", "UnknownService"),
        ("public", "x", "/", "UnknownService"),
    ];
    for (listener, host, path, expected) in cases {
        let mut client = Client::to(router.address(listener));
        client.host = host.to_owned();
        assert_eq!(
            client.post(path, &order()).outcome(),
            expected,
            "{listener} {host} {path}"
        );
    }
}

#[test]
fn a_share_without_a_key_is_drawn_anew_for_each_message() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let table = "
- { filter: { percent: 50 }, endpoint: a, priority: 1 }
- { filter: { match_all: {} }, endpoint: b }";
    let router = router(table).to(&a).to(&b).start();
    let mut client = router.client();
    // All on one side happens once in 2^63 runs.
    let by: BTreeSet<String> = (0..64)
        .map(|_| client.post("/orders", &order()).by())
        .collect();
    assert_eq!(by.len(), 2, "{by:?}");
}

#[test]
fn a_share_may_stick_to_a_value_in_the_message() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let filter = "{ percent: { share: 50, sticky_on: { xpath: \"//o:Customer\" } } }";
    let table = format!(
        "
namespaces: {{ o: \"urn:o\" }}
table:
  - {{ filter: {filter}, endpoint: a, priority: 1 }}
  - {{ filter: {{ match_all: {{}} }}, endpoint: b }}"
    );
    let router = router(&table).to(&a).to(&b).start();
    let by = |customer: usize| {
        let body =
            format!("<o:Place xmlns:o='urn:o'><o:Customer>{customer}</o:Customer></o:Place>");
        router.post(&soap11("", &body)).by()
    };
    let first: Vec<String> = (0..16).map(by).collect();
    let again: Vec<String> = (0..16).map(by).collect();
    assert_eq!(first, again);
    assert!(first.contains(&"a".to_owned()) && first.contains(&"b".to_owned()));
}

#[test]
fn the_access_log_tells_what_became_of_a_message() {
    let a = service("a").echoes();
    let router = router_to(&[&a]).start();
    let answer = router.post(&order());
    let line = router.exchange();
    let expected = [
        ("service", "orders"),
        ("method", "POST"),
        ("path", "/orders"),
        ("soap", "1.1"),
        ("action", "urn:example:orders/Place"),
        ("operation", "{urn:example:orders}Place"),
        ("entry", "match-all"),
        ("endpoint", "a"),
        ("outcome", "reply"),
    ];
    for (key, value) in expected {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(line["status"], 200);
    assert_eq!(line["request_bytes"], order().body.len());
    assert_eq!(line["response_bytes"], answer.body.len());
    assert!(
        line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0),
        "{line}"
    );
    assert!(
        line["exchange"].as_str().is_some_and(|id| !id.is_empty()),
        "{line}"
    );
}

#[test]
fn an_access_log_in_logfmt() {
    let a = service("a").echoes();
    let router = router_to(&[&a])
        .with("access_log: { format: logfmt, path: ../logfmt }")
        .start();
    router.post(&order());
    let path = router.path("logfmt");
    let line = until("a line", || {
        std::fs::read_to_string(&path)
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    assert!(line.contains(" service=orders soap=1.1 "), "{line}");
}

/// Messages of tenants whose names begin as the configuration says.
#[derive(Debug)]
struct Tenant(String);

impl MessageFilter for Tenant {
    fn matches(&self, message: &MessageView<'_>) -> bool {
        let tenant = message.headers.text(&HeaderName::from_static("x-tenant"));
        message.service == "orders"
            && message.facts.action() == Some("urn:example:orders/Place")
            && tenant.is_some_and(|tenant| tenant.starts_with(&self.0))
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register("tenant", |data| {
        let prefix = data.as_str().ok_or("the data must be a text")?;
        Ok(Arc::new(Tenant(prefix.to_owned())))
    });
    registry
}

#[test]
fn a_program_brings_its_own_filter() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let table = "
- { filter: { custom: { type: tenant, data: eu- } }, endpoint: a, priority: 1 }
- { filter: { match_all: {} }, endpoint: b }";
    let folder = router(table).to(&a).to(&b).write();
    let loaded = config::load(&folder.path().join("config/router.yaml"));
    let (compiled, report) = snapshot::compile(&loaded, &registry());
    let compiled = compiled.unwrap_or_else(|| panic!("{report:?}"));
    let running = app::Router::start(Arc::new(compiled)).unwrap();
    let mut client = Client::to(running.address("public").unwrap());
    let cases = [
        (order().with("X-Tenant", "eu-7"), "a"),
        (order12().with("X-Tenant", "eu-7"), "a"),
        (order().with("X-Tenant", "us-7"), "b"),
        (
            order()
                .with("X-Tenant", "eu-7")
                .with("SOAPAction", "\"other\""),
            "b",
        ),
        (order(), "b"),
    ];
    for (message, expected) in cases {
        assert_eq!(
            client.post("/orders", &message).by(),
            expected,
            "{:?}",
            message.fields
        );
    }
    drop(client);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert!(runtime.block_on(running.stop()), "nothing was in flight");
    running.join();
}

#[test]
fn a_custom_filter_that_is_unknown_or_refuses_its_data_is_a_mistake() {
    let cases = [
        ("tenant", "[1]", "refuses its data: the data must be a text"),
        (
            "nobody",
            "x",
            "no filter of type `nobody` is registered; registered: tenant",
        ),
    ];
    for (name, data, expected) in cases {
        let table =
            format!("- {{ filter: {{ custom: {{ type: {name}, data: {data} }} }}, endpoint: a }}");
        let folder = router(&table)
            .endpoint("a", "http://127.0.0.1:1/", "")
            .write();
        let loaded = config::load(&folder.path().join("config/router.yaml"));
        let (compiled, report) = snapshot::compile(&loaded, &registry());
        assert!(compiled.is_none());
        let told = soap_router::diag::concise(&report, &loaded.sources);
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn an_endpoint_answers_before_it_has_read_all() {
    // As services do that refuse a message by its head alone.
    let early = |wire: &mut Wire, _: usize| {
        while let Ok(Some(head)) = wire.head() {
            let Reply::Raw(answer) = fault("500 Internal Server Error", "Client") else {
                unreachable!()
            };
            if wire.write(answer).is_err() || wire.body(head.framing(None)).is_err() {
                return;
            }
        }
    };
    let a = service("a").speaks(early);
    let router = router_to(&[&a]).start();
    let mut client = router.client();
    for number in 0..3 {
        let answer = client.post("/orders", &long_order(300_000));
        assert!(
            answer.text().contains("e:Client"),
            "{number}: {}",
            answer.text()
        );
    }
}
