//! Backup lists: what makes the next endpoint be asked, what does not, and what is told of it.

use serde_json::Value;

use crate::support::messages::{Message, long_order, order, order12};
use crate::support::router::{Builder, router_to};
use crate::support::service::{fault, html, reply};
use crate::support::{Reply, Running, Service, refusing, router, service, unanswering};

const WITH_BACKUP: &str = "- { filter: { match_all: {} }, endpoint: primary, backups: [backup] }";

/// What an endpoint does with a message.
type Behaves = fn() -> Reply;

/// A primary that behaves so, with these keys, and a backup that works.
fn primary(
    keys: &str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> (Running, Service, Service) {
    let primary = service("primary").replies(move |_| reply());
    let backup = service("backup").echoes();
    let running = router(WITH_BACKUP).at(&primary, keys).to(&backup).start();
    (running, primary, backup)
}

fn primary_at(url: &str, keys: &str) -> (Running, Service) {
    let backup = service("backup").echoes();
    let running = router(WITH_BACKUP)
        .endpoint("primary", url, keys)
        .to(&backup)
        .start();
    (running, backup)
}

/// `endpoint:outcome` of each attempt in the log.
fn attempts(line: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let attempts = line["attempts"].as_array().cloned().unwrap_or_default();
    attempts
        .iter()
        .map(|a| format!("{}:{}", word(&a["endpoint"]), word(&a["outcome"])))
        .collect()
}

/// The backup answers, with the same bytes, and the log says why.
#[track_caller]
fn fails_over(running: &Running, backup: &Service, why: &str) {
    let answer = running.post(&order());
    assert_eq!(answer.outcome(), "backup", "{why}");
    assert_eq!(backup.only().body, order().body, "{why}");
    let line = running.exchange();
    assert_eq!(
        attempts(&line),
        [format!("primary:{why}"), "backup:ok".into()],
        "{line}"
    );
    assert_eq!(line["endpoint"], "backup", "{line}");
    assert!(
        line["attempts"][0]["why"]
            .as_str()
            .is_some_and(|why| !why.is_empty()),
        "{line}"
    );
    let sample =
        format!("soap_router_endpoint_attempts_total{{endpoint=\"primary\",outcome=\"{why}\"}}");
    assert!(
        (running.metrics().get(&sample) - 1.0).abs() < 1e-9,
        "{sample}"
    );
}

#[test]
fn an_endpoint_that_refuses_connections() {
    let (nowhere, _held) = refusing();
    let (running, backup) = primary_at(&format!("http://{nowhere}/"), "");
    fails_over(&running, &backup, "connect");
}

#[test]
fn an_endpoint_that_takes_no_connection_costs_its_connect_timeout_and_no_more() {
    let (nowhere, _held) = unanswering();
    // With the default timeouts of a minute this test would run into its own deadline.
    let (running, backup) = primary_at(&format!("http://{nowhere}/"), "connect_timeout: 150ms");
    fails_over(&running, &backup, "connect");
    let why = running.exchange()["attempts"][0]["why"].to_string();
    assert!(why.contains("no connection within 150ms"), "{why}");
}

#[test]
fn a_name_that_has_no_address() {
    let (running, backup) = primary_at("http://nowhere.invalid:9/", "");
    fails_over(&running, &backup, "dns");
}

#[test]
fn connections_that_break_and_answers_that_are_none() {
    let cases: [(&str, Behaves, &str); 11] = [
        ("closed before an answer", || Reply::Close, "reset"),
        (
            "broken inside the head",
            || Reply::Last(b"HTTP/1.1 200 OK\r\nConte".to_vec()),
            "reset",
        ),
        (
            "broken between head and body",
            || {
                let head =
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 9\r\n\r\n";
                Reply::Last(head.to_vec())
            },
            "reset",
        ),
        (
            "no HTTP",
            || Reply::Last(b"220 mail.example.com ESMTP\r\n\r\n".to_vec()),
            "reset",
        ),
        ("404", || html("404 Not Found"), "status-404"),
        ("502", || html("502 Bad Gateway"), "status-502"),
        ("503", || html("503 Service Unavailable"), "status-503"),
        ("504", || html("504 Gateway Timeout"), "status-504"),
        ("a page with 200", || html("200 OK"), "not-soap"),
        (
            "a page with 500",
            || html("500 Internal Server Error"),
            "not-soap",
        ),
        (
            "XML with 503 that is no fault",
            || {
                reply(
                    "503 Service Unavailable",
                    "Content-Type: text/xml\r\n",
                    "<busy/>",
                )
            },
            "status-503",
        ),
    ];
    for (what, reply, why) in cases {
        let (running, primary, backup) = primary("", reply);
        fails_over(&running, &backup, why);
        assert_eq!(primary.count(), 1, "{what}");
    }
}

#[test]
fn an_endpoint_that_hangs_costs_its_timeout() {
    for keys in ["timeout: 200ms", "response_timeout: 200ms"] {
        let (running, _primary, backup) = primary(keys, || Reply::Hang);
        fails_over(&running, &backup, "timeout");
    }
}

#[test]
fn answers_that_never_fail_over() {
    let cases: [(&str, Behaves, u16, &str); 6] = [
        (
            "a fault",
            || fault("500 Internal Server Error", "Server"),
            500,
            "faultcode",
        ),
        (
            "a fault with 503",
            || fault("503 Service Unavailable", "Server"),
            503,
            "faultcode",
        ),
        (
            "a fault with 404",
            || fault("404 Not Found", "Client"),
            404,
            "faultcode",
        ),
        (
            "a fault with 200",
            || fault("200 OK", "Server"),
            200,
            "faultcode",
        ),
        ("an empty 202", || reply("202 Accepted", "", ""), 202, ""),
        (
            "a demand for credentials",
            || {
                reply(
                    "401 Unauthorized",
                    "WWW-Authenticate: Basic realm=\"x\"\r\n",
                    "no",
                )
            },
            401,
            "no",
        ),
    ];
    for (what, reply, status, text) in cases {
        let (running, _primary, backup) = primary("", reply);
        let answer = running.post(&order());
        assert_eq!(answer.status(), status, "{what}");
        assert!(answer.text().contains(text), "{what}: {}", answer.text());
        assert_eq!(answer.fault(), None, "{what}");
        assert_eq!(backup.count(), 0, "{what}");
    }
}

#[test]
fn a_receiver_fault_fails_over_where_it_is_listed() {
    let keys = "failover: { on: [connect, { fault: receiver }] }";
    let (running, _primary, backup) =
        primary(keys, || fault("500 Internal Server Error", "Server.Busy"));
    fails_over(&running, &backup, "receiver-fault");
    // The caller's own mistake would be one elsewhere too.
    let (running, _primary, backup) =
        primary(keys, || fault("500 Internal Server Error", "Client"));
    let answer = running.post(&order());
    assert!(answer.text().contains("e:Client"), "{}", answer.text());
    assert_eq!(backup.count(), 0);
}

#[test]
fn only_what_is_listed_fails_over() {
    let cases: [(&str, Behaves, Option<&str>); 6] = [
        ("[connect]", || html("503 Service Unavailable"), None),
        (
            "[503]",
            || html("503 Service Unavailable"),
            Some("status-503"),
        ),
        ("[503]", || html("404 Not Found"), None),
        ("[connect]", || Reply::Close, None),
        ("[reset]", || Reply::Close, Some("reset")),
        (
            "[429]",
            || html("429 Too Many Requests"),
            Some("status-429"),
        ),
    ];
    for (on, reply, why) in cases {
        let (running, _primary, backup) = primary(&format!("failover: {{ on: {on} }}"), reply);
        match why {
            Some(why) => fails_over(&running, &backup, why),
            None => {
                assert!(running.post(&order()).fault().is_some(), "{on}");
                assert_eq!(backup.count(), 0, "{on}");
            }
        }
    }
}

#[test]
fn the_resend_policy_holds_back_what_may_have_been_delivered() {
    // What the primary does, the policy, and whether the backup is asked.
    let cases = [
        ("if_not_delivered", "hang", false),
        ("if_not_delivered", "close", false),
        ("if_not_delivered", "503", false),
        ("if_not_delivered", "refuse", true),
        ("always", "hang", true),
        ("always", "close", true),
        ("never", "refuse", false),
        ("never", "503", false),
    ];
    for (policy, what, asked) in cases {
        let (nowhere, _held) = refusing();
        let primary = service("primary").replies(move |_| match what {
            "hang" => Reply::Hang,
            "close" => Reply::Close,
            _ => html("503 Service Unavailable"),
        });
        let url = if what == "refuse" {
            format!("http://{nowhere}/")
        } else {
            primary.url()
        };
        let (running, backup) = primary_at(&url, &format!("resend: {policy}, timeout: 200ms"));
        let answer = running.post(&order());
        let expected = if asked { None } else { answer.fault() };
        assert_eq!(answer.fault(), expected, "{policy} {what}");
        assert_eq!(backup.count(), usize::from(asked), "{policy} {what}");
    }
}

#[test]
fn backups_are_asked_in_their_order_and_every_attempt_is_logged() {
    let (nowhere, _held) = refusing();
    let table = "- { filter: { match_all: {} }, endpoint: one, backups: elsewhere }";
    let two = service("two").replies(|_| html("502 Bad Gateway"));
    let (three, four) = (service("three").echoes(), service("four").echoes());
    let running = router(table)
        .with("backup_lists: { elsewhere: [two, three, four] }")
        .endpoint("one", &format!("http://{nowhere}/"), "")
        .to(&two)
        .to(&three)
        .to(&four)
        .start();
    assert_eq!(running.post(&order()).by(), "three");
    let line = running.exchange();
    assert_eq!(
        attempts(&line),
        ["one:connect", "two:status-502", "three:ok"],
        "{line}"
    );
    assert_eq!(line["attempts"][1]["status"], 502);
    assert_eq!(four.count(), 0);
}

#[test]
fn when_all_have_failed_there_is_one_fault() {
    let (nowhere, _held) = refusing();
    let last = service("backup").replies(|_| {
        reply(
            "503 Service Unavailable",
            "Retry-After: 7\r\nContent-Type: text/html\r\n",
            "<html/>",
        )
    });
    let running = router(WITH_BACKUP)
        .endpoint("primary", &format!("http://{nowhere}/"), "")
        .to(&last)
        .start();
    for message in [order(), order12()] {
        let answer = running.post(&message);
        assert_eq!(answer.fault().as_deref(), Some("EndpointsUnavailable"));
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.head.get("retry-after"), Some("7"));
        assert_eq!(answer.text().matches("<r:reason>").count(), 1);
        let line = running.exchange_with(&answer.exchange());
        assert_eq!(
            attempts(&line),
            ["primary:connect", "backup:status-503"],
            "{line}"
        );
    }
}

