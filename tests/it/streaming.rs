//! A message flows to its endpoint from the moment that it is decided, in every mode; what comes
//! back flows at the same time; trailers come along.

use std::thread;

use super::multipart::mtom;
use crate::support::messages::{Message, long_order, order, soap11};
use crate::support::router::router_to;
use crate::support::wire::chunked;
use crate::support::{Builder, Client, Framing, Gate, Service, Wire, router, service};

/// The endpoint's answer, once it has everything.
pub const DONE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 10\r\n\r\n<by>a</by>";

/// An endpoint that says when the first byte of a message is there, and answers when it has all
/// of it; it must be `expected`.
fn notices(name: &str, begun: &Gate, expected: &Message) -> Service {
    let (begun, expected) = (begun.clone(), expected.body.clone());
    service(name).speaks(move |wire, _| {
        let head = wire.head().unwrap().unwrap();
        wire.begins().unwrap();
        begun.open();
        let body = wire.body(head.framing(None)).unwrap();
        assert!(body == expected, "other bytes arrived");
        wire.write(DONE).unwrap();
    })
}

/// Sends all but the end of a message, and the end once the endpoints have its beginning.
fn in_two(client: &mut Client, message: &Message, framing: Framing, begun: &[&Gate]) -> u16 {
    let (field, bytes) = match framing {
        Framing::Chunked => (
            "Transfer-Encoding: chunked".to_owned(),
            chunked(&message.body, 300),
        ),
        _ => (
            format!("Content-Length: {}", message.body.len()),
            message.body.clone(),
        ),
    };
    let head = client.head("/orders", message, &field);
    let (beginning, end) = bytes.split_at(bytes.len() - 30);
    client
        .wire()
        .write([head.as_bytes(), beginning].concat())
        .unwrap();
    for gate in begun {
        gate.pass();
    }
    client.wire().write(end).unwrap();
    client.answer("POST").unwrap().status()
}

