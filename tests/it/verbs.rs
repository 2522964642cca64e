//! The verbs: exit codes, what goes to stdout and stderr, the shapes of JSON, and that `explain`
//! says what `serve` then does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::messages::{Message, long_order, order};
use crate::support::process::{command, soap_router_with};
use crate::support::router::router_to;
use crate::support::{
    Client, Gate, PATIENCE, Ran, Reply, root, router, service, soap_router, until,
};

fn ok_folder() -> tempfile::TempDir {
    let table = "
- { filter: { xpath: \"//tier = 'gold'\" }, endpoint: a, priority: 1, backups: [b] }
- { filter: { match_all: {} }, endpoint: b }";
    router(table)
        .endpoint("a", "http://127.0.0.1:1/", "")
        .endpoint("b", "http://127.0.0.1:2/", "")
        .write()
}

fn run(folder: &Path, line: &str) -> Ran {
    let arguments: Vec<&str> = line.split(' ').collect();
    soap_router(folder, &arguments)
}

#[test]
fn exit_codes_tell_fine_from_no_and_from_could_not_run() {
    let folder = ok_folder();
    fs::write(folder.path().join("order.xml"), order().body).unwrap();
    fs::write(folder.path().join("broken.xml"), "<x").unwrap();
    fs::create_dir(folder.path().join("broken")).unwrap();
    fs::write(folder.path().join("broken/router.yaml"), "version: 2").unwrap();
    let cases = [
        ("check", 0),
        ("check -c broken/router.yaml", 1),
        ("check -c nowhere.yaml", 1),
        ("explain order.xml", 0),
        ("explain broken.xml", 1),
        ("explain nowhere.xml", 2),
        ("explain order.xml --service nobody", 2),
        ("explain order.xml --header nonsense", 2),
        ("explain order.xml -c broken/router.yaml", 1),
        ("xpath //Place order.xml", 1),
        ("xpath //* order.xml", 0),
        ("xpath //[ order.xml", 1),
        ("xpath //* broken.xml", 2),
        ("xpath //* order.xml --ns nonsense", 2),
        ("serve -c broken/router.yaml", 1),
        ("schema", 0),
        ("schema nothing", 2),
        ("completions bash", 0),
        ("stub --fail nonsense", 2),
        ("test nowhere.yaml", 2),
        ("nonsense", 2),
        ("check --nonsense", 2),
        ("--version", 0),
        ("--help", 0),
    ];
    for (line, code) in cases {
        let ran = run(folder.path(), line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        let silent = code == 2 && ran.err.is_empty();
        assert!(!silent, "{line} says nothing of why");
    }
}

#[test]
fn check_prints_every_mistake_on_stdout() {
    let folder = ok_folder();
    let fine = run(folder.path(), "check --format json").json();
    assert_eq!(
        (&fine["ok"], &fine["errors"]),
        (&true.into(), &0.into()),
        "{fine}"
    );
    let entries = fine["services"][0]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{fine}");
    assert!(
        entries[0]["filter"].is_string() && entries[0]["strategy"].is_string(),
        "{fine}"
    );
    assert!(
        fine["services"][0]["mode"].is_string() && fine["services"][0]["why"].is_string(),
        "{fine}"
    );
    let human = run(folder.path(), "check");
    assert!(human.out.contains("service `orders`"), "{human:?}");

    let table = "table:\n  - { filter: nobody, endpoint: b }\n  - { filter: { match_all: {} }, endpoint: c }\n";
    fs::write(folder.path().join("filters/orders.yaml"), table).unwrap();
    let broken = run(folder.path(), "check --format json").json();
    assert_eq!(broken["ok"], false);
    let all = broken["diagnostics"].to_string();
    assert!(
        all.contains("nobody") && all.contains("`c`"),
        "both mistakes are told at once: {broken}"
    );
    let concise = run(folder.path(), "check --format concise");
    assert!(
        concise
            .out
            .lines()
            .all(|line| line.starts_with("filters/orders.yaml:")
                || line.contains("warning")
                || line.starts_with("config/router.yaml:")),
        "{concise:?}"
    );
    assert!(
        !concise.out.contains('\u{1b}'),
        "no colour where it is not wanted"
    );
}

#[test]
fn check_strict_counts_warnings() {
    let folder = router("- { filter: { match_all: {} }, endpoint: a }")
        .endpoint("a", "http://127.0.0.1:1/", "")
        .endpoint("unused", "http://127.0.0.1:2/", "")
        .write();
    assert_eq!(run(folder.path(), "check").code, 0);
    let strict = run(folder.path(), "check --strict");
    assert_eq!(strict.code, 1, "{strict:?}");
    assert!(strict.out.contains("unused"), "{strict:?}");
}

#[test]
fn explain_has_the_shape_of_the_contract() {
    let folder = ok_folder();
    let message = Message::file(&root().join("fixtures/soap11/place-gold.xml")).body;
    let arguments = [
        "explain",
        "-",
        "--format",
        "json",
        "--header",
        "SOAPAction: \"urn:example:orders/Place\"",
    ];
    let told = soap_router_with(folder.path(), &arguments, &message).json();
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    let expected = [
        "service",
        "soap",
        "action",
        "to",
        "operation",
        "decided_after_bytes",
        "message_bytes",
        "considered",
        "sends",
        "fault",
    ];
    for key in expected {
        assert!(
            keys.iter().any(|known| *known == key),
            "`{key}` is missing: {told}"
        );
    }
    assert_eq!(told["service"], "orders");
    assert_eq!(told["soap"], "1.1");
    assert_eq!(told["action"], "urn:example:orders/Place");
    assert_eq!(told["operation"], "{urn:example:orders}Place");
    assert_eq!(told["message_bytes"], message.len());
    assert!(
        told["decided_after_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes <= message.len() as u64)
    );
    let considered = &told["considered"][0];
    assert_eq!(
        (&considered["filter"], &considered["priority"]),
        (&json!("xpath: //tier = 'gold'"), &json!(1))
    );
    assert_eq!(considered["matched"], false);
    assert!(
        considered["why"].is_string() && considered["strategy"].is_string(),
        "{considered}"
    );
    let send = json!({ "endpoint": "b", "filter": "match-all", "priority": 0, "backups": [], "bridge": null });
    assert_eq!(told["sends"], json!([send]));
    assert_eq!(told["fault"], Value::Null);
    let human = soap_router_with(folder.path(), &["explain", "-"], &message);
    assert!(
        human.out.contains("send to b because of match-all"),
        "{human:?}"
    );
}

/// Every envelope under `fixtures/`.
fn fixtures() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join("fixtures")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "xml") {
                found.push(path);
            }
        }
    }
    assert!(found.len() >= 14, "the fixtures are gone");
    found.sort();
    found
}

