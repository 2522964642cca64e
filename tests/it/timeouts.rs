//! How long an endpoint may take: for the head of its answer, between two bytes, in all, and from where it is called.

use crate::pools::{TABLE, pool, server};
use crate::support::messages::{order, soap11};
use crate::support::router::router_to;
use crate::support::{Reply, Service, held, router, service, until};

/// A service whose answers begin and never end.
fn endless() -> Service {
    let begun =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100\r\n\r\n<e:Envelope";
    service("a").replies(|_| Reply::Raw(begun.to_vec()))
}

#[test]
fn an_answer_that_is_not_whole_in_time_is_broken_off() {
    let suspend = "suspend: { after: 1, initial: 1h, maximum: 1h }";
    let cases = [
        (
            "timeout: 200ms",
            "",
            "the endpoint's `timeout` of 200ms",
            "suspended",
        ),
        (
            "",
            "timeout: 200ms",
            "the service's `timeout` of 200ms",
            "up",
        ),
        (
            "timeout: 1h",
            "timeout: 200ms",
            "the service's `timeout` of 200ms",
            "up",
        ),
        (
            "idle_timeout: 200ms",
            "",
            "no byte of the answer for 200ms",
            "suspended",
        ),
    ];
    for (endpoint, service, why, state) in cases {
        let a = endless();
        let keys = [suspend, endpoint].join(", ");
        let running = router(TABLE)
            .endpoint("pool", &a.url(), keys.trim_end_matches([',', ' ']))
            .service(service)
            .start();
        let broken = running.client().try_post("/orders", &order());
        assert!(broken.is_err(), "{endpoint} {service}: {broken:?}");
        let line = running.exchange();
        let told = line["broken"].as_str().unwrap();
        assert!(told.contains(why), "{endpoint} {service}: {line}");
        assert_eq!(server(&running, &a)["state"], state, "{endpoint} {service}");
    }
}

#[test]
fn what_is_no_soap_has_its_time_too() {
    let a = endless();
    let running = router_to(&[&a])
        .with("routes: { all: { path: /*, endpoint: b } }")
        .endpoint("b", &a.url(), "timeout: 200ms")
        .start();
    let mut client = running.client();
    client
        .wire()
        .write("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(client.answer("GET").is_err());
    let line = running.exchange();
    assert!(line["broken"].as_str().unwrap().contains("200ms"), "{line}");
}

#[test]
fn a_longer_time_of_an_operation_needs_one_key() {
    let (a, gate) = held("a");
    let keys = "timeout: 100ms, operations: [{ operation: \"{urn:o}Report\", timeout: 1h }]";
    let running = pool(&[&a], keys);
    let message = |name: &str| soap11("", &format!("<o:{name} xmlns:o='urn:o'/>"));
    let mut client = running.client();
    let report = message("Report");
    let waits = std::thread::spawn(move || client.post("/orders", &report).outcome());
    a.got(1);
    // This one's time begins later and is over first.
    let place = running.post(&message("Place"));
    assert_eq!(place.outcome(), "EndpointTimeout");
    gate.open();
    assert_eq!(waits.join().unwrap(), "a");
}

#[test]
fn connections_come_from_the_address_that_is_written() {
    let a = service("a").echoes();
    let running = router("- { filter: { match_all: {} }, endpoint: a }")
        .at(&a, "source_address: 127.0.0.9")
        .start();
    let mut client = running.client();
    assert_eq!(client.post("/orders", &order()).by(), "a");
    let from = until("a connection", || a.peers().pop());
    assert_eq!(from.ip().to_string(), "127.0.0.9");
    // Another address is another connection.
    let yaml = std::fs::read_to_string(running.path("config/router.yaml")).unwrap();
    let changed = yaml.replace("127.0.0.9", "127.0.0.8");
    std::fs::write(running.path("config/router.yaml"), changed).unwrap();
    running.reaches_generation(2);
    assert_eq!(client.post("/orders", &order()).by(), "a");
    let from: Vec<String> = a.peers().iter().map(|peer| peer.ip().to_string()).collect();
    assert!(from.contains(&"127.0.0.8".to_owned()), "{from:?}");
}
