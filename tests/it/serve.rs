//! The life of the process: how it begins, what it tells and to whom, how it ends.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use super::verbs::{ok_folder, run};
use crate::support::messages::order;
use crate::support::process::command;
use crate::support::router::router_to;
use crate::support::{Client, PATIENCE, Reply, held, service, until};

#[test]
fn a_message_in_flight_is_answered_before_the_end() {
    let (a, gate) = held("a");
    let mut router = router_to(&[&a]).start();
    let address = router.address("public");
    let (mut busy, mut idle) = (router.client(), router.client());
    let message = order();
    busy.send("/orders", &message);
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
    busy.send("/orders", &message);
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
