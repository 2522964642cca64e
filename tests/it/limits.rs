//! Every limit of the configuration holds: what is within it passes, what is beyond it is told
//! by the limit's name.

use std::collections::BTreeSet;

use soap_router::config::LIMITS;

use crate::support::messages::{Message, long_order, order, soap11};
use crate::support::router::{Builder, router_to};
use crate::support::service::{html, reply};
use crate::support::{Reply, Service, held, router, service, soap_router, until};

/// Where each limit is held to its word; a new limit needs a test, and then a line here.
const TESTED: [(&str, &str); 18] = [
    ("depth", "limits_of_the_scanner"),
    ("attributes", "limits_of_the_scanner"),
    ("attribute_bytes", "limits_of_the_scanner"),
    ("name_bytes", "limits_of_the_scanner"),
    ("namespaces", "limits_of_the_scanner"),
    ("buffered_body", "bytes_held_for_the_decision"),
    ("message_bytes", "bytes_of_a_message"),
    (
        "replay_buffer",
        "failover::a_message_beyond_the_replay_buffer_is_refused_where_that_is_wanted",
    ),
    ("fault_bytes", "bytes_of_a_fault"),
    ("body_idle_timeout", "silence_within_a_body"),
    ("bridge_head", "bytes_of_a_head_that_is_bridged"),
    ("header_block", "bytes_of_a_head"),
    ("header_count", "fields_of_a_head"),
    ("header_read_timeout", "a_head_that_comes_slowly"),
    ("connections", "connections_of_all_listeners"),
    ("exchanges", "exchanges_in_flight"),
    ("xpath_nesting", "limits_of_expressions"),
    ("xpath_length", "limits_of_expressions"),
];

