//! Servers that get nothing new: by order, by a reload; and callers that are bound to one.

use std::thread::JoinHandle;

use crate::pools::{TABLE, becomes, endpoint, pool, server, shares};
use crate::support::messages::{Message, order};
use crate::support::{Answer, Running, Service, held, router, service, until};

fn tell(running: &Running, path: &str) -> Answer {
    running
        .admin()
        .ask("POST", &format!("/api/v1/endpoints/{path}"), &[])
}

/// Posts until the service has one, and leaves that one waiting.
fn one_waits(running: &Running, at: &Service) -> JoinHandle<String> {
    let mut client = running.client();
    let name = at.name.clone();
    let waits = std::thread::spawn(move || {
        loop {
            let answer = client.post("/orders", &order());
            if answer.fault().is_some() || answer.by() == name {
                return answer.outcome();
            }
        }
    });
    at.got(1);
    waits
}

#[test]
fn an_operator_takes_a_server_out_and_puts_it_back() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let running = pool(&[&a, &b], "");
    for (word, state) in [("drain", "draining"), ("disable", "disabled")] {
        let answer = tell(&running, &format!("pool/{word}?server={}", a.address));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let shown = server(&running, &a);
        assert_eq!(shown["state"], state, "{shown}");
        assert!(shown["why"].as_str().unwrap().contains("by the operator"));
        assert_eq!(shares(&running, 4).get("b"), Some(&4));
        tell(&running, "pool/enable");
        assert_eq!(shares(&running, 4).len(), 2);
    }
    // All of them.
    tell(&running, "pool/disable");
    assert_eq!(endpoint(&running)["state"], "disabled");
    assert_eq!(running.post(&order()).outcome(), "EndpointsUnavailable");
    for (path, status) in [
        ("nobody/drain", 404),
        ("pool/drain?server=1.2.3.4:5", 404),
        ("pool/drain?sever=1.2.3.4:5", 400),
    ] {
        assert_eq!(tell(&running, path).status(), status, "{path}");
    }
    assert_eq!(
        running.admin().get("/api/v1/endpoints/pool/drain").status(),
        405
    );
}

#[test]
fn an_order_survives_a_reload() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let running = pool(&[&a, &b], "");
    tell(&running, &format!("pool/drain?server={}", a.address));
    let answer = running.admin().ask("POST", "/api/v1/reload", &[]);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(server(&running, &a)["state"], "draining");
    assert_eq!(shares(&running, 4).get("b"), Some(&4));
}

#[test]
fn what_a_draining_server_has_it_finishes() {
    let ((a, gate), b) = (held("a"), service("b").echoes());
    let running = pool(&[&a, &b], "");
    let waits = one_waits(&running, &a);
    tell(&running, &format!("pool/drain?server={}", a.address));
    assert_eq!(shares(&running, 4).get("b"), Some(&4));
    assert_eq!(server(&running, &a)["in_flight"], 1);
    gate.open();
    assert_eq!(waits.join().unwrap(), "a");
}

#[test]
fn what_takes_longer_than_the_drain_time_is_broken_off() {
    let ((a, _gate), b) = (held("a"), service("b").echoes());
    let running = pool(&[&a, &b], "drain: 1s");
    let waits = one_waits(&running, &a);
    tell(&running, &format!("pool/disable?server={}", a.address));
    // Broken off, it may have been delivered: the caller is told.
    assert_eq!(waits.join().unwrap(), "EndpointsUnavailable");
    running.says("the drain time is over");
}

#[test]
fn a_server_that_a_reload_takes_away_finishes_what_it_has() {
    let ((a, gate), b) = (held("a"), service("b").echoes());
    let servers = |both: bool| {
        let a = if both {
            format!("\"{}\", ", a.address)
        } else {
            String::new()
        };
        format!("servers: [{a}\"{}\"]", b.address)
    };
    let builder =
        |both| router(TABLE).endpoint("pool", "http://orders.example/orders", &servers(both));
    let running = builder(true).start();
    let waits = one_waits(&running, &a);
    std::fs::write(running.path("config/router.yaml"), builder(false).yaml()).unwrap();
    running.reaches_generation(2);
    assert_eq!(server(&running, &a)["state"], "leaving");
    assert_eq!(shares(&running, 4).get("b"), Some(&4));
    gate.open();
    assert_eq!(waits.join().unwrap(), "a");
    // Gone when nothing of it is left.
    until("the server to be forgotten", || {
        shares(&running, 1);
        tell(&running, "pool/enable");
        server(&running, &a).is_null().then_some(())
    });
}

