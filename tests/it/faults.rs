//! Faults made by the router: in the caller's version, with a reason that can be looked up, an
//! exchange id that stands in the log, and nothing of the inside.

use crate::support::messages::{Message, WSA10, order, order12, soap11, soap12};
use crate::support::router::{Builder, router_to};
use crate::support::service::html;
use crate::support::{Answer, Reply, Running, Service, refusing, router, service};

const WSA04: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";

/// How a reason is brought about: the router, the path, and the message in both versions.
struct Case {
    reason: &'static str,
    builder: Builder,
    path: &'static str,
    messages: [Message; 2],
    /// Status in SOAP 1.1 and 1.2.
    status: [u16; 2],
    sender: bool,
    /// A word that the sentence must have, so that a caller can act on it.
    word: &'static str,
}

fn both(body: &str) -> [Message; 2] {
    [soap11("", body), soap12("", body)]
}

fn cases(a: &Service, broken: &Service, hanging: &Service) -> Vec<Case> {
    let plain = || router_to(&[a]);
    let case = |reason, messages, word| Case {
        reason,
        builder: plain(),
        path: "/orders",
        messages,
        status: [500, 400],
        sender: true,
        word,
    };
    let to_b = |name: &str| format!("- {{ filter: {{ match_all: {{}} }}, endpoint: {name} }}");
    let deep = "<a>".repeat(300) + &"</a>".repeat(300);
    let tree = "- { filter: { xpath: \"//x\" }, endpoint: a }";
    // What names no SOAP version is answered in 1.1, so the 1.2 message fails in another way.
    let not_soap = [
        order().with("Content-Type", "application/json"),
        order12().with("Content-Encoding", "gzip"),
    ];
    vec![
        Case {
            builder: router(tree).to(a),
            ..case("MalformedMessage", both("<a></b>"), "byte")
        },
        Case {
            builder: router(tree).to(a),
            ..case("ForbiddenMarkup", both("<?php x?>"), "processing instruction")
        },
        Case {
            builder: router(tree).to(a),
            ..case("LimitExceeded", both(&deep), "`depth`")
        },
        Case {
            builder: plain().service("limits: { message_bytes: 1KiB }"),
            ..case("MessageTooLarge", both(&"x".repeat(2000)), "`message_bytes`")
        },
        Case {
            status: [415, 415],
            ..case("UnsupportedMediaType", not_soap, "Content-")
        },
        Case {
            path: "/nowhere",
            ..case("UnknownService", [order(), order12()], "address")
        },
        Case {
            builder: router("- { filter: { action: nothing }, endpoint: a }").to(a),
            ..case("NoMatchingFilter", [order(), order12()], "filter of the table")
        },
        Case {
            builder: router("- { filter: { match_all: {} }, endpoint: a }\n- { filter: { match_all: {} }, endpoint: b }")
                .to(a)
                .endpoint("b", &a.url(), ""),
            status: [500, 500],
            sender: false,
            ..case("SeveralFiltersMatched", [order(), order12()], "2 filters")
        },
        Case {
            builder: router("- { filter: { match_all: {} }, endpoint: broken, backups: [hanging] }")
                .to(broken)
                .at(hanging, "timeout: 100ms"),
            status: [500, 500],
            sender: false,
            ..case("EndpointsUnavailable", [order(), order12()], "endpoints")
        },
        Case {
            builder: router(&to_b("hanging")).at(hanging, "timeout: 100ms"),
            status: [500, 500],
            sender: false,
            ..case("EndpointTimeout", [order(), order12()], "in time")
        },
        Case {
            builder: router(&to_b("broken")).to(broken),
            status: [500, 500],
            sender: false,
            ..case("BadEndpointReply", [order(), order12()], "not SOAP")
        },
    ]
}

#[test]
fn each_reason_in_both_versions() {
    let a = service("a").echoes();
    let broken = service("broken").replies(|_| html("500 Internal Server Error"));
    let hanging = service("hanging").replies(|_| Reply::Hang);
    for case in cases(&a, &broken, &hanging) {
        let router = case.builder.start();
        for (version, message) in case.messages.iter().enumerate() {
            let answer = router.client().post(case.path, message);
            check(&router, &case, version, &answer);
        }
        let service = if case.path == "/orders" { "orders" } else { "" };
        let sample = format!(
            "soap_router_faults_total{{service=\"{service}\",reason=\"{}\"}}",
            case.reason
        );
        if !service.is_empty() {
            router.metric_becomes(&sample, 2.0);
        }
    }
}

#[track_caller]
fn check(router: &Running, case: &Case, version: usize, answer: &Answer) {
    let text = answer.text();
    let what = format!(
        "{} in version {version}:\n{}{text}",
        case.reason, answer.head.raw
    );
    assert_eq!(answer.status(), case.status[version], "{what}");
    assert_eq!(answer.fault().as_deref(), Some(case.reason), "{what}");
    let kinds = [
        "text/xml; charset=utf-8",
        "application/soap+xml; charset=utf-8",
    ];
    assert_eq!(
        answer.head.get("content-type"),
        Some(kinds[version]),
        "{what}"
    );
    let code = match (version, case.sender) {
        (0, true) => "<faultcode>s:Client</faultcode>",
        (0, false) => "<faultcode>s:Server</faultcode>",
        (_, true) => "<s:Code><s:Value>s:Sender</s:Value>",
        (_, false) => "<s:Code><s:Value>s:Receiver</s:Value>",
    };
    assert!(text.contains(code), "{what}");
    assert!(
        text.contains(&format!("<r:reason>{}</r:reason>", case.reason)),
        "{what}"
    );
    assert!(
        text.contains("urn:soap-router"),
        "the fault says whose it is; {what}"
    );
    let sentence = sentence(answer);
    assert!(
        sentence.contains(case.word),
        "`{}` is missing: {sentence}",
        case.word
    );
    assert!(
        sentence.ends_with('.') && !sentence.starts_with(char::is_lowercase),
        "{sentence}"
    );
    for inner in ["127.0.0.1", "html", "panicked", ".rs:"] {
        assert!(!text.contains(inner), "`{inner}` in {what}");
    }
    sxd_document::parser::parse(&text).unwrap_or_else(|error| panic!("{error:?}: {what}"));
    let line = router.exchange_with(&answer.exchange());
    assert_eq!(line["reason"], case.reason);
    assert_eq!(line["outcome"], "router_fault");
    assert_eq!(line["status"], case.status[version]);
    assert_eq!(line["error"], sentence, "{line}");
    assert_eq!(line["response_bytes"], text.len());
}

