//! WebSocket passed through: who is asked, what counts as a yes, and how a tunnel ends.
//!
//! The ends here write frames by hand; other people's are under `tests/interop/`.

use std::io::Write as _;
use std::net::Shutdown;

use crate::support::service::reply;
use crate::support::tls::{self, Authority};
use crate::support::wire::Wire;
use crate::support::{Answer, Builder, Client, Gate, Reply, Running, Service, router, service};

/// The example of RFC 6455 §1.2.
pub(crate) const ASKED: &str = "GET /orders?room=1 HTTP/1.1\r\nHost: orders.example.com\r\nUpgrade: WebSocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
pub(crate) const YES: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// `Hello`, as an endpoint says it and, masked, a caller (RFC 6455 §5.7).
const HELLO: &[u8] = b"\x81\x05Hello";
const MASKED_HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";
const GOING_AWAY_MASKED: &[u8] = b"\x88\x82\x00\x00\x00\x00\x03\xe9";

/// A service that says yes and then does as told.
fn switching(then: impl Fn(&mut Wire) + Send + Sync + 'static) -> Service {
    service("a").speaks(move |wire, _| {
        let head = wire.head().unwrap().unwrap();
        assert_eq!(head.start, "GET /a?room=1 HTTP/1.1");
        assert_eq!(head.get("upgrade"), Some("websocket"));
        assert_eq!(head.get("connection"), Some("Upgrade"));
        assert_eq!(head.get("sec-websocket-version"), Some("13"));
        wire.write(YES).unwrap();
        then(wire);
    })
}

fn to(a: &Service, keys: &str) -> Builder {
    router("- { filter: { match_all: {} }, endpoint: a }")
        .at(a, keys)
        .service("default_endpoint: a")
}

/// A caller that was told yes.
fn switched(router: &Running) -> Client {
    let mut caller = router.client();
    let answer = ask(&mut caller, ASKED);
    assert_eq!(answer.status(), 101, "{}", answer.head.raw);
    caller
}

fn ask(caller: &mut Client, request: impl AsRef<[u8]>) -> Answer {
    caller.wire().write(request).unwrap();
    caller.answer("GET").unwrap()
}

/// Everything that comes up to the end of the connection.
fn rest(wire: &mut Wire) -> Vec<u8> {
    let mut all = Vec::new();
    while let Ok(bytes) = wire.some() {
        if bytes.is_empty() {
            return all;
        }
        all.extend(bytes);
    }
    panic!("no end of the connection behind {all:x?}");
}

fn read(wire: &mut Wire, expected: &[u8]) {
    wire.comes(expected).unwrap();
    assert_eq!(wire.some().unwrap(), expected);
}

#[test]
fn a_caller_and_an_endpoint_speak_websocket() {
    // The first words come in one piece with either head.
    let a = service("a").speaks(|wire, _| {
        let head = wire.head().unwrap().unwrap();
        assert_eq!(
            head.get("sec-websocket-key"),
            Some("dGhlIHNhbXBsZSBub25jZQ==")
        );
        wire.write([YES.as_bytes(), HELLO].concat()).unwrap();
        for _ in 0..3 {
            read(wire, MASKED_HELLO);
            wire.write(HELLO).unwrap();
        }
        assert_eq!(rest(wire), b"");
    });
    let router = to(&a, "").start();
    let mut caller = router.client();
    let answer = ask(&mut caller, [ASKED.as_bytes(), MASKED_HELLO].concat());
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.head.get("upgrade"), Some("websocket"));
    assert_eq!(answer.head.get("connection"), Some("Upgrade"));
    assert_eq!(
        answer.head.get("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    caller.wire().comes(&HELLO.repeat(2)).unwrap();
    let opened = "soap_router_connections_open{side=\"endpoint\"}";
    router.metric_becomes(opened, 1.0);
    for _ in 0..2 {
        assert!(!caller.wire().some().unwrap().is_empty());
        caller.wire().write(MASKED_HELLO).unwrap();
        caller.wire().begins().unwrap();
    }
    caller.wire().stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(caller.wire()), HELLO);
    let line = router.exchange();
    assert_eq!(line["status"], 101, "{line}");
    assert_eq!(line["outcome"], "passed", "{line}");
    assert_eq!(line["broken"], serde_json::Value::Null, "{line}");
    assert_eq!(line["request_bytes"], 3 * MASKED_HELLO.len(), "{line}");
    assert_eq!(line["response_bytes"], 4 * HELLO.len(), "{line}");
    // Nothing of the connection is kept for anybody else.
    router.metric_becomes(opened, 0.0);
    assert_eq!(a.connections(), 1);
}