#[test]
fn the_caller_that_goes_away_is_no_failure_of_the_endpoint() {
    let (running, _primary, backup) = primary("", || Reply::Hang);
    let mut client = running.client();
    let head = client.head("/orders", &order(), "Content-Length: 100000");
    client.wire().write(head + "<e:Envelope").unwrap();
    drop(client);
    let line = running.exchange();
    assert_eq!(attempts(&line), [] as [String; 0], "{line}");
    assert_eq!(backup.count(), 0);
}

/// A primary that reads the message and then breaks, behind a service with these keys.
fn overflow(keys: &[&str], message: &Message) -> (Running, Service, crate::support::Answer) {
    let primary = service("primary").replies(|_| Reply::Close);
    let backup = service("backup").echoes();
    let builder: Builder = router_to(&[&primary, &backup]);
    let running = keys
        .iter()
        .fold(builder, |builder, key| builder.service(key))
        .start();
    let answer = running.client().post_chunked("/orders", message, 8192);
    (running, backup, answer)
}

#[test]
fn a_message_beyond_the_replay_buffer_is_committed_to_where_it_is() {
    let message = long_order(400_000);
    let (running, backup, answer) = overflow(&["replay_buffer: 16KiB"], &message);
    assert_eq!(answer.fault().as_deref(), Some("EndpointsUnavailable"));
    assert_eq!(backup.count(), 0);
    assert_eq!(running.exchange()["committed"], true);
    // The same message is sent again where it fits, or where it goes through a file.
    for keys in [
        &["replay_buffer: 1MiB"][..],
        &["replay_buffer: 16KiB", "on_overflow: spool"],
    ] {
        let (running, backup, answer) = overflow(keys, &message);
        assert_eq!(answer.outcome(), "backup", "{keys:?}");
        assert!(
            backup.only().body == message.body,
            "{keys:?}: the backup got other bytes"
        );
        assert!(running.exchange().get("committed").is_none());
    }
}

#[test]
fn a_message_beyond_the_replay_buffer_is_refused_where_that_is_wanted() {
    let (running, backup, answer) = overflow(
        &["replay_buffer: 16KiB", "on_overflow: refuse"],
        &long_order(400_000),
    );
    assert_eq!(answer.fault().as_deref(), Some("LimitExceeded"));
    assert!(answer.text().contains("replay_buffer"), "{}", answer.text());
    assert_eq!(backup.count(), 0);
    assert_eq!(running.post(&order()).outcome(), "backup");
}