#[test]
fn explain_equals_what_serve_does_for_every_fixture() {
    let shipped = fs::read_to_string(root().join("filters/orders.yaml")).unwrap();
    let whole = "
- { filter: { xpath: \"//never\" }, endpoint: orders-v1, priority: 1 }
- { filter: { xpath: \"count(//*) > 7\" }, endpoint: orders-v2, priority: 1 }
- { filter: { operation: \"{urn:example:orders}Status\" }, endpoint: orders-dr }";
    for (table, keys) in [
        (shipped.as_str(), ""),
        (whole, ""),
        (whole, "verify: full"),
        (shipped.as_str(), "verify: full"),
    ] {
        let names = ["orders-v1", "orders-v2", "orders-dr"];
        let services: Vec<_> = names.iter().map(|name| service(name).echoes()).collect();
        let mut builder = router(table).with("backup_lists: { orders: [orders-dr] }");
        if !keys.is_empty() {
            builder = builder.service(keys);
        }
        for own in &services {
            builder = builder.to(own);
        }
        let running = builder.start();
        let url = format!("http://{}/orders", running.address("public"));
        for (number, path) in fixtures().into_iter().enumerate() {
            let what = format!("{} with `{keys}`", path.display());
            let message = Message::file(&path).with("SOAPAction", "\"urn:example:orders/Place\"");
            let mut arguments = vec!["explain".to_owned(), path.display().to_string()];
            arguments.extend([
                "--format".into(),
                "json".into(),
                "--url".into(),
                url.clone(),
            ]);
            for (name, value) in &message.fields {
                arguments.extend(["--header".into(), format!("{name}: {value}")]);
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let ran = soap_router(running.folder.path(), &arguments);
            let told = ran.json();
            let answer = running.post(&message);
            let line = running.exchanges(number + 1).remove(number);
            match told["fault"]["reason"].as_str() {
                Some(reason) => {
                    assert_eq!(ran.code, 1, "{what}");
                    assert_eq!(answer.fault().as_deref(), Some(reason), "{what}: {told}");
                    let (said, sent) = (
                        told["fault"]["text"].as_str().unwrap(),
                        line["error"].as_str().unwrap(),
                    );
                    let plain = |text: &str| text.to_lowercase().trim_end_matches('.').to_owned();
                    assert_eq!(plain(said), plain(sent), "{what}");
                }
                None => {
                    assert_eq!(ran.code, 0, "{what}");
                    assert_eq!(
                        answer.outcome(),
                        told["sends"][0]["endpoint"].as_str().unwrap(),
                        "{what}: {told}"
                    );
                    assert_eq!(line["entry"], told["sends"][0]["filter"], "{what}");
                }
            }
            // What nobody could tell is logged by what the media type promises.
            if !told["soap"].is_null() {
                assert_eq!(line["soap"], told["soap"], "{what}");
            }
            for (logged, said) in [
                ("action", "action"),
                ("operation", "operation"),
                ("service", "service"),
                ("decided_after_bytes", "decided_after_bytes"),
            ] {
                assert_eq!(line[logged], told[said], "{what}: {logged}: {told} {line}");
            }
        }
    }
}

#[test]
fn explain_knows_the_checks_beside_the_filters() {
    let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
    let folder = router(table)
        .endpoint("a", "http://127.0.0.1:1/", "")
        .endpoint("b", "http://127.0.0.1:2/", "")
        .service("replay_buffer: 1KiB")
        .service("on_overflow: refuse")
        .service("limits: { message_bytes: 4KiB }")
        .write();
    let reason = |message: &Message| {
        let mut arguments = vec![
            "explain".to_owned(),
            "-".into(),
            "--format".into(),
            "json".into(),
        ];
        for (name, value) in &message.fields {
            arguments.extend(["--header".into(), format!("{name}: {value}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        soap_router_with(folder.path(), &arguments, &message.body).json()["fault"]["reason"].clone()
    };
    assert_eq!(reason(&order()), Value::Null);
    assert_eq!(
        reason(&order().with("Content-Encoding", "gzip")),
        "UnsupportedMediaType"
    );
    assert_eq!(
        reason(&order().with("Content-Type", "image/png")),
        "UnsupportedMediaType"
    );
    assert_eq!(reason(&long_order(2000)), "LimitExceeded");
    assert_eq!(reason(&long_order(5000)), "MessageTooLarge");
}

#[test]
fn xpath_says_what_a_filter_would_see() {
    let folder = tempfile::tempdir().unwrap();
    let file = root().join("fixtures/soap11/place-gold.xml");
    let file = file.to_str().unwrap();
    let told = |expression: &str| {
        let ran = soap_router(
            folder.path(),
            &[
                "xpath",
                expression,
                file,
                "--ns",
                "o=urn:example:orders",
                "--format",
                "json",
            ],
        );
        (ran.code, ran.json())
    };
    let (code, gold) = told("//o:Tier = 'gold'");
    assert_eq!((code, &gold["result"]), (0, &json!(true)));
    assert_eq!(gold["strategy"], "streaming");
    assert_eq!(gold["message_bytes"], fs::metadata(file).unwrap().len());
    assert!(
        gold["bytes_read"].as_u64() <= gold["message_bytes"].as_u64(),
        "{gold}"
    );
    let (code, tin) = told("//o:Tier = 'tin'");
    assert_eq!((code, &tin["result"]), (1, &json!(false)));
    let (_, tree) = told("//o:Item[last()]/preceding::o:Tier");
    assert_eq!(
        (&tree["result"], &tree["strategy"]),
        (&json!(true), &json!("tree")),
        "{tree}"
    );
    let wrong = soap_router(
        folder.path(),
        &["xpath", "//o:Tier[", file, "--ns", "o=urn:example:orders"],
    );
    assert_eq!((wrong.code, wrong.out.as_str()), (1, ""));
    assert!(
        wrong.err.contains("//o:Tier[\n") && wrong.err.contains('^'),
        "{}",
        wrong.err
    );
}

#[test]
fn the_shipped_example_messages_reach_their_stubs_in_the_demo() {
    let ran = soap_router(root(), &["demo", "--once", "--any-port"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let who = |file: &str| {
        let rest = ran
            .out
            .split(&format!("{file}\n"))
            .nth(1)
            .unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default().trim();
        line.trim_start_matches("answered by ")
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let expected = [
        ("fixtures/soap11/place.xml", "orders-v1"),
        ("fixtures/soap11/place-gold.xml", "orders-v2"),
        ("fixtures/soap11/version-2.xml", "orders-v2"),
    ];
    for (file, endpoint) in expected {
        assert_eq!(who(file), endpoint, "{}", ran.out);
    }
    assert!(ran.out.contains("because of  gold-place"), "{}", ran.out);
    // Away from the project it brings its configuration along.
    let elsewhere = tempfile::tempdir().unwrap();
    let ran = soap_router(elsewhere.path(), &["demo", "--once", "--any-port"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn test_tells_what_differs() {
    let folder = ok_folder();
    let cases = json!({ "service": "orders", "config": "config/router.yaml", "cases": [
        { "name": "right", "message": String::from_utf8(order().body).unwrap(), "expect": { "endpoint": "b" } },
        { "name": "wrong", "message": String::from_utf8(order().body).unwrap(), "expect": { "endpoint": "a" } },
    ] });
    fs::write(folder.path().join("cases.yaml"), cases.to_string()).unwrap();
    let ran = run(folder.path(), "test cases.yaml");
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("FAILED cases.yaml: wrong")
            && ran.out.contains("endpoint: expected a, got b"),
        "{ran:?}"
    );
    assert!(ran.out.contains("1 passed, 1 failed"), "{ran:?}");
    let told = run(folder.path(), "test cases.yaml --format json").json();
    assert_eq!((&told["passed"], &told["failed"]), (&json!(1), &json!(1)));
    fs::write(folder.path().join("cases.yaml"), "cases: [{ nmae: x }]").unwrap();
    assert_eq!(run(folder.path(), "test cases.yaml").code, 2);
}

#[test]
fn schemas_are_those_that_are_shipped() {
    for (of, file) in [
        ("router", "config/router.schema.json"),
        ("table", "filters/table.schema.json"),
    ] {
        let printed = soap_router(root(), &["schema", of]).json();
        let shipped: Value =
            serde_json::from_str(&fs::read_to_string(root().join(file)).unwrap()).unwrap();
        assert_eq!(printed, shipped, "{file}");
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = soap_router(root(), &["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(
            ran.out.contains("explain") && ran.out.contains("soap-router"),
            "{shell}"
        );
    }
}

/// A stub as a process; killed with the value.
struct Stub(std::process::Child, std::net::SocketAddr);

impl Stub {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(root())
            .arg("stub")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        let address = line
            .trim()
            .rsplit("http://")
            .next()
            .unwrap()
            .trim_end_matches('/')
            .parse()
            .unwrap();
        Self(child, address)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stub_says_who_it_is_and_what_it_got() {
    let stub = Stub::start(&["--name", "one", "--soap", "1.1"]);
    let mut client = Client::to(stub.1);
    let answer = client.post("/some/path", &order());
    assert_eq!(answer.status(), 200);
    let got: BTreeMap<&str, Option<String>> = ["By", "Soap", "Path", "SoapAction", "Bytes"]
        .into_iter()
        .map(|tag| {
            (
                tag,
                answer.between(&format!("<a:{tag}>"), &format!("</a:{tag}>")),
            )
        })
        .collect();
    assert_eq!(got["By"].as_deref(), Some("one"));
    assert_eq!(got["Soap"].as_deref(), Some("1.1"));
    assert_eq!(got["Path"].as_deref(), Some("/some/path"));
    assert_eq!(got["Bytes"], Some(order().body.len().to_string()));
    let other = client.post("/", &crate::support::messages::order12());
    assert!(
        other.status() == 500 && other.text().contains("VersionMismatch"),
        "{}",
        other.text()
    );
    let failing = Stub::start(&["--fail", "503", "--delay", "1ms"]);
    assert_eq!(Client::to(failing.1).post("/", &order()).status(), 503);
    let fault = Stub::start(&["--fail", "fault"]);
    assert!(
        Client::to(fault.1)
            .post("/", &order())
            .text()
            .contains("faultcode")
    );
    let closing = Stub::start(&["--fail", "close"]);
    assert!(Client::to(closing.1).try_post("/", &order()).is_err());
}

#[test]
fn a_message_in_flight_is_answered_before_the_end() {
    let gate = Gate::default();
    let held = gate.clone();
    let a = service("a").replies(move |_| {
        held.pass();
        Reply::Echo
    });
    let mut router = router_to(&[&a]).start();
    let address = router.address("public");
    let (mut busy, mut idle) = (router.client(), router.client());
    let message = order();
    let head = busy.head(
        "/orders",
        &message,
        &format!("Content-Length: {}", message.body.len()),
    );
    busy.wire()
        .write([head.as_bytes(), &message.body].concat())
        .unwrap();
    a.got(1);
    router.signal("TERM");
    until("no one to listen", || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    });
    assert!(
        idle.wire().some().unwrap().is_empty(),
        "an idle connection ends at once"
    );
    gate.open();
    let answer = busy.answer("POST").unwrap();
    assert_eq!(answer.by(), "a");
    assert_eq!(
        answer.head.get("connection"),
        Some("close"),
        "{}",
        answer.head.raw
    );
    assert_eq!(router.ends().code(), Some(0));
    assert_eq!(router.access_log().len(), 1, "the last line is written");
    router.says("stopped");
}

#[test]
fn what_takes_too_long_is_left_behind_when_the_drain_time_is_over() {
    let a = service("a").replies(|_| Reply::Hang);
    let mut router = router_to(&[&a]).with("drain: 200ms").start();
    let mut busy = router.client();
    let message = order();
    let head = busy.head(
        "/orders",
        &message,
        &format!("Content-Length: {}", message.body.len()),
    );
    busy.wire()
        .write([head.as_bytes(), &message.body].concat())
        .unwrap();
    a.got(1);
    router.signal("TERM");
    assert_eq!(router.ends().code(), Some(1), "not everything was finished");
    router.says("not all exchanges were finished");
}

#[test]
fn the_ready_file_names_every_listener() {
    let a = service("a").echoes();
    let router = router_to(&[&a])
        .with("listeners: { one: { bind: \"127.0.0.1:0\" }, two: { bind: \"127.0.0.1:0\" } }")
        .start();
    for name in ["one", "two"] {
        assert_eq!(
            Client::to(router.address(name))
                .post("/orders", &order())
                .by(),
            "a"
        );
    }
    assert_eq!(
        Client::to(router.address("admin")).get("/healthz").status(),
        200
    );
}

#[test]
fn systemd_is_told() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 4096];
        let count = socket.recv(&mut buffer).expect("a notification");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let a = service("a").echoes();
    let mut router = router_to(&[&a])
        .environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .start();
    assert!(told().contains("READY=1"));
    router.signal("HUP");
    let reloading = told();
    assert!(reloading.contains("RELOADING=1"), "{reloading}");
    // `Type=notify-reload` wants the time as well.
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(told().contains("READY=1"));
    router.signal("TERM");
    assert!(told().contains("STOPPING=1"));
    assert!(router.ends().success());
}

#[test]
fn serve_says_why_it_cannot() {
    let folder = ok_folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let yaml = fs::read_to_string(folder.path().join("config/router.yaml")).unwrap();
    let listener = format!(
        "{{ public: {{ bind: \"{}\" }} }}",
        taken.local_addr().unwrap()
    );
    let yaml = yaml.replace("{ public: { bind: \"127.0.0.1:0\" } }", &listener);
    fs::write(folder.path().join("config/router.yaml"), yaml).unwrap();
    let ran = run(folder.path(), "serve --log error");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("listener `public` cannot listen on"),
        "{ran:?}"
    );
    fs::write(folder.path().join("config/router.yaml"), "listeners: 7").unwrap();
    let ran = run(folder.path(), "serve");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (1, ""),
        "talk goes to stderr: {ran:?}"
    );
    assert!(ran.err.contains("config/router.yaml:1:"), "{ran:?}");
}

#[test]
fn two_routers_share_no_port_by_accident() {
    let a = service("a").echoes();
    let first = router_to(&[&a]).start();
    let taken = format!(
        "listeners: {{ public: {{ bind: \"{}\" }} }}",
        first.address("public")
    );
    let folder = router_to(&[&a]).with(&taken).write();
    // A second one on the same address would take half of the first one's callers.
    let mut second = command(folder.path())
        .args(["serve", "--log", "error"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let ended = loop {
        match second.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => thread::yield_now(),
        }
    };
    let _ = second.kill();
    let _ = second.wait();
    assert!(
        ended.is_some_and(|status| status.code() == Some(2)),
        "the second one runs"
    );
}
