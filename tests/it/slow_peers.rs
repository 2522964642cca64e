//! Slow readers and writers on both sides: they cost memory up to the window, and time up to
//! their timeout; which timeout it was is told.

use std::thread;

use super::streaming::{DONE, nothing_is_left};
use crate::support::messages::{Message, long_order, order};
use crate::support::router::router_to;
use crate::support::{Builder, Client, Gate, Running, Service, router, service, until};

const WHOLE: &str = "
namespaces: { o: \"urn:example:orders\" }
table: [ { filter: { not: { xpath: \"//o:Item = 'nothing'\" } }, endpoint: a } ]";

/// Begins a message of a gibibyte and sends as much of it as is taken.
fn flood(router: &Running) -> (Client, thread::JoinHandle<u64>) {
    let mut client = router.client();
    let message = order();
    let head = client.head("/orders", &message, "Content-Length: 1073741824");
    let beginning = &message.body[..message.body.len() - 40];
    client
        .wire()
        .write([head.as_bytes(), beginning].concat())
        .unwrap();
    let mut stream = client.wire().stream().try_clone().unwrap();
    let sending = thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while sent < 1 << 30 && std::io::Write::write_all(&mut stream, &piece).is_ok() {
            sent += 1 << 20;
        }
        sent
    });
    (client, sending)
}

/// An endpoint that takes the beginning and nothing more.
fn stuck(over: &Gate) -> Service {
    let held = over.clone();
    service("a").speaks(move |wire, _| {
        wire.head().unwrap().unwrap();
        wire.begins().unwrap();
        held.pass();
    })
}

#[test]
fn an_endpoint_that_takes_nothing_costs_the_window_and_its_time() {
    // Only a spool holds enough of it for another attempt.
    for (keys, expected) in [
        (
            ["replay_buffer: 0KiB", "on_overflow: commit"],
            "EndpointTimeout",
        ),
        (
            ["replay_buffer: 1MiB", "on_overflow: commit"],
            "EndpointTimeout",
        ),
        (
            ["replay_buffer: 1MiB", "on_overflow: spool"],
            "EndpointsUnavailable",
        ),
    ] {
        let over = Gate::default();
        let a = stuck(&over);
        let b = service("b").echoes();
        let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
        let builder: Builder = router(table).at(&a, "response_timeout: 400ms").to(&b);
        let router = keys
            .iter()
            .fold(builder, |builder, key| builder.service(key))
            .start();
        b.kill();
        let (mut client, sending) = flood(&router);
        let fault = client.answer("POST").unwrap().fault();
        assert_eq!(fault.as_deref(), Some(expected), "{keys:?}");
        drop(client);
        let sent = sending.join().unwrap();
        assert!(sent < 64 << 20, "{keys:?}: {sent} bytes were taken");
        assert!(
            router.peak_memory() < 40 << 10,
            "{keys:?}: {} KiB",
            router.peak_memory()
        );
        assert!(
            router
                .exchange()
                .to_string()
                .contains("no response within 400ms"),
            "{}",
            router.exchange()
        );
        over.open();
        nothing_is_left(&router);
    }
}

#[test]
fn a_caller_that_takes_no_answer_costs_the_window_and_its_time() {
    let a = service("a").speaks(|wire, _| {
        let head = wire.head().unwrap().unwrap();
        wire.body(head.framing(None)).unwrap();
        wire.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1073741824\r\n\r\n",
        )
        .unwrap();
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while sent < 1 << 30 && wire.write(&piece).is_ok() {
            sent += 1 << 20;
        }
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    });
    let router = router_to(&[&a])
        .with("limits: { body_idle_timeout: 400ms }")
        .start();
    let mut client = router.client();
    let message = order();
    client.send("/orders", &message);
    let line = router.exchange();
    assert!(line.get("broken").is_some(), "{line}");
    assert!(
        router.peak_memory() < 40 << 10,
        "{} KiB",
        router.peak_memory()
    );
    nothing_is_left(&router);
    // What had left before is there; the end is not.
    let head = client.wire().head().unwrap().unwrap();
    assert!(client.wire().body(head.framing(Some("POST"))).is_err());
}

#[test]
fn a_message_that_trickles_in_ends_with_the_services_time() {
    // Never silent for long, so no other time ends it; in front of the decision and behind it.
    let a = service("a").speaks(|wire, _| {
        if let Ok(Some(head)) = wire.head() {
            assert!(
                wire.body(head.framing(None)).is_err(),
                "it never came whole"
            );
        }
    });
    for (table, reason) in [
        (WHOLE, "LimitExceeded"),
        (
            "- { filter: { match_all: {} }, endpoint: a }",
            "EndpointTimeout",
        ),
    ] {
        let router = router(table).service("timeout: 700ms").to(&a).start();
        let mut client = router.client();
        let message = long_order(1 << 20);
        let head = client.head_with_length("/orders", &message);
        client.wire().write(head).unwrap();
        let mut stream = client.wire().stream().try_clone().unwrap();
        let body = message.body.clone();
        let trickling = thread::spawn(move || {
            for piece in body.chunks(300) {
                if std::io::Write::write_all(&mut stream, piece).is_err() {
                    return;
                }
                thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let answer = client.answer("POST").unwrap();
        assert_eq!(answer.outcome(), reason, "{}", answer.text());
        if table == WHOLE {
            assert!(answer.text().contains("`timeout`"), "{}", answer.text());
        }
        drop(client);
        trickling.join().unwrap();
        nothing_is_left(&router);
    }
}

#[test]
fn an_answers_head_that_trickles_in_ends_with_the_endpoints_time() {
    let a = service("a").speaks(|wire, _| {
        let head = wire.head().unwrap().unwrap();
        wire.body(head.framing(None)).unwrap();
        let _ = wire.write("HTTP/1.1 200 OK\r\n");
        while wire.write("X-Y: z\r\n").is_ok() {
            thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let router = router("- { filter: { match_all: {} }, endpoint: a }")
        .at(&a, "response_timeout: 400ms")
        .start();
    assert_eq!(router.post(&order()).outcome(), "EndpointTimeout");
    nothing_is_left(&router);
}

#[test]
fn a_slow_endpoint_slows_its_own_caller_and_nobody_else() {
    let (begun, go_on) = (Gate::default(), Gate::default());
    let (has_begun, held) = (begun.clone(), go_on.clone());
    let a = service("a").speaks(move |wire, number| {
        while let Ok(Some(head)) = wire.head() {
            if number == 0 {
                wire.begins().unwrap();
                has_begun.open();
                held.pass();
            }
            wire.body(head.framing(None)).unwrap();
            wire.write(DONE).unwrap();
        }
    });
    let router = router_to(&[&a]).start();
    let slow = long_order(32 << 20);
    let address = router.address("public");
    let post = move |message: &Message| Client::to(address).post("/orders", message).by();
    let waiting = thread::spawn(move || post(&slow));
    begun.pass();
    for _ in 0..20 {
        assert_eq!(router.post(&order()).by(), "a");
    }
    // The slow one waits in the sockets, not in the router.
    until("the window to stand still", || {
        let held = router.metrics().get("soap_router_replay_held_bytes");
        (held <= 1_000_000.0).then_some(())
    });
    assert!(
        router.peak_memory() < 40 << 10,
        "{} KiB",
        router.peak_memory()
    );
    go_on.open();
    assert_eq!(waiting.join().unwrap(), "a");
}
