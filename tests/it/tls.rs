//! TLS: which certificate a caller is shown, who is let in, whom the router believes, and what is
//! said when it comes to nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::support::messages::order;
use crate::support::router::router_to;
use crate::support::tls::{self, Authority, Pair};
use crate::support::{
    Builder, Client, Gate, Reply, Running, Service, router, service, soap_router,
};

/// A listener with this TLS, in front of one service.
fn secured(keys: &str) -> (Service, Builder) {
    let a = service("a").echoes();
    let listener =
        format!("listeners: {{ public: {{ bind: \"127.0.0.1:0\", tls: {{ {keys} }} }} }}");
    let builder = router_to(&[&a])
        .with(&listener)
        .service("default_endpoint: a");
    (a, builder)
}

fn with_pair(builder: Builder, name: &str, pair: &Pair) -> Builder {
    builder
        .file(&format!("config/{name}.pem"), &pair.cert)
        .file(&format!("config/{name}.key"), &pair.key)
}

fn front(pair: &Pair) -> (Service, Builder) {
    let (a, builder) = secured("cert: front.pem, key: front.key");
    (a, with_pair(builder, "front", pair))
}

fn client(router: &Running, config: &Arc<ClientConfig>, name: &str) -> Client {
    Client::secured(router.address("public"), config, name)
}

/// The names in the certificate that a caller is shown who asks for this host.
fn shown(router: &Running, config: &Arc<ClientConfig>, name: &str) -> bool {
    client(router, config, name)
        .try_post("/orders", &order())
        .is_ok()
}

#[test]
fn a_message_comes_in_over_tls_and_the_endpoint_is_told_so() {
    let authority = Authority::new("ca");
    let (a, builder) = front(&authority.server(&["orders.example.com"]));
    let router = builder.start();
    let mut caller = client(
        &router,
        &tls::caller(&authority, None),
        "orders.example.com",
    );
    for _ in 0..3 {
        assert_eq!(caller.post("/orders", &order()).by(), "a");
    }
    let got = a.got(3).remove(2);
    assert_eq!(got.head.get("x-forwarded-proto"), Some("https"));
    assert_eq!(got.body, order().body);
    router.metric_becomes(
        "soap_router_tls_handshakes_total{listener=\"public\",result=\"ok\"}",
        1.0,
    );
}

#[test]
fn the_certificate_is_the_one_made_out_to_the_host_that_the_caller_names() {
    let authority = Authority::new("ca");
    let (_a, builder) = secured(
        "cert: front.pem, key: front.key, certificates: [{ cert: other.pem, key: other.key }]",
    );
    let builder = with_pair(builder, "front", &authority.server(&["first.example.com"]));
    let others = ["other.example.com", "*.many.example.com"];
    let router = with_pair(builder, "other", &authority.server(&others)).start();
    let config = tls::caller(&authority, None);
    for name in [
        "first.example.com",
        "OTHER.example.com",
        "a.many.example.com",
    ] {
        assert!(shown(&router, &config, name), "{name}");
    }
    for name in ["else.example.com", "a.b.many.example.com"] {
        assert!(!shown(&router, &config, name), "{name} gets the first one");
    }
}

#[test]
fn a_client_certificate_is_required_verified_and_filtered_by() {
    let (authority, partners, strangers) = (
        Authority::new("ca"),
        Authority::new("Partners"),
        Authority::new("Strangers"),
    );
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let table = "
- { filter: { client_certificate: { subject: 'O=Partner\\, Inc.,CN=anna', issuer: CN=Partners } }, endpoint: b, priority: 2 }
- { filter: { client_certificate: { san: client.example.com } }, endpoint: a, priority: 1 }
";
    let listener = "listeners: { public: { bind: \"127.0.0.1:0\", tls: { cert: front.pem, key: front.key, client_ca: ca.pem } } }";
    let builder = router(table)
        .to(&a)
        .to(&b)
        .with(listener)
        .file("config/ca.pem", &partners.pem);
    let router = with_pair(builder, "front", &authority.server(&["localhost"])).start();
    let post = |own: Option<&Pair>| {
        let config = tls::caller(&authority, own);
        client(&router, &config, "localhost")
            .try_post("/orders", &order())
            .map(|answer| answer.outcome())
    };
    assert_eq!(post(Some(&partners.client("anna"))).unwrap(), "b");
    assert_eq!(post(Some(&partners.client("bert"))).unwrap(), "a");
    assert!(post(None).is_err(), "nobody without a certificate");
    router
        .says("TLS handshake failed: the caller showed no certificate; offered: host `localhost`");
    assert!(post(Some(&strangers.client("anna"))).is_err());
    router.says("the certificate is not signed by an authority that is trusted here");
    router.metric_becomes(
        "soap_router_tls_handshakes_total{listener=\"public\",result=\"failed\"}",
        2.0,
    );
    assert_eq!((a.count(), b.count()), (1, 1));
}

