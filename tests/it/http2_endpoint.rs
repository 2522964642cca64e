//! HTTP/2 to endpoints: what is sent there, what many requests share, and what is not lost when an
//! endpoint refuses, closes or breaks.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;

use h2::Reason;
use http::HeaderMap;

use crate::support::http2::{Act, Http2Service, http2_service, secure_http2_service};
use crate::support::messages::{long_order, order};
use crate::support::tls::{self, Authority};
use crate::support::{Builder, Running, Wire, router as router_with, service, until};

const TABLE: &str = "- { filter: { match_all: {} }, endpoint: a }";

fn to(a: &Http2Service, keys: &str) -> Builder {
    router_with(TABLE).endpoint("a", &a.url(), &format!("http: \"2\"{keys}"))
}

/// So many callers at a time, one message each; what they were answered.
fn crowd(router: &Running, callers: usize) -> Vec<String> {
    let all: Vec<_> = (0..callers)
        .map(|_| {
            let mut client = router.client();
            thread::spawn(move || client.post("/orders", &order()).outcome())
        })
        .collect();
    all.into_iter().map(|one| one.join().unwrap()).collect()
}

fn opened(router: &Running) -> f64 {
    router
        .metrics()
        .get("soap_router_connections_opened_total{side=\"endpoint\"}")
}

#[test]
fn messages_share_a_connection_from_its_first_byte_on() {
    let a = http2_service("a", 100, |_, _| Act::Echo);
    let router = to(&a, "").start();
    let mut client = router.client();
    for _ in 0..5 {
        assert_eq!(client.post("/orders?x=1", &order()).by(), "a");
        let got = a.received();
        let head = &got.last().unwrap().head;
        assert!(head.headers.contains_key("content-length"));
        assert_eq!(client.post_chunked("/orders?x=1", &order(), 50).by(), "a");
    }
    for got in a.got(10) {
        assert_eq!(got.head.uri.to_string(), format!("{}?x=1", a.url()));
        assert_eq!(got.body, order().body);
        let get = |name: &str| got.head.headers.get(name).map(|v| v.to_str().unwrap());
        assert_eq!(get("host"), None);
        assert_eq!(get("connection"), None);
        let length = get("content-length");
        assert!(length.is_none_or(|length| length == order().body.len().to_string()));
        assert_eq!(get("x-forwarded-proto"), Some("http"));
        assert_eq!(got.trailers, None);
    }
    assert_eq!(a.connections(), 1);
    assert!((opened(&router) - 1.0).abs() < 1e-9);
    let line = router.exchange();
    assert_eq!(line["status"], 200, "{line}");
    assert_eq!(line["outcome"], "reply", "{line}");
}

#[test]
fn tls_agrees_on_it_or_says_that_it_could_not() {
    let authority = Authority::new("ca");
    let pair = authority.server(&["127.0.0.1"]);
    let mut offering = (*tls::server(&pair, None)).clone();
    offering.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let a = secure_http2_service("a", Arc::new(offering), |_, _| Act::Echo);
    let router = to(&a, ", tls: { ca: ca.pem }")
        .file("config/ca.pem", &authority.pem)
        .start();
    for _ in 0..3 {
        assert_eq!(router.post(&order()).by(), "a");
    }
    assert_eq!(a.got(3)[0].head.uri.scheme_str(), Some("https"));
    assert_eq!(a.connections(), 1);

    let b = service("b").tls(tls::server(&pair, None)).echoes();
    let router = router_with(TABLE)
        .endpoint("a", &b.url(), "http: \"2\", tls: { ca: ca.pem }")
        .file("config/ca.pem", &authority.pem)
        .start();
    assert_eq!(router.post(&order()).outcome(), "EndpointsUnavailable");
    let attempt = &router.exchange()["attempts"][0];
    assert_eq!(attempt["outcome"], "tls", "{attempt}");
    let why = attempt["why"].as_str().unwrap();
    assert!(why.contains("does not speak HTTP/2"), "{why}");
    assert_eq!(b.count(), 0);
}

