//! Bad input: a clear fault or a 4xx, bounded memory, the connection in a defined state, and the
//! next message served.

use std::collections::BTreeSet;
use std::fs;
use std::net::Shutdown;

use crate::support::messages::{Message, SOAP11, order, order12, soap11};
use crate::support::wire::chunked;
use crate::support::{Running, Service, root, router, service};

/// Reads every message to its end.
pub const WHOLE: &str = "
- { filter: { xpath: \"//never\" }, endpoint: a, priority: 1 }
- { filter: { match_all: {} }, endpoint: a }";

pub fn whole() -> (Running, Service) {
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
pub fn serves_on(router: &Running) {
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