#[test]
fn a_client_certificate_that_is_only_requested_may_be_missing() {
    let (authority, partners) = (Authority::new("ca"), Authority::new("Partners"));
    let (_a, builder) =
        secured("cert: front.pem, key: front.key, client_ca: ca.pem, client_auth: request");
    let builder = with_pair(builder, "front", &authority.server(&["localhost"]));
    let router = builder.file("config/ca.pem", &partners.pem).start();
    for own in [None, Some(partners.client("anna"))] {
        let config = tls::caller(&authority, own.as_ref());
        assert_eq!(
            client(&router, &config, "localhost")
                .post("/orders", &order())
                .by(),
            "a"
        );
    }
}

#[test]
fn plain_http_on_a_tls_port_is_told_and_garbage_is_cut_off() {
    let authority = Authority::new("ca");
    let (a, builder) = front(&authority.server(&["localhost"]));
    let router = builder.start();
    let answer = router.client().get("/orders?wsdl");
    assert_eq!(answer.status(), 400);
    assert!(
        answer.text().contains("begins with https"),
        "{}",
        answer.text()
    );
    for garbage in [
        vec![0_u8; 3000],
        b"\x16\x03\x01\xff\xffgarbage".to_vec(),
        vec![0x80; 70],
    ] {
        let mut stream = TcpStream::connect(router.address("public")).unwrap();
        stream
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        // The router may be gone before all of it is written.
        let _ = stream.write_all(&garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 20, "an alert at most: {rest:?}");
    }
    let config = tls::caller(&authority, None);
    assert_eq!(
        client(&router, &config, "localhost")
            .post("/orders", &order())
            .by(),
        "a"
    );
    assert_eq!(a.count(), 1);
}

#[test]
fn a_caller_that_never_finishes_its_handshake_is_not_waited_for() {
    let authority = Authority::new("ca");
    let a = service("a").echoes();
    let listener = "listeners: { public: { bind: \"127.0.0.1:0\", header_read_timeout: 200ms, tls: { cert: front.pem, key: front.key } } }";
    let builder = router_to(&[&a]).with(listener);
    let router = with_pair(builder, "front", &authority.server(&["localhost"])).start();
    for begin in [
        &b""[..],
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut stream = TcpStream::connect(router.address("public")).unwrap();
        stream
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        stream.write_all(begin).unwrap();
        let mut rest = Vec::new();
        // An alert, an end or a reset: but no wait.
        let ended = stream.read_to_end(&mut rest);
        assert!(!ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    }
}

#[test]
fn new_certificates_are_taken_up_and_no_connection_is_dropped() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let gate = Gate::default();
    let held = gate.clone();
    let a = service("a").replies(move |request| {
        if request.head.get("x-wait").is_some() {
            held.pass();
        }
        Reply::Echo
    });
    let listener = "listeners: { public: { bind: \"127.0.0.1:0\", tls: { cert: front.pem, key: front.key } } }";
    let builder = router_to(&[&a]).with(listener);
    let router = with_pair(builder, "front", &old.server(&["localhost"])).start();
    let (trusts_old, trusts_new) = (tls::caller(&old, None), tls::caller(&new, None));
    let mut kept = client(&router, &trusts_old, "localhost");
    assert_eq!(kept.post("/orders", &order()).by(), "a");
    let message = order().with("X-Wait", "1");
    kept.send("/orders", &message);
    a.got(2);
    let fresh = new.server(&["localhost"]);
    fs::write(router.path("config/front.key"), &fresh.key).unwrap();
    fs::write(router.path("config/front.pem"), &fresh.cert).unwrap();
    crate::support::until("the new certificate", || {
        shown(&router, &trusts_new, "localhost").then_some(())
    });
    assert!(!shown(&router, &trusts_old, "localhost"));
    gate.open();
    assert_eq!(
        kept.answer("POST").unwrap().by(),
        "a",
        "what was under way ends as it began"
    );
    assert_eq!(
        kept.post("/orders", &order()).by(),
        "a",
        "and its connection serves on"
    );
    router.says("listener `public` changed");
    // A key that belongs to another certificate changes nothing.
    fs::write(
        router.path("config/front.key"),
        old.server(&["localhost"]).key,
    )
    .unwrap();
    router.says("the key does not belong to the certificate");
    assert!(shown(&router, &trusts_new, "localhost"));
}

