//! Connections: kept on both sides, replaced unnoticed, and what streams through them.

use super::http::{answering, one};
use crate::support::messages::{Message, long_order, order, order12};
use crate::support::router::router_to;
use crate::support::service::{reply, reply_chunked};
use crate::support::{Framing, Gate, Reply, router, service};

#[test]
fn connections_are_kept_on_both_sides() {
    let (router, a) = one();
    let mut client = router.client();
    for _ in 0..5 {
        assert_eq!(client.post("/orders", &order()).by(), "a");
    }
    for _ in 0..5 {
        assert_eq!(router.post(&order()).by(), "a");
    }
    assert_eq!(a.count(), 10);
    assert_eq!(
        a.connections(),
        1,
        "one connection suffices for one message at a time"
    );
    let metrics = router.metrics();
    let opened = |side: &str| {
        metrics.get(&format!(
            "soap_router_connections_opened_total{{side=\"{side}\"}}"
        ))
    };
    assert!((opened("endpoint") - 1.0).abs() < 1e-9);
    assert!((opened("caller") - 6.0).abs() < 1e-9);
}

#[test]
fn messages_of_all_lengths_go_both_ways_on_one_connection() {
    let (router, a) = answering(|got| {
        let body = String::from_utf8_lossy(&got.body);
        reply("200 OK", "Content-Type: text/xml\r\n", &body)
    });
    let mut client = router.client();
    for bytes in [
        5_000, 5_000, 12_000, 20_000, 1_000, 16_000, 16_384, 100_000, 9_000,
    ] {
        let message = long_order(bytes);
        let answer = client.post("/orders", &message);
        assert!(answer.body == message.body, "{bytes}");
    }
    assert_eq!(a.connections(), 1);
}

#[test]
fn a_kept_connection_that_the_endpoint_closed_is_replaced_unnoticed() {
    // Says nothing of closing, as servers do whose patience is over.
    let (router, a) = answering(|_| {
        let Reply::Raw(answer) = reply("200 OK", "Content-Type: text/xml\r\n", "<x/>") else {
            unreachable!()
        };
        Reply::Last(answer)
    });
    let mut client = router.client();
    for number in 0..5 {
        let answer = client.post("/orders", &order());
        assert_eq!(answer.fault(), None, "message {number}");
        // Closed while a message is on its way would be another matter: that may be lost.
        router.metric_becomes("soap_router_connections_open{side=\"endpoint\"}", 0.0);
    }
    assert_eq!(a.count(), 5, "each message arrived once");
    assert_eq!(a.connections(), 5);
}

#[test]
fn an_endpoint_that_keeps_no_connection_gets_a_new_one_each_time() {
    let (router, a) = answering(|_| {
        let answer = reply(
            "200 OK",
            "Connection: close\r\nContent-Type: text/xml\r\n",
            "<x/>",
        );
        let Reply::Raw(bytes) = answer else {
            unreachable!()
        };
        Reply::Last(bytes)
    });
    let mut client = router.client();
    for _ in 0..3 {
        let answer = client.post("/orders", &order());
        assert_eq!(
            answer.head.get("connection"),
            None,
            "that is between the router and the endpoint"
        );
    }
    assert_eq!(a.connections(), 3);
}

#[test]
fn no_connection_is_kept_where_none_may_be() {
    for keys in ["max_idle: 0", "idle_connection_timeout: 0s"] {
        let a = service("a").echoes();
        let table = "- { filter: { match_all: {} }, endpoint: a }";
        let router = router(table).at(&a, keys).start();
        let mut client = router.client();
        for _ in 0..3 {
            assert_eq!(client.post("/orders", &order()).by(), "a", "{keys}");
        }
        assert_eq!(a.connections(), 3, "{keys}");
    }
}

