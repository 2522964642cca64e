//! What is held of a message for another attempt, what happens when that is too much, and that
//! nothing of it stays: no memory, no file, on whatever way out.

use std::fs;
use std::thread;

use super::streaming::{DONE, nothing_is_left};
use crate::support::messages::{long_order, order};
use crate::support::wire::chunked;
use crate::support::{Builder, Gate, Reply, Running, Service, router, service, until};

const WITH_BACKUP: &str = "- { filter: { match_all: {} }, endpoint: primary, backups: [backup] }";
const SPOOL: [&str; 2] = ["replay_buffer: 16KiB", "on_overflow: spool"];

fn with(keys: &[&str], primary: &Service, backup: &Service) -> Running {
    let builder: Builder = router(WITH_BACKUP).to(primary).to(backup);
    keys.iter()
        .fold(builder, |builder, key| builder.service(key))
        .start()
}

/// Temporary files that the router has open; they have no name, so only it can see them.
#[track_caller]
fn open_files(router: &Running) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", router.pid())).unwrap();
    open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().contains("(deleted)"))
        .count()
}

fn has_a_file(router: &Running) {
    until("a temporary file", || {
        (open_files(router) == 1).then_some(())
    });
    router.metric_becomes("soap_router_spool_files", 1.0);
}

#[test]
fn what_outgrows_the_buffer_is_logged_and_counted() {
    let long = long_order(300_000);
    for (keys, action, status) in [
        (&["replay_buffer: 16KiB"][..], "commit", 200),
        (&SPOOL[..], "spool", 200),
        (
            &["replay_buffer: 16KiB", "on_overflow: refuse"][..],
            "refuse",
            500,
        ),
    ] {
        let (primary, backup) = (service("primary").echoes(), service("backup").echoes());
        let router = with(keys, &primary, &backup);
        assert_eq!(router.post(&order()).by(), "primary");
        let answer = router.client().post_chunked("/orders", &long, 9000);
        assert_eq!(answer.status(), status, "{action}");
        let lines = router.exchanges(2);
        assert_eq!(lines[0].get("overflow"), None);
        assert_eq!(lines[1]["overflow"], action, "{}", lines[1]);
        let sample = |action: &str| {
            format!("soap_router_replay_overflows_total{{service=\"orders\",action=\"{action}\"}}")
        };
        router.metric_becomes(&sample(action), 1.0);
        let spooled = router
            .metrics()
            .get("soap_router_spooled_bytes_total{service=\"orders\"}");
        let expected = match action {
            "spool" => long.body.len() as f64 - 16.0 * 1024.0,
            _ => 0.0,
        };
        // The first chunks stay in memory, as far as whole ones fit.
        assert!(
            spooled >= expected && spooled <= expected * 1.1,
            "{action}: {spooled}"
        );
        nothing_is_left(&router);
    }
}

#[test]
fn a_message_that_fits_is_sent_again_to_the_byte_whatever_was_taken_before() {
    // Each primary breaks at another place, also in the part that lies in the file.
    let message = long_order(400_000);
    for keys in [&["replay_buffer: 1MiB"][..], &SPOOL[..]] {
        for taken in [0, 1000, 20_000, 300_000] {
            let primary = service("primary").speaks(move |wire, _| {
                wire.head().unwrap().unwrap();
                let mut left = taken;
                while left > 0 {
                    let some = wire.some().unwrap();
                    left -= some.len().min(left);
                }
            });
            let backup = service("backup").echoes();
            let router = with(keys, &primary, &backup);
            let answer = router.client().post_chunked("/orders", &message, 10_000);
            assert_eq!(answer.outcome(), "backup", "{keys:?} after {taken}");
            assert!(backup.only().body == message.body, "{keys:?} after {taken}");
            nothing_is_left(&router);
        }
    }
}

/// A spooling router whose primary has taken the beginning, and a caller half way.
fn half_spooled(primary: &Service) -> (Running, Service, crate::support::Client) {
    let backup = service("backup").echoes();
    let router = with(&SPOOL, primary, &backup);
    let message = long_order(300_000);
    let mut client = router.client();
    let head = client.head_with_length("/orders", &message);
    let half = &message.body[..200_000];
    client
        .wire()
        .write([head.as_bytes(), half].concat())
        .unwrap();
    has_a_file(&router);
    (router, backup, client)
}

/// Takes the beginning, and waits.
fn taking(over: &Gate) -> Service {
    let held = over.clone();
    service("primary").speaks(move |wire, number| {
        if number > 0 {
            return;
        }
        wire.head().unwrap().unwrap();
        let mut taken = 0;
        while taken < 150_000 {
            taken += wire.some().unwrap().len();
        }
        held.pass();
    })
}

#[test]
fn no_file_stays_when_the_caller_goes_away() {
    let over = Gate::default();
    let primary = taking(&over);
    let (router, _backup, client) = half_spooled(&primary);
    drop(client);
    nothing_is_left(&router);
    assert_eq!(open_files(&router), 0);
    over.open();
}

#[test]
fn no_file_stays_when_the_endpoints_go_away() {
    let over = Gate::default();
    over.open();
    let primary = taking(&over);
    let (router, backup, mut client) = half_spooled(&primary);
    backup.kill();
    let rest = vec![b'x'; 300_000];
    // The fault may come before all of it was taken.
    let _ = client.wire().write(&rest);
    assert_eq!(
        client.answer("POST").unwrap().fault().as_deref(),
        Some("EndpointsUnavailable")
    );
    nothing_is_left(&router);
    assert_eq!(open_files(&router), 0);
}