fn to_tls(a: &Service, keys: &str) -> Builder {
    let table = "- { filter: { match_all: {} }, endpoint: a }";
    let port = a.address.port();
    router(table).endpoint("a", &format!("https://localhost:{port}/a"), keys)
}

#[test]
fn an_endpoint_is_reached_over_tls_with_its_own_authority_and_our_certificate() {
    let (authority, ours) = (Authority::new("ca"), Authority::new("ours"));
    let server = tls::server(&authority.server(&["localhost"]), Some(&ours));
    let a = service("a").tls(server).echoes();
    let builder = to_tls(&a, "tls: { ca: ca.pem, cert: own.pem, key: own.key }")
        .file("config/ca.pem", &authority.pem);
    let router = with_pair(builder, "own", &ours.client("router")).start();
    let mut caller = router.client();
    for _ in 0..3 {
        assert_eq!(caller.post("/orders", &order()).by(), "a");
    }
    assert_eq!(a.connections(), 1, "TLS connections are kept too");
    assert_eq!(a.got(3)[0].body, order().body);
    let metrics = router.metrics();
    assert!(
        metrics
            .names()
            .contains("soap_router_tls_certificate_expiry_timestamp_seconds")
    );
}

#[test]
fn an_endpoint_that_cannot_be_believed_is_a_failure_of_class_tls() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let cases = [
        (
            other.server(&["localhost"]),
            "",
            "not signed by an authority that is trusted here",
        ),
        (
            authority.server(&["else.example.com"]),
            "",
            "made out to another name",
        ),
        (authority.expired(&["localhost"]), "", "has expired"),
        (
            authority.server(&["localhost"]),
            ", server_name: else.example.com",
            "made out to another name",
        ),
    ];
    for (pair, keys, why) in cases {
        let a = service("a").tls(tls::server(&pair, None)).echoes();
        let b = service("b").echoes();
        let builder = router("- { filter: { match_all: {} }, endpoint: a, backups: [b] }")
            .endpoint(
                "a",
                &format!("https://localhost:{}/a", a.address.port()),
                &format!("tls: {{ ca: ca.pem{keys} }}"),
            )
            .to(&b)
            .file("config/ca.pem", &authority.pem);
        let router = builder.start();
        assert_eq!(router.post(&order()).by(), "b", "{why}");
        let attempt = router.exchange()["attempts"][0].clone();
        assert_eq!(attempt["outcome"], "tls", "{attempt}");
        let told = attempt["why"].as_str().unwrap();
        assert!(told.contains(why), "{told}");
        assert_eq!(a.count(), 0);
    }
}

#[test]
fn server_name_and_verify_none_do_what_they_say() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let pair = other.server(&["else.example.com"]);
    for (keys, file) in [
        (
            "tls: { ca: ca.pem, server_name: else.example.com }",
            &other.pem,
        ),
        ("tls: { verify: none }", &authority.pem),
    ] {
        let a = service("a").tls(tls::server(&pair, None)).echoes();
        let router = to_tls(&a, keys).file("config/ca.pem", file).start();
        assert_eq!(router.post(&order()).by(), "a", "{keys}");
    }
}

