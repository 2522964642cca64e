//! Every expression of `fixtures/xpath/expressions.tsv` that reads only the message must stream.

use std::collections::BTreeMap;

use soap_router::xpath::{
    Atom, AtomId, Environment, Namespaces, ParseLimits, Set, Strategy, Type, parse,
};

use crate::support::{SOAP11, SOAP12, landmarks};

const CORPUS: &str = include_str!("../../fixtures/xpath/expressions.tsv");
const SM: &str = "urn:sm";

/// All prefixes of the corpus, and two functions of the kind a caller defines.
fn environment() -> Environment {
    let mut namespaces = Namespaces::new();
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    for line in CORPUS.lines() {
        for (at, _) in line.match_indices(':') {
            let start = line[..at]
                .rfind(|c| !is_part(c))
                .map_or(0, |before| before + 1);
            let prefix = &line[start..at];
            if soap_router::xml::is_nc_name(prefix) {
                namespaces.bind(prefix, &format!("urn:{prefix}"));
            }
        }
    }
    namespaces
        .bind_any("soap", &[SOAP11, SOAP12])
        .bind("s12", SOAP12)
        .bind("sm", SM);
    let mut environment = Environment::new(namespaces.clone());
    environment
        .define(SM, "header", &[], "/soap:Envelope/soap:Header", &namespaces)
        .unwrap();
    environment
        .define(SM, "body", &[], "/soap:Envelope/soap:Body", &namespaces)
        .unwrap();
    environment
}

#[test]
fn what_reads_only_the_message_streams() {
    let environment = environment();
    let mut by_origin: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
    let mut trees = Vec::new();
    for line in CORPUS.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (engine, text, tier) = (columns[0], columns[2], columns[5]);
        let counts = by_origin.entry(engine).or_default();
        let expr = match parse(text, &environment, &ParseLimits::default()) {
            Ok(expr) => expr,
            Err(error) => {
                assert_eq!(tier, "context", "{text}: {error}");
                counts[2] += 1;
                continue;
            }
        };
        let set = Set::compile(vec![Atom { expr, level: 0 }], &landmarks());
        match set.strategy(AtomId(0)) {
            Some(Strategy::Streaming { .. }) => counts[0] += 1,
            other => {
                counts[1] += 1;
                trees.push(format!("{text}: {other:?}"));
            }
        }
    }
    println!("{:<20} streamed tree refused", "origin");
    for (origin, [streamed, tree, refused]) in &by_origin {
        println!("{origin:<20} {streamed:>8} {tree:>4} {refused:>7}");
    }
    assert!(trees.is_empty(), "{trees:#?}");
}

#[test]
fn functions_of_the_caller() {
    let mut environment = environment();
    environment.external_string("http-action");
    let namespaces = environment.namespaces.clone();
    let body = "first-non-empty(string(/soap:Envelope/soap:Header/o:Action), $http-action)";
    environment.namespaces.bind("o", "urn:o");
    let mut inside = namespaces;
    inside.bind("o", "urn:o");
    environment
        .define(SM, "action", &[], body, &inside)
        .unwrap();
    environment
        .define(
            SM,
            "mine",
            &[Type::String],
            "/soap:Envelope/soap:Header/*[@role = $1]",
            &inside,
        )
        .unwrap();
    environment
        .define(SM, "role", &[Type::NodeSet], "string($1/@role)", &inside)
        .unwrap();
    environment.define_native(SM, "twice", 1, |texts| {
        texts
            .first()
            .and_then(|t| t.parse::<f64>().ok())
            .map_or(f64::NAN, |n| n * 2.0)
    });
    let with_action = format!(
        "<s:Envelope xmlns:s='{SOAP11}' xmlns:o='urn:o'><s:Header><o:Action role='r'>wsa</o:Action></s:Header><s:Body/></s:Envelope>"
    );
    let without = format!("<s:Envelope xmlns:s='{SOAP11}'><s:Body/></s:Envelope>");
    for (text, message, expected) in [
        ("sm:action() = 'wsa'", &with_action, true),
        ("sm:action() = 'http'", &with_action, false),
        ("sm:action() = 'http'", &without, true),
        ("sm:mine('r')", &with_action, true),
        ("sm:mine('q')", &with_action, false),
        ("sm:role(sm:mine('r')) = 'r'", &with_action, true),
        ("sm:twice('4') = 8", &without, true),
        ("sm:header()/o:Action", &with_action, true),
    ] {
        let expr = parse(text, &environment, &ParseLimits::default())
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        let set = Set::compile(vec![Atom { expr, level: 0 }], &landmarks());
        let mut run = soap_router::xpath::Run::new();
        let externals = [soap_router::xpath::External::Text("http")];
        run.begin(&set, &externals, &soap_router::xml::Limits::default(), None)
            .unwrap();
        let mut rest = message.as_bytes();
        while let soap_router::xpath::Progress::Paused(taken) =
            run.feed(&set, rest, &mut soap_router::xml::Nobody).unwrap()
        {
            rest = &rest[taken..];
        }
        run.finish(&set, &mut soap_router::xml::Nobody).unwrap();
        if run.needs_tree() {
            run.evaluate_trees(&set, message.as_bytes()).unwrap();
        }
        assert_eq!(
            run.state(AtomId(0)),
            Some(expected),
            "{text} {:?}",
            set.strategy(AtomId(0))
        );
    }
}
