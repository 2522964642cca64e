//! Our own HTTP/1: tables of what is no message, any cut says the same, and what hyper says.

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use soap_router::http1::{Framing, Malformed, read_request, read_response};

use crate::support::reading::{
    LIMITS, Message, as_hyper_reads, as_hyper_reads_answer, complete, read_all,
};

fn request(bytes: &[u8]) -> (Vec<Message>, Result<bool, Malformed>) {
    read_all(std::iter::once(bytes), None)
}

#[test]
fn what_is_no_request_is_refused() {
    use Malformed::{
        BareLineFeed, ChunkEnd, ChunkSize, ContentLength, HeadBytes, HeadFields, Host, Part,
        TransferEncoding, TwoFramings,
    };
    let post =
        |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}");
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let many = "A: 1\r\n".repeat(20);
    let long = format!("A: {}\r\n", "v".repeat(5000));
    let cases: [(String, Option<Malformed>); 40] = [
        ("GET / HTTP/1.1\nHost: x\n\n".into(), Some(BareLineFeed)),
        ("GET / HTTP/1.1\r\nHost: x\n\r\n".into(), Some(BareLineFeed)),
        ("GET / HTTP/1.1\r\nHost: x\r\n\n".into(), Some(BareLineFeed)),
        ("GET / HTTP/1.1\rHost: x\r\n\r\n".into(), None),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n".into(), None),
        (
            "GET / HTTP/1.1\r\nHost: x\r\n A: folded\r\n\r\n".into(),
            None,
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\n\tfolded\r\n\r\n".into(),
            None,
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\nA\0: 1\r\n\r\n".into(), None),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n".into(), None),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: a\rb\r\n\r\n".into(), None),
        ("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n".into(), None),
        ("GET / HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n".into(), None),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n".into(), None),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".into(), None),
        ("GET / HTTP/1.1 x\r\nHost: x\r\n\r\n".into(), None),
        ("GET /\r\nHost: x\r\n\r\n".into(), None),
        ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n".into(), None),
        ("\x16\x03\x01\x02\x00".into(), None),
        ("GET / HTTP/1.1\r\n\r\n".into(), Some(Host)),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n".into(),
            Some(Host),
        ),
        ("GET / HTTP/1.1\r\nHost: x, y\r\n\r\n".into(), Some(Host)),
        (
            post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"),
            Some(ContentLength),
        ),
        (
            post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"),
            Some(ContentLength),
        ),
        (post("Content-Length: 1, 1\r\n", "a"), Some(ContentLength)),
        (post("Content-Length: +1\r\n", "a"), Some(ContentLength)),
        (post("Content-Length: 0x1\r\n", "a"), Some(ContentLength)),
        (post("Content-Length:\r\n", "a"), Some(ContentLength)),
        (
            post("Content-Length: 99999999999999999999\r\n", "a"),
            Some(ContentLength),
        ),
        (
            post(
                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            Some(TwoFramings),
        ),
        (
            post("Transfer-Encoding: chunked, identity\r\n", ""),
            Some(TransferEncoding),
        ),
        (
            post("Transfer-Encoding: gzip, chunked\r\n", ""),
            Some(TransferEncoding),
        ),
        (
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "",
            ),
            Some(TransferEncoding),
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            Some(TransferEncoding),
        ),
        (chunked("\r\n"), Some(ChunkSize)),
        (chunked("-1\r\na\r\n0\r\n\r\n"), Some(ChunkSize)),
        (chunked("1\na\r\n0\r\n\r\n"), Some(ChunkSize)),
        (chunked("1 a\r\na\r\n0\r\n\r\n"), Some(ChunkSize)),
        (chunked("FFFFFFFFFFFFFFFFF\r\n"), Some(ChunkSize)),
        (chunked("1\r\nab\r\n0\r\n\r\n"), Some(ChunkEnd)),
        (chunked("0\r\nno colon\r\n\r\n"), None),
    ];
    for (text, expected) in &cases {
        let (messages, ended) = request(text.as_bytes());
        let error = ended.expect_err(text);
        if let Some(expected) = expected {
            assert_eq!(error, *expected, "{text}");
        }
        assert!(messages.iter().all(|message| message.1.len() < 2), "{text}");
    }
    assert_eq!(request(post(&many, "").as_bytes()).1, Err(HeadFields(20)));
    assert_eq!(request(post(&long, "").as_bytes()).1, Err(HeadBytes(4096)));
    let endless = request(&b"A".repeat(5000)).1;
    assert!(endless.is_err(), "{endless:?}");
    let line = chunked(&format!("1;{}", "x".repeat(2000)));
    assert_eq!(request(line.as_bytes()).1, Err(ChunkSize));
    let lines = chunked(&format!("1;{}\r\na\r\n", "x".repeat(900)).repeat(40));
    assert_eq!(request(lines.as_bytes()).1, Err(Malformed::ChunkExtensions));
    assert_ne!(request(b"GET a b HTTP/1.1\r\nHost: x\r\n\r\n").1, Err(Part));
}

