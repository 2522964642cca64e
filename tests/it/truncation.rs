//! Whoever breaks off, wherever, in whatever mode: nobody takes half a message or half an answer
//! for a whole one, and nothing stays behind.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;

use super::multipart::mtom;
use super::streaming::nothing_is_left;
use crate::support::messages::{Message, long_order, order, soap11};
use crate::support::router::router_to;
use crate::support::wire::chunked;
use crate::support::{Builder, Framing, Gate, Reply, Service, router, service, until};

const ITEM: &str = "
namespaces: { o: \"urn:example:orders\" }
table: [ { filter: { xpath: \"//o:Item = 'A-1'\" }, endpoint: a } ]";
const WHOLE: &str = "
namespaces: { o: \"urn:example:orders\" }
table: [ { filter: { not: { xpath: \"//o:Item = 'nothing'\" } }, endpoint: a } ]";
const WITH_BACKUP: &str = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
const TO_BOTH: &str = "
- { filter: { match_all: {} }, endpoint: a }
- { filter: { match_all: {} }, endpoint: b }";

/// Counts the messages that it takes for whole.
fn counting(name: &str, whole: &Arc<Mutex<usize>>) -> Service {
    let whole = Arc::clone(whole);
    service(name).speaks(move |wire, _| {
        while let Ok(Some(head)) = wire.head() {
            if wire.body(head.framing(None)).is_err() {
                return;
            }
            *whole.lock().unwrap() += 1;
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 10\r\n\r\n<by>a</by>";
            if wire.write(answer).is_err() {
                return;
            }
        }
    })
}

/// Ends the connection so that the other side is told of an error.
fn reset(stream: &TcpStream) {
    SockRef::from(stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Every mode that a message can be read and passed on in.
fn modes() -> Vec<(&'static str, &'static str, Vec<&'static str>, Message)> {
    let plain = soap11(
        "",
        &format!(
            "<o:Place xmlns:o=\"urn:example:orders\"><o:Item>A-1</o:Item>{}</o:Place>",
            "<o:Note>x</o:Note>".repeat(3000)
        ),
    );
    let attached = mtom(&order(), &[b'z'; 40_000]);
    let small = "replay_buffer: 4KiB";
    vec![
        (
            "headers",
            "- { filter: { match_all: {} }, endpoint: a }",
            vec![],
            plain.clone(),
        ),
        ("body", ITEM, vec![], plain.clone()),
        ("whole", WHOLE, vec![], plain.clone()),
        ("multipart", ITEM, vec![], attached),
        ("held", WITH_BACKUP, vec![], plain.clone()),
        ("committed", WITH_BACKUP, vec![small], plain.clone()),
        (
            "spooled",
            WITH_BACKUP,
            vec![small, "on_overflow: spool"],
            plain.clone(),
        ),
        ("verified", ITEM, vec!["verify: full"], plain.clone()),
        (
            "several",
            TO_BOTH,
            vec!["pattern: one-way", small],
            plain.clone(),
        ),
        (
            "several, spooled",
            TO_BOTH,
            vec!["pattern: one-way", small, "on_overflow: spool"],
            plain,
        ),
    ]
}

#[test]
fn a_caller_that_stops_anywhere_has_sent_nothing_whole() {
    for (mode, table, keys, message) in modes() {
        let whole = Arc::new(Mutex::new(0));
        let (a, b) = (counting("a", &whole), counting("b", &whole));
        let with = |builder: Builder, key: &&str| builder.service(key);
        let router = keys.iter().fold(router(table).to(&a).to(&b), with).start();
        let length = message.body.len();
        let chunks = chunked(&message.body, 7000);
        let cuts = [
            (format!("Content-Length: {length}"), &message.body[..1]),
            (
                format!("Content-Length: {length}"),
                &message.body[..length / 2],
            ),
            (
                format!("Content-Length: {length}"),
                &message.body[..length - 1],
            ),
            // A length that lies: more is announced than there is.
            (format!("Content-Length: {}", length + 1), &message.body[..]),
            ("Transfer-Encoding: chunked".into(), &chunks[..2]),
            (
                "Transfer-Encoding: chunked".into(),
                &chunks[..chunks.len() / 2],
            ),
            // All the bytes, but not the end: in front of the last chunk, and inside it.
            (
                "Transfer-Encoding: chunked".into(),
                &chunks[..chunks.len() - 5],
            ),
            (
                "Transfer-Encoding: chunked".into(),
                &chunks[..chunks.len() - 4],
            ),
            (
                "Transfer-Encoding: chunked".into(),
                &chunks[..chunks.len() - 2],
            ),
            ("Transfer-Encoding: chunked".into(), b"3\r\n<e:zz"),
            (
                "Transfer-Encoding: chunked".into(),
                b"fffffffffffffffff\r\n<",
            ),
        ];
        let mut ended = 0;
        for (framing, bytes) in &cuts {
            for resets in [false, true] {
                let mut client = router.client();
                let head = client.head("/orders", &message, framing);
                client
                    .wire()
                    .write([head.as_bytes(), bytes].concat())
                    .unwrap();
                let what = format!("{mode}, {framing}, {} bytes, reset: {resets}", bytes.len());
                if resets {
                    reset(client.wire().stream());
                    drop(client);
                } else {
                    // A caller that only has nothing more to say still hears why.
                    client.wire().stream().shutdown(Shutdown::Write).unwrap();
                    if let Ok(answer) = client.answer("POST") {
                        assert!(answer.status() >= 400, "{what}: {}", answer.head.raw);
                    }
                }
                ended += 1;
            }
        }
        for line in router.exchanges(ended) {
            let answered = line["outcome"] == "reply" || line["outcome"] == "accepted";
            assert!(!answered || line.get("broken").is_some(), "{mode}: {line}");
        }
        assert_eq!(
            *whole.lock().unwrap(),
            0,
            "{mode}: half was taken for whole"
        );
        nothing_is_left(&router);
        router.metric_becomes("soap_router_connections_open{side=\"caller\"}", 0.0);
        // And the next is served.
        let status = router
            .client()
            .post_chunked("/orders", &message, 7000)
            .status();
        assert!(status < 300, "{mode}: {status}");
    }
}

/// An answer, and the places at which it is cut.
fn answers() -> Vec<(&'static str, Vec<u8>, Vec<usize>)> {
    let body = format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>{}</e:Body></e:Envelope>",
        "<x>text</x>".repeat(4000)
    );
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
    let length = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let mut chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let chunks_head = chunks.len();
    chunks.extend(chunked(body.as_bytes(), 5000));
    let length_head = length.len() - body.len();
    let (all, chunked_all) = (length.len(), chunks.len());
    vec![
        (
            "length",
            length,
            vec![length_head, length_head + 1, all / 2, all - 1],
        ),
        (
            "chunked",
            chunks,
            vec![
                chunks_head,
                chunks_head + 2,
                chunks_head + 100,
                chunked_all / 2,
                chunked_all - 5,
                chunked_all - 4,
                chunked_all - 2,
            ],
        ),
    ]
}

#[test]
fn an_endpoint_that_stops_anywhere_has_answered_nothing_whole() {
    for (framing, answer, cuts) in answers() {
        for cut in cuts {
            for resets in [false, true] {
                for table in ["- { filter: { match_all: {} }, endpoint: a }", WITH_BACKUP] {
                    let what = format!("{framing} at {cut}, reset: {resets}, {table}");
                    let beginning = answer[..cut].to_vec();
                    let a = service("a").speaks(move |wire, _| {
                        let head = wire.head().unwrap().unwrap();
                        wire.body(head.framing(None)).unwrap();
                        wire.write(&beginning).unwrap();
                        if resets {
                            reset(wire.stream());
                        }
                    });
                    let b = service("b").echoes();
                    let router = router(table)
                        .at(&a, "max_idle: 0")
                        .at(&b, "max_idle: 0")
                        .start();
                    match router.client().try_post("/orders", &order()) {
                        Err(_broken) => {}
                        // Nothing but the head had come: another endpoint, or a fault.
                        Ok(answer) => assert!(
                            answer.fault().is_some() || answer.by() == "b",
                            "{what}: {}",
                            answer.head.raw
                        ),
                    }
                    let line = router.exchange();
                    let whole = line["outcome"] == "reply"
                        && line.get("broken").is_none()
                        && line["endpoint"] == "a";
                    assert!(!whole, "{what}: {line}");
                    nothing_is_left(&router);
                    router.metric_becomes("soap_router_connections_open{side=\"endpoint\"}", 0.0);
                }
            }
        }
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_broken_when_that_is_reset() {
    let gate = Gate::default();
    let read = gate.clone();
    let a = service("a").speaks(move |wire, number| {
        let head = wire.head().unwrap().unwrap();
        wire.body(head.framing(None)).unwrap();
        wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n<by>a")
            .unwrap();
        if number == 0 {
            wire.write("</by>").unwrap();
        } else {
            // A reset takes away what was not read yet.
            read.pass();
            reset(wire.stream());
        }
    });
    let router = router_to(&[&a]).start();
    let answer = router.post(&order());
    assert_eq!(answer.by(), "a");
    assert_eq!(answer.framing, Framing::Chunked, "its end can be told");
    let mut client = router.client();
    let message = order();
    client.send("/orders", &message);
    client.wire().comes(b"<by>a").unwrap();
    gate.open();
    let broken = client.answer("POST");
    assert!(broken.is_err(), "{broken:?}");
}

#[test]
fn more_than_the_answer_is_no_answer_to_the_next() {
    let a = service("a").speaks(|wire, _| {
        while let Ok(Some(head)) = wire.head() {
            wire.body(head.framing(None)).unwrap();
            let more = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 17\r\n\r\n<by>smuggled</by>";
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 10\r\n\r\n<by>a</by>{more}");
            if wire.write(answer).is_err() {
                return;
            }
        }
    });
    let router = router_to(&[&a]).start();
    let mut client = router.client();
    for _ in 0..5 {
        assert_eq!(client.post("/orders", &order()).by(), "a");
    }
    assert_eq!(a.connections(), 5, "a connection that said more was kept");
}

#[test]
fn an_endpoint_that_closes_while_the_message_comes_has_not_got_it() {
    let message = long_order(16 << 20);
    for (keys, expected) in [
        ("replay_buffer: 32MiB", "backup"),
        ("replay_buffer: 16KiB", "EndpointsUnavailable"),
    ] {
        let a = service("a").speaks(|wire, _| {
            wire.head().unwrap().unwrap();
            wire.begins().unwrap();
        });
        let backup = service("backup").replies(|_| Reply::Echo);
        let table = "- { filter: { match_all: {} }, endpoint: a, backups: [backup] }";
        let router = router(table).service(keys).to(&a).to(&backup).start();
        let mut client = router.client();
        let head = client.head_with_length("/orders", &message);
        let mut writer = client.wire().stream().try_clone().unwrap();
        let bytes = [head.as_bytes(), &message.body].concat();
        let writing = std::thread::spawn(move || {
            // A caller whose message is refused may not get rid of all of it.
            let _ = std::io::Write::write_all(&mut writer, &bytes);
        });
        assert_eq!(client.answer("POST").unwrap().outcome(), expected, "{keys}");
        drop(client);
        writing.join().unwrap();
        nothing_is_left(&router);
    }
}

#[test]
fn a_caller_that_goes_away_while_it_is_answered_ends_the_endpoints_work() {
    let ended = Arc::new(Mutex::new(false));
    let told = Arc::clone(&ended);
    let a = service("a").speaks(move |wire, _| {
        let head = wire.head().unwrap().unwrap();
        wire.body(head.framing(None)).unwrap();
        wire.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .unwrap();
        let chunk = chunked(&[b'x'; 60_000], 60_000);
        while wire.write(&chunk[..chunk.len() - 5]).is_ok() {}
        *told.lock().unwrap() = true;
    });
    let router = router_to(&[&a]).start();
    let mut client = router.client();
    let message = order();
    client.send("/orders", &message);
    client.wire().head().unwrap().unwrap();
    drop(client);
    until("the endpoint to be told", || {
        ended.lock().unwrap().then_some(())
    });
    let line = router.exchange();
    assert!(
        line["broken"]
            .as_str()
            .is_some_and(|why| why.contains("went away")),
        "{line}"
    );
    nothing_is_left(&router);
}
