//! Endpoints of several servers: who gets a message, and who gets it when that one fails.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::messages::{Message, order, soap11};
use crate::support::service::{fault, html};
use crate::support::{Reply, Running, Service, held, refusing, router, service, until};

pub const TABLE: &str = "- { filter: { match_all: {} }, endpoint: pool }";

/// An endpoint `pool` of these services, with these keys.
pub fn pool(services: &[&Service], keys: &str) -> Running {
    let servers: Vec<String> = services
        .iter()
        .map(|service| format!("\"{}\"", service.address))
        .collect();
    pool_at(&servers.join(", "), keys)
}

/// An endpoint `pool` of servers as they are written.
pub fn pool_at(servers: &str, keys: &str) -> Running {
    let comma = if keys.is_empty() { "" } else { ", " };
    let keys = format!("servers: [{servers}]{comma}{keys}");
    router(TABLE)
        .endpoint("pool", "http://orders.example/orders", &keys)
        .start()
}

/// Who answers so many messages, each of a caller of its own.
pub fn shares(running: &Running, count: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        *shares.entry(running.post(&order()).outcome()).or_default() += 1;
    }
    shares
}

/// The endpoint `pool` as the admin interface shows it.
pub fn endpoint(running: &Running) -> Value {
    running.admin_json("/api/v1/endpoints/pool")
}

/// Its server at this address.
pub fn server(running: &Running, service: &Service) -> Value {
    let servers = endpoint(running)["servers"].as_array().unwrap().clone();
    let address = service.address.to_string();
    let found = servers.into_iter().find(|s| s["address"] == *address);
    found.unwrap_or(Value::Null)
}

/// Waits until a server is in this state.
#[track_caller]
pub fn becomes(running: &Running, service: &Service, state: &str) {
    until(&format!("`{}` to be {state}", service.name), || {
        (server(running, service)["state"] == state).then_some(())
    });
}

fn of(shares: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let owned = shares
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count));
    owned.collect()
}

#[test]
fn each_in_its_turn_and_by_its_weight() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let running = pool(&[&a, &b], "");
    assert_eq!(shares(&running, 8), of(&[("a", 4), ("b", 4)]));
    // The path is the endpoint's, whichever server it is sent to.
    let head = &a.received()[0].head;
    assert_eq!(head.get("host"), Some("orders.example"));
    assert!(head.raw.starts_with("POST /orders "), "{}", head.raw);

    let weighted = format!(
        "\"{}\", {{ address: \"{}\", weight: 3 }}",
        a.address, b.address
    );
    let running = pool_at(&weighted, "");
    assert_eq!(shares(&running, 8), of(&[("a", 2), ("b", 6)]));
}

#[test]
fn an_ipv6_server_beside_an_ipv4_one() {
    let Ok(socket) = std::net::TcpListener::bind("[::1]:0") else {
        // A machine without IPv6 has nothing to test.
        return;
    };
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        while let Ok((mut stream, _)) = socket.accept() {
            let mut read = [0; 4096];
            let _ = stream.read(&mut read);
            let body = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><by>six</by></e:Body></e:Envelope>";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice());
        }
    });
    let four = service("four").echoes();
    let running = pool_at(&format!("\"{address}\", \"{}\"", four.address), "");
    assert_eq!(shares(&running, 4), of(&[("four", 2), ("six", 2)]));
}

#[test]
fn the_least_busy_gets_the_next() {
    let (a, gate) = held("a");
    let b = service("b").echoes();
    let running = pool(&[&a, &b], "balance: least_requests");
    let waiting = running.client();
    let slow = std::thread::spawn(move || {
        let mut client = waiting;
        // Whose turn it is first is not said; the one that is held is asked in the end.
        loop {
            let answer = client.post("/orders", &order());
            if answer.by() == "a" {
                return;
            }
        }
    });
    a.got(1);
    assert_eq!(shares(&running, 6), of(&[("b", 6)]));
    gate.open();
    slow.join().unwrap();
}

#[test]
fn two_are_drawn_and_both_get_their_share() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let running = pool(&[&a, &b], "balance: random");
    // All to one happens once in 2^39 runs.
    assert_eq!(shares(&running, 40).len(), 2);
}