#[test]
fn a_caller_that_asks_first_is_told_to_go_on() {
    let (router, a) = one();
    let mut client = router.client();
    let message = order().with("Expect", "100-continue");
    let head = client.head_with_length("/orders", &message);
    client.wire().write(head).unwrap();
    let interim = client.wire().head().unwrap().unwrap();
    assert_eq!(interim.status(), 100);
    client.wire().write(&message.body).unwrap();
    assert_eq!(client.answer("POST").unwrap().by(), "a");
    let got = a.only();
    assert_eq!(
        got.head.get("expect"),
        None,
        "the router has answered that itself"
    );
    assert_eq!(got.body, message.body);
}

#[test]
fn a_caller_that_asks_first_may_be_refused_before_it_sends() {
    let (router, _a) = one();
    let mut client = router.client();
    let message = order()
        .with("Expect", "100-continue")
        .with("Content-Type", "image/png");
    let head = client.head("/orders", &message, "Content-Length: 1000000000");
    client.wire().write(head).unwrap();
    let answer = client.answer("POST").unwrap();
    assert_eq!(answer.status(), 415, "{}", answer.head.raw);
}

#[test]
fn http_1_0_callers_are_served() {
    let text =
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body/></e:Envelope>";
    let (router, a) =
        answering(move |_| reply_chunked("200 OK", "Content-Type: text/xml\r\n", text, 10));
    let mut client = router.client();
    let body = order().body;
    let head = format!(
        "POST /orders HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client
        .wire()
        .write([head.as_bytes(), &body].concat())
        .unwrap();
    let answer = client.answer("POST").unwrap();
    assert_eq!(answer.status(), 200);
    assert_ne!(
        answer.framing,
        Framing::Chunked,
        "such a caller knows no chunks"
    );
    assert_eq!(answer.text(), text);
    assert!(
        client.wire().some().unwrap().is_empty(),
        "its connection ends with the answer"
    );
    assert!(a.only().head.start.ends_with("HTTP/1.1"));
}

#[test]
fn an_answer_streams_through() {
    let gate = Gate::default();
    let held = gate.clone();
    let a = service("a").speaks(move |wire, _| {
        let head = wire.head().unwrap().unwrap();
        wire.body(head.framing(None)).unwrap();
        wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n<one\r\n")
            .unwrap();
        held.pass();
        wire.write("2\r\n/>\r\n0\r\n\r\n").unwrap();
    });
    let router = router_to(&[&a]).start();
    let mut client = router.client();
    let message = order();
    client.send("/orders", &message);
    let head = client.wire().head().unwrap().unwrap();
    assert_eq!(head.framing(Some("POST")), Framing::Chunked);
    let mut got = Vec::new();
    while !got.windows(4).any(|w| w == b"<one") {
        got.extend(client.wire().some().unwrap());
    }
    // Only now does the endpoint give the rest.
    gate.open();
    while !got.ends_with(b"0\r\n\r\n") {
        got.extend(client.wire().some().unwrap());
    }
}

#[test]
fn an_answer_that_breaks_off_is_seen_to_be_broken() {
    let (router, _a) = answering(|_| {
        Reply::Last(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n\r\n<half"
                .to_vec(),
        )
    });
    let broken = router.client().try_post("/orders", &order());
    assert!(broken.is_err(), "{broken:?}");
    let line = router.exchange();
    assert!(
        line["broken"]
            .as_str()
            .is_some_and(|why| why.contains("broke off")),
        "{line}"
    );
    router.metric_becomes(
        "soap_router_exchanges_total{service=\"orders\",soap=\"1.1\",outcome=\"aborted\"}",
        1.0,
    );
}

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let (router, a) = one();
    let mut client = router.client();
    let request = |message: &Message| {
        let head = format!(
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            message.fields[0].1,
            message.body.len()
        );
        [head.as_bytes(), &message.body].concat()
    };
    let both = [request(&order()), request(&order12())].concat();
    client.wire().write(both).unwrap();
    let kinds: Vec<String> = (0..2)
        .map(|_| {
            client
                .answer("POST")
                .unwrap()
                .head
                .get("content-type")
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "text/xml; charset=utf-8",
            "application/soap+xml; charset=utf-8"
        ]
    );
    assert_eq!(a.count(), 2);
}