#[test]
fn any_other_answer_is_an_answer() {
    let a = service("a").replies(|request| {
        assert_eq!(request.head.get("upgrade"), Some("websocket"));
        reply("426 Upgrade Required", "Upgrade: other\r\n", "no")
    });
    let router = to(&a, "").start();
    let mut caller = router.client();
    for _ in 0..2 {
        let answer = ask(&mut caller, ASKED);
        assert_eq!((answer.status(), answer.text()), (426, "no".to_owned()));
    }
    assert_eq!(a.connections(), 1, "the connection is kept");
}

#[test]
fn only_websocket_is_asked_for() {
    let a = service("a").replies(|request| {
        assert_eq!(request.head.get("upgrade"), None, "{}", request.head.raw);
        assert_eq!(request.head.get("connection"), None);
        Reply::Echo
    });
    let router = to(&a, "").start();
    for (from, into) in [
        ("WebSocket", "h2c"),
        ("keep-alive, Upgrade", "keep-alive"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("Host:", "Content-Length: 0\r\nTransfer: x\r\nHost:"),
    ] {
        let asked = ASKED.replace(from, into);
        let asked = match into.starts_with("Content") {
            // A request with a body stays what it is.
            true => format!("{}x", asked.replace("Length: 0", "Length: 1")),
            false => asked,
        };
        assert_eq!(ask(&mut router.client(), asked).status(), 200, "{into}");
    }
    // Nor by a message.
    let asked = "POST /orders HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Content-Type: text/xml\r\nSOAPAction: \"\"\r\nContent-Length: ";
    let body = crate::support::messages::order().body;
    let asked = format!("{asked}{}\r\n\r\n", body.len()).into_bytes();
    let mut caller = router.client();
    caller.wire().write([asked, body].concat()).unwrap();
    assert_eq!(caller.answer("POST").unwrap().by(), "a");
}

#[test]
fn a_yes_that_nobody_asked_for_is_no_answer() {
    let other = YES.replace("Upgrade: websocket", "Upgrade: h2c");
    let nothing = YES.replace("Upgrade: websocket\r\n", "");
    for (asked, yes) in [
        (ASKED.replace("WebSocket", "h2c"), YES.to_owned()),
        (ASKED.to_owned(), other),
        (ASKED.to_owned(), nothing),
    ] {
        let a = service("a").replies(move |_| Reply::Last(yes.clone().into_bytes()));
        let router = to(&a, "").start();
        let answer = ask(&mut router.client(), &asked);
        assert_eq!(answer.status(), 502, "{asked}");
        let attempt = &router.exchange()["attempts"][0];
        let why = attempt["why"].as_str().unwrap();
        assert!(why.contains("not asked for"), "{why}");
    }
}

#[test]
fn one_way_may_end_before_the_other() {
    let a = switching(|wire| {
        assert_eq!(rest(wire), MASKED_HELLO);
        // The caller has ended; this still arrives.
        wire.write(HELLO).unwrap();
    });
    let router = to(&a, "").start();
    let mut caller = switched(&router);
    caller.wire().write(MASKED_HELLO).unwrap();
    caller.wire().stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(caller.wire()), HELLO);

    let ended = Gate::default();
    let told = ended.clone();
    let b = switching(move |wire| {
        wire.stream().shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(wire), MASKED_HELLO);
        told.open();
    });
    let router = to(&b, "").start();
    let mut caller = switched(&router);
    assert_eq!(rest(caller.wire()), b"");
    caller.wire().write(MASKED_HELLO).unwrap();
    caller.wire().stream().shutdown(Shutdown::Write).unwrap();
    ended.pass();
}