/// Every byte has to be read before this decides.
const WHOLE: &str = "
- { filter: { xpath: \"//never\" }, endpoint: a, priority: 1 }
- { filter: { match_all: {} }, endpoint: a }";

#[test]
fn every_limit_has_its_test() {
    let tested: BTreeSet<&str> = TESTED.iter().map(|(name, _)| *name).collect();
    let all: BTreeSet<&str> = LIMITS.iter().map(|limit| limit.name).collect();
    assert_eq!(tested, all);
    let here = concat!(include_str!("limits.rs"), include_str!("failover.rs"));
    for (name, test) in TESTED {
        let test = test.rsplit("::").next().unwrap();
        assert!(
            here.contains(&format!("fn {test}()")),
            "{name}: there is no test `{test}`"
        );
    }
}

fn with_limit(table: &str, limit: &str, a: &Service) -> Builder {
    router(table)
        .to(a)
        .service(&format!("limits: {{ {limit} }}"))
}

#[test]
fn limits_of_the_scanner() {
    let nested = |depth: usize| "<x>".repeat(depth) + &"</x>".repeat(depth);
    let attributes = |count: usize| {
        let all: String = (0..count).map(|n| format!(" a{n}=\"\"")).collect();
        format!("<x{all}/>")
    };
    let value = |bytes: usize| format!("<x a=\"{}\"/>", "v".repeat(bytes));
    let name = |bytes: usize| format!("<{}/>", "n".repeat(bytes));
    let namespaces = |count: usize| {
        let all: String = (0..count)
            .map(|n| format!(" xmlns:p{n}=\"urn:{n}\""))
            .collect();
        format!("<x{all}/>")
    };
    // Envelope and Body are two levels, and declare one namespace.
    let cases: [(&str, &str, String, String); 5] = [
        ("depth", "depth: 12", nested(10), nested(11)),
        (
            "attributes",
            "attributes: 20",
            attributes(20),
            attributes(21),
        ),
        (
            "attribute_bytes",
            "attribute_bytes: 1KiB",
            value(900),
            value(1100),
        ),
        ("name_bytes", "name_bytes: 100", name(100), name(101)),
        (
            "namespaces",
            "namespaces: 10",
            namespaces(9),
            namespaces(11),
        ),
    ];
    for (limit, setting, within, beyond) in cases {
        let a = service("a").echoes();
        let router = with_limit(WHOLE, setting, &a).start();
        assert_eq!(router.post(&soap11("", &within)).outcome(), "a", "{limit}");
        let answer = router.post(&soap11("", &beyond));
        assert_eq!(answer.outcome(), "LimitExceeded", "{limit}");
        assert!(
            answer.text().contains(&format!("`{limit}`")),
            "{limit}: {}",
            answer.text()
        );
        assert!(
            answer.text().contains("at byte"),
            "{limit}: {}",
            answer.text()
        );
        assert_eq!(a.count(), 1, "{limit}");
    }
}

#[test]
fn a_service_sets_its_own_limit_below_or_above_the_routers() {
    let a = service("a").echoes();
    let router = router(WHOLE)
        .to(&a)
        .with("limits: { depth: 10 }")
        .with(
            "services:
  few: { path: /few, table: orders, limits: { depth: 5 } }
  plain: { path: /plain, table: orders }
  many: { path: /many, table: orders, limits: { depth: 50 } }",
        )
        .start();
    let depth = |depth: usize| soap11("", &("<x>".repeat(depth - 2) + &"</x>".repeat(depth - 2)));
    for (path, within) in [("/few", 5), ("/plain", 10), ("/many", 50)] {
        let mut client = router.client();
        assert_eq!(client.post(path, &depth(within)).outcome(), "a", "{path}");
        assert_eq!(
            client.post(path, &depth(within + 1)).outcome(),
            "LimitExceeded",
            "{path}"
        );
    }
}

#[test]
fn bytes_held_for_the_decision() {
    let a = service("a").echoes();
    let router = with_limit(WHOLE, "buffered_body: 20KiB", &a).start();
    assert_eq!(router.post(&long_order(10_000)).outcome(), "a");
    for chunked in [false, true] {
        let mut client = router.client();
        let message = long_order(30_000);
        let answer = match chunked {
            false => client.post("/orders", &message),
            true => client.post_chunked("/orders", &message, 1000),
        };
        assert_eq!(answer.outcome(), "LimitExceeded");
        assert!(
            answer.text().contains("`buffered_body`"),
            "{}",
            answer.text()
        );
    }
    // What is decided by its beginning is not held, however long it is.
    let b = service("b").echoes();
    let early = "- { filter: { match_all: {} }, endpoint: b }";
    let router = with_limit(early, "buffered_body: 20KiB, replay_buffer: 0", &b).start();
    assert_eq!(
        router
            .client()
            .post_chunked("/orders", &long_order(900_000), 5000)
            .outcome(),
        "b"
    );
}

#[test]
fn bytes_of_a_message() {
    let a = service("a").echoes();
    for table in [WHOLE, "- { filter: { match_all: {} }, endpoint: a }"] {
        let router = with_limit(table, "message_bytes: 20KiB", &a).start();
        assert_eq!(router.post(&long_order(19_000)).outcome(), "a");
        let answer = router.post(&long_order(21_000));
        assert_eq!(answer.outcome(), "MessageTooLarge");
        assert!(
            answer.text().contains("`message_bytes`"),
            "{}",
            answer.text()
        );
        // Without an announced length it is found out on the way.
        let late = router
            .client()
            .post_chunked("/orders", &long_order(400_000), 4000);
        assert_eq!(late.outcome(), "MessageTooLarge");
        assert_eq!(router.post(&order()).outcome(), "a");
    }
}

#[test]
fn bytes_of_a_fault() {
    let long = |bytes: usize| {
        move |_: &_| {
            let body = format!(
                "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><e:Fault>\
                 <faultcode>e:Server</faultcode><detail>{}</detail></e:Fault></e:Body></e:Envelope>",
                "x".repeat(bytes)
            );
            reply(
                "503 Service Unavailable",
                "Content-Type: text/xml\r\n",
                &body,
            )
        }
    };
    // A fault that is not read to its end may be none: the backup is asked.
    for (bytes, expected) in [(3000, 0), (5000, 1)] {
        let (a, b) = (service("a").replies(long(bytes)), service("b").echoes());
        let router = router_to(&[&a, &b])
            .service("limits: { fault_bytes: 4KiB }")
            .start();
        let answer = router.post(&order());
        assert_eq!(b.count(), expected, "{bytes}: {}", answer.text());
    }
}

#[test]
fn an_endpoint_that_begins_a_fault_and_falls_silent_costs_its_idle_timeout() {
    let a = service("a").speaks(|wire, _| {
        let head = wire.head().unwrap().unwrap();
        wire.body(head.framing(None)).unwrap();
        let head = "HTTP/1.1 503 Busy\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n\r\n<e:Envelope";
        wire.write(head).unwrap();
        while wire.some().is_ok_and(|bytes| !bytes.is_empty()) {}
    });
    let b = service("b").echoes();
    let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
    let router = router(table).at(&a, "idle_timeout: 150ms").to(&b).start();
    assert_eq!(router.post(&order()).outcome(), "b");
}

#[test]
fn all_attempts_together_stay_within_the_services_timeout() {
    let hangs = |name: &str| service(name).replies(|_| Reply::Hang);
    let (a, b, c) = (hangs("a"), hangs("b"), service("c").echoes());
    let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b, c] }";
    let router = router(table)
        .service("timeout: 1500ms")
        .at(&a, "timeout: 100ms")
        .at(&b, "timeout: 30s")
        .to(&c)
        .start();
    let answer = router.post(&order());
    assert_eq!(answer.outcome(), "EndpointTimeout");
    assert_eq!(c.count(), 0, "there was no time left");
    let line = router.exchange_with(&answer.exchange());
    let why = line["attempts"][1]["why"].as_str().unwrap();
    assert!(why.contains("service's `timeout` of 1.5s"), "{line}");
}