#[test]
fn who_speaks_no_http2_is_told_from_who_is_away() {
    // Found out before a message was on its way.
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
    let keys = "http: \"2\", resend: if_not_delivered";
    let router = router_with(table)
        .endpoint("a", &a.url(), keys)
        .to(&b)
        .start();
    assert_eq!(router.post(&order()).by(), "b");
    let attempt = &router.exchange()["attempts"][0];
    assert_eq!(attempt["outcome"], "connect", "{attempt}");
    let why = attempt["why"].as_str().unwrap();
    assert!(why.contains("does not speak HTTP/2"), "{why}");
}

#[test]
fn bodies_stream_both_ways_and_trailers_follow() {
    let mut fields = HeaderMap::new();
    fields.insert("x-sum", "42".parse().unwrap());
    let long = vec![b'x'; 3_000_000];
    let answer = long.clone();
    let a = http2_service("a", 100, move |_, _| {
        Act::Send(answer.clone(), 70_000, Some(fields.clone()))
    });
    let router = to(&a, "").start();
    let message = long_order(3_000_000);
    let mut client = router.client();
    for chunk in [9_000, 200_000] {
        let answer = client.post_chunked("/orders", &message, chunk);
        assert_eq!(answer.body.len(), long.len());
        assert!(answer.body == long);
        assert_eq!(answer.trailers, [("X-Sum".to_owned(), "42".to_owned())]);
    }
    assert!(a.got(2).iter().all(|got| got.body == message.body));
    // And those of a caller.
    let head = client.head("/orders", &message, "Transfer-Encoding: chunked");
    let body = crate::support::wire::chunked(&message.body, 50_000);
    let body = [body.strip_suffix(b"\r\n").unwrap(), b"X-End: yes\r\n\r\n"].concat();
    client
        .wire()
        .write([head.as_bytes(), &body].concat())
        .unwrap();
    client.answer("POST").unwrap();
    let got = &a.got(3)[2];
    assert_eq!(got.trailers.as_ref().unwrap()["x-end"], "yes");
    assert!(got.body == message.body);
}

#[test]
fn a_connection_has_as_many_streams_as_both_sides_allow() {
    for (ours, theirs, connections) in [(2, 100, 3), (100, 2, 3)] {
        let a = http2_service("a", theirs, |head, _| match head.headers.get("x-held") {
            Some(_) => Act::Hang,
            None => Act::Echo,
        });
        let router = to(
            &a,
            &format!(", http2_streams: {ours}, response_timeout: 30s"),
        )
        .start();
        let held: Vec<_> = (0..6)
            .map(|_| {
                let mut client = router.client();
                let message = order().with("X-Held", "1");
                client.send("/orders", &message);
                client
            })
            .collect();
        a.got(6);
        assert_eq!(a.connections(), connections, "{ours}, {theirs}");
        assert_eq!(a.most_held(), 2);
        drop(held);
        // Streams that were given up leave room for others.
        assert!(crowd(&router, 6).iter().all(|by| by == "a"));
    }
}

#[test]
fn what_an_endpoint_refuses_is_sent_again() {
    let a = http2_service("a", 100, |_, number| match number % 2 {
        0 => Act::Reset(Reason::REFUSED_STREAM),
        _ => Act::Echo,
    });
    let router = to(&a, "").start();
    for _ in 0..2 {
        assert_eq!(router.post(&order()).by(), "a");
    }
    assert_eq!(a.begun(), 4);

    // Whoever always refuses has surely not got it: a backup may.
    let never = http2_service("a", 100, |_, _| Act::Reset(Reason::REFUSED_STREAM));
    let b = service("b").echoes();
    let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
    let keys = "http: \"2\", resend: if_not_delivered";
    let router = router_with(table)
        .endpoint("a", &never.url(), keys)
        .to(&b)
        .start();
    assert_eq!(router.post(&long_order(300_000)).by(), "b");
    let tries = never.begun();
    assert!((2..=4).contains(&tries), "{tries} tries");
}

