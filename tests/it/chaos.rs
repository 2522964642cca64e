//! Everything that endpoints do wrong at once, under load, with every outcome counted.
//!
//! Servers with bad certificates, behind them seven of one endpoint, and a backup: each server fails
//! in its own way, one after the other and together, while callers send one message after the other
//! and another one opens HTTP/2 streams only to reset them. Each message has a number; what
//! came of it must be an answer to that very message or a fault that says why, and nothing that
//! was surely not delivered may be lost while anybody could still take it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::messages::{SOAP11, order, soap11};
use crate::support::process::command;
use crate::support::service::reply;
use crate::support::tls::{self, Authority};
use crate::support::{Reply, Wire, refusing, router, service, unanswering, until};

/// How long the storm lasts.
const STORM: Duration = Duration::from_secs(8);
const CALLERS: usize = 2;

/// A stub service as a process of its own, which can be stopped and killed.
struct Stub(Child);

impl Stub {
    fn start(port: u16) -> Self {
        let child = command(Path::new("."))
            .args([
                "stub",
                "--bind",
                &format!("127.0.0.1:{port}"),
                "--name",
                "stub",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the stub to listen", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self(child)
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id();
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {pid}"))
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// The answer of a service that works, with the number of the message in it.
fn echo_number(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let number = text
        .split_once("<n>")
        .and_then(|(_, rest)| Some(rest.split_once("</n>")?.0.to_owned()))
        .unwrap_or_default();
    format!("<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body><n>{number}</n></e:Body></e:Envelope>")
}

fn answer(body: &[u8]) -> Reply {
    reply("200 OK", "Content-Type: text/xml\r\n", &echo_number(body))
}

/// A server that breaks each answer off in its middle, half of the time by a reset.
fn breaking() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in socket.incoming().flatten().enumerate() {
            thread::spawn(move || break_off(&stream, number));
        }
    });
    address
}

fn break_off(stream: &TcpStream, number: usize) {
    let mut wire = Wire::new(stream.try_clone().unwrap());
    let Ok(Some(head)) = wire.head() else { return };
    let Ok(body) = wire.body(head.framing(None)) else {
        return;
    };
    let text = echo_number(&body);
    let (half, length) = (&text[..text.len() / 2], text.len());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length";
    let _ = wire.write(format!("{head}: {length}\r\n\r\n{half}"));
    if number.is_multiple_of(2) {
        // Closed without lingering, a connection is reset.
        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}

/// Reads the request and closes its side without a word.
fn half_closes(wire: &mut Wire, _: usize) {
    if let Ok(Some(head)) = wire.head() {
        let _ = wire.body(head.framing(None));
        let _ = wire.stream().shutdown(std::net::Shutdown::Write);
        // Stays until the router has had enough.
        while wire.some().is_ok_and(|bytes| !bytes.is_empty()) {}
    }
}

/// Answers one byte at a time, and never to the end.
fn drips(wire: &mut Wire, _: usize) {
    if let Ok(Some(head)) = wire.head() {
        let _ = wire.body(head.framing(None));
        for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nX-Slow: "
            .iter()
            .cycle()
        {
            if wire.write([*byte]).is_err() {
                return;
            }
            // The pace of a slow loris is what is tested.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Opens streams and resets them at once, over and over; how many of its connections were ended.
fn resets(address: SocketAddr, over: &AtomicBool) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut cut = 0;
        while !over.load(Ordering::SeqCst) {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let Ok((mut sender, connection)) = h2::client::handshake(stream).await else {
                continue;
            };
            let connection = tokio::spawn(connection);
            while !over.load(Ordering::SeqCst) && !connection.is_finished() {
                sender = match sender.ready().await {
                    Ok(sender) => sender,
                    Err(_) => break,
                };
                let request = http::Request::post("http://orders.example/orders");
                let request = request.header("content-type", "text/xml").body(()).unwrap();
                let Ok((_answer, mut body)) = sender.send_request(request, false) else {
                    break;
                };
                // It is on its way when it is reset. Another storm is all this is to be: the
                // machine has others to serve.
                let _ = body.send_data(hyper::body::Bytes::from_static(b"<"), false);
                tokio::time::sleep(Duration::from_millis(1)).await;
                body.send_reset(h2::Reason::CANCEL);
            }
            cut += usize::from(!over.load(Ordering::SeqCst));
            connection.abort();
        }
        cut
    })
}

#[test]
fn endpoints_that_die_stop_vanish_break_off_and_drip_lose_nothing_that_could_be_saved() {
    let port = free_port();
    let mut stub = Some(Stub::start(port));
    let (blackhole, _held) = unanswering();
    let (refuses, _bound) = refusing();
    let breaking = breaking();
    let half = service("half").speaks(half_closes);
    let slow = service("slow").speaks(drips);
    let good = service("good").replies(|received| answer(&received.body));
    let backup = service("backup").replies(|received| answer(&received.body));
    let servers = [
        format!("127.0.0.1:{port}"),
        blackhole.to_string(),
        refuses.to_string(),
        breaking.to_string(),
        half.address.to_string(),
        slow.address.to_string(),
        good.address.to_string(),
    ];
    let servers: Vec<String> = servers
        .iter()
        .map(|server| format!("\"{server}\""))
        .collect();
    // Along the list a message is sent again whatever happened, so every one can be saved that
    // was not broken off in the middle of its answer.
    let keys = format!(
        "servers: [{}], connect_timeout: 300ms, response_timeout: 700ms, tries: 3, \
         suspend: {{ after: 2, initial: 200ms, factor: 2, maximum: 1s }}",
        servers.join(", ")
    );
    let authority = Authority::new("ca");
    let sealed = [
        authority.expired(&["127.0.0.1"]),
        authority.server(&["else.example.com"]),
        Authority::new("other").server(&["127.0.0.1"]),
    ];
    let sealed = sealed.map(|pair| service("sealed").tls(tls::server(&pair, None)).echoes());
    let addresses = sealed
        .each_ref()
        .map(|server| format!("\"{}\"", server.address));
    let sealed_keys = format!(
        "servers: [{}], tls: {{ ca: ca.pem }}, suspend: {{ after: 5, initial: 200ms }}",
        addresses.join(", ")
    );
    let running =
        router("- { filter: { match_all: {} }, endpoint: sealed, backups: [pool, backup] }")
            .endpoint("sealed", "https://127.0.0.1/orders", &sealed_keys)
            .endpoint("pool", "http://orders.example/orders", &keys)
            .to(&backup)
            .file("config/ca.pem", &authority.pem)
            .with("listeners: { public: { bind: \"127.0.0.1:0\", http2: true } }")
            .with("threads: 2")
            .start();

    let over = Arc::new(AtomicBool::new(false));
    let numbers = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (over, numbers) = (Arc::clone(&over), Arc::clone(&numbers));
            let address = running.address("public");
            thread::spawn(move || {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                let mut client = crate::support::Client::to(address);
                while !over.load(Ordering::SeqCst) {
                    let number = numbers.fetch_add(1, Ordering::SeqCst);
                    let message = soap11("", &format!("<n>{number}</n>"));
                    let outcome = match client.try_post("/orders", &message) {
                        Ok(answer) => match answer.fault() {
                            Some(fault) => fault,
                            None if answer.between("<n>", "</n>") == Some(number.to_string()) => {
                                "answered".to_owned()
                            }
                            // The stub answers in words of its own, but whole.
                            None if answer.text().ends_with("Envelope>") => "answered".to_owned(),
                            None => panic!("message {number} got {}", answer.text()),
                        },
                        // No half answer looks whole: the connection ends instead.
                        Err(_) => {
                            client = crate::support::Client::to(address);
                            "broken off".to_owned()
                        }
                    };
                    *counts.entry(outcome).or_default() += 1;
                }
                counts
            })
        })
        .collect();

