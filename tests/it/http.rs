//! HTTP, byte by byte: what leaves is what came, spelled as old servers want it, framed as it
//! was framed, on connections that are kept.

use std::collections::BTreeSet;

use crate::support::messages::{long_order, order, soap11};
use crate::support::router::router_to;
use crate::support::service::{Received, reply, reply_chunked};
use crate::support::{Framing, Reply, Running, Service, router, service};

pub fn one() -> (Running, Service) {
    let a = service("a").echoes();
    let router = router_to(&[&a]).service("default_endpoint: a").start();
    (router, a)
}

pub fn answering(reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Running, Service) {
    let a = service("a").replies(reply);
    let router = router_to(&[&a]).service("default_endpoint: a").start();
    (router, a)
}

#[test]
fn a_message_leaves_as_it_came_to_the_byte() {
    let (router, a) = one();
    let mut client = router.client();
    let body = order().body;
    let head = format!(
        "POST /orders?trace=1&x=%20 HTTP/1.1\r\nHost: orders.example.com\r\n\
         Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \"urn:example:orders/Place\"\r\n\
         X-cUSTOM-iD: Some  Value\r\nAccept: text/xml, multipart/related\r\nCookie: a=1; b=2\r\n\
         X-Repeated: one\r\nX-Repeated: two\r\nAccept-Encoding: gzip\r\nUser-Agent: \
         Test (x; y)\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client
        .wire()
        .write([head.as_bytes(), &body].concat())
        .unwrap();
    assert_eq!(client.answer("POST").unwrap().by(), "a");
    let got = a.only();
    assert_eq!(got.body, body);
    assert_eq!(got.head.start, "POST /a?trace=1&x=%20 HTTP/1.1");
    let lines: BTreeSet<&str> = got.head.raw.trim_end().split("\r\n").skip(1).collect();
    let host = format!("Host: {}", a.address);
    let expected: BTreeSet<&str> = head
        .trim_end()
        .split("\r\n")
        .skip(1)
        .filter(|line| !line.starts_with("Host:"))
        .chain([
            host.as_str(),
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: orders.example.com",
        ])
        .collect();
    assert_eq!(lines, expected);
    let repeated: Vec<&str> = got
        .head
        .fields
        .iter()
        .filter(|(name, _)| name == "X-Repeated")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!(repeated, ["one", "two"], "the order of equal names counts");
}

#[test]
fn soap_action_is_spelled_as_old_servers_want_it_whatever_the_caller_wrote() {
    let (router, a) = one();
    for (number, written) in ["soapaction", "Soapaction", "SOAPACTION", "SOAPAction"]
        .iter()
        .enumerate()
    {
        let message = order().without("SOAPAction").with(written, "\"urn:x\"");
        router.post(&message);
        let got = a.got(number + 1).remove(number);
        assert_eq!(
            got.head.spelling("soapaction"),
            Some("SOAPAction"),
            "{written}"
        );
        assert_eq!(got.head.get("soapaction"), Some("\"urn:x\""));
    }
    // The next message of a connection is spelled by its own head, not by the first one's.
    let mut client = router.client();
    client.post("/orders", &order());
    client.post(
        "/orders",
        &order()
            .without("SOAPAction")
            .with("soapaction", "\"urn:y\"")
            .with("x-own", "1"),
    );
    let got = a.got(6).remove(5);
    assert_eq!(got.head.spelling("soapaction"), Some("SOAPAction"));
    assert_eq!(got.head.get("x-own"), Some("1"));
}

#[test]
fn an_answer_comes_back_as_it_was_given() {
    let body =
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body/></e:Envelope>";
    let (router, _a) = answering(move |_| {
        let fields = "Content-Type: text/xml\r\nX-cUSTOM-iD: 7\r\nSOAPServer: Old/1.0\r\n\
                      Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: \"x\"\r\n";
        reply("200 Fine", fields, body)
    });
    let answer = router.post(&order());
    assert_eq!(answer.text(), body);
    for line in [
        "X-cUSTOM-iD: 7",
        "SOAPServer: Old/1.0",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "ETag: \"x\"",
    ] {
        let found = answer.head.raw.split("\r\n").any(|found| found == line);
        assert!(found, "{line} is missing in\n{}", answer.head.raw);
    }
}

#[test]
fn framing_stays_what_it_was_both_ways() {
    let text =
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body/></e:Envelope>";
    let (router, a) = answering(move |request| {
        let kind = "Content-Type: text/xml\r\n";
        match request.framing {
            Framing::Chunked => reply_chunked("200 OK", kind, text, 10),
            _ => reply("200 OK", kind, text),
        }
    });
    let message = long_order(50_000);
    let mut client = router.client();
    let plain = client.post("/orders", &message);
    let chunked = client.post_chunked("/orders", &message, 1000);
    let single = client.post_chunked("/orders", &order(), 7);
    let got = a.got(3);
    assert_eq!(got[0].framing, Framing::Length(message.body.len()));
    assert_eq!(plain.framing, Framing::Length(text.len()));
    for (received, answer) in [(&got[1], &chunked), (&got[2], &single)] {
        assert_eq!(
            (received.framing, answer.framing),
            (Framing::Chunked, Framing::Chunked)
        );
        assert_eq!(received.head.get("content-length"), None);
    }
    assert!(got[0].body == message.body && got[1].body == message.body);
    assert_eq!(
        (plain.text().as_str(), chunked.text().as_str()),
        (text, text)
    );
}

#[test]
fn fields_of_one_hop_end_here() {
    let (router, a) = answering(|_| {
        let fields = "Content-Type: text/xml\r\nConnection: keep-alive, X-Inner\r\nX-Inner: 1\r\n\
                      Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\n";
        reply("200 OK", fields, "<x/>")
    });
    let message = order()
        .with("Connection", "keep-alive, X-Secret")
        .with("X-Secret", "1")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Connection", "keep-alive")
        .with("TE", "trailers")
        .with("Upgrade", "h2c")
        .with("X-Kept", "1");
    let answer = router.post(&message);
    let got = a.only();
    for name in [
        "connection",
        "x-secret",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert_eq!(got.head.get(name), None, "{name} reached the endpoint");
    }
    for name in ["x-inner", "keep-alive", "proxy-connection"] {
        assert_eq!(answer.head.get(name), None, "{name} reached the caller");
    }
    assert_eq!(got.head.get("x-kept"), Some("1"));
    // Nobody can have the fields dropped that the message hangs on.
    let greedy = order().with(
        "Connection",
        "Content-Type, Content-Length, Host, SOAPAction",
    );
    router.post(&greedy);
    let got = a.got(2).remove(1);
    assert_eq!(
        got.head.get("content-type"),
        Some("text/xml; charset=utf-8")
    );
    assert_eq!(got.body, order().body);
}

#[test]
fn forwarded_fields_say_what_the_router_saw_not_what_the_caller_claims() {
    let (router, a) = one();
    let mut client = router.client();
    client.host = "orders.example.com:8080".into();
    let message = order()
        .with("X-Forwarded-For", "10.0.0.1")
        .with("X-Forwarded-Proto", "https")
        .with("X-Forwarded-Host", "evil.example.com");
    client.post("/orders", &message);
    let got = a.only();
    let all = |name: &str| -> Vec<&str> {
        let own = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        got.head
            .fields
            .iter()
            .filter(own)
            .map(|(_, value)| value.as_str())
            .collect()
    };
    assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all("x-forwarded-proto"), ["http"]);
    assert_eq!(all("x-forwarded-host"), ["orders.example.com:8080"]);
}

