//! The front: routes beside services, redirects, rewrites, who is told what of the caller, pages,
//! the PROXY protocol, Unix sockets.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use crate::support::messages::order;
use crate::support::router::router_to;
use crate::support::service::{Received, reply};
use crate::support::tls::{self, Authority};
use crate::support::{Builder, Client, Service, router, service, soap_router};

/// A service `a` for SOAP, and routes.
fn routed(routes: &str) -> (Service, Builder) {
    let a = service("a").echoes();
    let builder = router_to(&[&a]).with(&format!("routes:\n{routes}"));
    (a, builder)
}

fn start_line(received: &[Received]) -> Vec<String> {
    received.iter().map(|got| got.head.start.clone()).collect()
}

#[test]
fn routes_stand_beside_services_with_the_same_endpoints() {
    let (a, builder) = routed(
        "  all: { path: /*, endpoint: a-root }
  docs: { path: \"/docs*\", endpoint: a-root }
  exact: { path: /docs/exact, endpoint: a-deep }
  deep: { path: /rest/*, endpoint: a-deep }
  pattern: { path: { matches: \"^/v[0-9]+/\" }, endpoint: a-over }
",
    );
    let root = format!("http://{}/", a.address);
    let router = builder
        .endpoint("a-root", &root, "")
        .endpoint("a-deep", &format!("{root}deep/"), "")
        .endpoint("a-over", &root, "override_path: /over/")
        .start();
    let mut client = router.client();
    for path in [
        "/any/thing?x=1",
        "/docs",
        "/docs-2/y",
        "/docs/exact",
        "/rest",
        "/rest/a/b?c",
        "/v12/x",
        "/orders2",
    ] {
        assert_eq!(client.get(path).status(), 200, "{path}");
    }
    // REST is more than GET, and its bodies go along.
    let posted = client.post("/rest/items", &order());
    assert_eq!(posted.status(), 200);
    assert_eq!(
        client.post("/orders", &order()).by(),
        "a",
        "the service is more specific"
    );
    let got = a.got(10);
    assert_eq!(
        start_line(&got),
        [
            "GET /any/thing?x=1 HTTP/1.1",
            "GET /docs HTTP/1.1",
            "GET /docs-2/y HTTP/1.1",
            "GET /deep/ HTTP/1.1",
            "GET /deep/ HTTP/1.1",
            "GET /deep/a/b?c HTTP/1.1",
            "GET /over/v12/x HTTP/1.1",
            "GET /orders2 HTTP/1.1",
            "POST /deep/items HTTP/1.1",
            "POST /a HTTP/1.1",
        ]
    );
    assert_eq!(got[8].body, order().body);
    for climbing in ["/docs/../secret", "/docs/%2E%2e/secret", "/docs/./x"] {
        assert_eq!(client.get(climbing).status(), 400, "{climbing}");
    }
    assert_eq!(a.count(), 10);
}

#[test]
fn hosts_fit_exactly_by_wildcard_or_not_at_all() {
    let (_a, builder) = routed(
        "  exact: { path: /*, hosts: [a.example.com], redirect: { to: \"http://exact/\" } }
  star: { path: /*, hosts: [\"*.example.com\"], redirect: { to: \"http://star/\" } }
  glob: { path: /*, hosts: [\"shop-?.example.*\"], redirect: { to: \"http://glob/\" } }
",
    );
    let router = builder.start();
    for (host, expected) in [
        ("A.example.com:8080", Some("http://exact/")),
        ("a.example.com.", Some("http://exact/")),
        ("b.c.example.com", Some("http://star/")),
        ("shop-1.example.org", Some("http://glob/")),
        ("shop-12.example.org", None),
        ("example.com", None),
    ] {
        let mut client = router.client();
        client.host = host.into();
        let answer = client.get("/x");
        assert_eq!(answer.head.get("location"), expected, "{host}");
    }
}

#[test]
fn redirects_keep_path_and_query_as_told() {
    let authority = Authority::new("ca");
    let pair = authority.server(&["localhost"]);
    let (_a, builder) = routed(
        "  up: { path: /up/*, listeners: public, redirect: { listener: secure } }
  bare: { path: /bare, redirect: { listener: secure, path: false, query: false, status: 301 } }
  out: { path: /out, redirect: { to: \"https://other.example.com/new?y=2\", status: 302 } }
  see: { path: /see, redirect: { to: \"https://other.example.com/\", query: false, status: 303 } }
  now: { path: /now, redirect: { to: \"https://other.example.com/\", status: 307 } }
",
    );
    let router = builder
        .with("listeners:\n  public: { bind: \"127.0.0.1:0\" }\n  secure: { bind: \"127.0.0.2:0\", tls: { cert: front.pem, key: front.key } }")
        .file("config/front.pem", &pair.cert)
        .file("config/front.key", &pair.key)
        .start();
    let mut client = router.client();
    client.host = "orders.example.com:8080".into();
    for (path, status, location) in [
        ("/up/a/b?x=1", 308, "https://orders.example.com/up/a/b?x=1"),
        ("/bare?x=1", 301, "https://orders.example.com/"),
        ("/out?x=1", 302, "https://other.example.com/new?y=2&x=1"),
        ("/see?x=1", 303, "https://other.example.com/"),
        ("/now", 307, "https://other.example.com/"),
    ] {
        let answer = client.get(path);
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.head.get("location"), Some(location), "{path}");
    }
}

#[test]
fn requests_and_answers_are_rewritten_where_conditions_hold() {
    let a = service("a").replies(|request| {
        let fields = "Content-Type: text/xml\r\nServer: Old/1.0\r\nX-Powered-By: PHP\r\n";
        reply(
            request.head.get("x-status").unwrap_or("200 OK"),
            fields,
            "<x/>",
        )
    });
    let rewrites = "rewrites:
      - request:
          set: { X-Client: \"{client_ip}\", X-Operation: \"{operation} {soap_version}\", X-Gone: \"\" }
          add: { X-Many: \"{http_method} {host} {var_uri_path} {query_string}\" }
          remove: [X-Secret]
        response: { set: { X-Frame-Options: DENY }, remove: [Server] }
      - when: [{ variable: http_req_X-Version, matches: \"^v([0-9])-(.*)$\" }]
        path: \"/new/{http_req_X-Version_1}/{http_req_X-Version_2}\"
        query: \"v={cookie_session}\"
        request: { set: { Host: \"rewritten.example.com\" } }
      - when: [{ variable: http_status, matches: \"^5\" }, { variable: http_resp_X-Powered-By, matches: php, ignore_case: true }]
        response: { set: { X-Failed: \"{http_resp_X-Powered-By}\" } }
      - when: [{ variable: http_req_X-Version, matches: v, negate: true }]
        request: { set: { X-Unversioned: \"{{yes}}\" } }";
    let router = router_to(&[&a]).service(rewrites).start();
    let mut client = router.client();
    client.host = "orders.example.com".into();
    let plain = order()
        .with("X-Secret", "1")
        .with("X-Gone", "1")
        .with("X-Many", "0");
    let answer = client.post("/orders?q=1", &plain);
    let got = a.got(1).remove(0);
    for (name, value) in [
        ("x-client", Some("127.0.0.1")),
        ("x-operation", Some("{urn:example:orders}Place 1.1")),
        ("x-gone", None),
        ("x-secret", None),
        ("x-unversioned", Some("{yes}")),
        ("x-many", Some("0")),
    ] {
        assert_eq!(got.head.get(name), value, "{name}");
    }
    assert!(
        got.head
            .raw
            .contains("POST orders.example.com /orders q=1\r\n"),
        "{}",
        got.head.raw
    );
    assert_eq!(got.head.start, "POST /a?q=1 HTTP/1.1");
    assert_eq!(answer.head.get("server"), None);
    assert_eq!(answer.head.get("x-frame-options"), Some("DENY"));
    assert_eq!(answer.head.get("x-failed"), None);
    let versioned = order()
        .with("X-Version", "v2-x/y")
        .with("Cookie", "a=1; session=s7")
        .with("X-Status", "500 Oops");
    let answer = client.post("/orders", &versioned);
    let got = a.got(2).remove(1);
    assert_eq!(got.head.start, "POST /new/2/x/y?v=s7 HTTP/1.1");
    assert_eq!(got.head.get("host"), Some("rewritten.example.com"));
    assert_eq!(got.head.get("x-unversioned"), None);
    assert_eq!(answer.head.get("x-failed"), Some("PHP"));
    // What the router says itself is not rewritten.
    a.kill();
    let fault = router.post(&order());
    assert_eq!(fault.fault().as_deref(), Some("EndpointsUnavailable"));
    assert_eq!(fault.head.get("x-frame-options"), None);
}

#[test]
fn what_is_rerouted_is_looked_for_again_and_circles_end() {
    let (a, builder) = routed(
        "  old: { path: /old/*, endpoint: root, rewrites: [{ when: [{ variable: uri_path, matches: \"^/old/(.*)$\" }], path: \"/new/{uri_path_1}\", reroute: true }] }
  new: { path: /new/*, endpoint: root, rewrites: [{ request: { set: { X-New: \"1\" } } }] }
  ping: { path: /ping, endpoint: root, rewrites: [{ path: /pong, reroute: true }] }
  pong: { path: /pong, endpoint: root, rewrites: [{ path: /ping, reroute: true }] }
",
    );
    let router = builder
        .endpoint("root", &format!("http://{}/", a.address), "")
        .start();
    let mut client = router.client();
    assert_eq!(client.get("/old/a?b=1").status(), 200);
    let got = a.only();
    assert_eq!(got.head.start, "GET /new/a?b=1 HTTP/1.1");
    assert_eq!(got.head.get("x-new"), Some("1"));
    assert_eq!(client.get("/ping").status(), 500);
}

#[test]
fn the_host_is_the_endpoints_the_callers_or_a_fixed_one() {
    for (keys, expected) in [
        ("", None),
        ("host: caller", Some("orders.example.com:99")),
        ("host: \"legacy:81\"", Some("legacy:81")),
        ("host: server", None),
    ] {
        let a = service("a").echoes();
        let router = router("- { filter: { match_all: {} }, endpoint: a }")
            .at(&a, keys)
            .start();
        let mut client = router.client();
        client.host = "orders.example.com:99".into();
        client.post("/orders", &order());
        let own = a.address.to_string();
        assert_eq!(
            a.only().head.get("host"),
            Some(expected.unwrap_or(&own)),
            "{keys}"
        );
    }
}

fn listening(keys: &str) -> (Service, Builder) {
    let a = service("a").echoes();
    let listener = format!("listeners: {{ public: {{ bind: \"127.0.0.1:0\", {keys} }} }}");
    let builder = router_to(&[&a]).with(&listener);
    (a, builder)
}

#[test]
fn endpoints_are_told_of_the_caller_as_gateways_do() {
    let (a, builder) = listening("forwarded: gateway");
    let router = builder.start();
    let mut client = router.client();
    client.host = "orders.example.com".into();
    let claimed = order()
        .with("X-Forwarded-For", "10.0.0.1")
        .with("X-Forwarded-Proto", "https")
        .with("X-AppGw-Trace-Id", "spoofed")
        .with("X-Original-URL", "/spoofed");
    client.post("/orders?x=1", &claimed);
    let got = a.only();
    let port = router.address("public").port().to_string();
    let forwarded_for = got.head.get("x-forwarded-for").unwrap();
    assert!(
        forwarded_for.starts_with("127.0.0.1:") && !forwarded_for.contains(','),
        "{forwarded_for}"
    );
    for (name, value) in [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", port.as_str()),
        ("x-original-host", "orders.example.com"),
        ("x-original-url", "/orders?x=1"),
    ] {
        assert_eq!(got.head.get(name), Some(value), "{name}");
    }
    let trace = got.head.get("x-appgw-trace-id").unwrap();
    assert!(
        trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()),
        "{trace}"
    );
    assert!(
        trace.ends_with(router.exchange()["exchange"].as_str().unwrap()),
        "the log has it: {trace}"
    );
}

#[test]
fn the_word_of_a_trusted_proxy_counts_and_nobody_elses() {
    let claimed = || {
        order()
            .with("X-Forwarded-For", "192.0.2.7, 127.0.0.9")
            .with("X-Forwarded-Proto", "https")
            .with("X-Forwarded-Host", "outside.example.com")
    };
    let (a, builder) = listening("trusted_proxies: [127.0.0.0/8]");
    let router = builder
        .service("rewrites: [{ request: { set: { X-Client: \"{client_ip}\" } } }]")
        .start();
    router.post(&claimed());
    let got = a.only();
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.7, 127.0.0.9, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "outside.example.com"),
        ("x-client", "192.0.2.7"),
    ] {
        assert_eq!(got.head.get(name), Some(value), "{name}");
    }
    let client = router.exchange()["client"].clone();
    assert!(
        client.as_str().unwrap().starts_with("192.0.2.7"),
        "{client}"
    );
    let (a, builder) = listening("trusted_proxies: [10.0.0.0/8]");
    builder.start().post(&claimed());
    assert_eq!(a.only().head.get("x-forwarded-for"), Some("127.0.0.1"));
    let (a, builder) = listening("forwarded: off");
    builder.start().post(&claimed());
    assert_eq!(
        a.only().head.get("x-forwarded-for"),
        Some("192.0.2.7, 127.0.0.9")
    );
}

#[test]
fn the_callers_certificate_goes_along_and_cannot_be_claimed() {
    let (authority, partners) = (Authority::new("ca"), Authority::new("Partners"));
    let pair = authority.server(&["localhost"]);
    let (a, builder) = listening(
        "client_certificate_header: Client-Cert, tls: { cert: front.pem, key: front.key, client_ca: ca.pem, client_auth: request }",
    );
    let router = builder
        .file("config/front.pem", &pair.cert)
        .file("config/front.key", &pair.key)
        .file("config/ca.pem", &partners.pem)
        .service("rewrites: [{ request: { set: { X-Who: \"{client_certificate_subject}\", X-Print: \"{client_certificate_fingerprint}\", X-Tls: \"{ssl_connection_protocol}\", X-Suites: \"{ciphers_supported}\" } } }]")
        .start();
    let anna = partners.client("anna");
    for own in [None, Some(&anna)] {
        let config = tls::caller(&authority, own);
        let mut client = Client::secured(router.address("public"), &config, "localhost");
        client.post("/orders", &order().with("Client-Cert", ":spoofed:"));
    }
    let got = a.got(2);
    assert_eq!(got[0].head.get("client-cert"), None);
    let value = got[1].head.get("client-cert").unwrap();
    let body: String = anna
        .cert
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    assert_eq!(value, format!(":{}:", body.trim()));
    assert_eq!(got[1].head.get("x-who"), Some("O=Partner\\, Inc.,CN=anna"));
    assert_eq!(got[1].head.get("x-print").unwrap().len(), 40);
    assert_eq!(got[1].head.get("x-tls"), Some("TLSv1_3"));
    let suites = got[1].head.get("x-suites").unwrap();
    assert!(suites.contains(":TLS13_AES_128_GCM_SHA256:"), "{suites}");
}

#[test]
fn callers_that_are_no_soap_clients_get_our_own_pages() {
    let (a, builder) = listening("error_pages: { 404: own.html }");
    let router = builder
        .with("error_pages: { 404: all.html, 405: all.json, 400: bad.txt, 408: slow.txt }")
        .with("limits: { header_read_timeout: 150ms }")
        .file("config/bad.txt", "bad")
        .file("config/slow.txt", "slow")
        .file("config/own.html", "<h1>own</h1>")
        .file("config/all.html", "<h1>all</h1>")
        .file("config/all.json", "{}")
        .start();
    let mut client = router.client();
    let missing = client.get("/nowhere");
    assert_eq!(
        (missing.status(), missing.text().as_str()),
        (404, "<h1>own</h1>")
    );
    assert!(
        missing
            .head
            .get("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    let method = client.get("/orders");
    assert_eq!((method.status(), method.text().as_str()), (405, "{}"));
    assert_eq!(method.head.get("content-type"), Some("application/json"));
    // So do those who speak no HTTP, or too slowly.
    for (sent, page) in [
        ("GET / HTTP/1.1\r\n\r\n", "bad"),
        ("GET / HTTP/1.1\r\n", "slow"),
    ] {
        let mut client = router.client();
        client.wire().write(sent).unwrap();
        let answer = client.answer("GET").unwrap();
        assert_eq!(answer.text(), page, "{}", answer.head.raw);
    }
    // SOAP callers get faults as ever.
    assert_eq!(
        client.post("/nowhere", &order()).fault().as_deref(),
        Some("UnknownService")
    );
    assert_eq!(a.count(), 0);
}

#[test]
fn a_page_is_no_larger_than_may_be() {
    let (_a, builder) = listening("error_pages: { 404: big.html }");
    let folder = builder
        .file("config/big.html", &"x".repeat((1 << 20) + 1))
        .write();
    let ran = soap_router(folder.path(), &["check"]);
    assert!(
        ran.code == 1 && ran.out.contains("1 MiB at most"),
        "{ran:?}"
    );
}

#[test]
fn a_balancer_says_with_the_proxy_protocol_who_the_caller_is() {
    let (a, builder) = listening("proxy_protocol: { from: [127.0.0.1] }");
    let router = builder.start();
    let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    two.extend([192, 0, 2, 8, 10, 0, 0, 1, 0x12, 0x67, 0, 80]);
    let heads: [&[u8]; 3] = [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n",
        &two,
        b"PROXY UNKNOWN\r\n",
    ];
    for head in heads {
        let mut client = router.client();
        client.wire().write(head).unwrap();
        for _ in 0..2 {
            assert_eq!(client.post("/orders", &order()).by(), "a");
        }
    }
    let told: Vec<String> = a
        .got(6)
        .iter()
        .step_by(2)
        .map(|got| got.head.get("x-forwarded-for").unwrap().to_owned())
        .collect();
    assert_eq!(told, ["192.0.2.7", "192.0.2.8", "127.0.0.1"]);
    assert!(
        router.client().try_post("/orders", &order()).is_err(),
        "without it nobody is let in"
    );
    router.says("does not begin with the PROXY protocol");
    let (a, builder) = listening("proxy_protocol: { from: [10.0.0.0/8] }");
    let router = builder.start();
    let mut client = router.client();
    let _ = client.wire().write(heads[0]);
    assert!(client.try_post("/orders", &order()).is_err());
    router.says("does not come from a balancer");
    assert_eq!(a.count(), 0);
}

#[test]
fn unix_sockets_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (
        folder.path().join("in.sock"),
        folder.path().join("out.sock"),
    );
    let endpoint = UnixListener::bind(&outside).unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = endpoint.accept() {
            thread::spawn(move || {
                let mut seen = Vec::new();
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    seen.extend_from_slice(&chunk[..count]);
                    if seen.ends_with(b"</e:Envelope>") {
                        let body = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body/></e:Envelope>";
                        let text = String::from_utf8_lossy(&seen);
                        assert!(
                            text.contains("POST /deep HTTP/1.1")
                                && text.contains("Host: legacy\r\n"),
                            "{text}"
                        );
                        let head = format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
                            body.len()
                        );
                        stream
                            .write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())
                            .unwrap();
                        seen.clear();
                    }
                }
            });
        }
    });
    let listeners = format!(
        "listeners: {{ public: {{ bind: \"127.0.0.1:0\" }}, local: {{ bind: \"unix:{}\" }} }}",
        inside.display()
    );
    let builder = router("- { filter: { match_all: {} }, endpoint: a }")
        .with(&listeners)
        .endpoint(
            "a",
            "http://legacy/deep",
            &format!("socket: \"{}\"", outside.display()),
        );
    // What a program that died has left behind is in nobody's way.
    drop(UnixListener::bind(&inside).unwrap());
    let mut router = builder.start();
    let message = order();
    for _ in 0..2 {
        let mut stream = UnixStream::connect(&inside).unwrap();
        stream
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        let head = router.client().head(
            "/orders",
            &message,
            &format!(
                "Content-Length: {}\r\nConnection: close",
                message.body.len()
            ),
        );
        stream
            .write_all(&[head.as_bytes(), &message.body].concat())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    router.signal("TERM");
    assert!(router.ends().success());
    assert!(!inside.exists(), "its file is gone with the listener");
}

#[test]
fn redirects_that_lose_a_post_are_warned_of() {
    let (_a, builder) =
        routed("  up: { path: /*, redirect: { to: \"https://x/\", status: 301 } }\n");
    let ran = soap_router(builder.write().path(), &["check"]);
    assert!(
        ran.code == 0 && ran.out.contains("redirect-loses-post"),
        "{ran:?}"
    );
}

#[test]
fn one_of_several_fields_is_replaced_by_its_value() {
    let a = service("a").replies(|_| {
        let fields = "Content-Type: text/xml\r\nSet-Cookie: SID=1; Path=/\r\nSet-Cookie: lang=de\r\nSet-Cookie: old=x\r\n";
        reply("200 OK", fields, "<x/>")
    });
    let rewrites = "rewrites:
      - request: { replace: [{ name: X-A, matches: \"^keep$\", negate: true, value: \"other\" }] }
        response:
          replace:
            - { name: Set-Cookie, matches: \"^sid=([0-9]+)(.*)\", ignore_case: true, value: \"SID={matched_1}0{matched_2}; Secure; At={endpoint}\" }
            - { name: Set-Cookie, matches: \"^old=\", value: \"\" }
            - { name: X-None, matches: \"\", value: \"never\" }";
    let router = router_to(&[&a]).service(rewrites).start();
    let mut message = order().with("X-A", "keep");
    message.fields.push(("X-A".to_owned(), "drop".to_owned()));
    let answer = router.post(&message);
    let raw = &a.only().head.raw;
    assert!(
        raw.contains("X-A: keep\r\nX-A: other\r\n") && !raw.contains("drop"),
        "{raw}"
    );
    let lines = answer.head.raw.lines();
    let cookies: Vec<&str> = lines
        .filter(|line| line.starts_with("Set-Cookie"))
        .collect();
    assert_eq!(
        cookies,
        [
            "Set-Cookie: SID=10; Path=/; Secure; At=a",
            "Set-Cookie: lang=de"
        ]
    );
    assert_eq!(answer.head.get("x-none"), None);
}

#[test]
fn rewrites_know_the_message_whether_or_not_it_is_logged() {
    let a = service("a").echoes();
    let keys = "rewrites: [{ request: { set: { X-All: \"{operation}|{wsa_to}|{wsa_message_id}|{target}|{client_user}|{ciphers_supported}\" } } }]";
    let header = "<w:To xmlns:w='http://www.w3.org/2005/08/addressing'>urn:there</w:To>\
         <w:MessageID xmlns:w='http://www.w3.org/2005/08/addressing'>urn:one</w:MessageID>";
    let message = crate::support::messages::soap11(header, "<o:Place xmlns:o='urn:o'/>")
        .with("Authorization", "Basic YW5uYTpzZWNyZXQ=");
    for log in [
        "access_log: { format: off }",
        "access_log: { path: ../access.log }",
    ] {
        // The body is read for the decision, so the operation is known.
        let table = "- { filter: { operation: \"{urn:o}Place\" }, endpoint: a }";
        let running = router(table).to(&a).service(keys).with(log).start();
        running.post(&message);
    }
    for got in a.got(2) {
        assert_eq!(
            got.head.get("x-all"),
            Some("{urn:o}Place|urn:there|urn:one|a|anna|")
        );
    }
}

#[test]
fn bridged_answers_are_rewritten_too() {
    let b = service("b").echoes();
    let running = router("- { filter: { match_all: {} }, endpoint: b }")
        .at(&b, "soap: \"1.2\"")
        .service("rewrites: [{ response: { set: { X-Bridged: \"{endpoint} {http_status}\" } } }]")
        .start();
    let answer = running.post(&order());
    assert_eq!(answer.head.get("x-bridged"), Some("b 200"), "{answer:?}");
}