#[test]
fn what_is_a_request_is_read_whole() {
    let post =
        |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}");
    let chunked = |body: &str| post("transfer-encoding:  Chunked \r\n", body);
    let cases: [(String, &str, usize); 9] = [
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".into(), "", 0),
        ("GET / HTTP/1.0\r\n\r\n".into(), "", 0),
        (post("Content-Length: 3\r\n", "abc"), "abc", 0),
        (post("A: \u{e9}\tx\r\nContent-Length: 0\r\n", ""), "", 0),
        (chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde", 0),
        (chunked("00003 \r\nabc\r\n0\r\n\r\n"), "abc", 0),
        (chunked("3;a=b;c\r\nabc\r\n0 ; x=\"y\"\r\n\r\n"), "abc", 0),
        (
            chunked("A\r\n0123456789\r\n0\r\nX-End: 1\r\nY: 2\r\n\r\n"),
            "0123456789",
            2,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into(), "", 0),
    ];
    for (text, body, trailers) in &cases {
        let text = text.as_bytes();
        let twice = [text, text].concat();
        for size in [1, 2, 3, 7, 64, twice.len()] {
            let (messages, ended) = read_all(twice.chunks(size), None);
            assert_eq!(ended, Ok(true), "{}", String::from_utf8_lossy(text));
            assert_eq!(messages.len(), 2);
            for message in messages {
                assert_eq!(
                    (message.1.as_slice(), message.2.len()),
                    (body.as_bytes(), *trailers)
                );
            }
        }
    }
}