#[test]
fn no_file_stays_when_the_router_is_killed_or_stopped() {
    for signal in ["TERM", "KILL"] {
        let over = Gate::default();
        let primary = taking(&over);
        let backup = service("backup").echoes();
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().to_str().unwrap();
        let mut router = SPOOL
            .iter()
            .fold(
                router(WITH_BACKUP).to(&primary).to(&backup),
                |builder, key| builder.service(key),
            )
            .with("drain: 100ms")
            .environment("TMPDIR", spool)
            .start();
        let message = long_order(300_000);
        let mut client = router.client();
        let head = client.head("/orders", &message, "Content-Length: 400000");
        client
            .wire()
            .write([head.as_bytes(), &message.body[..200_000]].concat())
            .unwrap();
        has_a_file(&router);
        // Not even while it is used has it a name that somebody would have to remove.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{signal}");
        router.signal(signal);
        router.ends();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{signal}");
        over.open();
    }
}

const TO_BOTH: &str = "
- { filter: { match_all: {} }, endpoint: a }
- { filter: { match_all: {} }, endpoint: b }";

/// An endpoint that takes a message at once and says it has it.
fn quick(name: &str, has_it: &Gate, expected: &[u8]) -> Service {
    let (has_it, expected) = (has_it.clone(), expected.to_vec());
    service(name).speaks(move |wire, _| {
        let head = wire.head().unwrap().unwrap();
        let body = wire.body(head.framing(None)).unwrap();
        assert!(body == expected, "other bytes arrived");
        wire.write(DONE).unwrap();
        has_it.open();
    })
}

#[test]
fn a_slow_copy_holds_the_others_up_no_longer_than_its_time() {
    // Far more than sockets take, so that the slow one really stands still.
    let message = long_order(16 << 20);
    let (has_it, over) = (Gate::default(), Gate::default());
    let b = quick("b", &has_it, &message.body);
    let held = over.clone();
    let a = service("a").speaks(move |wire, _| {
        wire.head().unwrap().unwrap();
        wire.begins().unwrap();
        held.pass();
    });
    let router = router(TO_BOTH)
        .service("pattern: one-way")
        .service("limits: { body_idle_timeout: 300ms }")
        .to(&a)
        .at(&b, "timeout: 30s")
        .start();
    let answer = router.client().post_chunked("/orders", &message, 50_000);
    assert_eq!(answer.status(), 202);
    has_it.pass();
    over.open();
    let line = router.exchange();
    assert_eq!(line["outcome"], "accepted", "{line}");
    // The slow copy took little: the window bounds what was held for it.
    assert!(
        router.peak_memory() < 64 << 10,
        "{} KiB",
        router.peak_memory()
    );
    nothing_is_left(&router);
}

#[test]
fn with_a_spool_a_slow_copy_holds_nobody_up() {
    let message = long_order(16 << 20);
    let (has_it, go_on, whole) = (Gate::default(), Gate::default(), Gate::default());
    let b = quick("b", &has_it, &message.body);
    let (held, done, expected) = (go_on.clone(), whole.clone(), message.body.clone());
    let a = service("a").speaks(move |wire, _| {
        let head = wire.head().unwrap().unwrap();
        wire.begins().unwrap();
        held.pass();
        let body = wire.body(head.framing(None)).unwrap();
        assert!(body == expected, "other bytes arrived");
        wire.write(DONE).unwrap();
        done.open();
    });
    let router = router(TO_BOTH)
        .service("pattern: one-way")
        .service("on_overflow: spool")
        .to(&a)
        .to(&b)
        .start();
    let mut client = router.client();
    let head = client.head("/orders", &message, "Transfer-Encoding: chunked");
    let bytes = [head.as_bytes(), &chunked(&message.body, 60_000)].concat();
    client.wire().write(bytes).unwrap();
    // The quick one has all of it while the slow one has not even begun.
    has_it.pass();
    has_a_file(&router);
    go_on.open();
    whole.pass();
    assert_eq!(client.answer("POST").unwrap().status(), 202);
    nothing_is_left(&router);
    assert_eq!(open_files(&router), 0);
}

#[test]
fn a_copy_that_breaks_off_harms_no_other() {
    let message = long_order(8 << 20);
    let has_it = Gate::default();
    let b = quick("b", &has_it, &message.body);
    let a = service("a").speaks(|wire, _| {
        wire.head().unwrap().unwrap();
        wire.begins().unwrap();
    });
    for keys in ["on_overflow: spool", "on_overflow: commit"] {
        let router = router(TO_BOTH)
            .service("pattern: one-way")
            .service(keys)
            .to(&a)
            .to(&b)
            .start();
        let answer = router.client().post_chunked("/orders", &message, 60_000);
        assert_eq!(answer.status(), 202, "{keys}");
        has_it.pass();
        nothing_is_left(&router);
    }
}

#[test]
fn what_all_messages_hold_together_is_bounded() {
    // Each would be held whole by itself; together they would take 200 MiB.
    const CALLERS: usize = 50;
    const BYTES: usize = 4 << 20;
    let primary = service("primary").replies(|_| Reply::Echo);
    let backup = service("backup").echoes();
    let router = with(&["replay_buffer: 8MiB"], &primary, &backup);
    let address = router.address("public");
    let message = long_order(BYTES);
    let posts: Vec<_> = (0..CALLERS)
        .map(|_| {
            let message = message.clone();
            thread::spawn(move || {
                let mut client = crate::support::Client::to(address);
                client.post_chunked("/orders", &message, 60_000).by()
            })
        })
        .collect();
    for post in posts {
        assert_eq!(post.join().unwrap(), "primary");
    }
    assert!(
        router.peak_memory() < 140 << 10,
        "{} KiB",
        router.peak_memory()
    );
    let committed = "soap_router_replay_overflows_total{service=\"orders\",action=\"commit\"}";
    assert!(
        router.metrics().get(committed) > 0.0,
        "the bound was never reached"
    );
    nothing_is_left(&router);
}
