//! A soak: every mode at once, with callers and endpoints that break off at random; whatever is
//! taken for whole is whole, and when they are gone nothing of them is left.
//!
//! Takes about 20 s; `SOAK_SECONDS` makes it longer, `SOAK_SEED` repeats the same choices.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::multipart::mtom;
use crate::support::messages::{Message, soap11};
use crate::support::wire::chunked;
use crate::support::{Client, Running, Service, Wire, router, service, until};

const CALLERS: u64 = 12;
/// What may stay resident beyond what was after the first quarter: an allocator keeps pages, and
/// each new high-water mark of one thread is another's.
const GROWTH_KIB: u64 = 32 << 10;
/// Stands at the end of whatever is whole.
const END: &str = "<!--end--></e:Body></e:Envelope>";

/// Services by name, with their keys; their tables are `deep` (decided in the body), `backed` or
/// `both`.
const SERVICES: [(&str, &str, &str); 9] = [
    ("headers", "plain", ""),
    ("body", "deep", ""),
    ("whole", "whole", ""),
    ("verified", "deep", "verify: full"),
    ("held", "backed", "replay_buffer: 8MiB"),
    ("committed", "backed", "replay_buffer: 16KiB"),
    (
        "spooled",
        "backed",
        "replay_buffer: 16KiB, on_overflow: spool",
    ),
    ("several", "both", "pattern: one-way, replay_buffer: 64KiB"),
    (
        "several-spooled",
        "both",
        "pattern: one-way, replay_buffer: 16KiB, on_overflow: spool",
    ),
];