#[test]
fn answers_are_framed_by_what_they_are() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases: [(&str, &str, Method, Result<(Framing, bool), Malformed>); 14] = [
        (
            "1.1 200",
            "Content-Length: 5\r\n",
            Method::POST,
            Ok((Framing::Length(5), true)),
        ),
        (
            "1.1 200",
            "",
            Method::POST,
            Ok((Framing::UntilClose, false)),
        ),
        (
            "1.1 200",
            chunked,
            Method::POST,
            Ok((Framing::Chunked, true)),
        ),
        (
            "1.1 200",
            "Content-Length: 5\r\n",
            Method::HEAD,
            Ok((Framing::Length(0), true)),
        ),
        (
            "1.1 204",
            "Content-Length: 5\r\n",
            Method::POST,
            Ok((Framing::Length(0), true)),
        ),
        (
            "1.1 304",
            chunked,
            Method::GET,
            Ok((Framing::Length(0), true)),
        ),
        (
            "1.0 200",
            "Content-Length: 5\r\n",
            Method::POST,
            Ok((Framing::Length(5), false)),
        ),
        (
            "1.0 200",
            "Connection: Keep-Alive\r\nContent-Length: 5\r\n",
            Method::POST,
            Ok((Framing::Length(5), true)),
        ),
        (
            "1.1 200",
            "Connection: x, Close\r\nContent-Length: 5\r\n",
            Method::POST,
            Ok((Framing::Length(5), false)),
        ),
        (
            "1.0 200",
            chunked,
            Method::POST,
            Ok((Framing::Chunked, false)),
        ),
        (
            "1.1 200",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            Method::POST,
            Ok((Framing::Chunked, false)),
        ),
        (
            "1.1 200",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            Method::POST,
            Err(Malformed::ContentLength),
        ),
        (
            "1.1 200",
            "Content-Length: -5\r\n",
            Method::POST,
            Err(Malformed::ContentLength),
        ),
        (
            "1.1 200",
            "Transfer-Encoding: gzip\r\n",
            Method::POST,
            Err(Malformed::TransferEncoding),
        ),
    ];
    for (line, fields, asked, expected) in cases {
        let text = format!("HTTP/{line} Fine\r\n{fields}\r\n");
        let mut input = BytesMut::from(text.as_bytes());
        let read = read_response(&mut input, &mut 0, LIMITS, &asked);
        let found = read.map(|head| head.map(|head| (head.framing, head.keep_alive)).unwrap());
        assert_eq!(found, expected, "{text}");
    }
    for text in [
        "HTTP/1.1 2OO Fine\r\n\r\n",
        "HTTP/1.1 200 Fine\nA: 1\r\n\r\n",
        "HTTP/1.1 200 F\r\n A: 1\r\n\r\n",
        "HTTP/1.1 099 F\r\n\r\n",
        "220 mail\r\n\r\n",
    ] {
        let mut input = BytesMut::from(text.as_bytes());
        assert!(
            read_response(&mut input, &mut 0, LIMITS, &Method::GET).is_err(),
            "{text}"
        );
    }
}

/// Requests put together from pieces that matter for framing, right and wrong.
fn requests() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => Just("POST /a HTTP/1.1\r\nHost: x\r\n"),
        1 => Just("GET /b?c HTTP/1.1\r\nHost: x\r\n"),
        1 => Just("POST /d HTTP/1.0\r\n"),
        1 => Just("\r\nPUT /e HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n"),
    ];
    messages(line.boxed())
}

/// Answers, put together likewise.
fn answers() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => Just("HTTP/1.1 200 OK\r\nServer: a\tb\r\n"),
        1 => Just("HTTP/1.1 500\r\nX-Own: \u{e9}\r\nx-own:\r\n"),
        1 => Just("HTTP/1.0 200 OK\r\n"),
        1 => Just("HTTP/1.1 204 No Content\r\n"),
        1 => Just("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n"),
        1 => Just("HTTP/1.1 202 \r\nConnection: close\r\n"),
    ];
    messages(line.boxed())
}