#[test]
fn silence_within_a_body() {
    let a = service("a").echoes();
    for table in [WHOLE, "- { filter: { match_all: {} }, endpoint: a }"] {
        let router = with_limit(table, "body_idle_timeout: 150ms", &a).start();
        let mut client = router.client();
        let head = client.head("/orders", &order(), "Content-Length: 1000");
        client
            .wire()
            .write(
                head + "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>",
            )
            .unwrap();
        let answer = client.answer("POST").unwrap();
        assert_eq!(answer.outcome(), "LimitExceeded");
        assert!(
            answer.text().contains("`body_idle_timeout`"),
            "{}",
            answer.text()
        );
        assert_eq!(router.post(&order()).outcome(), "a");
    }
}

#[test]
fn silence_within_an_answer() {
    let a = service("a").replies(|_| {
        Reply::Raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n\r\n<half"
                .to_vec(),
        )
    });
    let table = "- { filter: { match_all: {} }, endpoint: a }";
    let router = router(table).at(&a, "idle_timeout: 150ms").start();
    assert!(
        router.client().try_post("/orders", &order()).is_err(),
        "a broken answer must look broken"
    );
    let line = router.exchange();
    assert!(
        line["broken"]
            .as_str()
            .is_some_and(|why| why.contains("no byte of the answer")),
        "{line}"
    );
}

#[test]
fn bytes_of_a_head() {
    let a = service("a").echoes();
    let router = router_to(&[&a])
        .with("limits: { header_block: 16KiB }")
        .start();
    let padded = |bytes: usize| order().with("X-Padding", &"p".repeat(bytes));
    assert_eq!(router.post(&padded(12_000)).outcome(), "a");
    refused_head(&router.client().try_post("/orders", &padded(20_000)));
    // One field that never ends.
    refused_head(&router.client().try_post("/orders", &padded(3_000_000)));
    assert_eq!(router.post(&order()).outcome(), "a");
    // The default takes what single sign-on sends.
    let router = router_to(&[&a]).start();
    assert_eq!(router.post(&padded(48 * 1024)).outcome(), "a");
    refused_head(&router.client().try_post("/orders", &padded(80 * 1024)));
}