#[test]
fn an_endpoint_is_believed_by_its_certificate_or_whatever_its_name_is() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let pair = authority.server(&["else.example.com"]);
    let (pin, wrong) = (pair.fingerprint(), "0".repeat(64));
    let cases = [
        (format!("pins: [\"{wrong}\", \"{pin}\"]"), None),
        (format!("pins: [\"{wrong}\"]"), Some("none of `pins`")),
        ("ca: ca.pem, verify: chain".to_owned(), None),
        (
            "ca: other.pem, verify: chain".to_owned(),
            Some("not signed by an authority"),
        ),
        ("ca: ca.pem".to_owned(), Some("made out to another name")),
    ];
    for (keys, why) in cases {
        let a = service("a").tls(tls::server(&pair, None)).echoes();
        let router = to_tls(&a, &format!("tls: {{ {keys} }}"))
            .file("config/ca.pem", &authority.pem)
            .file("config/other.pem", &other.pem)
            .start();
        let outcome = router.post(&order()).outcome();
        let Some(why) = why else {
            assert_eq!(outcome, "a", "{keys}");
            continue;
        };
        assert_eq!(outcome, "EndpointsUnavailable", "{keys}");
        let attempt = router.exchange()["attempts"][0].clone();
        assert_eq!(attempt["outcome"], "tls", "{attempt}");
        assert!(attempt["why"].as_str().unwrap().contains(why), "{attempt}");
    }
    let a = service("a").echoes();
    for (keys, told) in [
        ("pins: [\"00:11\"]", "64 hexadecimal digits"),
        ("pins: [\"00\"], verify: chain", "conflicting-keys"),
    ] {
        let folder = to_tls(&a, &format!("tls: {{ {keys} }}")).write();
        let ran = soap_router(folder.path(), &["check"]);
        assert!(ran.code == 1 && ran.out.contains(told), "{ran:?}");
    }
}

#[test]
fn a_client_certificate_that_was_revoked_lets_nobody_in() {
    let (authority, partners) = (Authority::new("ca"), Authority::new("partners"));
    let pair = authority.server(&["localhost"]);
    let keys = "cert: front.pem, key: front.key, client_ca: partners.pem, client_crl: revoked.pem";
    let (_a, builder) = secured(keys);
    let router = with_pair(builder, "front", &pair)
        .file("config/partners.pem", &partners.pem)
        .file("config/revoked.pem", &partners.revokes(&[7]))
        .start();
    let comes_in = |serial| {
        let own = partners.numbered("anna", serial);
        shown(&router, &tls::caller(&authority, Some(&own)), "localhost")
    };
    assert!(comes_in(8) && !comes_in(7));
    router.says("the certificate was revoked (`client_crl`)");
    // A newer list is taken up like a newer certificate.
    fs::write(router.path("config/revoked.pem"), partners.revokes(&[8])).unwrap();
    crate::support::until("the newer list", || comes_in(7).then_some(()));
    assert!(!comes_in(8));
    fs::write(router.path("config/revoked.pem"), &partners.pem).unwrap();
    router.says("no list of revoked certificates");
    assert!(comes_in(7));
}

#[test]
fn servers_with_hosts_of_their_own_are_asked_for_by_them() {
    let authority = Authority::new("ca");
    let pair = authority.server(&["localhost"]);
    let a = service("a").tls(tls::server(&pair, None)).echoes();
    let server = format!("localhost:{}", a.address.port());
    for (host, state, outcome) in [
        (", host: server", "up", "a"),
        ("", "unhealthy", "EndpointsUnavailable"),
    ] {
        let keys = format!(
            "servers: \"{server}\", tls: {{ ca: ca.pem }}, probe: {{ interval: 1h }}{host}"
        );
        let router = router(crate::pools::TABLE)
            .endpoint("pool", "https://pool.example.com/a", &keys)
            .file("config/ca.pem", &authority.pem)
            .start();
        crate::pools::becomes(&router, &a, state);
        assert_eq!(router.post(&order()).outcome(), outcome, "{host}");
    }
    let hosts: Vec<_> = a
        .got(2)
        .iter()
        .map(|got| got.head.get("host").unwrap().to_owned())
        .collect();
    assert_eq!(hosts, [server.as_str(), server.as_str()], "the probe's too");
}