#[test]
fn any_other_reset_may_have_been_delivered() {
    let a = http2_service("a", 100, |_, _| Act::Reset(Reason::INTERNAL_ERROR));
    let b = service("b").echoes();
    let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
    let keys = "http: \"2\", resend: if_not_delivered";
    let router = router_with(table)
        .endpoint("a", &a.url(), keys)
        .to(&b)
        .start();
    assert_eq!(router.post(&order()).outcome(), "EndpointsUnavailable");
    assert_eq!(a.begun(), 1);
    assert_eq!(b.count(), 0);
}

#[test]
fn an_endpoint_that_closes_connections_now_and_then_loses_nothing() {
    let a = http2_service("a", 100, |_, number| match number % 7 {
        6 => Act::LastEcho,
        _ => Act::Echo,
    });
    let router = to(&a, "").start();
    let router = Arc::new(router);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let router = Arc::clone(&router);
            thread::spawn(move || {
                let mut client = router.client();
                (0..50)
                    .map(|_| client.post("/orders", &order()).outcome())
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    for caller in callers {
        let outcomes = caller.join().unwrap();
        assert!(outcomes.iter().all(|by| by == "a"), "{outcomes:?}");
    }
    assert_eq!(a.received().len(), 400, "each arrived once");
    assert!(a.connections() > 10);
}

/// An endpoint of bytes: it answers the streams up to `last` and says with GOAWAY that it did not
/// look at the others.
fn goes_away(mut stream: &std::net::TcpStream, last: u32) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    let mut seen = 0;
    while seen <= last {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == 1 {
            seen = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        }
    }
    let [a, b, c, d] = last.to_be_bytes();
    stream
        .write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0])
        .unwrap();
    if last > 0 {
        // `:status: 202`, literally, and the end of the stream.
        let answer = [0, 0, 5, 1, 5, a, b, c, d, 0x08, 3, b'2', b'0', b'2'];
        stream.write_all(&answer).unwrap();
    }
    // Closed over unread bytes the connection would be reset.
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn streams_behind_the_last_that_goaway_names_go_elsewhere() {
    // Both are on their way when it comes, and only the first was looked at.
    let a = service("a").speaks(|wire: &mut Wire, number| {
        goes_away(wire.stream(), if number == 0 { 1 } else { 0 });
    });
    let b = service("b").echoes();
    let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
    let keys = "http: \"2\", resend: if_not_delivered";
    let router = router_with(table)
        .endpoint("a", &a.url(), keys)
        .to(&b)
        .start();
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let mut client = router.client();
            thread::spawn(move || client.post("/orders", &order()).status())
        })
        .collect();
    let mut statuses: Vec<_> = callers.into_iter().map(|c| c.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 202]);
    assert_eq!(b.count(), 1);
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    let a = http2_service("a", 100, |_, _| Act::Break(vec![b'<'; 200_000]));
    let router = to(&a, "").start();
    let mut client = router.client();
    assert!(client.try_post("/orders", &order()).is_err());
    let line = router.exchange();
    assert!(line["broken"].as_str().is_some(), "{line}");
}

#[test]
fn a_message_that_breaks_off_never_looks_whole() {
    let a = http2_service("a", 100, |_, _| Act::Echo);
    let router = to(&a, "").start();
    let message = long_order(500_000);
    let mut client = router.client();
    let head = client.head("/orders", &message, "Transfer-Encoding: chunked");
    let begun = format!("{head}40000\r\n");
    client.wire().write(begun).unwrap();
    client.wire().write(&message.body[..0x30000]).unwrap();
    until("the request to begin", || (a.begun() == 1).then_some(()));
    drop(client);
    let got = &a.got(1)[0];
    assert!(got.broken.is_some(), "it has an end");
    assert!(got.body.len() < message.body.len());
}

