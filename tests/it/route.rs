//! Golden cases of routing: each file under `tests/golden/route/` through the verb `test` and
//! through `serve`, which must both do what is written there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::messages::{SOAP11, SOAP12};
use crate::support::{Message, Service, root, router, service, soap_router};

/// A golden file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    service: BTreeMap<String, serde_yaml::Value>,
    table: Table,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Table {
    table: Vec<Entry>,
    #[serde(flatten)]
    rest: serde_yaml::Mapping,
}

#[derive(Debug, Deserialize)]
struct Entry {
    endpoint: String,
    #[serde(default)]
    backups: Vec<String>,
    #[serde(flatten)]
    rest: serde_yaml::Mapping,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    soap: Soap,
    #[serde(default)]
    header: String,
    body: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    url: Option<String>,
    expect: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
enum Soap {
    #[default]
    #[serde(rename = "1.1")]
    V11,
    #[serde(rename = "1.2")]
    V12,
}

const URL: &str = "http://orders.example.com/orders";
const BODY: &str = "<o:Place xmlns:o=\"urn:example:orders\"/>";

#[test]
fn every_golden_case_goes_where_it_should() {
    let folder = root().join("tests/golden/route");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() > 10, "the golden cases are gone: {files:?}");
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        wrong.extend(run(&path).into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with this file's cases.
fn run(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let file: File =
        serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let services: BTreeMap<String, Service> = endpoints(&file)
        .into_iter()
        .map(|name| (name.clone(), service(&name).echoes()))
        .collect();
    let mut builder = router(&table_text(&file));
    for own in services.values() {
        builder = builder.to(own);
    }
    // The service's own keys stand above those that the harness gives it.
    let mut keys = json!({ "path": "/orders", "table": "orders" });
    for (key, value) in &file.service {
        keys[key] = serde_json::to_value(value).unwrap();
    }
    let running = builder
        .with(&format!("services: {{ orders: {keys} }}"))
        .start();

    let mut wrong = verb(&file, running.folder.path());
    for (number, case) in file.cases.iter().enumerate() {
        let before: BTreeMap<&str, usize> = services
            .iter()
            .map(|(name, own)| (name.as_str(), own.count()))
            .collect();
        let mut client = running.client();
        client.host = case.authority().to_owned();
        let answer = client.post(case.path(), &case.message());
        let line = running.exchanges(number + 1).remove(number);
        let got: BTreeSet<&str> = services
            .iter()
            .filter(|(name, own)| own.count() > before[name.as_str()])
            .map(|(name, _)| name.as_str())
            .collect();
        if got != case.endpoints() {
            wrong.push(format!(
                "{}: sent to {got:?}, not {:?}",
                case.name,
                case.endpoints()
            ));
        }
        if answer.fault().as_deref() != case.text("fault") {
            wrong.push(format!("{}: fault {:?}", case.name, answer.fault()));
        }
        for (key, logged) in [
            ("filter", "entry"),
            ("action", "action"),
            ("operation", "operation"),
        ] {
            if case
                .text(key)
                .is_some_and(|expected| line[logged] != expected)
            {
                wrong.push(format!("{}: logged {logged} {}", case.name, line[logged]));
            }
        }
    }
    wrong
}

/// The verb `test` on the same cases.
fn verb(file: &File, folder: &Path) -> Vec<String> {
    let cases: Vec<Value> = file.cases.iter().map(Case::for_verb).collect();
    let text = json!({ "config": "config/router.yaml", "cases": cases }).to_string();
    fs::write(folder.join("cases.yaml"), text).unwrap();
    let ran = soap_router(folder, &["test", "cases.yaml", "--format", "json"]);
    let report = ran.json();
    let mut wrong = Vec::new();
    for case in report["cases"].as_array().unwrap() {
        for difference in case["differences"].as_array().unwrap() {
            wrong.push(format!("verb `test`: {}: {difference}", case["case"]));
        }
    }
    assert_eq!(ran.code, i32::from(!wrong.is_empty()));
    assert_eq!(report["cases"].as_array().unwrap().len(), file.cases.len());
    wrong
}

fn endpoints(file: &File) -> BTreeSet<String> {
    let all = |entry: &Entry| {
        entry
            .backups
            .iter()
            .chain([&entry.endpoint])
            .cloned()
            .collect::<Vec<_>>()
    };
    file.table.table.iter().flat_map(all).collect()
}

fn table_text(file: &File) -> String {
    let mut table = file.table.rest.clone();
    let entry = |entry: &Entry| {
        let mut whole = entry.rest.clone();
        whole.insert("endpoint".into(), entry.endpoint.as_str().into());
        if !entry.backups.is_empty() {
            whole.insert(
                "backups".into(),
                serde_yaml::to_value(&entry.backups).unwrap(),
            );
        }
        serde_yaml::Value::Mapping(whole)
    };
    table.insert(
        "table".into(),
        file.table
            .table
            .iter()
            .map(entry)
            .collect::<Vec<_>>()
            .into(),
    );
    serde_yaml::to_string(&table).unwrap()
}

impl Case {
    fn message(&self) -> Message {
        let (namespace, kind) = match self.soap {
            Soap::V11 => (SOAP11, "text/xml; charset=utf-8"),
            Soap::V12 => (SOAP12, "application/soap+xml; charset=utf-8"),
        };
        let (header, body) = (&self.header, self.body.as_deref().unwrap_or(BODY));
        let envelope = format!(
            "<e:Envelope xmlns:e=\"{namespace}\"><e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
        );
        let mut message = Message::bare(envelope);
        for line in &self.headers {
            let (name, value) = line.split_once(':').expect("a header");
            message
                .fields
                .push((name.to_owned(), value.trim().to_owned()));
        }
        if !message
            .fields
            .iter()
            .any(|(name, _)| name == "Content-Type")
        {
            message = message.with("Content-Type", kind);
        }
        message
    }

    fn for_verb(&self) -> Value {
        let message = self.message();
        let headers: Vec<String> = message
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        json!({
            "name": self.name,
            "url": self.url.as_deref().unwrap_or(URL),
            "headers": headers,
            "message": String::from_utf8(message.body).unwrap(),
            "expect": self.expect,
        })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.expect.get(key)?.as_str()
    }

    fn endpoints(&self) -> BTreeSet<&str> {
        match self.expect.get("endpoint") {
            None => BTreeSet::new(),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(name) => name.as_str().into_iter().collect(),
        }
    }

    fn authority(&self) -> &str {
        let rest = self
            .url
            .as_deref()
            .unwrap_or(URL)
            .trim_start_matches("http://");
        rest.split_once('/').unwrap().0
    }

    fn path(&self) -> &str {
        let rest = self
            .url
            .as_deref()
            .unwrap_or(URL)
            .trim_start_matches("http://");
        &rest[rest.find('/').unwrap()..]
    }
}
