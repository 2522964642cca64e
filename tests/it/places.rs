//! Which service or route a request finds, what of its head gets in, and under which name it is counted.

use crate::support::messages::order;
use crate::support::router::router_to;
use crate::support::{router, service};

/// What the redirects of these routes answer to a host and a path.
fn located(routes: &str, asked: &[(&str, &str, Option<&str>)]) {
    let a = service("a").echoes();
    let running = router_to(&[&a]).with(&format!("routes:\n{routes}")).start();
    for (host, path, expected) in asked {
        let mut client = running.client();
        client.host = (*host).to_owned();
        let answer = client.get(path);
        assert_eq!(answer.head.get("location"), *expected, "{host} {path}");
    }
}

#[test]
fn of_several_hosts_that_fit_the_one_of_the_first_priority_counts() {
    located(
        "  long: { path: /*, hosts: [\"shop-*.example.com\"], redirect: { to: \"http://long/\" } }
  first: { path: /*, hosts: [\"*.example.com\"], priority: 1, redirect: { to: \"http://first/\" } }
  deep: { path: /deep/*, hosts: [\"*.example.com\"], priority: 1, redirect: { to: \"http://deep/\" } }
  second: { path: /deep/er, hosts: [\"shop-1.*\"], priority: 2, redirect: { to: \"http://second/\" } }
  exact: { path: /*, hosts: [shop-2.example.com], redirect: { to: \"http://exact/\" } }
",
        &[
            ("shop-1.example.com", "/x", Some("http://first/")),
            ("shop-1.example.com", "/deep/er", Some("http://deep/")),
            ("shop-1.example.org", "/deep/er", Some("http://second/")),
            ("shop-2.example.com", "/x", Some("http://exact/")),
        ],
    );
    // Without priorities the longer one is the more specific.
    located(
        "  long: { path: /*, hosts: [\"shop-*.example.com\"], redirect: { to: \"http://long/\" } }
  short: { path: /*, hosts: [\"*.example.com\"], redirect: { to: \"http://short/\" } }
",
        &[("shop-1.example.com", "/x", Some("http://long/"))],
    );
}

#[test]
fn paths_may_be_found_in_any_case() {
    located(
        "  exact: { path: /Exact.asmx, ignore_case: true, redirect: { to: /e } }
  below: { path: /Below/*, ignore_case: true, redirect: { to: /b } }
  begins: { path: \"/Begin*\", ignore_case: true, redirect: { to: /p } }
  fits: { path: { matches: \"^/V[0-9]\" }, ignore_case: true, redirect: { to: /m } }
  strict: { path: /Strict, redirect: { to: /s } }
",
        &[
            ("h", "/exact.ASMX", Some("/e")),
            ("h", "/BELOW/x", Some("/b")),
            ("h", "/belowx", None),
            ("h", "/beginning", Some("/p")),
            ("h", "/v1", Some("/m")),
            ("h", "/strict", None),
            ("h", "/%C3%BC", None),
        ],
    );
    let a = service("a").echoes();
    let running = router_to(&[&a]).service("ignore_case: true").start();
    let mut client = running.client();
    assert_eq!(client.post("/ORDERS", &order()).by(), "a");
}

#[test]
fn a_redirect_may_name_a_path_of_the_same_host() {
    located(
        "  moved: { path: /old, redirect: { to: \"/new?from=old\", status: 308 } }\n",
        &[("h", "/old?x=1", Some("/new?from=old&x=1"))],
    );
}

#[test]
fn fields_with_odd_names_are_dropped_where_that_is_asked_for() {
    for (keys, expected) in [("", Some("1")), (", drop_odd_header_names: true", None)] {
        let a = service("a").echoes();
        let table = "- { filter: { http_header: { name: X_User, present: true } }, endpoint: a, priority: 1 }
- { filter: { match_all: {} }, endpoint: a }";
        let listener = format!("listeners: {{ public: {{ bind: \"127.0.0.1:0\"{keys} }} }}");
        let running = router(table).to(&a).with(&listener).start();
        let message = order()
            .with("X_User", "1")
            .with("X-User", "2")
            .with("x.y", "3");
        running.post(&message);
        let got = a.only();
        assert_eq!(got.head.get("x_user"), expected);
        assert_eq!(got.head.get("x.y").is_some(), expected.is_some());
        assert_eq!(got.head.get("x-user"), Some("2"));
        let entry = running.exchange()["entry"].clone();
        assert_eq!(
            entry == "match-all",
            expected.is_none(),
            "filters see none either: {entry}"
        );
    }
}

#[test]
fn a_route_is_counted_apart_from_a_service_of_its_name() {
    let a = service("a").echoes();
    let running = router_to(&[&a])
        .with("routes: { orders: { path: /rest/*, endpoint: a } }")
        .start();
    let mut client = running.client();
    client.post("/orders", &order());
    client.get("/rest/x");
    client.get("/rest/y");
    let ended = |labels: &str| format!("soap_router_exchanges_total{{{labels}}}");
    running.metric_becomes(
        &ended("service=\"orders\",soap=\"1.1\",outcome=\"reply\""),
        1.0,
    );
    running.metric_becomes(
        &ended("route=\"orders\",soap=\"none\",outcome=\"passed\""),
        2.0,
    );
    let lines = running.exchanges(3);
    assert_eq!(
        (&lines[0]["service"], &lines[0]["route"]),
        (&"orders".into(), &serde_json::Value::Null)
    );
    assert_eq!(
        (&lines[1]["route"], &lines[1]["service"]),
        (&"orders".into(), &serde_json::Value::Null)
    );
}

#[test]
fn a_reload_tells_what_it_changed_around_services() {
    let a = service("a").echoes();
    let running = router_to(&[&a])
        .service("rewrites: [{ request: { set: { X-A: one } } }]")
        .with("routes: { rest: { path: /rest/*, endpoint: a } }")
        .start();
    let yaml = std::fs::read_to_string(running.path("config/router.yaml")).unwrap();
    let changed = yaml
        .replace("X-A: one", "X-A: two")
        .replace("/rest/*", "/other/*");
    std::fs::write(running.path("config/router.yaml"), changed).unwrap();
    running.says("route `rest` changed");
    running.says("service `orders` changed");
}
