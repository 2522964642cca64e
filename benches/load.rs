//! Sends one message at a constant rate and counts latencies, for the latency table of `compare.sh`.
//!
//! `load ADDRESS PATH ACTION BODY-FILE RATE CONNECTIONS SECONDS` prints one line of JSON: what was
//! sent, what failed, and a histogram as pairs of nanoseconds (a bucket's lower edge) and a count.
//!
//! Each kept connection has a thread and a timetable of its own. Where the answer before came too late,
//! a latency counts from the moment at which the message was due, not from when it could be sent: a
//! proxy that stalls delays all that was due meanwhile, and each of these counts (no coordinated
//! omission). Only the standard library, so that `rustc -O` is enough.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench measures time and prints it"
)]

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Buckets within a power of two: each is 3 % wide at the most.
const FINE: u32 = 5;
/// The first part of a run counts for nothing: connections open, caches fill.
const WARM: f64 = 0.15;

/// What one thread saw.
struct Seen {
    buckets: Vec<u64>,
    sent: u64,
    failed: u64,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, action, body, rate, connections, seconds] = words.as_slice() else {
        // `cargo bench` runs every bench; this one has nothing to do without its arguments.
        println!("load ADDRESS PATH ACTION BODY-FILE RATE CONNECTIONS SECONDS");
        return;
    };
    let body = std::fs::read(body).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: text/xml; charset=utf-8\r\n\
         SOAPAction: {action}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    let (rate, seconds): (f64, f64) = (rate.parse().unwrap(), seconds.parse().unwrap());
    let connections: u32 = connections.parse().unwrap();
    let between = Duration::from_secs_f64(f64::from(connections) / rate);
    let start = Instant::now() + Duration::from_millis(20);
    let seen = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|number| {
                let first = start + between * number / connections;
                let (address, request) = (address.as_str(), request.as_slice());
                scope.spawn(move || run(address, request, first, between, seconds))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    print(&seen);
}

/// One connection's timetable.
fn run(address: &str, request: &[u8], first: Instant, between: Duration, seconds: f64) -> Seen {
    let mut seen = Seen {
        buckets: vec![0; 64 << FINE],
        sent: 0,
        failed: 0,
    };
    let mut stream = connect(address).ok();
    let (warm, end) = (
        first + Duration::from_secs_f64(WARM),
        first + Duration::from_secs_f64(WARM + seconds),
    );
    let mut due = first;
    while due < end {
        let mut from = due;
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            thread::sleep(wait);
            // Nothing was in the way, so that to wake late is this program's own doing.
            from = Instant::now();
        }
        let done = match &mut stream {
            Some(stream) => exchange(stream, request),
            None => Err(ErrorKind::NotConnected.into()),
        };
        if due >= warm {
            seen.sent += 1;
            match &done {
                Ok(()) => count(&mut seen.buckets, from.elapsed()),
                Err(_) => seen.failed += 1,
            }
        }
        if done.is_err() {
            stream = connect(address).ok();
        }
        due += between;
    }
    seen
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// Sends the request and reads the whole answer, which must be a 200 with a Content-Length.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<()> {
    stream.write_all(request)?;
    let mut answer = [0; 16 * 1024];
    let mut have = 0;
    loop {
        let free = answer.get_mut(have..).unwrap_or_default();
        let read = stream.read(free)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        have += read;
        let known = answer.get(..have).unwrap_or_default();
        if whole(known)? == Some(have) {
            return Ok(());
        }
    }
}

/// How long the answer is, once its head is there.
fn whole(answer: &[u8]) -> Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(answer.get(..head).unwrap_or_default()).map_err(Error::other)?;
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(Error::other(text.to_owned()));
    }
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let length = length.ok_or_else(|| Error::other("no Content-Length"))?;
    Ok(Some(head + 4 + length))
}

fn count(buckets: &mut [u64], taken: Duration) {
    let nanos = (taken.as_nanos() as u64).max(1 << FINE);
    let power = nanos.ilog2() - FINE;
    let fine = (nanos >> power) as usize - (1 << FINE);
    if let Some(bucket) = buckets.get_mut(((power as usize) << FINE) + fine) {
        *bucket += 1;
    }
}

fn print(seen: &[Seen]) {
    let mut pairs = Vec::new();
    for number in 0..64 << FINE {
        let count: u64 = seen.iter().filter_map(|one| one.buckets.get(number)).sum();
        if count > 0 {
            let (power, fine) = (number >> FINE, number & ((1 << FINE) - 1));
            pairs.push(format!(
                "[{},{count}]",
                ((1_u64 << FINE) + fine as u64) << power
            ));
        }
    }
    let sent: u64 = seen.iter().map(|one| one.sent).sum();
    let failed: u64 = seen.iter().map(|one| one.failed).sum();
    println!(
        "{{\"sent\":{sent},\"failed\":{failed},\"histogram\":[{}]}}",
        pairs.join(",")
    );
}