    let resetting = {
        let (over, address) = (Arc::clone(&over), running.address("public"));
        thread::spawn(move || resets(address, &over))
    };

    // Meanwhile one server is stopped, continued, killed, and started again.
    let begun = Instant::now();
    let mut turn = 0;
    while begun.elapsed() < STORM {
        match turn % 4 {
            0 => stub.as_ref().unwrap().signal("STOP"),
            1 => stub.as_ref().unwrap().signal("CONT"),
            2 => stub = None,
            _ => stub = Some(Stub::start(port)),
        }
        turn += 1;
        // The weather changes twice a second: this is time, not waiting for something.
        thread::sleep(Duration::from_millis(500));
    }
    over.store(true, Ordering::SeqCst);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for caller in callers {
        for (outcome, count) in caller.join().unwrap() {
            *counts.entry(outcome).or_default() += count;
        }
    }
    let cut = resetting.join().unwrap();
    println!("chaos: {counts:?}; {cut} connections of resets were cut off");
    assert!(cut > 0, "whoever resets streams for ever is never cut off");
    for server in &sealed {
        assert_eq!(server.count(), 0, "a bad certificate was believed");
    }
    let sent = numbers.load(Ordering::SeqCst);
    assert_eq!(counts.values().sum::<usize>(), sent, "{counts:?}");
    let answered = counts.get("answered").copied().unwrap_or(0);
    let broken = counts.get("broken off").copied().unwrap_or(0);
    // Nobody but those whose answer broke off behind its head is without one.
    assert_eq!(answered + broken, sent, "{counts:?}");
    assert!(answered > 100 && broken < answered, "{counts:?}");

    // The storm over, the router is as it was.
    drop(stub);
    assert_eq!(running.admin().get("/healthz").status(), 200);
    running.metric_becomes("soap_router_exchanges_in_flight{service=\"orders\"}", 0.0);
    until("a message to be answered", || {
        running.client().try_post("/orders", &order()).ok()
    });
    let memory = running.peak_memory();
    assert!(memory < 200 * 1024, "{memory} KiB");
}