#[test]
fn much_flows_both_ways_at_once() {
    const LENGTH: usize = 8_000_000;
    let bytes = |seed: usize| -> Vec<u8> {
        let all = (0..LENGTH).map(|at| (at * seed % 251) as u8);
        all.collect()
    };
    let (there, back) = (bytes(7), bytes(11));
    let (expected, sent) = (there.clone(), back.clone());
    let a = switching(move |wire| {
        let mut writing = wire.stream().try_clone().unwrap();
        let sent = sent.clone();
        let writer = std::thread::spawn(move || {
            writing.write_all(&sent).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        assert!(rest(wire) == expected, "what arrived is not what was sent");
        writer.join().unwrap();
    });
    let router = to(&a, "").start();
    let mut caller = switched(&router);
    let mut writing = caller.wire().stream().try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        writing.write_all(&there).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    assert!(rest(caller.wire()) == back);
    writer.join().unwrap();
    let line = router.exchange();
    assert_eq!(line["request_bytes"], LENGTH, "{line}");
    assert_eq!(line["response_bytes"], LENGTH, "{line}");
}

/// A service that expects to be told that the other side goes away.
fn left() -> Service {
    switching(|wire| {
        wire.write(HELLO).unwrap();
        assert_eq!(rest(wire), GOING_AWAY_MASKED);
    })
}

#[test]
fn a_tunnel_on_which_nothing_moves_ends_with_a_goodbye_to_both() {
    let a = left();
    let router = to(&a, "idle_timeout: 300ms").start();
    let mut caller = switched(&router);
    assert_eq!(rest(caller.wire()), [HELLO, GOING_AWAY].concat());
    let line = router.exchange();
    let why = line["broken"].as_str().unwrap();
    assert_eq!(why, "nothing moved for 300ms", "{line}");
}

#[test]
fn a_goodbye_never_stands_within_a_frame() {
    let a = switching(|wire| {
        wire.write(&HELLO[..4]).unwrap();
        // The caller said goodbye: a second one would be one too many.
        assert_eq!(rest(wire), GOING_AWAY_MASKED);
    });
    let router = to(&a, "idle_timeout: 300ms").start();
    let mut caller = switched(&router);
    caller.wire().write(GOING_AWAY_MASKED).unwrap();
    assert_eq!(rest(caller.wire()), &HELLO[..4]);
}

#[test]
fn a_stopping_router_ends_tunnels_when_its_drain_time_is_over() {
    let a = left();
    let mut router = to(&a, "").with("drain: 300ms").start();
    let mut caller = switched(&router);
    router.signal("TERM");
    assert_eq!(rest(caller.wire()), [HELLO, GOING_AWAY].concat());
    assert!(router.ends().success(), "{}", router.log());
}

#[test]
fn a_server_that_is_drained_keeps_its_tunnels_for_the_drain_time() {
    let over = Gate::default();
    let told = over.clone();
    let a = switching(move |wire| {
        read(wire, MASKED_HELLO);
        wire.write(HELLO).unwrap();
        let _ = wire.some();
        told.open();
    });
    let router = to(&a, "drain: 1s").start();
    let mut caller = switched(&router);
    let drained = router.admin().ask("POST", "/api/v1/endpoints/a/drain", &[]);
    assert_eq!(drained.status(), 200);
    caller.wire().write(MASKED_HELLO).unwrap();
    assert_eq!(rest(caller.wire()), [HELLO, GOING_AWAY].concat());
    over.pass();
    let line = router.exchange();
    let why = line["broken"].as_str().unwrap();
    assert!(why.contains("drain time"), "{line}");
}

#[test]
fn a_caller_that_breaks_off_ends_the_tunnel() {
    let over = Gate::default();
    let told = over.clone();
    let a = switching(move |wire| {
        let _ = rest(wire);
        told.open();
    });
    let router = to(&a, "").start();
    let mut caller = switched(&router);
    caller.wire().write(MASKED_HELLO).unwrap();
    let socket = socket2::SockRef::from(caller.wire().stream());
    socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(caller);
    over.pass();
    let line = router.exchange();
    let why = line["broken"].as_str().unwrap();
    assert!(why.starts_with("the caller broke off"), "{line}");
}

#[test]
fn tunnels_go_through_tls_on_both_sides() {
    let authority = Authority::new("ca");
    let pair = authority.server(&["127.0.0.1", "localhost"]);
    let a = service("a")
        .tls(tls::server(&pair, None))
        .speaks(|wire, _| {
            wire.head().unwrap().unwrap();
            wire.write(YES).unwrap();
            read(wire, MASKED_HELLO);
            wire.write(HELLO).unwrap();
        });
    let router = to(&a, "tls: { ca: ca.pem }")
        .with("listeners: { public: { bind: \"127.0.0.1:0\", tls: { cert: a.pem, key: a.key } } }")
        .file("config/a.pem", &pair.cert)
        .file("config/a.key", &pair.key)
        .file("config/ca.pem", &authority.pem)
        .start();
    let config = tls::caller(&authority, None);
    let mut caller = Client::secured(router.address("public"), &config, "localhost");
    assert_eq!(ask(&mut caller, ASKED).status(), 101);
    caller.wire().write(MASKED_HELLO).unwrap();
    assert_eq!(rest(caller.wire()), HELLO);
}

#[test]
fn a_route_passes_websocket_too() {
    let a = service("a").speaks(|wire, _| {
        let head = wire.head().unwrap().unwrap();
        assert_eq!(head.start, "GET /chat/room HTTP/1.1");
        wire.write(YES).unwrap();
        read(wire, MASKED_HELLO);
        wire.write(HELLO).unwrap();
    });
    let url = format!("http://{}/", a.address);
    let router = router("- { filter: { match_all: {} }, endpoint: a }")
        .endpoint("a", &url, "")
        .with("routes: { chat: { path: \"/chat/*\", endpoint: a } }")
        .start();
    let mut caller = router.client();
    let asked = ASKED.replace("/orders?room=1", "/chat/room");
    assert_eq!(ask(&mut caller, asked).status(), 101);
    caller.wire().write(MASKED_HELLO).unwrap();
    assert_eq!(rest(caller.wire()), HELLO);
}