#[test]
fn the_same_value_goes_to_the_same_server() {
    let services: Vec<Service> = ["a", "b", "c"].map(|name| service(name).echoes()).into();
    let all: Vec<&Service> = services.iter().collect();
    let customer = |name: &str| {
        soap11(
            "",
            &format!("<o:Place xmlns:o='urn:o'><o:Customer>{name}</o:Customer></o:Place>"),
        )
    };
    let ways: [(&str, fn(&str, Message) -> Message); 3] = [
        ("header: X-Customer", |name, message| {
            message.with("X-Customer", name)
        }),
        ("cookie: customer", |name, message| {
            message.with("Cookie", &format!("a=b; customer={name}"))
        }),
        ("xpath: \"//o:Customer\"", |_, message| message),
    ];
    let mut sides = Vec::new();
    for (on, say) in ways {
        let keys = format!("namespaces: {{ o: \"urn:o\" }}, balance: {{ hash: {{ {on} }} }}");
        let running = pool(&all, &keys);
        let by = |name: &str| running.post(&say(name, customer(name))).by();
        let names: Vec<String> = (0..12).map(|n| format!("customer {n}")).collect();
        let first: Vec<String> = names.iter().map(|name| by(name)).collect();
        let again: Vec<String> = names.iter().map(|name| by(name)).collect();
        assert_eq!(first, again, "{on}");
        let different: std::collections::BTreeSet<&String> = first.iter().collect();
        assert!(different.len() > 1, "{on}: {first:?}");
        sides.push(first);
    }
    // Wherever the value stands, it means the same.
    assert!(sides.windows(2).all(|pair| pair[0] == pair[1]), "{sides:?}");
}

#[test]
fn a_server_that_refuses_connections_costs_a_caller_nothing() {
    let (nowhere, _held) = refusing();
    let a = service("a").echoes();
    let running = pool_at(&format!("\"{nowhere}\", \"{}\"", a.address), "");
    assert_eq!(shares(&running, 6), of(&[("a", 6)]));
    let lines = running.exchanges(6);
    let tried = |line: &&Value| line["attempts"].as_array().is_some();
    let line = lines.iter().find(tried).expect("a line with attempts");
    let attempts = line["attempts"].as_array().unwrap();
    assert_eq!(attempts[0]["server"], nowhere.to_string());
    assert_eq!(attempts[0]["outcome"], "connect");
    assert_eq!(attempts[1]["server"], a.address.to_string());
    assert_eq!(line["server"], a.address.to_string());
}

#[test]
fn what_may_have_been_delivered_is_sent_again_only_where_that_is_allowed() {
    let cases = [("", 1), ("resend: always", 2), ("resend: never", 1)];
    for (keys, sent) in cases {
        let breaks = service("breaks").replies(|_| Reply::Close);
        let works = service("works").echoes();
        let running = pool(&[&breaks, &works], keys);
        let outcomes = shares(&running, 2);
        let again = sent == 2;
        let expected = if again {
            of(&[("works", 2)])
        } else {
            of(&[("EndpointsUnavailable", 1), ("works", 1)])
        };
        assert_eq!(outcomes, expected, "{keys}");
        assert_eq!(breaks.count() + works.count(), if again { 3 } else { 2 });
        assert_eq!(breaks.count(), 1, "{keys}");
    }
    // Never means never: not even what was surely not delivered.
    let (nowhere, _held) = refusing();
    let works = service("works").echoes();
    let servers = format!("\"{nowhere}\", \"{}\"", works.address);
    let running = pool_at(&servers, "resend: never");
    assert_eq!(
        shares(&running, 2),
        of(&[("EndpointsUnavailable", 1), ("works", 1)])
    );
}

