//! Hot reload: whatever way files change, the new rules come into force, a mistake keeps the
//! old ones, and no exchange notices.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Weak};

use soap_router::filter::Registry;
use soap_router::{app, config, snapshot};

use crate::support::messages::order;
use crate::support::service::Received;
use crate::support::{
    Builder, Client, Gate, Reply, Running, Service, router, service, soap_router, until,
};
use crate::websocket::{ASKED, YES};

const TO_A: &str = "table:\n  - { filter: { match_all: {} }, endpoint: a }\n";
const TO_B: &str =
    "table:\n  - { filter: { http_header: { name: X-None, present: false } }, endpoint: b }\n";
const BROKEN: &str = "table:\n  - { filter: { match_all: {} }, endpiont: b }\n";

fn two() -> (Service, Service, Builder) {
    let (a, b) = (service("a").echoes(), service("b").echoes());
    let builder = router(TO_A).to(&a).to(&b);
    (a, b, builder)
}

/// The new table is in force, and the log says what changed.
#[track_caller]
fn becomes_b(router: &Running) {
    router.reaches_generation(2);
    assert_eq!(router.post(&order()).by(), "b");
    router.says("reloaded: ");
    let log = router.log();
    assert!(
        log.contains("match-all") && log.contains("http_header"),
        "the log names what changed:\n{log}"
    );
    let status = &router.admin_json("/api/v1/config")["status"];
    assert_eq!(status["up_to_date"], true, "{status}");
    assert!(
        status["changes"]
            .as_array()
            .is_some_and(|changes| !changes.is_empty()),
        "{status}"
    );
    assert!(
        (router
            .metrics()
            .get("soap_router_config_last_reload_successful")
            - 1.0)
            .abs()
            < 1e-9
    );
}

#[test]
fn a_file_is_edited_in_place() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    assert_eq!(router.post(&order()).by(), "a");
    fs::write(router.path("filters/orders.yaml"), TO_B).unwrap();
    becomes_b(&router);
}

#[test]
fn a_file_is_replaced_as_editors_do() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    // Twice, since a watch on the file itself would be lost with the first.
    for (number, (table, expected)) in [(TO_B, "b"), (TO_A, "a"), (TO_B, "b")]
        .into_iter()
        .enumerate()
    {
        fs::write(router.path("filters/.orders.yaml.swp"), table).unwrap();
        fs::rename(
            router.path("filters/.orders.yaml.swp"),
            router.path("filters/orders.yaml"),
        )
        .unwrap();
        router.reaches_generation(2 + number as u64);
        until("the new table", || {
            (router.post(&order()).by() == expected).then_some(())
        });
    }
}

#[test]
fn the_main_file_is_replaced_too() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    let yaml = fs::read_to_string(router.path("config/router.yaml")).unwrap();
    let changed = yaml.replace("/orders\n", "/renamed\n");
    assert_ne!(yaml, changed);
    fs::write(router.path("config/new"), changed).unwrap();
    fs::rename(router.path("config/new"), router.path("config/router.yaml")).unwrap();
    router.reaches_generation(2);
    let mut client = router.client();
    assert_eq!(client.post("/renamed", &order()).outcome(), "a");
    assert_eq!(client.post("/orders", &order()).outcome(), "UnknownService");
}

#[test]
fn a_new_table_file_appears() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    let yaml = fs::read_to_string(router.path("config/router.yaml")).unwrap();
    let more = yaml.replace(
        "services:\n",
        "services:\n  more: { path: /more, table: more }\n",
    );
    fs::write(router.path("config/router.yaml"), more).unwrap();
    // The main file alone is a mistake, until the table that it names is there.
    router.says("reload refused");
    fs::write(router.path("filters/more.yaml"), TO_B).unwrap();
    router.reaches_generation(2);
    assert_eq!(router.client().post("/more", &order()).outcome(), "b");
}

