//! Bad HTTP and endless messages: refused, with bounded memory, and nobody else suffers.

use std::thread;

use super::bad_input::{serves_on, whole};
use crate::support::messages::{SOAP11, order};
use crate::support::router::router_to;
use crate::support::wire::chunked;
use crate::support::{Answer, Running, router, service, until};

#[test]
fn heads_that_are_none() {
    let (router, a) = whole();
    let body = order().body;
    let post = |fields: &str| {
        let head = format!(
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n{fields}\r\n\r\n"
        );
        [head.as_bytes(), &body].concat()
    };
    let length = format!("Content-Length: {}", body.len());
    let cases: [(&str, Vec<u8>); 10] = [
        ("no HTTP", b"hello\r\n\r\n".to_vec()),
        (
            "TLS",
            vec![
                0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 0, 0, 0, b'\r', b'\n', b'\r', b'\n',
            ],
        ),
        ("another HTTP", b"POST /orders HTTP/9.9\r\n\r\n".to_vec()),
        (
            "two lengths",
            post(&format!("{length}\r\nContent-Length: 7")),
        ),
        ("a length that is no number", post("Content-Length: twelve")),
        ("a negative length", post("Content-Length: -1")),
        ("a name with a space", post(&format!("X Y: 1\r\n{length}"))),
        ("a coding that is unknown", post("Transfer-Encoding: rot13")),
        (
            "chunks that are none",
            [post("Transfer-Encoding: chunked"), b"\r\n".to_vec()].concat(),
        ),
        ("a NUL in a value", post(&format!("X-Y: a\0b\r\n{length}"))),
    ];
    for (what, bytes) in cases {
        let mut client = router.client();
        client.wire().write(&bytes).unwrap();
        // A refusal, a fault, or the end of the connection; never an answer of the endpoint.
        if let Ok(answer) = client.answer("POST") {
            let refused = (400..600).contains(&answer.status()) && !answer.text().contains("<by>");
            assert!(refused, "{what}: {}{}", answer.head.raw, answer.text());
        }
        assert_eq!(router.post(&order()).outcome(), "a", "{what}");
    }
    assert!(
        a.received().iter().all(|got| got.body == body),
        "something else came through"
    );
}

#[test]
fn nobody_smuggles_a_second_request() {
    let (router, a) = whole();
    let inner = "POST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let message = order();
    let chunks = chunked(&message.body, 50);
    let mut client = router.client();
    let head = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    client
        .wire()
        .write([head.as_bytes(), &chunks].concat())
        .unwrap();
    if let Ok(answer) = client.answer("POST") {
        let fine = answer.status() == 400 || answer.outcome() == "a";
        assert!(fine, "{}", answer.head.raw);
    }
    for got in a.received() {
        let both =
            got.head.get("content-length").is_some() && got.head.get("transfer-encoding").is_some();
        assert!(!both && got.body == message.body, "{}", got.head.raw);
    }
    // More than was announced is another request, which is answered as one.
    let before = a.count();
    let mut client = router.client();
    let head = client.head_with_length("/orders", &message);
    client
        .wire()
        .write([head.as_bytes(), &message.body, inner.as_bytes()].concat())
        .unwrap();
    assert_eq!(client.answer("POST").unwrap().outcome(), "a");
    assert_eq!(client.answer("POST").unwrap().outcome(), "UnknownService");
    assert_eq!(a.count(), before + 1);
    assert!(
        a.received()
            .iter()
            .all(|got| !got.head.raw.contains("smuggled"))
    );
    serves_on(&router);
}

#[test]
fn a_length_that_lies() {
    let (router, a) = whole();
    // Less than there is: the rest is no request.
    let mut client = router.client();
    let message = order();
    let head = client.head("/orders", &message, "Content-Length: 100");
    client
        .wire()
        .write([head.as_bytes(), &message.body].concat())
        .unwrap();
    assert_eq!(client.answer("POST").unwrap().outcome(), "MalformedMessage");
    if let Ok(answer) = client.answer("POST") {
        assert_eq!(answer.status(), 400);
    }
    assert_eq!(a.count(), 0);
    serves_on(&router);
}