/// Small, fast, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64 + 1)).unwrap()
    }

    /// Small numbers as often as large ones.
    fn size(&mut self) -> usize {
        let magnitude = 6 + self.below(16);
        self.place(1 << magnitude)
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

fn message(dice: &mut Dice) -> Message {
    let note = "<o:Note>x</o:Note>".repeat(dice.size() / 18);
    let mut message = soap11(
        "",
        &format!("<o:Place xmlns:o=\"urn:example:orders\"><o:Item>A-1</o:Item>{note}</o:Place>"),
    );
    let text = String::from_utf8(message.body).unwrap();
    message.body = text.replace("</e:Body></e:Envelope>", END).into_bytes();
    if dice.below(4) == 0 {
        return mtom(&message, &vec![b'z'; dice.size()]);
    }
    message
}

fn is_whole(body: &[u8]) -> bool {
    body.ends_with(END.as_bytes()) || body.ends_with(b"\r\n--b--\r\n")
}

/// An endpoint of many minds; counts what it took for whole and was not.
fn fickle(name: &str, seed: u64, halves: &Arc<AtomicUsize>) -> Service {
    let (halves, name_) = (Arc::clone(halves), name.to_owned());
    service(name).speaks(move |wire, number| {
        let mut dice = Dice::new(seed + number as u64);
        // A connection that breaks is the router's right.
        let _ = converse(wire, &mut dice, &name_, &halves);
    })
}

fn converse(wire: &mut Wire, dice: &mut Dice, name: &str, halves: &AtomicUsize) -> io::Result<()> {
    while let Some(head) = wire.head()? {
        match dice.below(12) {
            // Gone at once, or after some of it.
            0 => return Ok(()),
            1 => {
                wire.some()?;
                return Ok(());
            }
            // Answers early and closes, or takes the rest. Briefly: if neither it nor its caller
            // read before they had written all, both would wait for the other's time to end.
            2 => {
                wire.write(answer(dice, name, 100))?;
                return Ok(());
            }
            3 => {
                wire.write(answer(dice, name, 100))?;
                wire.body(head.framing(None))?;
                continue;
            }
            _ => {}
        }
        let body = wire.body(head.framing(None))?;
        if !is_whole(&body) {
            halves.fetch_add(1, Ordering::SeqCst);
        }
        let most = dice.size();
        let mut bytes = answer(dice, name, most);
        match dice.below(8) {
            // Breaks off somewhere in its answer.
            0 => {
                bytes.truncate(dice.place(bytes.len() - 1));
                wire.write(bytes)?;
                return Ok(());
            }
            1 => wire.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")?,
            2 => wire.write("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?,
            _ => wire.write(bytes)?,
        }
    }
    Ok(())
}

fn answer(dice: &mut Dice, name: &str, bytes: usize) -> Vec<u8> {
    let note = "<x>text</x>".repeat(bytes / 11);
    let body = format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><by>{name}</by>{note}{END}"
    );
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
    if dice.below(2) == 0 {
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        return [head.as_bytes(), body.as_bytes()].concat();
    }
    let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let size = chunk_size(dice, body.len());
    [head.as_bytes(), &chunked(body.as_bytes(), size)].concat()
}

/// Small chunks too, but not so many that reading them is all that is done.
fn chunk_size(dice: &mut Dice, bytes: usize) -> usize {
    1 + dice.size().max(bytes / 100)
}

/// One caller's life; gives how many answers it took for whole, and how many of these were not.
fn call(address: SocketAddr, seed: u64, until: Instant) -> (usize, usize) {
    let mut dice = Dice::new(seed);
    let (mut answered, mut halves) = (0, 0);
    while Instant::now() < until {
        let mut client = Client::to(address);
        for _ in 0..=dice.below(4) {
            let (service, ..) = SERVICES[dice.place(SERVICES.len() - 1)];
            let Ok(Some(body)) = exchange(&mut client, service, &mut dice) else {
                break;
            };
            answered += 1;
            let whole = body.is_empty() || is_whole(&body) || body.ends_with(b":Envelope>");
            halves += usize::from(!whole);
        }
    }
    (answered, halves)
}

/// One message and its answer; `None` when the caller broke off itself.
fn exchange(client: &mut Client, service: &str, dice: &mut Dice) -> io::Result<Option<Vec<u8>>> {
    let message = message(dice);
    let path = format!("/{service}");
    let bytes = if dice.below(2) == 0 {
        client.whole(&path, &message)
    } else {
        let head = client.head(&path, &message, "Transfer-Encoding: chunked");
        let size = chunk_size(dice, message.body.len());
        [head.as_bytes(), &chunked(&message.body, size)].concat()
    };
    match dice.below(10) {
        // Stops sending: closes, resets, or only says that nothing more comes.
        way @ 0..3 => {
            client.wire().write(&bytes[..dice.place(bytes.len() - 1)])?;
            match way {
                0 => {}
                1 => SockRef::from(client.wire().stream()).set_linger(Some(Duration::ZERO))?,
                _ => {
                    client.wire().stream().shutdown(Shutdown::Write)?;
                    client.answer("POST")?;
                }
            }
            Ok(None)
        }
        // Goes away without waiting, or half way through its answer.
        3 => client.wire().write(&bytes).map(|()| None),
        4 => {
            client.wire().write(&bytes)?;
            client.wire().some()?;
            Ok(None)
        }
        _ => {
            client.wire().write(&bytes)?;
            Ok(Some(client.answer("POST")?.body))
        }
    }
}

fn soaked(a: &Service, b: &Service) -> Running {
    let tables = [
        (
            "plain",
            "table: [ { filter: { match_all: {} }, endpoint: a } ]",
        ),
        (
            "deep",
            "namespaces: { o: \"urn:example:orders\" }\ntable: [ { filter: { xpath: \"//o:Item = 'A-1'\" }, endpoint: a } ]",
        ),
        (
            "whole",
            "namespaces: { o: \"urn:example:orders\" }\ntable: [ { filter: { not: { xpath: \"//o:Item = 'none'\" } }, endpoint: a } ]",
        ),
        (
            "backed",
            "table: [ { filter: { match_all: {} }, endpoint: a, backups: [b] } ]",
        ),
        (
            "both",
            "table: [ { filter: { match_all: {} }, endpoint: a }, { filter: { match_all: {} }, endpoint: b } ]",
        ),
    ];
    let services: String = SERVICES
        .iter()
        .map(|(name, table, keys)| {
            let keys = if keys.is_empty() {
                String::new()
            } else {
                format!(", {keys}")
            };
            format!("\n  {name}: {{ path: /{name}, table: {table}{keys} }}")
        })
        .collect();
    let quick = "idle_connection_timeout: 500ms, response_timeout: 2s";
    let builder = router("table: [ { filter: { match_all: {} }, endpoint: a } ]")
        .with(&format!(
            "services:\n  orders: {{ path: /orders, table: orders }}{services}"
        ))
        .with("threads: 2")
        .with("limits: { body_idle_timeout: 2s }")
        .at(a, quick)
        .at(b, quick);
    tables
        .iter()
        .fold(builder, |builder, (name, text)| {
            builder.file(&format!("filters/{name}.yaml"), text)
        })
        .start()
}

/// Waits until the router is as it was before the first caller came, and gives what it has
/// resident, KiB.
#[track_caller]
fn settled(router: &Running, tasks: f64) -> u64 {
    until("everything to be over", || {
        let metrics = router.metrics();
        let in_flight = SERVICES.iter().map(|(name, ..)| {
            metrics.get(&format!(
                "soap_router_exchanges_in_flight{{service=\"{name}\"}}"
            ))
        });
        let gauges = [
            "soap_router_connections_open{side=\"caller\"}",
            "soap_router_connections_open{side=\"endpoint\"}",
            "soap_router_replay_held_bytes",
            "soap_router_spool_files",
        ];
        let open = gauges.iter().map(|gauge| metrics.get(gauge));
        let left: f64 = in_flight.chain(open).sum();
        let over = left.abs() < 1e-9 && (metrics.get("soap_router_tasks") - tasks).abs() < 1e-9;
        over.then_some(())
    });
    let status = fs::read_to_string(format!("/proc/{}/status", router.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.unwrap().trim().trim_end_matches(" kB");
    resident.parse().unwrap()
}

fn open_files(router: &Running) -> usize {
    fs::read_dir(format!("/proc/{}/fd", router.pid()))
        .unwrap()
        .count()
}

#[test]
fn nothing_of_a_crowd_that_breaks_off_at_random_is_left() {
    let seconds = number("SOAK_SECONDS", 20);
    let seed = number("SOAK_SEED", 1);
    let halves = Arc::new(AtomicUsize::new(0));
    let (a, b) = (fickle("a", seed, &halves), fickle("b", seed + 7, &halves));
    let router = soaked(&a, &b);
    let address = router.address("public");
    // Each worker accepts in a task of its own, which a busy machine may not have begun yet.
    let tasks = until("both workers to accept", || {
        let tasks = router.metrics().get("soap_router_tasks");
        (tasks > 1.5).then_some(tasks)
    });
    let files = open_files(&router);
    let mut answered = 0;
    let crowd = |quarter: u64, time: Duration| {
        let end = Instant::now() + time;
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let seed = seed * 1000 + quarter * 100 + caller;
                thread::spawn(move || call(address, seed, end))
            })
            .collect();
        let (mut answers, mut broken) = (0, 0);
        for caller in callers {
            let (answered, halves) = caller.join().expect("a caller failed");
            answers += answered;
            broken += halves;
        }
        assert_eq!(broken, 0, "callers took half an answer for a whole one");
        answers
    };
    answered += crowd(1, Duration::from_millis(seconds * 250));
    let before = settled(&router, tasks);
    answered += crowd(2, Duration::from_millis(seconds * 750));
    let after = settled(&router, tasks);
    let half = halves.load(Ordering::SeqCst);
    assert_eq!(half, 0, "endpoints took half a message for a whole one");
    assert!(answered > 100, "only {answered} answers: that is no load");
    assert!(
        after <= before + GROWTH_KIB,
        "resident: {before} KiB after a quarter, {after} KiB at the end"
    );
    assert!(
        open_files(&router) <= files + 2,
        "{files} files open at the start, {} at the end",
        open_files(&router)
    );
    eprintln!("{answered} answers; resident {before} KiB after a quarter, {after} KiB at the end");
}