#[test]
fn a_listener_speaks_the_cipher_suites_that_it_is_told() {
    let authority = Authority::new("ca");
    let pair = authority.server(&["localhost"]);
    let told = |suites: &str| {
        let keys = format!("cert: front.pem, key: front.key, cipher_suites: [{suites}]");
        let (a, builder) = secured(&keys);
        let rewrites = "rewrites: [{ request: { set: { X-Suite: \"{ciphers_used}\" } } }]";
        (a, with_pair(builder.service(rewrites), "front", &pair))
    };
    for suite in [
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ] {
        let (a, builder) = told(suite);
        let router = builder.start();
        let caller = tls::caller(&authority, None);
        let mut client = client(&router, &caller, "localhost");
        assert_eq!(client.post("/orders", &order()).by(), "a");
        let used = a
            .only()
            .head
            .get("x-suite")
            .unwrap()
            .replace("TLS13_", "TLS_");
        assert_eq!(used, suite);
    }
    let (_a, builder) = told("TLS_RSA_WITH_AES_128_CBC_SHA");
    let ran = soap_router(builder.write().path(), &["check"]);
    assert!(
        ran.code == 1 && ran.out.contains("not a cipher suite"),
        "{ran:?}"
    );
}

#[test]
fn an_endpoint_that_wants_a_certificate_we_do_not_show_says_so() {
    let (authority, ours) = (Authority::new("ca"), Authority::new("ours"));
    let server = tls::server(&authority.server(&["localhost"]), Some(&ours));
    let a = service("a").tls(server).echoes();
    let router = to_tls(&a, "tls: { ca: ca.pem }")
        .file("config/ca.pem", &authority.pem)
        .start();
    assert_eq!(
        router.post(&order()).fault().as_deref(),
        Some("EndpointsUnavailable")
    );
    let attempt = router.exchange()["attempts"][0].clone();
    assert_eq!(attempt["outcome"], "tls", "{attempt}");
    assert!(
        attempt["why"]
            .as_str()
            .unwrap()
            .contains("wants a client certificate"),
        "{attempt}"
    );
}

#[test]
fn certificates_that_end_soon_are_warned_of() {
    let authority = Authority::new("ca");
    let (_a, builder) = front(&authority.expired(&["localhost"]));
    let folder = builder.write();
    let ran = soap_router(folder.path(), &["check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("certificate-expires") && ran.out.contains("2021"),
        "{ran:?}"
    );
}

#[test]
fn files_that_hold_something_else_are_told_and_never_served() {
    let authority = Authority::new("ca");
    let pair = authority.server(&["localhost"]);
    let cases = [
        ("config/front.pem", "no certificate", "bad-certificate"),
        (
            "config/front.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "bad-certificate",
        ),
        ("config/front.key", "no key", "bad-key"),
        (
            "config/front.key",
            authority.server(&["x"]).key.as_str(),
            "bad-key",
        ),
    ]
    .map(|(path, text, rule)| (path, text.to_owned(), rule));
    for (path, text, rule) in cases {
        let (_a, builder) = front(&pair);
        let folder = builder.write();
        fs::write(folder.path().join(path), &text).unwrap();
        let ran = soap_router(folder.path(), &["check"]);
        assert!(
            ran.code == 1 && ran.out.contains(rule),
            "{path} {text}: {ran:?}"
        );
    }
}

#[test]
fn a_probe_with_a_host_of_its_own_asks_tls_for_it() {
    let authority = Authority::new("ca");
    let pair = authority.server(&["probed.example.com"]);
    for (host, state) in [
        ("probed.example.com", "up"),
        ("probed.example.com:8443", "up"),
        ("other.example.com", "unhealthy"),
    ] {
        let a = service("a").tls(tls::server(&pair, None)).echoes();
        let probe = format!("probe: {{ host: \"{host}\", interval: 1s, timeout: 1s }}");
        let keys = format!("tls: {{ ca: ca.pem, server_name: else.example.com }}, {probe}");
        let router = router("- { filter: { match_all: {} }, endpoint: a }")
            .at(&a, &keys)
            .file("config/ca.pem", &authority.pem)
            .start();
        let shown = router.admin_json("/api/v1/endpoints/a");
        assert_eq!(shown["servers"][0]["state"], state, "{host}: {shown}");
    }
}
