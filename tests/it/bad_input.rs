//! Bad input: a clear fault or a 4xx, bounded memory, the connection in a defined state, and the
//! next message served.

use std::collections::BTreeSet;
use std::fs;
use std::net::Shutdown;
use std::thread;

use crate::support::messages::{Message, SOAP11, order, order12, soap11};
use crate::support::router::router_to;
use crate::support::wire::chunked;
use crate::support::{Answer, Running, Service, root, router, service, until};

/// Reads every message to its end.
const WHOLE: &str = "
- { filter: { xpath: \"//never\" }, endpoint: a, priority: 1 }
- { filter: { match_all: {} }, endpoint: a }";

fn whole() -> (Running, Service) {
    let a = service("a").echoes();
    let router = router(WHOLE).to(&a).start();
    (router, a)
}

/// The same, and what lies behind the deciding byte is judged too.
fn whole_and_verified() -> (Running, Service) {
    let a = service("a").echoes();
    let router = router(WHOLE).service("verify: full").to(&a).start();
    (router, a)
}

/// The router is none the worse for it.
#[track_caller]
fn serves_on(router: &Running) {
    assert_eq!(router.post(&order()).outcome(), "a");
    assert_eq!(router.post(&order12()).outcome(), "a");
}

#[test]
fn each_hostile_fixture() {
    let expected = [
        ("attributes-1000.xml", "LimitExceeded"),
        ("depth-10000.xml", "LimitExceeded"),
        ("doctype.xml", "ForbiddenMarkup"),
        ("mismatched.xml", "MalformedMessage"),
        ("processing-instruction.xml", "ForbiddenMarkup"),
        ("second-root.xml", "MalformedMessage"),
        ("truncated.xml", "MalformedMessage"),
        ("undeclared-prefix.xml", "MalformedMessage"),
        ("unknown-version.xml", "VersionMismatch"),
    ];
    let entries = fs::read_dir(root().join("fixtures/hostile")).unwrap();
    let there: BTreeSet<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let known: BTreeSet<String> = expected
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(there, known, "each hostile fixture has its line here");
    let (router, a) = whole_and_verified();
    for (number, (name, reason)) in expected.into_iter().enumerate() {
        let message = Message::fixture(&format!("hostile/{name}"));
        let mut client = router.client();
        let whole = client.post("/orders", &message);
        assert_eq!(whole.outcome(), reason, "{name}");
        assert!(
            whole.text().contains("byte") || reason == "VersionMismatch",
            "{name}: {}",
            whole.text()
        );
        // The same connection serves on, or is closed; and a byte at a time says the same.
        if let Ok(answer) = client.try_post("/orders", &order()) {
            assert_eq!(answer.outcome(), "a", "{name}");
        }
        let beginning = Message {
            body: message.body[..message.body.len().min(3000)].to_vec(),
            ..message
        };
        let piecemeal = router.client().post_chunked("/orders", &beginning, 1);
        let cut = beginning.body.len() == 3000;
        assert!(
            cut || piecemeal.outcome() == reason,
            "{name}: {}",
            piecemeal.text()
        );
        serves_on(&router);
        assert!(a.count() >= number, "{name}");
    }
}

#[test]
fn markup_that_is_wrong_wherever_it_stands() {
    let (router, _a) = whole_and_verified();
    let envelope = |text: &str| {
        Message::bare(text.replace("SOAP", SOAP11)).with("Content-Type", "text/xml; charset=utf-8")
    };
    let cases = [
        ("", "MalformedMessage"),
        ("   ", "MalformedMessage"),
        ("not xml", "MalformedMessage"),
        ("{\"json\": true}", "MalformedMessage"),
        ("<", "MalformedMessage"),
        ("<e:Envelope xmlns:e='SOAP'>", "MalformedMessage"),
        ("<e:Envelope xmlns:e='SOAP'/>", "MalformedMessage"),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Header/></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body/><e:Body/></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body/><e:Header/></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><x/><e:Body/></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'>text<e:Body/></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body>&nbsp;</e:Body></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body>&#0;</e:Body></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body a='1' a='2'/></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body a=1/></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body>\u{1}</e:Body></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body>]]></e:Body></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body><!-- -- --></e:Body></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body xmlns:p=''/></e:Envelope>",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body/></e:Envelope>tail",
            "MalformedMessage",
        ),
        (
            "<e:Envelope xmlns:e='SOAP'><e:Body/></e:Envelope><?x?>",
            "ForbiddenMarkup",
        ),
        (
            " <?xml version='1.0'?><e:Envelope xmlns:e='SOAP'><e:Body/></e:Envelope>",
            "ForbiddenMarkup|MalformedMessage",
        ),
        ("<html><body/></html>", "VersionMismatch"),
        ("<Envelope><Body/></Envelope>", "VersionMismatch"),
        ("<e:Wrong xmlns:e='SOAP'/>", "VersionMismatch"),
        (
            "\u{feff}<e:Envelope xmlns:e='SOAP'><e:Body/></e:Envelope>",
            "a",
        ),
        (
            "<?xml version='1.0' encoding='utf-8'?>\n<e:Envelope xmlns:e='SOAP'><e:Body/></e:Envelope>\n",
            "a",
        ),
    ];
    let mut client = router.client();
    for (text, expected) in cases {
        let outcome = client.post("/orders", &envelope(text)).outcome();
        assert!(
            expected.split('|').any(|one| one == outcome),
            "{text}: {outcome}"
        );
    }
    serves_on(&router);
}

#[test]
fn a_media_type_that_is_none() {
    let (router, a) = whole();
    let cases = [
        order().without("Content-Type"),
        order().with("Content-Type", "application/json"),
        order().with("Content-Type", "text/plain"),
        order().with("Content-Type", ""),
        order().with("Content-Type", "text/xml; charset=utf-8; charset=utf-16"),
        order().with("Content-Encoding", "gzip"),
        order().with("Content-Type", "multipart/form-data; boundary=x"),
    ];
    for message in cases {
        let answer = router.post(&message);
        assert_eq!(
            (answer.status(), answer.outcome().as_str()),
            (415, "UnsupportedMediaType"),
            "{message:?}"
        );
    }
    let mut twice = order();
    twice
        .fields
        .push(("Content-Type".into(), "application/soap+xml".into()));
    assert_eq!(router.post(&twice).outcome(), "UnsupportedMediaType");
    assert_eq!(a.count(), 0);
    serves_on(&router);
}

#[test]
fn a_charset_that_is_none_or_another() {
    let (router, _a) = whole();
    let said =
        |charset: &str| order().with("Content-Type", &format!("text/xml; charset={charset}"));
    let mut broken = said("utf-8");
    broken.body = soap11("", "<x>\u{e9}</x>").body;
    let at = broken.body.iter().position(|byte| *byte == 0xC3).unwrap();
    broken.body.remove(at);
    let mut declared = order();
    declared.body = [
        b"<?xml version='1.0' encoding='klingon'?>".as_slice(),
        &declared.body,
    ]
    .concat();
    let cases = [said("klingon"), said("utf-16"), broken, declared];
    for message in cases {
        assert_eq!(
            router.post(&message).outcome(),
            "MalformedMessage",
            "{:?}",
            message.fields
        );
    }
    // Characters of several bytes, however they are cut.
    let long = soap11("", &"<x>\u{20ac}\u{1f600}\u{e9}</x>".repeat(50));
    for size in [1, 2, 3, 7] {
        assert_eq!(
            router
                .client()
                .post_chunked("/orders", &long, size)
                .outcome(),
            "a",
            "{size}"
        );
    }
    serves_on(&router);
}

#[test]
fn a_body_that_is_cut_off() {
    for table in [WHOLE, "- { filter: { match_all: {} }, endpoint: a }"] {
        let a = service("a").echoes();
        let router = router(table).to(&a).start();
        let message = order();
        let framings = [
            format!("Content-Length: {}", message.body.len()),
            "Transfer-Encoding: chunked".into(),
        ];
        for (number, framing) in framings.iter().enumerate() {
            let mut client = router.client();
            let head = client.head("/orders", &message, framing);
            let half = match number {
                0 => message.body[..100].to_vec(),
                _ => chunked(&message.body, 100)[..103].to_vec(),
            };
            client
                .wire()
                .write([head.as_bytes(), &half].concat())
                .unwrap();
            client.wire().stream().shutdown(Shutdown::Write).unwrap();
            if let Ok(answer) = client.answer("POST") {
                assert_eq!(answer.outcome(), "MalformedMessage", "{table}");
            }
            let line = router.exchanges(2 * number + 1).pop().unwrap();
            assert_ne!(line["outcome"], "reply", "{line}");
            assert_eq!(router.post(&order()).outcome(), "a");
        }
        let whole = a
            .received()
            .iter()
            .filter(|got| got.body == message.body)
            .count();
        assert_eq!(whole, 2, "the endpoint has whole messages only");
        assert_eq!(a.count(), 2, "the endpoint has whole messages only");
    }
}

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
    let head = client.head(
        "/orders",
        &message,
        &format!("Content-Length: {}", message.body.len()),
    );
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
        let head = client.head(
            "/orders",
            &message,
            &format!("Content-Length: {}", message.body.len()),
        );
        let whole = [head.as_bytes(), &message.body].concat();
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