const MATCH_ALL: &str = "- { filter: { match_all: {} }, endpoint: a }";
const ITEM: &str = "
namespaces: { o: \"urn:example:orders\" }
table: [ { filter: { xpath: \"//o:Item = 'A-1'\" }, endpoint: a } ]";
const WITH_BACKUP: &str = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";

/// A long order whose item stands at its front.
fn item_first(bytes: usize) -> Message {
    let filling = "x".repeat(bytes);
    soap11(
        "",
        &format!(
            "<o:Place xmlns:o=\"urn:example:orders\"><o:Item>A-1</o:Item><o:Note>{filling}</o:Note></o:Place>"
        ),
    )
}

#[test]
fn the_first_byte_leaves_before_the_last_has_come_in_every_mode() {
    let message = item_first(4000);
    let attached = mtom(&message, &[b'z'; 4000]);
    let modes: [(&str, &str, &[&str], &Message); 7] = [
        ("headers", MATCH_ALL, &[], &message),
        ("body", ITEM, &[], &message),
        ("multipart", ITEM, &[], &attached),
        ("with a backup", WITH_BACKUP, &[], &message),
        (
            "beyond the buffer",
            WITH_BACKUP,
            &["replay_buffer: 1KiB"],
            &message,
        ),
        (
            "spooled",
            WITH_BACKUP,
            &["replay_buffer: 1KiB", "on_overflow: spool"],
            &message,
        ),
        ("verified", ITEM, &["verify: full"], &message),
    ];
    for (mode, table, keys, message) in modes {
        for framing in [Framing::Length(0), Framing::Chunked] {
            let begun = Gate::default();
            let a = notices("a", &begun, message);
            let b = service("b").echoes();
            let with = |builder: Builder, key: &&str| builder.service(key);
            let router = keys.iter().fold(router(table).to(&a).to(&b), with).start();
            let mut client = router.client();
            let status = in_two(&mut client, message, framing, &[&begun]);
            assert_eq!(status, 200, "{mode}, {framing:?}");
        }
    }
}

#[test]
fn a_one_way_message_flows_to_all_before_its_last_byte_has_come() {
    let message = item_first(4000);
    for framing in [Framing::Length(0), Framing::Chunked] {
        let gates = [Gate::default(), Gate::default()];
        let a = notices("a", &gates[0], &message);
        let b = notices("b", &gates[1], &message);
        let table = "
- { filter: { match_all: {} }, endpoint: a }
- { filter: { match_all: {} }, endpoint: b }";
        let router = router(table)
            .service("pattern: one-way")
            .to(&a)
            .to(&b)
            .start();
        let both = [&gates[0], &gates[1]];
        assert_eq!(in_two(&mut router.client(), &message, framing, &both), 202);
    }
}

#[test]
fn an_answer_flows_back_while_the_message_still_comes() {
    // The endpoint gives back each piece as it comes; the caller sends the next only when it has
    // the last one back. Whoever waits for the end of a side waits for ever.
    const PIECES: usize = 20;
    let a = service("a").speaks(|wire, _| {
        wire.head().unwrap().unwrap();
        wire.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .unwrap();
        // Chunk for chunk, whatever they are.
        loop {
            let some = wire.some().unwrap();
            wire.write(&some).unwrap();
            if some.ends_with(b"0\r\n\r\n") {
                return;
            }
        }
    });
    for table in [
        MATCH_ALL,
        "- { filter: { match_all: {} }, endpoint: a, backups: [b] }",
    ] {
        let b = service("b").echoes();
        let router = router(table).to(&a).to(&b).start();
        let mut client = router.client();
        let message = order();
        let head = client.head("/orders", &message, "Transfer-Encoding: chunked");
        let chunk =
            |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        let first = [head.as_bytes(), &chunk(&message.body)].concat();
        client.wire().write(first).unwrap();
        let head = client.wire().head().unwrap().unwrap();
        assert_eq!(head.status(), 200);
        client.wire().comes(b"</e:Envelope>").unwrap();
        for number in 0..PIECES {
            let piece = format!("<!-- {number:06} -->");
            client.wire().write(chunk(piece.as_bytes())).unwrap();
            client.wire().comes(piece.as_bytes()).unwrap();
        }
        client.wire().write("0\r\n\r\n").unwrap();
        let body = client.wire().body(Framing::Chunked).unwrap();
        assert!(body.starts_with(&message.body) && body.ends_with(b"<!-- 000019 -->"));
    }
}

#[test]
fn trailers_come_along_both_ways() {
    let a = service("a").speaks(|wire, _| {
        let head = wire.head().unwrap().unwrap();
        let body = wire.body(head.framing(None)).unwrap();
        assert_eq!(body, order().body);
        let trailers = wire.trailers();
        let digest = trailers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("x-digest"));
        assert_eq!(digest.map(|(_, value)| value.as_str()), Some("up"));
        wire.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTrailer: X-Digest\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\n<a/>\r\n0\r\nX-Digest: down\r\n\r\n",
        )
        .unwrap();
    });
    let whole = "
namespaces: { o: \"urn:example:orders\" }
table: [ { filter: { not: { xpath: \"//o:Item = 'nothing'\" } }, endpoint: a } ]";
    for (table, keys) in [
        (MATCH_ALL, "strict: false"),
        (whole, "strict: false"),
        (WITH_BACKUP, "strict: false"),
        (WITH_BACKUP, "on_overflow: spool"),
    ] {
        let b = service("b").echoes();
        let router = router(table).service(keys).to(&a).to(&b).start();
        let mut client = router.client();
        let message = order().with("TE", "trailers").with("Trailer", "X-Digest");
        let head = client.head(
            "/orders",
            &message,
            "Connection: TE\r\nTransfer-Encoding: chunked",
        );
        let mut body = chunked(&message.body, 100);
        body.truncate(body.len() - 2);
        body.extend(b"X-Digest: up\r\n\r\n");
        client
            .wire()
            .write([head.as_bytes(), &body].concat())
            .unwrap();
        let answer = client.answer("POST").unwrap();
        assert_eq!(answer.text(), "<a/>", "{table}");
        let trailers: Vec<String> = answer
            .trailers
            .iter()
            .map(|(name, value)| format!("{}: {value}", name.to_lowercase()))
            .collect();
        assert_eq!(trailers, ["x-digest: down"], "{table}");
    }
}

#[test]
fn a_chunked_message_stays_chunked_and_a_measured_one_measured_in_every_mode() {
    let message = long_order(50_000);
    for keys in ["replay_buffer: 1KiB", "replay_buffer: 1MiB"] {
        let (a, b) = (service("a").echoes(), service("b").echoes());
        let router = router(WITH_BACKUP).service(keys).to(&a).to(&b).start();
        let mut client = router.client();
        client.post("/orders", &message);
        client.post_chunked("/orders", &message, 1000);
        let framings: Vec<Framing> = a.got(2).iter().map(|got| got.framing).collect();
        let length = Framing::Length(message.body.len());
        assert_eq!(framings, [length, Framing::Chunked], "{keys}");
        assert!(a.received().iter().all(|got| got.body == message.body));
    }
}

/// Sends without looking whether anything comes back; says how many bytes were taken.
fn pour(mut wire: Wire, bytes: usize) -> usize {
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    while sent < bytes {
        let now = piece.len().min(bytes - sent);
        if wire.write(&piece[..now]).is_err() {
            break;
        }
        sent += now;
    }
    sent
}

/// The first bytes of a long message, and its head with this length announced.
fn beginning(client: &Client, length: usize) -> Vec<u8> {
    let message = order();
    let head = client.head("/orders", &message, &format!("Content-Length: {length}"));
    [head.as_bytes(), &message.body[..message.body.len() - 40]].concat()
}

#[test]
fn an_endpoint_that_answers_early_and_stops_reading_is_relayed_at_once() {
    // Far more than sockets and windows hold: who waits for the whole message hangs.
    const BYTES: usize = 1 << 30;
    for (keys, table) in [
        ("strict: false", MATCH_ALL),
        ("strict: false", WITH_BACKUP),
        ("on_overflow: spool", WITH_BACKUP),
    ] {
        let over = Gate::default();
        let held = over.clone();
        let a = service("a").speaks(move |wire, _| {
            wire.head().unwrap().unwrap();
            wire.begins().unwrap();
            wire.write(DONE).unwrap();
            held.pass();
        });
        let b = service("b").echoes();
        let router = router(table).service(keys).to(&a).to(&b).start();
        let mut client = router.client();
        let first = beginning(&client, BYTES);
        client.wire().write(&first).unwrap();
        let sending = Wire::new(client.wire().stream().try_clone().unwrap());
        let sender = thread::spawn(move || pour(sending, BYTES));
        assert_eq!(client.answer("POST").unwrap().by(), "a", "{keys}");
        // The endpoint takes nothing, so the rest is read away up to a bound, or refused.
        let sent = sender.join().unwrap();
        assert!(sent < BYTES, "all of it was taken");
        over.open();
        assert_eq!(router.exchange()["outcome"], "reply");
        nothing_is_left(&router);
    }
}

#[test]
fn a_caller_that_reads_only_when_it_has_sent_all_gets_the_early_answer() {
    const BYTES: usize = 3 << 20;
    let over = Gate::default();
    let held = over.clone();
    let a = service("a").speaks(move |wire, _| {
        wire.head().unwrap().unwrap();
        wire.begins().unwrap();
        wire.write(DONE).unwrap();
        held.pass();
    });
    let router = router_to(&[&a]).start();
    let mut client = router.client();
    let first = beginning(&client, BYTES);
    let head = first.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    client.wire().write(&first).unwrap();
    let sending = Wire::new(client.wire().stream().try_clone().unwrap());
    let rest = BYTES - (first.len() - head);
    assert_eq!(pour(sending, rest), rest);
    assert_eq!(client.answer("POST").unwrap().by(), "a");
    over.open();
}

#[test]
fn an_endpoint_that_answers_early_and_closes_is_relayed() {
    // What it had not read resets the connection right behind its answer.
    const BYTES: usize = 8 << 20;
    let a = service("a").speaks(|wire, _| {
        wire.head().unwrap().unwrap();
        wire.begins().unwrap();
        let answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: 11\r\n\r\n<by>a</by>\n";
        wire.write(answer).unwrap();
    });
    let router = router_to(&[&a]).start();
    for _ in 0..20 {
        let mut client = router.client();
        let first = beginning(&client, BYTES);
        client.wire().write(&first).unwrap();
        let sending = Wire::new(client.wire().stream().try_clone().unwrap());
        let sender = thread::spawn(move || pour(sending, BYTES));
        let answer = client.answer("POST").unwrap();
        assert_eq!((answer.status(), answer.by().as_str()), (500, "a"));
        drop(client);
        sender.join().unwrap();
    }
    nothing_is_left(&router);
}

#[test]
fn an_endpoint_that_answers_early_and_goes_on_reading_gets_all() {
    for (pattern, status) in [("one-way", 202), ("request-reply", 200)] {
        for reply in [DONE, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"] {
            let message = long_order(3 << 20);
            let (answered, whole) = (Gate::default(), Gate::default());
            let (go_on, got_all) = (answered.clone(), whole.clone());
            let expected = message.body.clone();
            let reply = reply.to_owned();
            let status = if reply == DONE { status } else { 202 };
            let a = service("a").speaks(move |wire, _| {
                let Ok(Some(head)) = wire.head() else { return };
                wire.begins().unwrap();
                wire.write(&reply).unwrap();
                go_on.pass();
                let body = wire.body(head.framing(None)).unwrap();
                assert!(body == expected, "other bytes arrived");
                got_all.open();
            });
            let router = router_to(&[&a])
                .service(&format!("pattern: {pattern}"))
                .start();
            let mut client = router.client();
            let head = client.head("/orders", &message, "Transfer-Encoding: chunked");
            let body = chunked(&message.body, 60_000);
            let (beginning, end) = body.split_at(100_000);
            client
                .wire()
                .write([head.as_bytes(), beginning].concat())
                .unwrap();
            let answer = client.answer("POST").unwrap();
            assert_eq!(answer.status(), status, "{pattern}");
            answered.open();
            client.wire().write(end).unwrap();
            whole.pass();
            // The caller's connection is good for more.
            nothing_is_left(&router);
        }
    }
}

#[test]
fn a_caller_that_asks_first_is_let_go_on_when_the_decision_needs_its_body() {
    for table in [MATCH_ALL, ITEM, WITH_BACKUP] {
        let (a, b) = (service("a").echoes(), service("b").echoes());
        let router = router(table).to(&a).to(&b).start();
        let mut client = router.client();
        let message = item_first(100_000).with("Expect", "100-continue");
        let head = client.head_with_length("/orders", &message);
        client.wire().write(head).unwrap();
        assert_eq!(client.wire().head().unwrap().unwrap().status(), 100);
        client.wire().write(&message.body).unwrap();
        assert_eq!(client.answer("POST").unwrap().by(), "a");
        assert!(a.only().body == message.body);
    }
}

#[test]
fn an_endpoints_leave_to_go_on_is_not_for_the_caller() {
    let a = service("a").speaks(|wire, _| {
        let head = wire.head().unwrap().unwrap();
        wire.write("HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        wire.body(head.framing(None)).unwrap();
        wire.write("HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        wire.write(DONE).unwrap();
    });
    let router = router_to(&[&a]).start();
    assert_eq!(router.post(&long_order(200_000)).by(), "a");
}

/// Waits until no exchange is in flight, no caller connected, nothing held or spooled.
#[track_caller]
pub fn nothing_is_left(router: &crate::support::Running) {
    for gauge in [
        "soap_router_exchanges_in_flight{service=\"orders\"}",
        "soap_router_replay_held_bytes",
        "soap_router_spool_files",
    ] {
        router.metric_becomes(gauge, 0.0);
    }
}
