//! HTTP/2 in front: agreed on by TLS or begun by callers that know; HTTP/1.1 behind.
//!
//! The caller is hyper's; other people's are under `tests/interop/`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::messages::{long_order, order};
use crate::support::router::router_to;
use crate::support::service::{reply, reply_chunked};
use crate::support::tls::{self, Authority};
use crate::support::{Builder, Client, PATIENCE, Reply, Running, Service, service};

type Sender = SendRequest<Full<Bytes>>;

fn speaking(keys: &str) -> (Service, Builder) {
    let a = service("a").echoes();
    let builder = to(&a, keys);
    (a, builder)
}

fn to(a: &Service, keys: &str) -> Builder {
    let listener =
        format!("listeners: {{ public: {{ bind: \"127.0.0.1:0\", http2: true{keys} }} }}");
    router_to(&[a])
        .with(&listener)
        .service("default_endpoint: a")
}

/// Runs the caller's side to its end.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, work).await })
        .expect("it takes too long")
}

/// A connection, and the task that says how it ended.
async fn connect(address: SocketAddr) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    (sender, tokio::spawn(connection))
}

fn message(fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let message = order();
    let mut request = Request::post("http://orders.example.com/orders?x=1");
    for (name, value) in &message.fields {
        request = request.header(name, value);
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Full::new(message.body.into())).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_caller_that_knows_begins_with_http2_and_the_endpoint_sees_http1() {
    let (a, builder) = speaking("");
    let router = builder.start();
    run(async {
        let (mut sender, _connection) = connect(router.address("public")).await;
        let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")];
        let response = sender.send_request(message(&fields)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(text(response).await.contains("<by>a</by>"));
    });
    let got = a.only();
    assert_eq!(got.head.start, "POST /a?x=1 HTTP/1.1");
    assert_eq!(got.body, order().body);
    assert_eq!(got.head.spelling("soapaction"), Some("SOAPAction"));
    let host = a.address.to_string();
    for (name, value) in [
        ("host", Some(host.as_str())),
        ("x-forwarded-host", Some("orders.example.com")),
        ("x-forwarded-proto", Some("http")),
        ("cookie", Some("a=1; b=2")),
        ("te", None),
    ] {
        assert_eq!(got.head.get(name), value, "{name}");
    }
    // HTTP/1 is spoken on the same port, from the first byte on that differs.
    for method in ["GET", "PRI", "PROPFIND", "P"] {
        assert_eq!(
            router.client().ask(method, "/orders", &[]).status(),
            200,
            "{method}"
        );
    }
}

#[test]
fn many_requests_share_a_connection_and_long_ones_stream() {
    let (a, builder) = speaking("");
    let router = builder.start();
    let long = long_order(3_000_000);
    run(async {
        let (sender, _connection) = connect(router.address("public")).await;
        let mut all = Vec::new();
        for number in 0..30 {
            let mut sender = sender.clone();
            let long = long.clone();
            all.push(tokio::spawn(async move {
                let mut request = message(&[]);
                if number % 10 == 0 {
                    *request.body_mut() = Full::new(long.body.into());
                }
                text(sender.send_request(request).await.unwrap()).await
            }));
        }
        for one in all {
            assert!(one.await.unwrap().contains("<by>a</by>"));
        }
    });
    let long_ones = a.got(30).iter().filter(|got| got.body == long.body).count();
    assert_eq!(long_ones, 3);
    router.metric_becomes("soap_router_connections_opened_total{side=\"caller\"}", 1.0);
}

#[test]
fn faults_and_long_answers_arrive_whole() {
    let body = "x".repeat(1_000_000);
    let long = body.clone();
    let a = service("a").replies(move |request| match request.head.get("x-long") {
        Some(_) => reply_chunked("200 OK", "Content-Type: text/xml\r\n", &long, 9_999),
        None => reply("200 OK", "Content-Type: text/xml\r\n", "<x/>"),
    });
    let router = to(&a, "").start();
    run(async {
        let (mut sender, _connection) = connect(router.address("public")).await;
        let response = sender
            .send_request(message(&[("x-long", "1")]))
            .await
            .unwrap();
        assert_eq!(text(response).await, body);
        let mut wrong = message(&[]);
        *wrong.body_mut() = Full::from("<no xml");
        let response = sender.send_request(wrong).await.unwrap();
        assert_eq!(response.status(), 500);
        assert!(text(response).await.contains("MalformedMessage"));
        let unknown = Request::get("http://x/nowhere")
            .body(Full::default())
            .unwrap();
        assert_eq!(sender.send_request(unknown).await.unwrap().status(), 404);
    });
}

#[test]
fn tls_agrees_on_http2_with_those_who_offer_it() {
    let authority = Authority::new("ca");
    let pair = authority.server(&["localhost"]);
    let (a, builder) = speaking(", tls: { cert: front.pem, key: front.key }");
    let router = builder
        .file("config/front.pem", &pair.cert)
        .file("config/front.key", &pair.key)
        .start();
    let plain = tls::caller(&authority, None);
    let mut offering = (*plain).clone();
    offering.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    run(async {
        let stream = TcpStream::connect(router.address("public")).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(offering));
        let stream = connector
            .connect("localhost".try_into().unwrap(), stream)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(message(&[])).await.unwrap();
        assert!(text(response).await.contains("<by>a</by>"));
    });
    assert_eq!(a.only().head.get("x-forwarded-proto"), Some("https"));
    let mut caller = Client::secured(router.address("public"), &plain, "localhost");
    assert_eq!(caller.post("/orders", &order()).by(), "a");
}

#[test]
fn http2_is_off_unless_asked_for() {
    let a = service("a").echoes();
    let router = router_to(&[&a]).start();
    run(async {
        let stream = TcpStream::connect(router.address("public")).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        assert!(sender.send_request(message(&[])).await.is_err());
    });
}

#[test]
fn a_head_over_the_limit_is_refused() {
    let (a, builder) = speaking("");
    let router = builder
        .with("limits: { header_block: 8KiB, header_count: 20 }")
        .start();
    run(async {
        let (mut sender, _connection) = connect(router.address("public")).await;
        let long = "x".repeat(9 * 1024);
        let response = sender
            .send_request(message(&[("x-long", &long)]))
            .await
            .unwrap();
        assert_eq!(response.status(), 431);
        let many: Vec<String> = (0..25).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
        let response = sender.send_request(message(&many)).await.unwrap();
        assert_eq!(response.status(), 431);
        assert_eq!(
            sender.send_request(message(&[])).await.unwrap().status(),
            200
        );
    });
    assert_eq!(a.count(), 1);
}

#[test]
fn a_caller_that_opens_streams_only_to_reset_them_is_cut_off() {
    let a = service("a").replies(|_| Reply::Hang);
    let router = to(&a, "").start();
    run(async {
        let (sender, connection) = connect(router.address("public")).await;
        let mut sent = 0;
        while !sender.is_closed() && sent < 5_000 {
            let mut sender = sender.clone();
            let mut asked = Box::pin(sender.send_request(message(&[])));
            let _ = tokio::time::timeout(Duration::from_millis(2), asked.as_mut()).await;
            drop(asked);
            sent += 1;
        }
        assert!(sent < 5_000, "the connection survives");
        drop(sender);
        let _ = connection.await;
    });
    router.says("resets what it asks for");
    // Others are served as ever.
    assert_eq!(router.client().get("/nowhere").status(), 404);
}

#[test]
fn a_connection_on_which_nothing_happens_is_closed() {
    let (_a, builder) = speaking(", keep_alive_timeout: 300ms");
    let router = builder.start();
    run(async {
        let (mut sender, connection) = connect(router.address("public")).await;
        sender.send_request(message(&[])).await.unwrap();
        connection.await.unwrap().unwrap();
        assert!(sender.send_request(message(&[])).await.is_err());
    });
}

#[test]
fn a_caller_that_takes_no_answer_is_not_waited_for() {
    let body = "x".repeat(10_000_000);
    let a = service("a").replies(move |_| reply("200 OK", "Content-Type: text/xml\r\n", &body));
    let router = to(&a, ", keep_alive_timeout: 300ms")
        .with("limits: { body_idle_timeout: 300ms }")
        .start();
    run(async {
        let (mut sender, connection) = connect(router.address("public")).await;
        let response = sender.send_request(message(&[])).await.unwrap();
        // Held and never read: no window opens.
        let _ = connection.await;
        drop(response);
    });
    router.says("the caller takes no answer");
    let line = router.exchange();
    assert!(
        line["response_bytes"].as_u64().unwrap() < 10_000_000,
        "{line}"
    );
}

#[test]
fn a_router_that_stops_finishes_what_is_under_way() {
    let gate = crate::support::Gate::default();
    let held = gate.clone();
    let a = service("a").replies(move |_| {
        held.pass();
        Reply::Echo
    });
    let mut router: Running = to(&a, "").start();
    run(async {
        let (mut sender, _connection) = connect(router.address("public")).await;
        let asked = tokio::spawn(async move { sender.send_request(message(&[])).await.unwrap() });
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        while a.count() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        router.signal("TERM");
        router.says("stopping");
        gate.open();
        assert!(text(asked.await.unwrap()).await.contains("<by>a</by>"));
    });
    assert!(router.ends().success());
}

#[test]
fn who_still_waits_when_the_router_ends_is_told_so() {
    let a = service("a").replies(|_| Reply::Hang);
    let mut router: Running = to(&a, "").with("drain: 200ms").start();
    run(async {
        let (sender, _connection) = connect(router.address("public")).await;
        let asked: Vec<_> = (0..3)
            .map(|_| {
                let mut sender = sender.clone();
                tokio::spawn(async move { sender.send_request(message(&[])).await.unwrap() })
            })
            .collect();
        while a.count() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        router.signal("TERM");
        for asked in asked {
            let response = asked.await.unwrap();
            assert_eq!(response.headers()["x-soap-router-fault"], "ShuttingDown");
            assert!(text(response).await.contains("ShuttingDown"));
        }
    });
    assert_eq!(router.ends().code(), Some(1));
}