#[test]
fn fields_of_a_head() {
    let a = service("a").echoes();
    let router = router_to(&[&a])
        .with("limits: { header_count: 20 }")
        .start();
    let many =
        |count: usize| (0..count).fold(order(), |message, n| message.with(&format!("X-{n}"), "1"));
    assert_eq!(router.post(&many(10)).outcome(), "a");
    refused_head(&router.client().try_post("/orders", &many(30)));
    assert_eq!(router.post(&order()).outcome(), "a");
}

/// 431, or the connection ends where the caller is still sending.
#[track_caller]
fn refused_head(answer: &std::io::Result<crate::support::Answer>) {
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 431, "{}", answer.head.raw);
    }
}

#[test]
fn a_head_that_comes_slowly() {
    let a = service("a").echoes();
    let cases = [
        "limits: { header_read_timeout: 150ms }",
        "listeners: { public: { bind: \"127.0.0.1:0\", header_read_timeout: 150ms } }",
    ];
    for setting in cases {
        let router = router_to(&[&a]).with(setting).start();
        let mut client = router.client();
        client
            .wire()
            .write("POST /orders HTTP/1.1\r\nHost: x\r\n")
            .unwrap();
        let answer = client.answer("POST").unwrap();
        assert_eq!(answer.status(), 408, "{}", answer.head.raw);
        assert!(client.wire().some().is_ok_and(|rest| rest.is_empty()));
        assert_eq!(router.post(&order()).outcome(), "a");
    }
}

#[test]
fn a_connection_that_waits_for_its_next_request() {
    let a = service("a").echoes();
    let listener =
        |keys: &str| format!("listeners: {{ public: {{ bind: \"127.0.0.1:0\", {keys} }} }}");
    let router = router_to(&[&a])
        .with(&listener("keep_alive_timeout: 150ms"))
        .start();
    let mut client = router.client();
    assert_eq!(client.post("/orders", &order()).outcome(), "a");
    assert!(
        client.wire().some().unwrap().is_empty(),
        "the connection ends"
    );
    // Many requests, each in time, are no long wait; nor is waiting a slow head.
    let keys = "keep_alive_timeout: 1s, header_read_timeout: 500ms";
    let router = router_to(&[&a]).with(&listener(keys)).start();
    let mut client = router.client();
    let start = std::time::Instant::now();
    while start.elapsed() < std::time::Duration::from_millis(2200) {
        assert_eq!(client.post("/orders", &order()).outcome(), "a");
    }
}

#[test]
fn connections_of_one_listener() {
    let a = service("a").echoes();
    let router = router_to(&[&a])
        .with("listeners: { public: { bind: \"127.0.0.1:0\", max_connections: 2 } }")
        .start();
    let (mut one, mut two) = (router.client(), router.client());
    one.post("/orders", &order());
    two.post("/orders", &order());
    assert!(
        router.client().try_post("/orders", &order()).is_err(),
        "a third one is closed"
    );
    router.says("`max_connections` reached");
    drop(one);
    until("room for another", || {
        router.client().try_post("/orders", &order()).ok()
    });
    assert_eq!(two.post("/orders", &order()).outcome(), "a");
}

#[test]
fn connections_of_all_listeners() {
    let a = service("a").echoes();
    let router = router_to(&[&a])
        .with("listeners: { public: { bind: \"127.0.0.1:0\" }, inner: { bind: \"127.0.0.1:0\" } }")
        .with("limits: { connections: 2 }")
        .start();
    let mut inner = crate::support::Client::to(router.address("inner"));
    let mut one = router.client();
    assert_eq!(inner.post("/orders", &order()).outcome(), "a");
    assert_eq!(one.post("/orders", &order()).outcome(), "a");
    // The third waits in the kernel until one of them ends; then it is served.
    let mut waiting = router.client();
    let message = order();
    waiting.send("/orders", &message);
    assert_eq!(
        one.post("/orders", &order()).outcome(),
        "a",
        "those inside are served on"
    );
    assert_eq!(a.count(), 3, "the third must wait");
    drop(inner);
    assert_eq!(waiting.answer("POST").unwrap().outcome(), "a");
}