/// What a caller shows again of the cookies that it was given.
fn shown(answer: &Answer) -> String {
    let set = answer.head.get("set-cookie").expect("a cookie");
    set.split(';').next().unwrap().to_owned()
}

fn with_cookie(cookie: &str) -> Message {
    order().with("Cookie", &format!("own=1; {cookie}; other=2"))
}

#[test]
fn a_cookie_binds_a_caller_to_its_server() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let keys = "affinity: { cookie: { name: Route, same_site: lax, max_age: 1h } }";
    let running = pool(&[&a, &b], keys);
    let first = running.post(&order());
    let set = first.head.get("set-cookie").unwrap();
    let value = set
        .strip_prefix("Route=")
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    assert!(
        value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit()),
        "{set}"
    );
    assert!(
        set.ends_with("; Path=/; Max-Age=3600; SameSite=Lax; HttpOnly"),
        "{set}"
    );
    let bound = first.by();
    for _ in 0..4 {
        let answer = running.post(&with_cookie(&shown(&first)));
        assert_eq!(answer.by(), bound);
        assert_eq!(answer.head.get("set-cookie"), None);
    }
    let (own, other) = if bound == "a" { (&a, &b) } else { (&b, &a) };
    // The service never sees it, and its own cookies are untouched.
    let seen = own.received().pop().unwrap();
    assert_eq!(seen.head.get("cookie"), Some("own=1; other=2"));
    // Draining, it still gets those that are bound to it, and nobody else.
    tell(&running, &format!("pool/drain?server={}", own.address));
    assert_eq!(running.post(&with_cookie(&shown(&first))).by(), bound);
    assert_eq!(running.post(&order()).by(), other.name);
    // Lost, its callers get another one and another cookie.
    tell(&running, &format!("pool/disable?server={}", own.address));
    let moved = running.post(&with_cookie(&shown(&first)));
    assert_eq!(moved.by(), other.name);
    assert_ne!(shown(&moved), shown(&first));
}

#[test]
fn a_caller_whose_server_is_lost_may_be_told_so() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let running = pool(&[&a, &b], "affinity: { cookie: {}, on_lost: fault }");
    let first = running.post(&order());
    tell(&running, "pool/disable");
    tell(&running, &format!("pool/enable?server={}", b.address));
    tell(&running, &format!("pool/disable?server={}", a.address));
    let (lost, cookie) = match first.by().as_str() {
        "a" => (true, shown(&first)),
        _ => (false, shown(&first)),
    };
    let answer = running.post(&with_cookie(&cookie));
    if lost {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.fault().unwrap(), "EndpointsUnavailable");
    } else {
        assert_eq!(answer.by(), "b");
    }
    assert_eq!(running.post(&order()).by(), "b");
}

#[test]
fn a_value_binds_a_caller_to_its_server() {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    for on_lost in ["redistribute", "fault"] {
        let keys = format!("affinity: {{ header: X-Session, on_lost: {on_lost} }}");
        let running = pool(&[&a, &b], &keys);
        let message = order().with("X-Session", "4711");
        let bound = running.post(&message).by();
        for _ in 0..4 {
            assert_eq!(running.post(&message).by(), bound);
        }
        let own = if bound == "a" { &a } else { &b };
        tell(&running, &format!("pool/disable?server={}", own.address));
        becomes(&running, own, "disabled");
        let outcome = running.post(&message).outcome();
        if on_lost == "fault" {
            assert_eq!(outcome, "EndpointsUnavailable");
        } else {
            assert_ne!(outcome, bound);
        }
    }
}