/// Sends without end, on a thread of its own; gives the answer and how much was taken.
fn pour(router: &Running, beginning: &str, piece: &str) -> (Option<Answer>, u64) {
    let mut client = router.client();
    let head = client.head("/orders", &order(), "Transfer-Encoding: chunked");
    client
        .wire()
        .write([head.as_bytes(), &chunk(beginning)].concat())
        .unwrap();
    let piece = chunk(&piece.repeat(64 * 1024 / piece.len()));
    let mut other = client.wire().stream().try_clone().unwrap();
    let pouring = thread::spawn(move || {
        let mut taken = 0;
        while taken < 1 << 30 {
            if std::io::Write::write_all(&mut other, &piece).is_err() {
                break;
            }
            taken += piece.len() as u64;
        }
        taken
    });
    let answer = client.answer("POST").ok();
    let taken = pouring.join().unwrap();
    (answer, taken)
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[test]
fn a_message_without_end_is_refused_with_bounded_memory() {
    let (router, a) = whole();
    serves_on(&router);
    let before = router.peak_memory();
    let envelope = format!("<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body>");
    let pieces = ["<x>text</x>", "<x a='1'/>", "text ", "<!-- -->"];
    for piece in pieces {
        let (answer, taken) = pour(&router, &envelope, piece);
        let answer = answer.expect("the fault comes before the connection ends");
        assert_eq!(answer.outcome(), "LimitExceeded", "{piece}");
        assert!(
            answer.text().contains("`buffered_body`"),
            "{}",
            answer.text()
        );
        assert!(taken < 64 << 20, "{taken} bytes were taken of {piece}");
        serves_on(&router);
    }
    // Elements inside each other end sooner, by another limit.
    let (answer, _) = pour(&router, &envelope, "<x>");
    assert_eq!(
        answer.map(|answer| answer.outcome()).as_deref(),
        Some("LimitExceeded")
    );
    let grown = router.peak_memory().saturating_sub(before);
    // One message holds 10 MiB, and an allocator may keep some of it.
    assert!(grown < 64 * 1024, "grew by {grown} KiB");
    assert_eq!(a.count(), 2 + 2 * pieces.len());
}

#[test]
fn a_long_message_streams_through_in_bounded_memory() {
    const BYTES: usize = 150 << 20;
    let a = service("a").speaks(|wire, _| {
        let head = wire.head().unwrap().unwrap();
        assert_eq!(head.get("content-length"), Some(BYTES.to_string().as_str()));
        let mut rest = BYTES;
        while rest > 0 {
            let some = wire.some().unwrap();
            assert!(!some.is_empty() && some.len() <= rest);
            rest -= some.len();
        }
        wire.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 10\r\n\r\n<by>a</by>",
        )
        .unwrap();
    });
    let router = router("- { filter: { match_all: {} }, endpoint: a }")
        .to(&a)
        .start();
    let start = format!("<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body><x>");
    let mut client = router.client();
    let head = client.head("/orders", &order(), &format!("Content-Length: {BYTES}"));
    client
        .wire()
        .write([head.as_bytes(), start.as_bytes()].concat())
        .unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut rest = BYTES - start.len();
    while rest > 0 {
        let now = rest.min(piece.len());
        client.wire().write(&piece[..now]).unwrap();
        rest -= now;
    }
    assert_eq!(client.answer("POST").unwrap().by(), "a");
    assert!(
        router.peak_memory() < 64 * 1024,
        "{} KiB",
        router.peak_memory()
    );
    let line = router.exchange();
    assert_eq!(line["request_bytes"], BYTES);
}

#[test]
fn many_that_break_off_leave_nothing_behind() {
    let a = service("a").echoes();
    let router = router_to(&[&a]).start();
    for number in 0..40 {
        let mut client = router.client();
        let message = order();
        let whole = client.whole("/orders", &message);
        client
            .wire()
            .write(&whole[..whole.len() * number / 40])
            .unwrap();
    }
    until("no caller to be connected", || {
        let metrics = router.metrics();
        let gone = |sample: &str| metrics.get(sample).abs() < 1e-9;
        let gone = gone("soap_router_connections_open{side=\"caller\"}")
            && gone("soap_router_exchanges_in_flight{service=\"orders\"}");
        gone.then_some(())
    });
    assert_eq!(router.post(&order()).outcome(), "a");
}
