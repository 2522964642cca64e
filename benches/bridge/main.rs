//! Bridging against scanning, in one run: `cargo bench --bench bridge`.
//!
//! Scanning is the same scanner over the same bytes with a sink that takes all that it can unseen,
//! the fastest there is. Measured in turns, best of many rounds; only ratios are promised. `-- count bridge|scan KIB` runs one a
//! few times and nothing else, for counting instructions.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use soap_router::soap::{Arriving, Bridge, Plan, Version};
use soap_router::xml::{Limits, Scanner, Unconcerned};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// As a connection would bring it.
const CHUNK: usize = 64 << 10;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if let [word, what, kib] = arguments.as_slice()
        && word == "count"
    {
        return count(what, kib.parse().expect("KiB"));
    }
    println!(
        "{:<28} {:>11} {:>11} {:>7}  must",
        "row", "bridge ns", "scan ns", "ratio"
    );
    row("10 KiB", &message(10), 1.5);
    row("1 MiB", &message(1024), 1.3);
    row("1 MiB, few tags", &texts(1024), 1.3);
    allocations();
}

fn row(name: &str, message: &Bytes, must: f64) {
    let (mut scanner, mut out) = (Scanner::new(), Vec::new());
    let plan = Arc::new(plan());
    let (mut bridge_best, mut scan_best) = (f64::MAX, f64::MAX);
    let repeat = (4 << 20) / message.len() + 1;
    for _ in 0..30 {
        let start = Instant::now();
        (0..repeat).for_each(|_| bridge(&plan, message, &mut out));
        bridge_best = bridge_best.min(start.elapsed().as_nanos() as f64 / repeat as f64);
        let start = Instant::now();
        (0..repeat).for_each(|_| scan(&mut scanner, message));
        scan_best = scan_best.min(start.elapsed().as_nanos() as f64 / repeat as f64);
    }
    let ratio = bridge_best / scan_best;
    println!("{name:<28} {bridge_best:>11.0} {scan_best:>11.0} {ratio:>6.2}x  {must}x");
}

/// Allocations of one message, which must not grow with its body.
fn allocations() {
    let plan = Arc::new(plan());
    for kib in [10, 1024, 8192] {
        let message = message(kib);
        let mut out = Vec::with_capacity(2 + message.len() / CHUNK);
        bridge(&plan, &message, &mut out);
        let region = Region::new(ALLOCATOR);
        bridge(&plan, &message, &mut out);
        let change = region.change();
        println!(
            "{kib:>5} KiB: {} allocations, {} bytes",
            change.allocations + change.reallocations,
            change.bytes_allocated
        );
    }
}

fn count(what: &str, kib: usize) {
    let message = message(kib);
    let (mut scanner, mut out) = (Scanner::new(), Vec::new());
    let plan = Arc::new(plan());
    for _ in 0..20 {
        match what {
            "scan" => scan(&mut scanner, &message),
            _ => bridge(&plan, &message, &mut out),
        }
    }
}

fn plan() -> Plan {
    Plan {
        soap: Some(Version::Soap12),
        ..Plan::default()
    }
}

/// As the road does it: long runs are shared.
fn bridge(plan: &Arc<Plan>, message: &Bytes, out: &mut Vec<Bytes>) {
    out.clear();
    let mut bridge = Bridge::request(Arc::clone(plan), Arriving::default()).expect("begun");
    let mut rest = message.clone();
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(CHUNK));
        bridge.share(&chunk, out).expect("bridged");
    }
    let mut last = Vec::new();
    bridge.finish(&mut last).expect("whole");
    assert!(last.is_empty(), "the last bytes were certain");
    black_box(&out);
}

fn scan(scanner: &mut Scanner, message: &[u8]) {
    scanner
        .begin(&Limits::default(), Some("utf-8"), 1)
        .expect("begun");
    for chunk in message.chunks(CHUNK) {
        scanner.feed(chunk, &mut Unconcerned).expect("scanned");
    }
    scanner.finish(&mut Unconcerned).expect("whole");
    black_box(&scanner);
}

/// An order with many small elements, as services have them.
fn message(kib: usize) -> Bytes {
    let mut body = String::new();
    let mut number = 0;
    while body.len() < kib << 10 {
        number += 1;
        body.push_str(&format!(
            "<o:Item Id=\"{number}\"><o:Name>Article {number}</o:Name><o:Count>{}</o:Count>\
             <o:Price currency=\"EUR\">{}.50</o:Price></o:Item>\n",
            number % 17,
            number * 3
        ));
    }
    envelope(&body)
}

/// Long texts, as documents in base64 are.
fn texts(kib: usize) -> Bytes {
    envelope(&format!(
        "<o:Data>{}</o:Data>",
        "QUJDRA==".repeat(kib * 128)
    ))
}

fn envelope(body: &str) -> Bytes {
    format!(
        "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:o=\"urn:example:orders\">\
         <soapenv:Header><o:Version soapenv:mustUnderstand=\"1\">2</o:Version>\
         <o:Tenant soapenv:actor=\"urn:example:tenants\">a</o:Tenant></soapenv:Header>\
         <soapenv:Body><o:Place>{body}</o:Place></soapenv:Body></soapenv:Envelope>"
    )
    .into()
}