fn messages(line: BoxedStrategy<&'static str>) -> impl Strategy<Value = String> {
    let fields = prop_oneof![
        3 => Just("Content-Length: 5\r\n\r\nhello"),
        1 => Just("Content-Length: 0\r\n\r\n"),
        1 => Just("Content-Length: 3\r\n\r\nhello"),
        1 => Just("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        1 => Just("Content-Length: 5, 5\r\n\r\nhello"),
        1 => Just("Content-Length : 5\r\n\r\nhello"),
        1 => Just("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        1 => Just("\r\n"),
        3 => Just("Transfer-Encoding: chunked\r\n\r\n"),
        1 => Just("Transfer-Encoding:\tchunked\r\n\r\n"),
        1 => Just("Transfer-Encoding: xchunked\r\n\r\n"),
        1 => Just("Transfer-Encoding: identity, chunked\r\n\r\n"),
        1 => Just("Transfer-Encoding: chunked\nContent-Length: 4\r\n\r\n"),
        1 => Just("X: 1\r\n Transfer-Encoding: chunked\r\n\r\n"),
    ];
    let body = prop_oneof![
        3 => Just("5\r\nhello\r\n0\r\n\r\n"),
        1 => Just("5\r\nhello\r\n5;x=y\r\nworld\r\n0\r\nX-End: 1\r\n\r\n"),
        1 => Just("5 \r\nhello\r\n00\r\n\r\n"),
        1 => Just("5\nhello\r\n0\r\n\r\n"),
        1 => Just("5\r\nhello0\r\n\r\n"),
        1 => Just("0x5\r\nhello\r\n0\r\n\r\n"),
        1 => Just("5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n"),
        1 => Just("5\r\nhello\r\n0\r\n\n"),
        2 => Just(""),
    ];
    let message =
        (line, fields, body).prop_map(|(line, fields, body)| [line, fields, body].concat());
    let noise = prop_oneof![6 => Just(String::new()), 1 => "[ -~\r\n\t]{1,6}"];
    proptest::collection::vec(
        (message, noise).prop_map(|(message, noise)| message + &noise),
        1..4,
    )
    .prop_map(|all| all.concat())
}

/// What is let pass as a name or a value is one for `http`, too, byte for byte: it is written out as
/// it came, and hyper's doors must lose none of it.
#[test]
fn names_and_values_are_what_http_takes_for_them() {
    for byte in 0..=u8::MAX {
        let name = [b"A", &[byte][..], b"B"].concat();
        let value = [b"a", &[byte][..], b"b"].concat();
        let fields = [
            (
                [&name[..], b": x"].concat(),
                HeaderName::from_bytes(&name).is_ok(),
            ),
            (
                [b"X: ", &value[..]].concat(),
                HeaderValue::from_bytes(&value).is_ok(),
            ),
        ];
        for (field, is_one) in fields {
            let text = [b"GET / HTTP/1.1\r\nHost: x\r\n", &field[..], b"\r\n\r\n"].concat();
            let mut input = BytesMut::from(&text[..]);
            let Ok(Some(head)) = read_request(&mut input, &mut 0, LIMITS) else {
                // A colon ends a name, a line end ends a line: these are other fields.
                assert!(!is_one, "{}", field.escape_ascii());
                continue;
            };
            assert!(is_one || byte == b':', "{}", field.escape_ascii());
            assert_eq!(head.parts.headers.to_map().len(), 2);
        }
    }
}

/// The messages in these bytes, which are the same however the bytes were cut.
fn read_cut(
    bytes: &[u8],
    cuts: &[usize],
    asked: Option<&Method>,
) -> Result<(Vec<Message>, Result<bool, Malformed>), TestCaseError> {
    let (whole, ended) = read_all(std::iter::once(bytes), asked);
    let mut pieces = Vec::new();
    let (mut rest, mut sizes) = (bytes, cuts.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        pieces.push(piece);
        rest = behind;
    }
    let (cut, ended_cut) = read_all(pieces.into_iter(), asked);
    prop_assert_eq!(&whole, &cut);
    prop_assert_eq!(ended == Ok(true), ended_cut == Ok(true));
    Ok((whole, ended))
}

// One may refuse what the other lets pass, but both may not read it differently. The last message
// may be cut short here, and is none for hyper then.
proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_reads_the_same_and_nothing_is_read_otherwise_than_hyper_does(
        text in requests(),
        cuts in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        let (whole, ended) = read_cut(text.as_bytes(), &cuts, None)?;
        let theirs = as_hyper_reads(text.as_bytes());
        for (ours, theirs) in complete(&whole, ended).iter().zip(&theirs) {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn answers_are_read_the_same_in_any_cut_and_not_otherwise_than_hyper_does(
        text in answers(),
        cuts in proptest::collection::vec(1_usize..40, 1..8),
        asked in prop_oneof![3 => Just(Method::POST), 1 => Just(Method::HEAD)],
    ) {
        let (whole, ended) = read_cut(text.as_bytes(), &cuts, Some(&asked))?;
        // Hyper asks once on a connection: what comes behind the answer is nothing that it reads.
        let theirs = as_hyper_reads_answer(text.as_bytes(), &asked);
        if let (Some(ours), Some(theirs)) = (complete(&whole, ended).first(), theirs) {
            prop_assert_eq!(ours, &theirs);
        }
    }
}
