//! Which servers are well: suspension after failures, probes, and what happens when none is.

use crate::pools::{TABLE, becomes, endpoint, pool, pool_at, server, shares};
use crate::support::messages::order;
use crate::support::service::{fault, html, reply};
use crate::support::{Reply, Service, refusing, router, service, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A service that works as long as the switch is on.
fn switched(name: &str, on: &Arc<AtomicBool>, otherwise: fn() -> Reply) -> Service {
    let on = Arc::clone(on);
    service(name).replies(move |_| match on.load(Ordering::SeqCst) {
        true => Reply::Echo,
        false => otherwise(),
    })
}

#[test]
fn a_server_that_fails_is_left_alone_and_tried_again_later() {
    let on = Arc::new(AtomicBool::new(false));
    let a = switched("a", &on, || html("503 Service Unavailable"));
    let b = service("b").echoes();
    let suspend = "suspend: { after: 2, initial: 300ms, factor: 1, maximum: 300ms, jitter: 0 }";
    let running = pool(&[&a, &b], suspend);
    // Two failures in a row are needed; each turn of the other in between does not matter.
    let outcomes = shares(&running, 4);
    assert_eq!(outcomes["b"], 2, "{outcomes:?}");
    let suspended = server(&running, &a);
    assert_eq!(suspended["state"], "suspended", "{suspended}");
    assert!(
        suspended["why"].as_str().unwrap().contains("503"),
        "{suspended}"
    );
    assert!(suspended["next_try"].as_f64() > suspended["since"].as_f64());
    // The next message after that tries it, fails, and it is left alone again at once.
    until("a second suspension", || {
        shares(&running, 2);
        let sample = format!(
            "soap_router_server_suspensions_total{{endpoint=\"pool\",server=\"{}\"}}",
            a.address
        );
        (running.metrics().get(&sample) >= 2.0).then_some(())
    });
    on.store(true, Ordering::SeqCst);
    until("a message at the healed server", || {
        shares(&running, 2).get("a").copied()
    });
    becomes(&running, &a, "up");
}

#[test]
fn what_callers_do_wrong_suspends_nobody() {
    let behaviours: [fn() -> Reply; 3] = [
        || fault("500 Internal Server Error", "Client"),
        || reply("400 Bad Request", "Content-Type: text/xml\r\n", "<no/>"),
        || html("404 Not Found"),
    ];
    for behaves in behaviours {
        let a = service("a").replies(move |_| behaves());
        let keys = "suspend: { after: 1, initial: 1h, maximum: 1h }";
        let running = pool(&[&a], keys);
        for _ in 0..3 {
            running.post(&order());
        }
        assert_eq!(server(&running, &a)["state"], "up");
        assert_eq!(a.count(), 3);
    }
}

#[test]
fn faults_that_blame_the_receiver_count_where_that_is_asked_for() {
    for (on, state) in [("", "up"), (", on: [{ fault: receiver }]", "suspended")] {
        let a = service("a").replies(|_| fault("500 Internal Server Error", "Server"));
        let keys = format!("suspend: {{ after: 2, initial: 1h, maximum: 1h{on} }}");
        let running = pool(&[&a], &keys);
        for _ in 0..2 {
            let answer = running.post(&order());
            // It is an answer all the same.
            assert_eq!((answer.status(), answer.fault()), (500, None));
        }
        assert_eq!(server(&running, &a)["state"], state, "{on}");
    }
}

#[test]
fn when_all_are_down_the_caller_is_told_until_when() {
    let (nowhere, _held) = refusing();
    let suspend = "suspend: { after: 1, initial: 1h, maximum: 1h, jitter: 0 }";
    let running = pool_at(&format!("\"{nowhere}\""), suspend);
    running.post(&order());
    let answer = running.post(&order());
    assert_eq!(answer.fault().unwrap(), "EndpointsUnavailable");
    let wait: u64 = answer.head.get("retry-after").unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    let line = running.exchanges(2).pop().unwrap();
    assert_eq!(line["attempts"][0]["outcome"], "down", "{line}");

    // With `min_servers` the least bad is asked all the same.
    let a = service("a").replies(|_| html("503 Service Unavailable"));
    let running = pool(&[&a], &format!("min_servers: 1, {suspend}"));
    for _ in 0..3 {
        running.post(&order());
    }
    assert_eq!(a.count(), 3);
    assert_eq!(server(&running, &a)["state"], "suspended");
}

#[test]
fn probes_find_the_sick_before_a_message_does() {
    let on = Arc::new(AtomicBool::new(false));
    let sick = switched("sick", &on, || html("500 Internal Server Error"));
    let well = service("well").echoes();
    let probe = "probe: { path: /health, interval: 50ms, timeout: 5s, unhealthy: 2 }";
    let running = pool(&[&sick, &well], probe);
    // The first probes were answered before the router was ready.
    let state = server(&running, &sick);
    assert_eq!(state["state"], "unhealthy", "{state}");
    assert_eq!(state["why"], "expected status 200-399, received 500");
    assert_eq!(shares(&running, 4).get("well"), Some(&4));
    let asked = &sick.received()[0].head;
    assert!(
        asked.raw.starts_with("GET /health HTTP/1.1\r\n"),
        "{}",
        asked.raw
    );
    assert_eq!(asked.get("host"), Some("orders.example"));
    // One good answer heals it at once.
    on.store(true, Ordering::SeqCst);
    becomes(&running, &sick, "up");
    on.store(false, Ordering::SeqCst);
    becomes(&running, &sick, "unhealthy");
    let probes = format!(
        "soap_router_server_probes_total{{endpoint=\"pool\",server=\"{}\",result=\"failed\"}}",
        sick.address
    );
    assert!(running.metrics().get(&probes) >= 3.0);
    assert!(endpoint(&running)["state"] == "up");
}

#[test]
fn what_a_good_answer_is_is_up_to_the_configuration() {
    let cases: [(&str, fn() -> Reply, &str); 6] = [
        ("status: 403", || html("403 Forbidden"), "up"),
        ("status: \"200,401\"", || html("403 Forbidden"), "unhealthy"),
        (
            "text: Healthy",
            || reply("200 OK", "", "I am Healthy"),
            "up",
        ),
        (
            "text: Healthy",
            || reply("200 OK", "", "I am not"),
            "unhealthy",
        ),
        (
            "xpath: \"//status = 'good'\"",
            || reply("200 OK", "", "<a><status>good</status></a>"),
            "up",
        ),
        (
            "xpath: \"//status = 'good'\"",
            || reply("200 OK", "", "<a><status>bad</status></a>"),
            "unhealthy",
        ),
    ];
    for (expect, answers, state) in cases {
        let a = service("a").replies(move |_| answers());
        let keys = format!("probe: {{ interval: 1h, expect: {{ {expect} }} }}");
        let running = pool(&[&a], &keys);
        assert_eq!(server(&running, &a)["state"], state, "{expect}");
    }
}

#[test]
fn a_probe_may_send_an_envelope_to_a_port_of_its_own() {
    let health = service("health").replies(|received| {
        let asked = String::from_utf8_lossy(&received.body).contains("Ping");
        let typed = received.head.get("content-type") == Some("text/xml; charset=utf-8");
        let action = received.head.get("soapaction") == Some("\"urn:ping\"");
        match asked && typed && action && received.head.get("host") == Some("probe.example") {
            true => Reply::Echo,
            false => html("400 Bad Request"),
        }
    });
    let a = service("a").echoes();
    let envelope = "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body><Ping/></e:Body></e:Envelope>";
    let port = health.address.port();
    let keys = format!(
        "probe: {{ host: probe.example, port: {port}, body: \"{envelope}\", action: \"urn:ping\", interval: 1h, \
         expect: {{ xpath: \"/soap:Envelope/soap:Body/by\" }} }}"
    );
    let running = pool(&[&a], &keys);
    assert_eq!(
        server(&running, &a)["state"],
        "up",
        "{}",
        server(&running, &a)
    );
    assert_eq!(running.post(&order()).by(), "a");
    assert_eq!((health.count(), a.count()), (1, 1));
}

#[test]
fn until_its_first_answer_a_server_is_left_out_or_assumed_to_be_well() {
    for (assume, outcome) in [("false", "EndpointsUnavailable"), ("true", "a")] {
        // Takes connections and answers messages, but never a probe.
        let a = service("a").replies(|received| match received.head.method() {
            "GET" => Reply::Hang,
            _ => Reply::Echo,
        });
        let probe = format!("probe: {{ timeout: 1h, interval: 1h, assume_healthy: {assume} }}");
        let running = pool(&[&a], &probe);
        assert_eq!(running.post(&order()).outcome(), outcome);
    }
}

#[test]
fn health_survives_a_reload_where_the_server_is_the_same() {
    let a = service("a").replies(|_| html("503 Service Unavailable"));
    let b = service("b").echoes();
    let suspend = "suspend: { after: 1, initial: 1h, maximum: 1h }";
    let keys = format!("servers: [\"{}\", \"{}\"], {suspend}", a.address, b.address);
    let builder = router(TABLE).endpoint("pool", "http://orders.example/orders", &keys);
    let running = builder.start();
    shares(&running, 2);
    becomes(&running, &a, "suspended");
    // Another path and another weight: the same server.
    let yaml = builder
        .yaml()
        .replace("/orders\", servers", "/other\", servers");
    std::fs::write(running.path("config/router.yaml"), &yaml).unwrap();
    running.reaches_generation(2);
    assert_eq!(server(&running, &a)["state"], "suspended");
    assert_eq!(shares(&running, 2).get("b"), Some(&2));
    // At another address it is another server, of which nothing is known.
    let c = service("c").echoes();
    let yaml = yaml.replace(&a.address.to_string(), &c.address.to_string());
    std::fs::write(running.path("config/router.yaml"), yaml).unwrap();
    running.reaches_generation(3);
    assert_eq!(server(&running, &c)["state"], "up");
    assert_eq!(shares(&running, 2).get("c"), Some(&1));
}

#[test]
fn a_name_is_resolved_and_one_that_is_not_is_told() {
    let a = service("a").echoes();
    let running = pool_at(&format!("\"localhost:{}\"", a.address.port()), "");
    assert_eq!(running.post(&order()).by(), "a");
    assert_eq!(
        server(&running, &a)["server"],
        format!("localhost:{}", a.address.port())
    );
}
