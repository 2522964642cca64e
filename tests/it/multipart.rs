//! Multipart messages (MTOM/XOP, SOAP with Attachments): routed on their root part wherever it
//! stands and however it is encoded, passed on to the byte; what is malformed is told, with the
//! offset where it is.

use std::fmt::Write as _;

use crate::support::messages::{Message, SOAP11, order};
use crate::support::wire::chunked;
use crate::support::{Answer, Running, Service, router, service, soap_router};

/// Gold goes to `a`, all else to `b`; the tier stands at the end of the root part.
const TIERS: &str = "
namespaces: { o: \"urn:example:orders\" }
table:
  - { filter: { xpath: \"//o:Tier = 'gold'\" }, endpoint: a, priority: 1 }
  - { filter: { match_all: {} }, endpoint: b }";

/// A message with this one as its root part and an attachment behind it.
pub fn mtom(message: &Message, attachment: &[u8]) -> Message {
    let mut body =
        b"--b\r\nContent-Type: application/xop+xml; charset=utf-8; type=\"text/xml\"\r\n\
        Content-Transfer-Encoding: 8bit\r\nContent-ID: <root>\r\n\r\n"
            .to_vec();
    body.extend(&message.body);
    body.extend(b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-ID: <a>\r\n\r\n");
    body.extend(attachment);
    body.extend(b"\r\n--b--\r\n");
    let kind = "multipart/related; boundary=b; type=\"application/xop+xml\"; start=\"<root>\"; start-info=\"text/xml\"";
    Message {
        body,
        ..message.clone()
    }
    .with("Content-Type", kind)
}

fn gold() -> String {
    format!(
        "<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body><o:Place xmlns:o=\"urn:example:orders\">\
         <o:Tier>gold</o:Tier></o:Place></e:Body></e:Envelope>"
    )
}

fn tiers(keys: &[&str]) -> (Running, Service, Service) {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let builder = router(TIERS).to(&a).to(&b);
    let router = keys
        .iter()
        .fold(builder, |builder, key| builder.service(key))
        .start();
    (router, a, b)
}

fn post(router: &Running, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    let message = Message::bare(body)
        .with("Content-Type", kind)
        .with("SOAPAction", "\"\"");
    router.client().post_chunked("/orders", &message, 7000)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (number, three) in bytes.chunks(3).enumerate() {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for letter in 0..4 {
            let index = bits >> (18 - 6 * letter) & 63;
            text.push(if letter <= three.len() {
                char::from(LETTERS[index as usize])
            } else {
                '='
            });
        }
        if number % 19 == 18 {
            text.push_str("\r\n");
        }
    }
    text
}

fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for byte in text.bytes() {
        if column > 70 {
            out.push_str("=\r\n");
            column = 0;
        }
        if matches!(byte, b'=' | 128..) || column == 69 {
            let _ = write!(out, "={byte:02X}");
            column += 3;
        } else {
            out.push(char::from(byte));
            column += 1;
        }
    }
    out
}

/// Content types and bodies that all hold the same golden envelope.
fn forms() -> Vec<(&'static str, String, String)> {
    let gold = gold();
    let related = |parameters: &str| format!("multipart/related; {parameters}");
    let part = |fields: &str, content: &str| format!("--b\r\n{fields}\r\n{content}\r\n");
    let root = part("Content-ID: <root>\r\nContent-Type: text/xml\r\n", &gold);
    let other = part("Content-ID: <other>\r\n", "<not>this</not>");
    let end = "--b--\r\n";
    vec![
        ("plain", related("boundary=b"), format!("{root}{other}{end}")),
        ("upper case", "MULTIPART/Related; BOUNDARY=\"b\"; TYPE=TEXT/XML; START=\"<root>\"".into(), format!("{root}{other}{end}")),
        ("white space around parameters", related("  boundary=\"b\" ;start=<root>  ; type=text/xml"), format!("{root}{end}")),
        ("unquoted type and start-info", "multipart/related;boundary=b;type=application/xop+xml;start=<root>;start-info=text/xml".into(), format!("{root}{end}")),
        ("a start without brackets", related("boundary=b; start=root"), format!("{other}{root}{end}")),
        ("an empty start", related("boundary=b; start=\"\""), format!("{root}{other}{end}")),
        ("preamble and epilogue", related("boundary=b; start=\"<root>\""), format!("This is MIME.\r\n--bb\r\n{root}{end}epilogue\r\n--b\r\n")),
        ("root last", related("boundary=b; start=\"<root>\""), format!("{other}{other}{root}{end}")),
        ("boundary in quotes with odd characters", related("boundary=\"(a b):=?/,'+_.-\""), format!("{root}{end}").replace("--b", "--(a b):=?/,'+_.-")),
        ("an escaped boundary", related(r#"boundary="\b""#), format!("{root}{end}")),
        ("bare line feeds", related("boundary=b; start=\"<root>\""), format!("{other}{root}{end}").replace("\r\n", "\n")),
        ("blanks behind the delimiter", related("boundary=b"), format!("--b \t \r\nContent-ID: <root>\r\n\r\n{gold}\r\n--b--  \r\n")),
        ("no headers at all", related("boundary=b"), part("", &gold) + end),
        ("no line end behind the last delimiter", related("boundary=b"), format!("{root}--b--")),
        ("folded headers", related("boundary=b; start=\"<root>\""), format!("{other}--b\r\nContent-Type: application/xop+xml;\r\n\tcharset=utf-8;\r\n type=\"text/xml\"\r\ncontent-id:\r\n <root>\r\n\r\n{gold}\r\n{end}")),
        ("delimiters that are none", related("boundary=b; start=\"<root>\""), format!("{}{root}{end}", part("", "--bad\r\n--\r\n-\r\n--\r\n\r\n x--b\r\n --b\r\n--b-"))),
        ("base64", related("boundary=b"), part("Content-Transfer-Encoding: BASE64\r\n", &base64(gold.as_bytes())) + end),
        ("base64 with padding and blank lines", related("boundary=b"), part("content-transfer-encoding:base64\r\n", &format!("\r\n{}\r\n\r\n", base64(format!("{gold} ").as_bytes()))) + end),
        ("quoted-printable", related("boundary=b"), part("Content-Transfer-Encoding: quoted-printable\r\n", &quoted_printable(&gold)) + end),
        ("quoted-printable with blanks behind soft breaks", related("boundary=b"), part("Content-Transfer-Encoding: Quoted-Printable\r\n", &quoted_printable(&gold).replace("=\r\n", "= \t\r\n")) + end),
        ("a multipart inside an attachment", related("boundary=b; start=\"<root>\""), format!("{}{root}{end}", part("Content-Type: multipart/mixed; boundary=inner\r\n", "--inner\r\n\r\n<x/>\r\n--inner--"))),
        ("UTF-16", related("boundary=b"), String::new()),
    ]
}

#[test]
fn each_form_is_routed_and_arrives_to_the_byte() {
    let (router, a, b) = tiers(&[]);
    let (checking, c, _d) = tiers(&["verify: full"]);
    for (form, kind, text) in forms() {
        let mut body = text.into_bytes();
        if form == "UTF-16" {
            body = b"--b\r\nContent-Type: text/xml; charset=utf-16\r\n\r\n\xFE\xFF".to_vec();
            body.extend(gold().encode_utf16().flat_map(u16::to_be_bytes));
            body.extend(b"\r\n--b--\r\n");
        }
        let before = (a.count(), c.count());
        let answer = post(&router, &kind, body.clone());
        assert_eq!(answer.outcome(), "a", "{form}: {}", answer.text());
        let got = a.got(before.0 + 1).pop().unwrap();
        assert!(got.body == body, "{form}: other bytes arrived");
        assert_eq!(got.head.get("content-type"), Some(kind.as_str()), "{form}");
        // The check to the end has nothing to say against any of them.
        let answer = post(&checking, &kind, body.clone());
        assert_eq!(answer.outcome(), "a", "{form}: {}", answer.text());
        assert!(c.got(before.1 + 1).pop().unwrap().body == body, "{form}");
    }
    assert_eq!(b.count(), 0);
}

#[test]
fn wherever_the_bytes_are_cut_the_same_is_decided() {
    let (router, a, _b) = tiers(&[]);
    // The tightest place: a false delimiter, a part, the root between attachments.
    let body = format!(
        "pre\r\n--b\r\n\r\n--bx\r\r\n--b\r\nContent-ID: <root>\r\n\r\n{}\r\n--b\r\n\r\nz\r\n--b--\r\n",
        gold()
    );
    let message =
        Message::bare(body).with("Content-Type", "multipart/related; boundary=b; start=root");
    let mut client = router.client();
    for size in (1..40).chain([97, 211]) {
        let answer = client.post_chunked("/orders", &message, size);
        assert_eq!(answer.outcome(), "a", "chunks of {size}: {}", answer.text());
    }
    assert!(a.received().iter().all(|got| got.body == message.body));
}

#[test]
fn what_is_malformed_is_told_with_its_place() {
    let (router, a, b) = tiers(&[]);
    let gold = gold();
    let cases: &[(&str, &str, String, &str, &[&str])] = &[
        ("no boundary", "multipart/related; type=\"text/xml\"", format!("--b\r\n\r\n{gold}\r\n--b--"), "MalformedMessage", &["`boundary`"]),
        ("an empty boundary", "multipart/related; boundary=\"\"", format!("--\r\n\r\n{gold}\r\n----"), "MalformedMessage", &["`boundary`"]),
        ("a long boundary", &format!("multipart/related; boundary={}", "b".repeat(71)), gold.clone(), "MalformedMessage", &["70"]),
        ("two boundaries", "multipart/related; boundary=b; boundary=c", gold.clone(), "UnsupportedMediaType", &[]),
        ("no part", "multipart/related; boundary=b", "nothing here".into(), "MalformedMessage", &["no root part", "at byte 12"]),
        ("an end and no part", "multipart/related; boundary=b", "--b--\r\n".into(), "MalformedMessage", &["no root part", "at byte 7"]),
        ("no such part", "multipart/related; boundary=b; start=\"<root>\"", "--b\r\nContent-ID: <x>\r\n\r\nz\r\n--b--\r\n".into(), "MalformedMessage", &["`root`", "at byte 34"]),
        ("cut in the headers", "multipart/related; boundary=b", "--b\r\nContent-ID: <x".into(), "MalformedMessage", &["no root part", "at byte 19"]),
        ("cut in the root part", "multipart/related; boundary=b", format!("--b\r\n\r\n{}", &gold[..gold.len() - 60]), "MalformedMessage", &["`--b--`", "at byte"]),
        ("another encoding", "multipart/related; boundary=b", format!("--b\r\nContent-Transfer-Encoding: x-uue\r\n\r\n{gold}\r\n--b--"), "MalformedMessage", &["`x-uue`", "at byte 41"]),
        ("no base64", "multipart/related; boundary=b", format!("--b\r\nContent-Transfer-Encoding: base64\r\n\r\n{gold}\r\n--b--"), "MalformedMessage", &["`base64`", "at byte"]),
        ("base64 behind its end", "multipart/related; boundary=b", "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nPGE+PA==PGE+\r\n--b--".into(), "MalformedMessage", &["`base64`", "at byte"]),
        ("half a base64", "multipart/related; boundary=b", "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nPGE+P\r\n--b--".into(), "MalformedMessage", &["`base64`", "at byte"]),
        ("no quoted-printable", "multipart/related; boundary=b", "--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<a=ZZ/>\r\n--b--".into(), "MalformedMessage", &["`quoted-printable`", "at byte"]),
        ("a root part that is no envelope", "multipart/related; boundary=b", "--b\r\n\r\n<a/>\r\n--b--".into(), "VersionMismatch", &[]),
        ("an empty root part", "multipart/related; boundary=b", "--b\r\n\r\n\r\n--b--".into(), "MalformedMessage", &[]),
        ("a root part that is no XML", "multipart/related; boundary=b", "--b\r\n\r\n\u{1}\r\n--b--".into(), "MalformedMessage", &[]),
        ("a root part that is a multipart", "multipart/related; boundary=b", "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n<a/>\r\n--c--\r\n--b--".into(), "MalformedMessage", &[]),
        ("long headers", "multipart/related; boundary=b", format!("--b\r\nX: {}\r\n\r\n{gold}\r\n--b--", "y".repeat(20_000)), "LimitExceeded", &["`part_headers`", "at byte 5"]),
        ("a delimiter line without end", "multipart/related; boundary=b", format!("--b{}", " ".repeat(20_000)), "LimitExceeded", &["`part_headers`", "at byte 0"]),
    ];
    for (what, kind, body, reason, words) in cases {
        let answer = post(&router, kind, body.as_str());
        assert_eq!(answer.outcome(), *reason, "{what}: {}", answer.text());
        for word in *words {
            assert!(
                answer.text().contains(word),
                "{what}: no `{word}` in {}",
                answer.text()
            );
        }
    }
    assert_eq!(a.count() + b.count(), 0);
    assert_eq!(
        post(
            &router,
            "multipart/related; boundary=b",
            format!("--b\r\n\r\n{gold}\r\n--b--")
        )
        .outcome(),
        "a"
    );
}

#[test]
fn a_message_that_ends_inside_an_attachment_is_broken_off_where_that_is_checked() {
    let whole = mtom(&order(), &[b'z'; 50_000]);
    let mut cut = whole.clone();
    cut.body.truncate(whole.body.len() - 20);
    for (framing, message) in [("length", &cut), ("chunked", &cut)] {
        let (router, a, b) = tiers(&["verify: full"]);
        let answer = match framing {
            "length" => router.client().try_post("/orders", message),
            _ => {
                let mut client = router.client();
                let head = client.head("/orders", message, "Transfer-Encoding: chunked");
                let body = chunked(&message.body, 9000);
                client
                    .wire()
                    .write([head.as_bytes(), &body].concat())
                    .unwrap();
                client.answer("POST")
            }
        };
        let answer = answer.unwrap();
        assert_eq!(answer.outcome(), "MalformedMessage", "{framing}");
        assert!(answer.text().contains("`--b--`"), "{}", answer.text());
        assert_eq!(a.count() + b.count(), 0, "an endpoint took it for whole");
        assert_eq!(router.client().post("/orders", &whole).outcome(), "b");
    }
    // Behind the deciding byte nothing is looked at, unless that is asked for.
    let (router, _a, b) = tiers(&[]);
    assert_eq!(router.client().post("/orders", &cut).outcome(), "b");
    assert!(b.only().body == cut.body);
}

#[test]
fn verify_full_checks_the_root_part_to_its_end() {
    let (router, a, b) = tiers(&["verify: full"]);
    let kind = "multipart/related; boundary=b";
    let bad = gold().replace("</o:Place>", "</o:Plaice>");
    for encoding in ["8bit", "base64"] {
        let content = if encoding == "base64" {
            base64(bad.as_bytes())
        } else {
            bad.clone()
        };
        let body = format!(
            "--b\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{content}\r\n--b\r\n\r\n{}\r\n--b--",
            "z".repeat(100_000)
        );
        let answer = post(&router, kind, body);
        assert_eq!(
            answer.outcome(),
            "MalformedMessage",
            "{encoding}: {}",
            answer.text()
        );
    }
    assert_eq!(a.count() + b.count(), 0);
}

#[test]
fn a_root_part_behind_much_else_is_found_within_the_limit() {
    let (router, a, _b) = tiers(&["limits: { buffered_body: 1MiB }"]);
    let body = |filling: usize| {
        format!(
            "--b\r\nContent-ID: <x>\r\n\r\n{}\r\n--b\r\nContent-ID: <root>\r\n\r\n{}\r\n--b--",
            "z".repeat(filling),
            gold()
        )
    };
    let kind = "multipart/related; boundary=b; start=\"<root>\"";
    assert_eq!(post(&router, kind, body(1_000_000)).outcome(), "a");
    let answer = post(&router, kind, body(1_100_000));
    assert_eq!(answer.outcome(), "LimitExceeded");
    assert!(
        answer.text().contains("`buffered_body`"),
        "{}",
        answer.text()
    );
    assert_eq!(a.count(), 1);
}

#[test]
fn a_root_part_behind_a_gibibyte_is_refused_soon_and_cheaply() {
    const BYTES: u64 = 1 << 30;
    let (router, a, _b) = tiers(&[]);
    let before = router.peak_memory();
    let mut client = router.client();
    let message = Message::bare("").with(
        "Content-Type",
        "multipart/related; boundary=b; start=\"<root>\"",
    );
    let head = client.head("/orders", &message, &format!("Content-Length: {BYTES}"));
    client
        .wire()
        .write(head + "--b\r\nContent-ID: <x>\r\n\r\n")
        .unwrap();
    let mut stream = client.wire().stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let piece = vec![b'\n'; 1 << 20];
        let mut sent = 0;
        while sent < BYTES && std::io::Write::write_all(&mut stream, &piece).is_ok() {
            sent += piece.len() as u64;
        }
        sent
    });
    let answer = client.answer("POST").unwrap();
    assert_eq!(answer.outcome(), "LimitExceeded");
    drop(client);
    let sent = sender.join().unwrap();
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    let grown = router.peak_memory().saturating_sub(before);
    assert!(grown < 48 << 10, "grew by {grown} KiB");
    assert_eq!(a.count(), 0);
}

#[test]
fn explain_says_of_a_multipart_message_what_serve_does() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let tree = "
namespaces: { o: \"urn:example:orders\" }
table:
  - { filter: { xpath: \"count(//o:Tier[. = 'gold']/following::*) = 0 and //o:Tier = 'gold'\" }, endpoint: a, priority: 1 }
  - { filter: { match_all: {} }, endpoint: b }";
    for table in [TIERS, tree] {
        let folder = router(table).to(&a).to(&b).write();
        for (form, kind, body) in forms() {
            if form == "UTF-16" {
                continue;
            }
            std::fs::write(folder.path().join("message"), &body).unwrap();
            let header = format!("Content-Type: {kind}");
            let line = [
                "explain",
                "message",
                "--service",
                "orders",
                "--header",
                &header,
                "--format",
                "json",
            ];
            let said = soap_router(folder.path(), &line).json();
            assert_eq!(said["fault"], serde_json::Value::Null, "{form}: {said}");
            assert_eq!(said["sends"][0]["endpoint"], "a", "{form}: {said}");
            let decided = usize::try_from(said["decided_after_bytes"].as_u64().unwrap()).unwrap();
            assert!(decided <= body.len(), "{form}: {decided} of {}", body.len());
            if table == TIERS && !form.contains("base64") && !form.contains("quoted") {
                // The deciding byte is the end of the value in the message as it was sent.
                assert!(
                    body[..decided].ends_with("</o:Tier>"),
                    "{form}: decided behind `{}`",
                    &body[decided.saturating_sub(40)..decided]
                );
            }
        }
    }
}