#[test]
fn an_endpoint_that_is_too_slow_loses_the_stream_and_keeps_the_connection() {
    let a = http2_service("a", 100, |head, _| match head.headers.get("x-held") {
        Some(_) => Act::Hang,
        None => Act::Echo,
    });
    let router = to(&a, ", response_timeout: 300ms").start();
    let held = order().with("X-Held", "1");
    assert_eq!(router.post(&held).outcome(), "EndpointTimeout");
    assert_eq!(router.post(&order()).by(), "a");
    assert_eq!(a.connections(), 1);
}

#[test]
fn who_reads_slowly_does_not_hold_the_others_up() {
    let long = vec![b'x'; 5_000_000];
    let a = http2_service("a", 100, move |head, _| match head.headers.get("x-long") {
        Some(_) => Act::Send(long.clone(), usize::MAX, None),
        None => Act::Echo,
    });
    let router = to(&a, "").start();
    let slow: Vec<_> = (0..40)
        .map(|_| {
            let mut client = router.client();
            let message = order().with("X-Long", "1");
            client.send("/orders", &message);
            client.wire().begins().unwrap();
            client
        })
        .collect();
    assert!(crowd(&router, 5).iter().all(|by| by == "a"));
    assert_eq!(a.connections(), 1);
    for mut client in slow.into_iter().take(3) {
        assert_eq!(client.answer("POST").unwrap().body.len(), 5_000_000);
    }
}

#[test]
fn an_unused_connection_is_closed_in_time() {
    let a = http2_service("a", 100, |_, _| Act::Echo);
    let router = to(&a, ", idle_connection_timeout: 300ms").start();
    assert_eq!(router.post(&order()).by(), "a");
    router.metric_becomes("soap_router_connections_open{side=\"endpoint\"}", 0.0);
    assert_eq!(router.post(&order()).by(), "a");
    assert_eq!(a.connections(), 2);
}

#[test]
fn a_drained_server_keeps_what_it_has_and_loses_it_in_the_end() {
    let a = http2_service("a", 100, |_, _| Act::Hang);
    let router = to(&a, ", drain: 1s").start();
    let mut client = router.client();
    let asked = thread::spawn(move || client.post("/orders", &order()).outcome());
    a.got(1);
    let drained = router.admin().ask("POST", "/api/v1/endpoints/a/drain", &[]);
    assert_eq!(drained.status(), 200);
    assert_eq!(asked.join().unwrap(), "EndpointsUnavailable");
    let attempt = &router.exchange()["attempts"][0];
    assert_eq!(attempt["outcome"], "reset", "{attempt}");
}

#[test]
fn probes_speak_it_too() {
    let a = http2_service("a", 100, |head, _| {
        assert!(["/health", "/a"].contains(&head.uri.path()), "{}", head.uri);
        Act::Echo
    });
    let probe = ", probe: { path: /health, host: probed.example.com, interval: 1s, timeout: 1s }";
    let router = to(&a, probe).start();
    let shown = router.admin_json("/api/v1/endpoints/a");
    assert_eq!(shown["servers"][0]["state"], "up", "{shown}");
    let probed = &a.got(1)[0];
    assert_eq!(probed.head.uri, "http://probed.example.com/health");
    assert_eq!(router.post(&order()).by(), "a");
}

#[test]
fn websocket_is_refused_where_http2_is_spoken() {
    let a = http2_service("a", 100, |_, _| Act::Echo);
    let router = to(&a, "").service("default_endpoint: a").start();
    let fields = [("Upgrade", "websocket"), ("Connection", "Upgrade")];
    let answer = router.client().ask("GET", "/orders", &fields);
    assert_eq!(answer.status(), 501);
    assert_eq!(router.client().get("/orders").by(), "a");
    let answer = router.client().ask("HEAD", "/orders", &[]);
    assert_eq!(answer.status(), 200);
}
