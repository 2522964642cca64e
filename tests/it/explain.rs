//! `explain`: the shape of what it says, and that `serve` then does it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::verbs::ok_folder;
use crate::support::messages::{Message, long_order, order};
use crate::support::process::soap_router_with;
use crate::support::{root, router, service, soap_router};

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
        // All are sent before the log is asked, which is written now and then only.
        let mut tried = Vec::new();
        for path in fixtures() {
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
            tried.push((what, ran, told, answer));
        }
        let lines = running.exchanges(tried.len());
        assert_eq!(lines.len(), tried.len());
        for ((what, ran, told, answer), line) in tried.into_iter().zip(lines) {
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
fn what_did_not_match_says_what_was_found_and_what_was_wanted() {
    let folder = router(
        "- { filter: { action: \"urn:other\" }, endpoint: a, priority: 2 }
- { filter: { operation: \"{urn:x}A\" }, endpoint: a, priority: 1 }
- { filter: { http_header: { name: X-Tier, equals: gold } }, endpoint: a, priority: 1 }
- { filter: { xpath: \"//never\" }, endpoint: a }",
    )
    .endpoint("a", "http://127.0.0.1:1/", "")
    .write();
    let whys = |message: &str| -> Vec<String> {
        let line = [
            "explain",
            "-",
            "--format",
            "json",
            "-H",
            "SOAPAction: \"urn:this\"",
        ];
        let told = soap_router_with(folder.path(), &line, message.as_bytes()).json();
        let all = told["considered"].as_array().unwrap().iter();
        all.map(|one| one["why"].as_str().unwrap().to_owned())
            .collect()
    };
    let envelope = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><B xmlns='urn:x'/></s:Body></s:Envelope>";
    assert_eq!(
        whys(envelope),
        [
            "the action is `urn:this`, not `urn:other`",
            "the operation is `{urn:x}B`, not `{urn:x}A`",
            "there is no header x-tier",
            "no `never` in the document",
        ]
    );
    let refused = whys(
        "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><B></s:Body></s:Envelope>",
    );
    assert_eq!(
        refused.last().unwrap(),
        "the message was refused before this was known"
    );
}
