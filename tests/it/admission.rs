//! Who may enter, how many at a time, how fast; and what the others are told, at once.

use std::thread;

use crate::support::messages::{order, order12, soap11};
use crate::support::router::router_to;
use crate::support::{Answer, Builder, Gate, Reply, Running, Service, held, service};

fn admitting(keys: &str) -> (Service, Builder) {
    let a = service("a").echoes();
    let builder = router_to(&[&a]).service(&format!("admission: {{ {keys} }}"));
    (a, builder)
}

/// A service that holds what it gets until the gate is open.
fn holding(keys: &str) -> (Service, Builder, Gate) {
    let (a, gate) = held("a");
    let builder = router_to(&[&a]).service(&format!("admission: {{ {keys} }}"));
    (a, builder, gate)
}

fn post_aside(router: &Running) -> thread::JoinHandle<Answer> {
    let mut client = router.client();
    thread::spawn(move || client.post("/orders", &order()))
}

#[test]
fn networks_are_let_in_or_not() {
    for (keys, reason) in [
        ("allow: [127.0.0.0/8]", None),
        (
            "allow: [127.0.0.0/8], deny: [127.0.0.1]",
            Some("NotAllowed"),
        ),
        ("allow: [10.0.0.0/8]", Some("NotAllowed")),
        ("deny: [10.0.0.0/8, \"::1\"]", None),
    ] {
        let (a, builder) = admitting(keys);
        let router = builder.service("default_endpoint: a").start();
        let answer = router.post(&order());
        assert_eq!(answer.fault().as_deref(), reason, "{keys}");
        let get = router.client().get("/orders");
        match reason {
            None => assert_eq!((answer.status(), get.status()), (200, 200)),
            Some(_) => {
                assert_eq!((answer.status(), get.status()), (500, 403), "{keys}");
                assert_eq!(router.post(&order12()).status(), 400);
                assert_eq!(a.count(), 0);
                assert!(
                    !answer.text().contains("10.0.0.0"),
                    "nothing inside is told"
                );
            }
        }
    }
}

#[test]
fn no_more_at_a_time_than_may_be_and_the_rest_is_told_at_once() {
    let (a, builder, gate) = holding("concurrency: 2, queue: 1, queue_timeout: 1m");
    let router = builder.start();
    let mut waiting: Vec<_> = (0..2).map(|_| post_aside(&router)).collect();
    a.got(2);
    // The third waits; the fourth is told.
    waiting.push(post_aside(&router));
    router.metric_becomes("soap_router_exchanges_in_flight{service=\"orders\"}", 3.0);
    let answer = router.post(&order());
    assert_eq!(answer.fault().as_deref(), Some("Overloaded"));
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.head.get("retry-after"), Some("1"));
    assert_eq!(a.count(), 2);
    gate.open();
    for one in waiting {
        assert_eq!(one.join().unwrap().by(), "a");
    }
}

#[test]
fn who_waits_in_vain_is_told_and_who_leaves_gives_up_its_place() {
    let (a, builder, gate) = holding("concurrency: 1, queue: 5, queue_timeout: 100ms");
    let router = builder.start();
    let first = post_aside(&router);
    a.got(1);
    let answer = router.post(&order());
    assert_eq!(
        (answer.status(), answer.fault().as_deref()),
        (503, Some("Overloaded"))
    );
    gate.open();
    assert_eq!(first.join().unwrap().by(), "a");
    assert_eq!(router.post(&order()).by(), "a");
}

#[test]
fn rates_are_held_for_each_client_and_operation() {
    let (a, builder) =
        admitting("rates: [{ requests: 3, per: 1h }, { requests: 1, per: 1h, by: operation }]");
    let router = builder
        .with("listeners: { public: { bind: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1] } }")
        // What is counted is known without a log of it.
        .with("access_log: { format: off }")
        .start();
    let ask = |client: &str, operation: &str| {
        let message = soap11("", &format!("<{operation} xmlns=\"urn:x\"/>"));
        router
            .post(&message.with("X-Forwarded-For", client))
            .outcome()
    };
    assert_eq!(ask("192.0.2.1", "A"), "a");
    assert_eq!(ask("192.0.2.1", "A"), "Overloaded");
    assert_eq!(ask("192.0.2.1", "B"), "a");
    let fourth = ask("192.0.2.1", "C");
    assert_eq!(fourth, "Overloaded", "three from there were all");
    assert_eq!(ask("192.0.2.2", "C"), "a");
    let answer = router.post(&order().with("X-Forwarded-For", "192.0.2.1"));
    let wait: u64 = answer.head.get("retry-after").unwrap().parse().unwrap();
    assert!((600..=1200).contains(&wait), "{wait}");
    let get = router
        .client()
        .ask("GET", "/orders", &[("X-Forwarded-For", "192.0.2.1")]);
    assert_eq!(get.status(), 429);
    assert_eq!(a.count(), 3);
}

#[test]
fn a_reload_keeps_count_of_those_who_are_in() {
    let (a, builder, gate) = holding("concurrency: 1");
    let router = builder.start();
    let first = post_aside(&router);
    a.got(1);
    let yaml = std::fs::read_to_string(router.path("config/router.yaml")).unwrap();
    for (number, size) in [(2, 2), (3, 1)] {
        let changed = yaml.replace("concurrency: 1", &format!("concurrency: {size}"));
        std::fs::write(router.path("config/router.yaml"), changed).unwrap();
        router.reaches_generation(number);
    }
    assert_eq!(router.post(&order()).outcome(), "Overloaded");
    gate.open();
    assert_eq!(first.join().unwrap().by(), "a");
    assert_eq!(router.post(&order()).by(), "a");
}

#[test]
fn a_router_that_stops_tells_those_who_wait() {
    let (a, builder, gate) = holding("concurrency: 1, queue: 5, queue_timeout: 1h");
    let mut router = builder.start();
    let first = post_aside(&router);
    a.got(1);
    let second = post_aside(&router);
    router.metric_becomes("soap_router_exchanges_in_flight{service=\"orders\"}", 2.0);
    router.signal("TERM");
    let answer = second.join().unwrap();
    assert_eq!(
        (answer.status(), answer.fault().as_deref()),
        (503, Some("ShuttingDown"))
    );
    assert_eq!(answer.head.get("retry-after"), Some("1"));
    gate.open();
    assert_eq!(first.join().unwrap().by(), "a");
    assert!(router.ends().success());
}

#[test]
fn a_router_that_has_waited_long_enough_tells_those_who_still_wait_for_an_endpoint() {
    let a = service("a").replies(|_| Reply::Hang);
    let mut router = router_to(&[&a])
        .service("default_endpoint: a")
        .with("drain: 200ms")
        .start();
    let soap = post_aside(&router);
    let mut other = router.client();
    let get = thread::spawn(move || other.get("/orders?wsdl"));
    a.got(2);
    router.signal("TERM");
    let answer = soap.join().unwrap();
    assert_eq!(
        (answer.status(), answer.fault().as_deref()),
        (503, Some("ShuttingDown"))
    );
    assert_eq!(get.join().unwrap().status(), 503);
    assert_eq!(router.ends().code(), Some(1), "not all was finished");
    let line = router.exchange_with(&answer.exchange());
    assert_eq!(line["reason"], "ShuttingDown", "{line}");
}