#[test]
fn exchanges_in_flight() {
    let (a, gate) = held("a");
    let router = router_to(&[&a])
        .service("default_endpoint: a")
        .with("limits: { exchanges: 2 }")
        .start();
    let message = order();
    let mut clients = [router.client(), router.client()];
    for client in &mut clients {
        client.send("/orders", &message);
    }
    a.got(2);
    for message in [order(), crate::support::messages::order12()] {
        let answer = router.post(&message);
        assert_eq!(
            (answer.status(), answer.outcome().as_str()),
            (503, "Overloaded")
        );
        assert_eq!(answer.head.get("retry-after"), Some("1"));
        assert_eq!(
            router.exchange_with(&answer.exchange())["reason"],
            "Overloaded"
        );
    }
    assert_eq!(router.client().get("/orders").status(), 503);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer("POST").unwrap().outcome(), "a");
    }
    until("a free place", || {
        (router.post(&order()).outcome() == "a").then_some(())
    });
}

#[test]
fn limits_of_expressions() {
    let nested = |depth: usize| "(".repeat(depth) + "1" + &")".repeat(depth);
    let cases = [
        ("xpath_nesting: 5", nested(4), nested(8), "deeper than 5"),
        (
            "xpath_length: 64",
            "//short".to_owned(),
            format!("//{}", "x".repeat(100)),
            "64",
        ),
    ];
    for (setting, within, beyond, name) in cases {
        for (expression, fine) in [(within, true), (beyond, false)] {
            let table = format!("- {{ filter: {{ xpath: \"{expression}\" }}, endpoint: a }}");
            let folder = router(&table)
                .endpoint("a", "http://127.0.0.1:1/", "")
                .with(&format!("limits: {{ {setting} }}"))
                .write();
            let ran = soap_router(folder.path(), &["check", "--format", "concise"]);
            assert_eq!(ran.code, i32::from(!fine), "{name}: {ran:?}");
            assert_eq!(ran.out.contains(name), !fine, "the limit is told: {ran:?}");
        }
    }
}

#[test]
fn an_answers_head_is_bounded_too() {
    let padded = |bytes: usize| {
        let field = format!(
            "Content-Type: text/xml\r\nX-Padding: {}\r\n",
            "p".repeat(bytes)
        );
        move |_: &_| reply("200 OK", &field, "<x/>")
    };
    for (bytes, expected) in [(20_000, 0), (200_000, 1)] {
        let (a, b) = (
            service("a").replies(padded(bytes)),
            service("b").replies(|_| html("200 OK")),
        );
        let router = router_to(&[&a, &b]).start();
        let answer = router.post(&order());
        assert_eq!(b.count(), expected, "{bytes}: {}", answer.text());
    }
}

#[test]
fn a_message_of_nothing_is_refused() {
    let a = service("a").echoes();
    let router = router_to(&[&a]).start();
    let empty = Message::bare("").with("Content-Type", "text/xml");
    assert_eq!(router.post(&empty).outcome(), "MalformedMessage");
}

#[test]
fn bytes_of_a_head_that_is_bridged() {
    let a = service("a").echoes();
    let router = router("- { filter: { match_all: {} }, endpoint: a }")
        .at(&a, "soap: \"1.2\"")
        .with("limits: { bridge_head: 4KiB }")
        .start();
    let header = |bytes: usize| {
        let filling = "x".repeat(bytes);
        soap11(&format!("<h:a xmlns:h=\"urn:h\">{filling}</h:a>"), "<x/>")
    };
    assert_eq!(router.post(&header(3_000)).by(), "a");
    let answer = router.post(&header(5_000));
    assert_eq!(answer.fault().as_deref(), Some("LimitExceeded"));
    assert!(answer.text().contains("`bridge_head`"), "{}", answer.text());
    assert_eq!(a.count(), 1);
}