#[test]
fn a_compressed_answer_is_left_alone() {
    let gzip = [
        0x1F_u8, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let (router, a) = answering(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            gzip.len()
        );
        Reply::Raw([head.as_bytes(), &gzip].concat())
    });
    let answer = router.post(&order().with("Accept-Encoding", "gzip"));
    assert_eq!(answer.body, gzip);
    assert_eq!(answer.head.get("content-encoding"), Some("gzip"));
    assert_eq!(a.only().head.get("accept-encoding"), Some("gzip"));
}

#[test]
fn what_is_no_soap_goes_to_the_default_endpoint() {
    let (router, a) = answering(|request| match request.head.method() {
        "HEAD" => Reply::Raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 123\r\n\r\n".to_vec(),
        ),
        "GET" => reply("200 OK", "Content-Type: text/xml\r\n", "<definitions/>"),
        _ => reply("404 Not Found", "Content-Type: text/html\r\n", "<html/>"),
    });
    let mut client = router.client();
    assert_eq!(client.get("/orders?wsdl").text(), "<definitions/>");
    let head = client.ask("HEAD", "/orders?wsdl", &[]);
    assert_eq!(
        (head.status(), head.head.get("content-length")),
        (200, Some("123"))
    );
    // No failover and no fault: what the endpoint says is what the caller gets.
    let options = client.ask("OPTIONS", "/orders", &[("X-Own", "1")]);
    assert_eq!(
        (options.status(), options.text().as_str()),
        (404, "<html/>")
    );
    let starts: Vec<String> = a.got(3).iter().map(|got| got.head.start.clone()).collect();
    assert_eq!(
        starts,
        [
            "GET /a?wsdl HTTP/1.1",
            "HEAD /a?wsdl HTTP/1.1",
            "OPTIONS /a HTTP/1.1"
        ]
    );
    let outcomes: Vec<_> = router
        .exchanges(3)
        .iter()
        .map(|line| line["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["passed", "passed", "passed"]);
}

#[test]
fn what_is_no_soap_gets_a_plain_status_where_nobody_takes_it() {
    let a = service("a").echoes();
    let router = router_to(&[&a]).start();
    let mut client = router.client();
    let refused = client.get("/orders?wsdl");
    assert_eq!(
        (refused.status(), refused.head.get("allow")),
        (405, Some("POST"))
    );
    assert!(
        refused
            .head
            .get("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    assert_eq!(client.get("/nowhere").status(), 404);
    assert_eq!(client.ask("HEAD", "/orders", &[]).status(), 405);
    assert_eq!(a.count(), 0);
    assert_eq!(
        client.post("/orders", &order()).by(),
        "a",
        "the connection serves on"
    );
}

#[test]
fn a_default_endpoint_that_is_away_is_a_bad_gateway() {
    let (router, a) = one();
    a.kill();
    let answer = router.client().get("/orders?wsdl");
    assert_eq!(answer.status(), 502);
    assert!(
        !answer.text().contains(&a.address.port().to_string()),
        "{}",
        answer.text()
    );
}

#[test]
fn an_empty_answer_is_202_for_the_caller() {
    for status in ["200 OK", "202 Accepted", "204 No Content"] {
        let (router, _a) = answering(move |_| match status {
            "204 No Content" => Reply::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            status => reply(status, "", ""),
        });
        let mut client = router.client();
        let answer = client.post("/orders", &order());
        assert_eq!((answer.status(), answer.body.len()), (202, 0), "{status}");
        assert_eq!(
            client.post("/orders", &order()).status(),
            202,
            "the connection serves on"
        );
    }
}

#[test]
fn an_interim_answer_of_an_endpoint_is_no_answer() {
    let (router, _a) = answering(|_| {
        let Reply::Raw(answer) = reply("200 OK", "Content-Type: text/xml\r\n", "<x/>") else {
            unreachable!()
        };
        Reply::Raw([b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), &answer].concat())
    });
    let answer = router.post(&order());
    assert_eq!((answer.status(), answer.text().as_str()), (200, "<x/>"));
}

#[test]
fn the_endpoints_path_stands_for_the_services_and_its_own_query_stays() {
    let a = service("a").echoes();
    let table = "- { filter: { match_all: {} }, endpoint: a }";
    let router = router(table)
        .with("services: { orders: { path: /orders/*, table: orders } }")
        .endpoint(
            "a",
            &format!("http://{}/deep/service.asmx?op=1", a.address),
            "",
        )
        .start();
    router
        .client()
        .post("/orders/below?x=2", &soap11("", "<x/>"));
    assert_eq!(a.only().head.start, "POST /deep/service.asmx?op=1 HTTP/1.1");
}