fn sentence(answer: &Answer) -> String {
    let reason = answer
        .between("<faultstring xml:lang=\"en\">", "</faultstring>")
        .or_else(|| answer.between("<s:Text xml:lang=\"en\">", "</s:Text>"));
    let reason = reason.expect("a reason");
    reason
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

#[test]
fn an_unknown_version_is_told_what_is_known() {
    let a = service("a").echoes();
    let router = router_to(&[&a]).start();
    let message = Message::fixture("hostile/unknown-version.xml");
    for (kind, prefix) in [
        ("text/xml", "schemas.xmlsoap.org"),
        ("application/soap+xml", "www.w3.org/2003"),
    ] {
        let answer = router.post(&message.clone().with("Content-Type", kind));
        let text = answer.text();
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.fault().as_deref(), Some("VersionMismatch"));
        assert!(
            text.starts_with("<s:Envelope xmlns:s=\"http://") && text.contains(prefix),
            "{text}"
        );
        assert!(text.contains("s:VersionMismatch"), "{text}");
        assert_eq!(text.matches("SupportedEnvelope").count(), 2, "{text}");
        assert!(
            text.contains(
                "<s:Header><u:Upgrade xmlns:u=\"http://www.w3.org/2003/05/soap-envelope\">"
            )
        );
        sxd_document::parser::parse(&text).unwrap();
    }
}

#[test]
fn a_fault_relates_to_the_message_where_addressing_was_used() {
    let table = "- { filter: { action: nothing }, endpoint: a }";
    let router = router(table)
        .endpoint("a", "http://127.0.0.1:1/", "")
        .start();
    for (namespace, fault_action) in [
        (WSA10, "http://www.w3.org/2005/08/addressing/soap/fault"),
        (
            WSA04,
            "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault",
        ),
    ] {
        let header = format!(
            "<a:MessageID xmlns:a=\"{namespace}\">urn:uuid:1&amp;2</a:MessageID>\
             <a:Action xmlns:a=\"{namespace}\">urn:x</a:Action>"
        );
        for message in [soap11(&header, "<x/>"), soap12(&header, "<x/>")] {
            let answer = router.post(&message);
            let text = answer.text();
            let relates =
                format!("<a:RelatesTo xmlns:a=\"{namespace}\">urn:uuid:1&amp;2</a:RelatesTo>");
            assert!(text.contains(&relates), "{text}");
            assert!(
                text.contains(&format!(">{fault_action}</a:Action>")),
                "{text}"
            );
            sxd_document::parser::parse(&text).unwrap();
            assert_eq!(
                router.exchange_with(&answer.exchange())["message_id"],
                "urn:uuid:1&2"
            );
        }
    }
    let without = router.post(&order()).text();
    assert!(
        !without.contains("Header"),
        "no addressing, no header: {without}"
    );
}

#[test]
fn what_a_message_brings_along_cannot_break_the_fault() {
    let a = service("a").echoes();
    let router = router_to(&[&a]).start();
    let nasty = "a\"><x:Fault>&\u{e9}";
    let messages = [
        order().with("Content-Type", "text/<b>&\"html"),
        soap11("", "<ok/>").with("Content-Type", nasty),
        Message::bare("<Envelope xmlns=\"urn:&lt;x>&amp;\"/>").with("Content-Type", "text/xml"),
    ];
    for message in messages {
        let answer = router.post(&message);
        assert!(answer.fault().is_some());
        sxd_document::parser::parse(&answer.text())
            .unwrap_or_else(|e| panic!("{e:?}: {}", answer.text()));
    }
}

#[test]
fn a_dead_endpoint_is_never_named_to_the_caller() {
    let (nowhere, _held) = refusing();
    let table = "- { filter: { match_all: {} }, endpoint: hidden-name }";
    let router = router(table)
        .endpoint("hidden-name", &format!("http://{nowhere}/secret-path"), "")
        .start();
    let answer = router.post(&order());
    assert_eq!(answer.fault().as_deref(), Some("EndpointsUnavailable"));
    for inner in [
        nowhere.port().to_string().as_str(),
        "hidden-name",
        "secret-path",
        "refused",
    ] {
        assert!(!answer.text().contains(inner), "{inner}: {}", answer.text());
        assert!(
            !answer.head.raw.contains(inner),
            "{inner}: {}",
            answer.head.raw
        );
    }
    let line = router.exchange_with(&answer.exchange());
    let why = line["attempts"][0]["why"].as_str().unwrap();
    assert!(why.contains("refused"), "operators are told: {line}");
}
