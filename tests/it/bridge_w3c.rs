//! The SOAP 1.2 test collection: the rows that a router can be held to, through real sockets.

use std::fs;
use std::path::{Path, PathBuf};

use soap_router::xml::{Event, Limits, Reader};

use crate::support::messages::SOAP12;
use crate::support::service::{Received, reply};
use crate::support::{Message, root, router, service};

/// What node A sends, and what the node behind it is expected to forward or to answer.
struct Row {
    name: String,
    request: Vec<u8>,
    expected: String,
    /// The role of that node.
    role: &'static str,
}

fn rows() -> Vec<Row> {
    let folder = root().join("fixtures/w3c-soap12");
    let entries = fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().filter_map(|path| row(path)).collect()
}

fn row(path: &Path) -> Option<Row> {
    let name = path.file_name()?.to_str()?.strip_suffix("-1-from-A.xml")?;
    let nodes = [
        ("B", "http://example.org/ts-tests/B"),
        ("C", "http://example.org/ts-tests/C"),
    ];
    nodes.into_iter().find_map(|(node, role)| {
        let expected = path.with_file_name(format!("{name}-2-from-{node}.xml"));
        Some(Row {
            name: name.to_owned(),
            request: fs::read(path).unwrap(),
            expected: fs::read_to_string(expected).ok()?,
            role,
        })
    })
}

fn events(text: &str) -> Vec<Event> {
    let mut reader = Reader::new(text, &Limits::default());
    let mut all = Vec::new();
    while let Some(event) = reader
        .next_event()
        .unwrap_or_else(|e| panic!("{e}\n{text}"))
    {
        all.push(event);
    }
    all
}

/// The message without prefixes, white space around texts, and a Header that is empty.
fn infoset(text: &str) -> String {
    let shown = |event: Event| match event {
        Event::Start { name, attributes } => {
            let mut all: Vec<String> = attributes
                .iter()
                .map(|(name, value)| format!(" {{{}}}{}={value}", name.2, name.1))
                .collect();
            all.sort();
            format!("<{{{}}}{}{}>", name.2, name.1, all.concat())
        }
        Event::Text(text) => text.trim().to_owned(),
        Event::Comment(_) => String::new(),
        Event::End => "</>".to_owned(),
    };
    let all: String = events(text).into_iter().map(shown).collect();
    all.replace(&format!("<{{{SOAP12}}}Header></>"), "")
}

/// The code of a fault, and the local names that it says were not understood; of anything else nothing.
fn fault(text: &str) -> Option<(String, Vec<String>)> {
    let local = |name: &str| {
        name.rsplit(':')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let (mut code, mut names, mut in_value, mut is_fault) = (None, Vec::new(), false, false);
    for event in events(text) {
        match event {
            Event::Start { name, attributes } => {
                is_fault |= name.1 == "Fault" && name.2 == SOAP12;
                in_value = name.1 == "Value";
                if name.1 == "NotUnderstood" {
                    names.extend(attributes.iter().map(|(_, value)| local(value)));
                }
            }
            Event::Text(text) if in_value && code.is_none() => code = Some(local(&text)),
            _ => {}
        }
    }
    code.filter(|_| is_fault).map(|code| (code, names))
}

#[test]
fn a_node_forwards_and_refuses_as_the_collection_says() {
    let rows = rows();
    assert!(rows.len() >= 15, "the rows are gone");
    let done = format!("<e:Envelope xmlns:e=\"{SOAP12}\"><e:Body/></e:Envelope>");
    for row in rows {
        let done = done.clone();
        let a = service("a").replies(move |_: &Received| {
            reply("200 OK", "Content-Type: application/soap+xml\r\n", &done)
        });
        let keys = format!("soap: \"1.2\", bridge: {{ roles: [\"{}\"] }}", row.role);
        let router = router("- { filter: { match_all: {} }, endpoint: a }")
            .at(&a, &keys)
            .start();
        let message = Message::bare(row.request).with("Content-Type", "application/soap+xml");
        let answer = router.post(&message);
        match fault(&row.expected) {
            Some(expected) => {
                let got = fault(&answer.text());
                assert_eq!(got, Some(expected), "{}: {}", row.name, answer.text());
                assert_eq!(a.count(), 0, "{}", row.name);
            }
            None => {
                assert_eq!(answer.status(), 200, "{}: {}", row.name, answer.text());
                let sent = String::from_utf8(a.only().body).unwrap();
                assert_eq!(infoset(&sent), infoset(&row.expected), "{}", row.name);
            }
        }
    }
}