/// A folder as Kubernetes mounts a config map: files are links into `..data`, itself a link to a
/// folder with a time in its name; an update exchanges that link.
fn mount(folder: &Path, version: &str, table: &str) {
    let real = folder.join(format!("..{version}"));
    fs::create_dir(&real).unwrap();
    fs::write(real.join("orders.yaml"), table).unwrap();
    symlink(format!("..{version}"), folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[test]
fn a_config_map_is_exchanged_by_its_link() {
    let (_a, _b, builder) = two();
    let folder = builder.write();
    let filters = folder.path().join("filters");
    fs::remove_file(filters.join("orders.yaml")).unwrap();
    mount(&filters, "2026_01", TO_A);
    symlink("..data/orders.yaml", filters.join("orders.yaml")).unwrap();
    let router = builder.start_in(folder);
    assert_eq!(router.post(&order()).by(), "a");
    mount(&filters, "2026_02", TO_B);
    fs::remove_dir_all(filters.join("..2026_01")).unwrap();
    until("the new table", || {
        (router.post(&order()).by() == "b").then_some(())
    });
    mount(&filters, "2026_03", TO_A);
    until("the table after it", || {
        (router.post(&order()).by() == "a").then_some(())
    });
}

#[test]
fn sighup_reloads_where_nothing_is_watched() {
    let (_a, _b, builder) = two();
    let router = builder.with("reload: { watch: false }").start();
    fs::write(router.path("filters/orders.yaml"), TO_B).unwrap();
    assert_eq!(router.post(&order()).by(), "a", "not before it is asked to");
    router.signal("HUP");
    becomes_b(&router);
}

#[test]
fn the_admin_interface_reloads() {
    let (_a, _b, builder) = two();
    let router = builder.with("reload: { watch: false }").start();
    fs::write(router.path("filters/orders.yaml"), TO_B).unwrap();
    let answer = router
        .admin()
        .ask("POST", "/api/v1/reload", &[("Content-Length", "0")]);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["applied"], true);
    assert!(told["changes"].to_string().contains("entry"), "{told}");
    becomes_b(&router);
    fs::write(router.path("filters/orders.yaml"), BROKEN).unwrap();
    let answer = router
        .admin()
        .ask("POST", "/api/v1/reload", &[("Content-Length", "0")]);
    assert_eq!(answer.status(), 422);
    assert!(
        answer.text().contains("filters/orders.yaml:2:"),
        "{}",
        answer.text()
    );
    assert_eq!(router.post(&order()).by(), "b");
}

#[test]
fn the_verb_reloads() {
    let (_a, _b, builder) = two();
    let router = builder.with("reload: { watch: false }").start();
    let admin = router.address("admin").to_string();
    fs::write(router.path("filters/orders.yaml"), TO_B).unwrap();
    let ran = soap_router(router.folder.path(), &["reload", "--admin", &admin]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("entry"), "{ran:?}");
    becomes_b(&router);
    fs::write(router.path("filters/orders.yaml"), BROKEN).unwrap();
    let ran = soap_router(router.folder.path(), &["reload", "--admin", &admin]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out.contains("endpiont") && ran.err.contains("the old configuration stays"),
        "{ran:?}"
    );
    let ran = soap_router(router.folder.path(), &["reload", "--admin", "127.0.0.1:1"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn a_mistake_keeps_the_old_rules_and_says_so_everywhere() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    fs::write(router.path("filters/orders.yaml"), BROKEN).unwrap();
    router.says("reload refused, the old configuration stays: ");
    let log = router.log();
    assert!(
        log.contains("filters/orders.yaml:2:") && log.contains("endpiont"),
        "{log}"
    );
    router.metric_becomes("soap_router_config_last_reload_successful", 0.0);
    assert!(
        router
            .metrics()
            .get("soap_router_config_reloads_total{result=\"refused\"}")
            > 0.5
    );
    let status = &router.admin_json("/api/v1/config")["status"];
    assert_eq!(
        (&status["up_to_date"], &status["generation"]),
        (&false.into(), &1.into()),
        "{status}"
    );
    let errors = status["errors"].to_string();
    assert!(
        errors.contains("filters/orders.yaml:2:") && errors.contains("endpiont"),
        "{status}"
    );
    assert_eq!(router.post(&order()).by(), "a");
    // Mended, everything is well again.
    fs::write(router.path("filters/orders.yaml"), TO_B).unwrap();
    becomes_b(&router);
    let status = &router.admin_json("/api/v1/config")["status"];
    assert_eq!(status["errors"], serde_json::json!([]), "{status}");
}

#[test]
fn files_that_go_away_keep_the_old_rules() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    fs::rename(router.path("filters"), router.path("elsewhere")).unwrap();
    router.signal("HUP");
    router.says("reload refused");
    assert_eq!(router.post(&order()).by(), "a");
    fs::rename(router.path("elsewhere"), router.path("filters")).unwrap();
    fs::write(router.path("filters/orders.yaml"), TO_B).unwrap();
    router.signal("HUP");
    until("the new table", || {
        (router.post(&order()).by() == "b").then_some(())
    });
}

fn listeners(router: &Running) -> Vec<(String, std::net::SocketAddr)> {
    let config = router.admin_json("/api/v1/config");
    let pair = |listener: &serde_json::Value| {
        let text = |key: &str| listener[key].as_str().unwrap().to_owned();
        (text("name"), text("address").parse().unwrap())
    };
    config["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(pair)
        .collect()
}

#[test]
fn listeners_come_and_go_and_move() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    let before = listeners(&router);
    let yaml = fs::read_to_string(router.path("config/router.yaml")).unwrap();
    let one = "{ public: { bind: \"127.0.0.1:0\" } }";
    assert!(yaml.contains(one));
    let write = |text: &str| fs::write(router.path("config/router.yaml"), text).unwrap();

    // Another one beside it: the first keeps its port, and the connections on it.
    let mut kept = router.client();
    kept.post("/orders", &order());
    write(&yaml.replace(
        one,
        "{ public: { bind: \"127.0.0.1:0\" }, second: { bind: \"127.0.0.1:0\" } }",
    ));
    router.reaches_generation(2);
    let both = listeners(&router);
    assert_eq!((both.len(), &both[0]), (2, &before[0]));
    let second = both[1].1;
    assert_eq!(Client::to(second).post("/orders", &order()).by(), "a");
    assert_eq!(kept.post("/orders", &order()).by(), "a");

    // The first one goes; what is connected may end its request, and nobody else gets in.
    write(&yaml.replace(one, "{ second: { bind: \"127.0.0.1:0\" } }"));
    router.reaches_generation(3);
    let gone = before[0].1;
    until("the port to be closed", || {
        std::net::TcpStream::connect(gone).is_err().then_some(())
    });
    assert_eq!(Client::to(second).post("/orders", &order()).by(), "a");

    // The other one moves to another address.
    write(&yaml.replace(one, "{ second: { bind: \"127.0.0.2:0\" } }"));
    router.reaches_generation(4);
    let moved = listeners(&router)[0].1;
    assert_eq!(moved.ip().to_string(), "127.0.0.2");
    assert_eq!(Client::to(moved).post("/orders", &order()).by(), "a");
    until("the old address to be closed", || {
        std::net::TcpStream::connect(second).is_err().then_some(())
    });

    // Settings change: the port stays.
    write(&yaml.replace(
        one,
        "{ second: { bind: \"127.0.0.2:0\", max_connections: 1 } }",
    ));
    router.reaches_generation(5);
    assert_eq!(listeners(&router)[0].1, moved);
    // A caller that comes while the one socket takes the other's place may have to come again.
    until("the new listener", || {
        Client::to(moved).try_post("/orders", &order()).ok()
    });
    router.says("listening");
}

#[test]
fn an_address_that_is_taken_keeps_the_old_rules() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let yaml = fs::read_to_string(router.path("config/router.yaml")).unwrap();
    let address = taken.local_addr().unwrap();
    let listeners =
        format!("{{ public: {{ bind: \"127.0.0.1:0\" }}, second: {{ bind: \"{address}\" }} }}");
    fs::write(
        router.path("config/router.yaml"),
        yaml.replace("{ public: { bind: \"127.0.0.1:0\" } }", &listeners),
    )
    .unwrap();
    router.says("`second` cannot listen on");
    assert_eq!(router.generation(), 1);
    assert_eq!(router.post(&order()).by(), "a");
    drop(taken);
    router.signal("HUP");
    router.reaches_generation(2);
    assert_eq!(Client::to(address).post("/orders", &order()).by(), "a");
}

#[test]
fn an_exchange_keeps_the_rules_that_it_began_with() {
    let gate = Gate::default();
    let held = gate.clone();
    // Breaks off once the new rules are in force: the backup of the old rules must be asked.
    let a = service("a").replies(move |_: &Received| {
        held.pass();
        Reply::Close
    });
    let (old, new) = (service("old").echoes(), service("new").echoes());
    let entry = |backup: &str| {
        format!("- {{ filter: {{ match_all: {{}} }}, endpoint: a, backups: [{backup}] }}")
    };
    let router = router(&entry("old")).to(&a).to(&old).start();
    let mut client = router.client();
    let message = order();
    client.send("/orders", &message);
    a.got(1);
    // Under the new rules there is no endpoint `old`, and every other has another number.
    let other = self::router(&entry("new")).to(&new).to(&a).write();
    for file in ["config/router.yaml", "filters/orders.yaml"] {
        fs::copy(other.path().join(file), router.path(file)).unwrap();
    }
    router.reaches_generation(2);
    gate.open();
    assert_eq!(client.answer("POST").unwrap().by(), "old");
    // The next one on the same connection has the new rules.
    assert_eq!(client.post("/orders", &order()).by(), "new");
}

#[test]
fn counters_go_on_through_a_reload() {
    let (_a, _b, builder) = two();
    let router = builder.start();
    router.post(&order());
    fs::write(router.path("filters/orders.yaml"), TO_B).unwrap();
    router.reaches_generation(2);
    router.post(&order());
    let sample = "soap_router_exchanges_total{service=\"orders\",soap=\"1.1\",outcome=\"reply\"}";
    router.metric_becomes(sample, 2.0);
}

/// A tunnel and an answer that is not over stay open through many reloads, and keep none of the
/// configurations that were in force.
#[test]
fn what_stays_open_keeps_no_old_configuration() {
    let last = Gate::default();
    let held = last.clone();
    let a = service("a").speaks(move |wire, _| {
        let head = wire.head().unwrap().unwrap();
        let beginning = match head.get("upgrade") {
            Some(_) => YES,
            None => "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 7\r\n\r\n<by>",
        };
        wire.write(beginning).unwrap();
        held.pass();
        wire.write("end").unwrap();
    });
    let folder = router(TO_A).to(&a).service("default_endpoint: a").write();
    let compiled = || {
        let loaded = config::load(&folder.path().join("config/router.yaml"));
        let (compiled, report) = snapshot::compile(&loaded, &Registry::default());
        Arc::new(compiled.unwrap_or_else(|| panic!("{report:?}")))
    };
    let first = compiled();
    let mut old = vec![Arc::downgrade(&first)];
    let running = app::Router::start(first).unwrap();
    let mut tunnel = Client::to(running.address("public").unwrap());
    tunnel.wire().write(ASKED).unwrap();
    assert_eq!(tunnel.answer("GET").unwrap().status(), 101);
    let mut caller = Client::to(running.address("public").unwrap());
    caller.send("/orders", &order());
    caller.wire().comes(b"<by>").unwrap();
    for _ in 0..3 {
        let next = compiled();
        old.push(Arc::downgrade(&next));
        running.apply(next).unwrap();
    }
    let current = old.pop().unwrap();
    until("the old configurations' end", || {
        let all_gone = old.iter().all(|one| one.strong_count() == 0);
        all_gone.then_some(())
    });
    assert!(Weak::upgrade(&current).is_some());
    last.open();
    assert_eq!(caller.answer("POST").unwrap().text(), "<by>end");
    tunnel.wire().comes(b"end").unwrap();
    drop((caller, tunnel));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(running.stop());
    running.join();
}

/// The sockets that listen on this port, by the kernel's numbers.
fn sockets(port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    let text = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut all: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.len() > 9 && row[1].ends_with(&wanted) && row[3] == "0A")
        .map(|row| row[9].to_owned())
        .collect();
    all.sort();
    all
}

#[test]
fn a_listener_whose_settings_change_keeps_its_socket_and_its_callers() {
    let (_a, _b, builder) = two();
    let listeners = "listeners: { public: { bind: \"127.0.0.1:0\", max_connections: 100 } }";
    let router = builder.with(listeners).start();
    let port = router.address("public").port();
    let before = sockets(port);
    assert!(!before.is_empty());
    let mut kept = router.client();
    assert_eq!(kept.post("/orders", &order()).by(), "a");
    let yaml = fs::read_to_string(router.path("config/router.yaml")).unwrap();
    let changed = yaml.replace("max_connections: 100", "max_connections: 1");
    fs::write(router.path("config/router.yaml"), changed).unwrap();
    router.reaches_generation(2);
    router.says("listener `public` changed");
    assert_eq!(sockets(port), before, "the same sockets listen");
    assert_eq!(kept.post("/orders", &order()).by(), "a");
    // The new bound is in force: the one that is open is all there may be.
    let mut refused = router.client();
    assert!(refused.try_post("/orders", &order()).is_err());
}
