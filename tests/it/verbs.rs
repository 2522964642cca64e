//! The verbs: exit codes, what goes to stdout and stderr, the shapes of JSON, and that `explain`
//! says what `serve` then does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::messages::order;
use crate::support::process::command;
use crate::support::{Client, Ran, root, router, soap_router};

pub fn ok_folder() -> tempfile::TempDir {
    let table = "
- { filter: { xpath: \"//tier = 'gold'\" }, endpoint: a, priority: 1, backups: [b] }
- { filter: { match_all: {} }, endpoint: b }";
    router(table)
        .endpoint("a", "http://127.0.0.1:1/", "")
        .endpoint("b", "http://127.0.0.1:2/", "")
        .write()
}

pub fn run(folder: &Path, line: &str) -> Ran {
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
        ("xpath //[ order.xml", 2),
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
fn check_says_of_each_filter_why_it_needs_a_tree() {
    let filters = [
        "//a/following-sibling::b",
        "//a = 'x'",
        "//a[last()] = 'x'",
        "//a = //b",
    ];
    let rows =
        filters.map(|text| format!("- {{ filter: {{ xpath: \"{text}\" }}, endpoint: a }}\n"));
    let folder = router(&rows.concat())
        .endpoint("a", "http://127.0.0.1:1/", "")
        .write();
    let told = run(folder.path(), "check --format json").json();
    let entries = told["services"][0]["entries"].as_array().unwrap();
    let reasons: Vec<&str> = entries
        .iter()
        .map(|entry| entry["tree_reason"].as_str().unwrap_or(""))
        .collect();
    for (reason, part) in reasons
        .iter()
        .zip(["following-sibling", "", "last()", "node-sets"])
    {
        assert!(
            reason.contains(part) && reason.is_empty() == part.is_empty(),
            "{told}"
        );
    }
    let human = run(folder.path(), "check").out;
    for (filter, reason) in filters.iter().zip(reasons) {
        let named = human.contains(&format!("`xpath: {filter}` needs a tree"));
        assert_eq!(named, !reason.is_empty(), "{human}");
        assert!(human.contains(reason), "{human}");
    }
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
fn xpath_says_once_why_a_message_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let messages = [
        ("<a><?pi?></a>", "processing instruction", "(at byte 3)"),
        (
            "<!DOCTYPE a><a/>",
            "document type declaration",
            "(at byte 0)",
        ),
        ("<a><b></a>", "does not match", "(at byte 6)"),
    ];
    for (message, what, place) in messages {
        let file = folder.path().join("message.xml");
        fs::write(&file, message).unwrap();
        let ran = soap_router(folder.path(), &["xpath", "//b/c", file.to_str().unwrap()]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{message}");
        for part in [what, place] {
            assert_eq!(ran.err.matches(part).count(), 1, "{}", ran.err);
        }
    }
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
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    assert!(
        wrong.err.contains("//o:Tier[\n")
            && wrong.err.contains('^')
            && wrong.err.contains("column 10"),
        "{}",
        wrong.err
    );
}

#[test]
fn xpath_answers_many_expressions_on_many_messages() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "expressions",
        "# two of three\n//b = 'x'\n\n//c\n//c[\n//b/following::c\n",
    );
    write("one.xml", "<a><b>x</b><c/></a>");
    write("two.xml", "<a><b>y</b></a>");
    let ran = run(
        folder.path(),
        "xpath --file expressions one.xml two.xml --format json",
    );
    assert_eq!(ran.code, 2, "an expression has a mistake: {ran:?}");
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["file"].as_str().unwrap(),
                line["expression"].as_str().unwrap(),
                &line["result"],
            )
        })
        .collect();
    let (yes, no, unknown) = (json!(true), json!(false), Value::Null);
    assert_eq!(
        told,
        [
            ("one.xml", "//b = 'x'", &yes),
            ("one.xml", "//c", &yes),
            ("one.xml", "//c[", &unknown),
            ("one.xml", "//b/following::c", &yes),
            ("two.xml", "//b = 'x'", &no),
            ("two.xml", "//c", &no),
            ("two.xml", "//c[", &unknown),
            ("two.xml", "//b/following::c", &no),
        ]
    );
    assert_eq!(lines[2]["error"]["column"], 5, "{}", lines[2]);
    assert_eq!(
        (&lines[0]["tree_reason"], &lines[3]["strategy"]),
        (&Value::Null, &json!("tree"))
    );
    assert!(
        lines[3]["tree_reason"]
            .as_str()
            .unwrap()
            .contains("following"),
        "{}",
        lines[3]
    );
    assert_eq!(lines[4]["why"], "`//b` is 'y', not 'x'");
    let ran = run(folder.path(), "xpath //b one.xml two.xml");
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{ran:?}");
    assert_eq!(run(folder.path(), "xpath //b").code, 2);
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