#[test]
fn no_more_servers_are_tried_than_allowed() {
    let held: Vec<_> = (0..3).map(|_| refusing()).collect();
    let servers: Vec<String> = held.iter().map(|(at, _)| format!("\"{at}\"")).collect();
    let running = pool_at(&servers.join(", "), "tries: 2");
    assert_eq!(
        running.post(&order()).fault().unwrap(),
        "EndpointsUnavailable"
    );
    assert_eq!(running.exchange()["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn an_outage_is_not_multiplied_beyond_the_budget() {
    let services: Vec<Service> = ["a", "b"]
        .map(|name| service(name).replies(|_| html("503 Service Unavailable")))
        .into();
    let all: Vec<&Service> = services.iter().collect();
    let keys = "resend: always, retry_budget: { percent: 10, per_second: 0 }";
    let running = pool(&all, keys);
    for _ in 0..30 {
        running.post(&order());
    }
    let sent: usize = services.iter().map(Service::count).sum();
    assert_eq!(sent, 33);
    let metrics = running.metrics();
    let resends = |result: &str| {
        metrics.get(&format!(
            "soap_router_endpoint_resends_total{{endpoint=\"pool\",result=\"{result}\"}}"
        ))
    };
    assert!((resends("sent") - 3.0).abs() < 1e-9);
    assert!((resends("refused") - 27.0).abs() < 1e-9);
}

#[test]
fn a_backup_takes_over_when_no_server_of_the_first_is_left() {
    let (nowhere, _held) = refusing();
    let backup = service("backup").echoes();
    let keys =
        format!("servers: [\"{nowhere}\"], suspend: {{ after: 1, initial: 1h, maximum: 1h }}");
    let running = router("- { filter: { match_all: {} }, endpoint: pool, backups: [backup] }")
        .endpoint("pool", "http://orders.example/orders", &keys)
        .to(&backup)
        .start();
    for (count, why) in [(1, "connect"), (2, "down")] {
        assert_eq!(running.post(&order()).by(), "backup");
        let line = running.exchanges(count).pop().unwrap();
        assert_eq!(line["attempts"][0]["outcome"], why, "{line}");
    }
}

#[test]
fn places_are_limited_and_the_queue_is_too() {
    let (a, gate) = held("a");
    let keys = "max_requests: 1, max_queue: 1, queue_timeout: 20s";
    let running = pool(&[&a], keys);
    let post = |mut client: crate::support::Client| {
        std::thread::spawn(move || client.post("/orders", &order()).outcome())
    };
    let first = post(running.client());
    a.got(1);
    let second = post(running.client());
    until("one to wait", || {
        (endpoint(&running)["waiting"] == 1).then_some(())
    });
    // The third is told at once.
    let answer = running.post(&order());
    assert_eq!(answer.fault().unwrap(), "Overloaded");
    assert_eq!(
        (answer.status(), answer.head.get("retry-after")),
        (503, Some("1"))
    );
    gate.open();
    assert_eq!(first.join().unwrap(), "a");
    assert_eq!(second.join().unwrap(), "a");
    assert_eq!(a.count(), 2);
}

#[test]
fn a_full_server_is_passed_over_and_waiting_ends() {
    let (a, gate) = held("a");
    let b = service("b").echoes();
    let one =
        |service: &Service| format!("{{ address: \"{}\", max_requests: 1 }}", service.address);
    let running = pool_at(&format!("{}, {}", one(&a), one(&b)), "queue_timeout: 100ms");
    let mut client = running.client();
    let slow = std::thread::spawn(move || {
        loop {
            if client.post("/orders", &order()).by() == "a" {
                return;
            }
        }
    });
    a.got(1);
    assert_eq!(shares(&running, 4), of(&[("b", 4)]));
    gate.open();
    slow.join().unwrap();

    let (a, gate) = held("a");
    let running = pool_at(&one(&a), "queue_timeout: 100ms");
    let mut client = running.client();
    let slow = std::thread::spawn(move || client.post("/orders", &order()).outcome());
    a.got(1);
    assert_eq!(running.post(&order()).fault().unwrap(), "Overloaded");
    gate.open();
    assert_eq!(slow.join().unwrap(), "a");
}

#[test]
fn a_sender_fault_is_an_answer_and_goes_nowhere_else() {
    let a = service("a").replies(|_| fault("500 Internal Server Error", "Client"));
    let b = service("b").replies(|_| fault("500 Internal Server Error", "Client"));
    let running = pool(&[&a, &b], "resend: always");
    assert_eq!(running.post(&order()).status(), 500);
    assert_eq!(a.count() + b.count(), 1);
}

#[test]
fn an_operation_may_take_longer_than_the_others() {
    for operation in ["operation: \"{urn:o}Report\"", "action: \"urn:o/Report\""] {
        let (a, gate) = held("a");
        let longer = format!("operations: [{{ {operation}, response_timeout: 1h, timeout: 1h }}]");
        let running = pool(&[&a], &format!("response_timeout: 100ms, {longer}"));
        let message = |name: &str| {
            let body = format!("<o:{name} xmlns:o='urn:o'/>");
            soap11("", &body).with("SOAPAction", &format!("urn:o/{name}"))
        };
        let mut client = running.client();
        let report = message("Report");
        let waits = std::thread::spawn(move || client.post("/orders", &report).outcome());
        a.got(1);
        // This one's time begins later and is over first.
        let place = running.post(&message("Place"));
        assert_eq!(place.outcome(), "EndpointTimeout", "{operation}");
        gate.open();
        assert_eq!(waits.join().unwrap(), "a", "{operation}");
    }
}
