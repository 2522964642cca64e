//! The engine against quick-xml, in one run: `cargo bench --bench engine`.
//!
//! Every row is measured in turns with its baseline, best of many rounds, on messages that all
//! differ; only ratios are promised. `cargo bench --bench engine -- count ROW` runs one row a few
//! times and nothing else, for counting instructions (see `benches/README.md`); `export FOLDER` is for
//! `benches/libxml2.py`.

mod filters;
mod messages;

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use soap_router::xml::{Limits, Nobody};
use soap_router::xpath::{Pause, Progress, Run, Set};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// What a row asks of the engine.
struct Row {
    name: &'static str,
    set: Set,
    messages: Vec<Vec<u8>>,
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if let [word, row] = arguments.as_slice()
        && matches!(word.as_str(), "count" | "export")
    {
        return match word.as_str() {
            "count" => count(row),
            _ => export(Path::new(row)),
        };
    }
    let small = messages::distinct(4000, 1 << 10);
    let medium = messages::distinct(400, 10 << 10);
    let large = vec![messages::one(7, 1 << 20)];
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "row", "bytes", "ns/msg", "baseline", "ratio", "MB/s"
    );
    against_reader("child paths x10000, 1 KiB", &filters::child(10_000), &small);
    against_reader(
        "child paths x10000, 10 KiB",
        &filters::child(10_000),
        &medium,
    );
    against_reader("child paths x10000, 1 MiB", &filters::child(10_000), &large);
    against_reader("with // x10000, 1 KiB", &filters::mixed(10_000), &small);
    against_reader("with // x10000, 10 KiB", &filters::mixed(10_000), &medium);
    against_reader("with // x10000, 1 MiB", &filters::mixed(10_000), &large);
    let lists = messages::distinct_lists(400, 10 << 10);
    against_reader(
        "child paths beside a list, 10 KiB",
        &filters::child(10_000),
        &lists,
    );
    against_reader("with // in a list, 10 KiB", &filters::items(10_000), &lists);
    against_body_stop(
        "header only x10000, 1 KiB",
        &filters::header(10_000),
        &small,
    );
    against_body_stop(
        "header only x10000, 10 KiB",
        &filters::header(10_000),
        &medium,
    );
    against_body_stop(
        "header only x10000, 1 MiB",
        &filters::header(10_000),
        &large,
    );
    against_few("header x10000 / one a shape", filters::header, &small);
    against_few("child x10000 / one a shape", filters::child, &small);
    against_few("mixed x10000 / one a shape", filters::mixed, &small);
    dense(&small);
    compile();
    allocations("child", &filters::child(10_000), &small);
    allocations("mixed", &filters::mixed(10_000), &small);
    allocations("header", &filters::header(10_000), &small);
    scanner(&medium, &large);
    worst();
}

fn evaluate(run: &mut Run, set: &Set, message: &[u8]) -> usize {
    run.begin(set, &[], &Limits::default(), None)
        .expect("charset");
    match run.feed(set, message, &mut Nobody).expect("message") {
        Progress::More => run.finish(set, &mut Nobody).expect("end"),
        Progress::Paused(_) => {}
    }
    run.matched().len()
}

/// Nanoseconds a message, best of rounds.
fn best(rounds: u32, messages: &[Vec<u8>], work: &mut dyn FnMut(&[u8])) -> f64 {
    let repeat = (2_000_000 / messages.iter().map(Vec::len).sum::<usize>()).max(1);
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..repeat {
            messages.iter().for_each(|message| work(message));
        }
        best = best.min(start.elapsed().as_nanos() as f64 / (repeat * messages.len()) as f64);
    }
    best
}

fn report(name: &str, messages: &[Vec<u8>], ours: f64, baseline: f64, ratio: f64) {
    let bytes = messages.iter().map(Vec::len).sum::<usize>() / messages.len();
    let speed = bytes as f64 / ours * 1e3;
    println!("{name:<34} {bytes:>9} {ours:>9.0} {baseline:>9.0} {ratio:>6.2}x {speed:>7.0}");
}

fn in_turns(
    messages: &[Vec<u8>],
    ours: &mut dyn FnMut(&[u8]),
    theirs: &mut dyn FnMut(&[u8]),
) -> (f64, f64) {
    let mut pair = (f64::MAX, f64::MAX);
    for _ in 0..6 {
        pair = (
            pair.0.min(best(3, messages, ours)),
            pair.1.min(best(3, messages, theirs)),
        );
    }
    pair
}

fn against_reader(name: &str, set: &Set, messages: &[Vec<u8>]) {
    let mut run = Run::new();
    let (ours, theirs) = in_turns(
        messages,
        &mut |message| {
            black_box(evaluate(&mut run, set, message));
        },
        &mut |message| {
            black_box(messages::quick_xml_events(message, false));
        },
    );
    report(name, messages, ours, theirs, theirs / ours);
}

fn against_body_stop(name: &str, set: &Set, messages: &[Vec<u8>]) {
    let mut run = Run::new();
    let (ours, theirs) = in_turns(
        messages,
        &mut |message| {
            black_box(evaluate(&mut run, set, message));
        },
        &mut |message| {
            black_box(messages::quick_xml_events(message, true));
        },
    );
    report(name, messages, ours, theirs, theirs / ours);
}

/// Ten thousand filters against one of each shape.
fn against_few(name: &str, make: fn(usize) -> Set, messages: &[Vec<u8>]) {
    let (many, few) = (make(10_000), make(5));
    let (mut run_many, mut run_few) = (Run::new(), Run::new());
    let (ours, theirs) = in_turns(
        messages,
        &mut |message| {
            black_box(evaluate(&mut run_many, &many, message));
        },
        &mut |message| {
            black_box(evaluate(&mut run_few, &few, message));
        },
    );
    report(name, messages, ours, theirs, ours / theirs);
}

fn dense(messages: &[Vec<u8>]) {
    let set = filters::dense(10_000);
    let mut run = Run::new();
    let mut matches = 0_u64;
    for message in messages {
        matches += evaluate(&mut run, &set, message) as u64;
    }
    let each = matches as f64 / messages.len() as f64;
    let time = best(5, messages, &mut |message| {
        black_box(evaluate(&mut run, &set, message));
    });
    println!(
        "dense x10000: {each:.0} matches a message, {:.1} ns a match, {time:.0} ns a message",
        time / each
    );
}

fn compile() {
    for (name, make) in [
        ("header", filters::header as fn(usize) -> Set),
        ("child", filters::child),
        ("mixed", filters::mixed),
    ] {
        let mut least = f64::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            black_box(make(10_000));
            least = least.min(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("parse and compile 10000 {name}: {least:.1} ms");
    }
}

fn allocations(name: &str, set: &Set, messages: &[Vec<u8>]) {
    let before = Region::new(ALLOCATOR);
    let mut run = Run::new();
    messages.iter().for_each(|message| {
        evaluate(&mut run, set, message);
    });
    let held = before.change();
    // Growth by reallocation is counted among what was allocated.
    let kept = held.bytes_allocated as i64 - held.bytes_deallocated as i64;
    let region = Region::new(ALLOCATOR);
    messages.iter().for_each(|message| {
        evaluate(&mut run, set, message);
    });
    let change = region.change();
    println!(
        "{name}: {} allocations and {} reallocations in {} messages after warm-up; {} KiB kept by the run",
        change.allocations,
        change.reallocations,
        messages.len(),
        kept / 1024
    );
}

/// The scanner alone: everything read, and everything below the root passed over.
fn scanner(medium: &[Vec<u8>], large: &[Vec<u8>]) {
    let nothing = filters::never();
    for (name, messages) in [("scan, 10 KiB", medium), ("scan, 1 MiB", large)] {
        let mut run = Run::new();
        run.set_check_all(true);
        run.set_pause(Pause::WhenSettled);
        let (ours, theirs) = in_turns(
            messages,
            &mut |message| {
                black_box(evaluate(&mut run, &nothing, message));
            },
            &mut |message| {
                black_box(messages::quick_xml_events(message, false));
            },
        );
        report(name, messages, ours, theirs, theirs / ours);
    }
    let mut run = Run::new();
    let body = filters::one("/soap:Envelope/soap:Body/o:Nothing");
    let (ours, theirs) = in_turns(
        large,
        &mut |message| {
            black_box(evaluate(&mut run, &body, message));
        },
        &mut |message| {
            black_box(messages::quick_xml_events(message, false));
        },
    );
    report("skip, 1 MiB", large, ours, theirs, theirs / ours);
}

/// The dearest shapes that are known.
fn worst() {
    let deep = messages::deep(200);
    let flat = messages::many_equal(20_000);
    let rows = [
        (
            "nested anchors, 200 deep",
            filters::one("//o:a[.//o:b = 'x']//o:a[.//o:c = 'y']"),
            deep,
        ),
        (
            "20000 equal siblings, predicates",
            filters::one("//o:a[o:b = 'x' and not(o:c)]/o:d = 'z'"),
            flat,
        ),
    ];
    for (name, set, message) in rows {
        let row = Row {
            name,
            set,
            messages: vec![message],
        };
        let mut run = Run::new();
        let (ours, theirs) = in_turns(
            &row.messages,
            &mut |message| {
                black_box(evaluate(&mut run, &row.set, message));
            },
            &mut |message| {
                black_box(messages::quick_xml_events(message, false));
            },
        );
        report(row.name, &row.messages, ours, theirs, theirs / ours);
    }
}

/// Writes expressions, messages and our time for them into a folder, for `benches/libxml2.py`.
fn export(folder: &Path) {
    let texts = filters::mixed_texts(1000);
    std::fs::write(folder.join("expressions"), texts.join("\n")).expect("folder");
    let set = filters::mixed(1000);
    let mut run = Run::new();
    for (name, size) in [("1k", 1 << 10), ("10k", 10 << 10)] {
        let messages = messages::distinct(100, size);
        for (number, message) in messages.iter().enumerate() {
            std::fs::write(folder.join(format!("{name}-{number}.xml")), message).expect("folder");
        }
        let time = best(10, &messages, &mut |message| {
            black_box(evaluate(&mut run, &set, message));
        });
        let each: Vec<String> = messages
            .iter()
            .map(|message| evaluate(&mut run, &set, message).to_string())
            .collect();
        std::fs::write(folder.join(format!("{name}.ours")), each.join("\n")).expect("folder");
        println!("{name} {time:.0}");
    }
}

fn count(row: &str) {
    let number = |name: &str, default| {
        let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
        given.unwrap_or(default)
    };
    let (count, size) = (number("MESSAGES", 200), number("BYTES", 10 << 10));
    let messages = match row {
        "flat" | "items" => messages::distinct_lists(count, size),
        _ => messages::distinct(count, size),
    };
    let filters = number("FILTERS", 10_000);
    let set = match row {
        "child" | "flat" => filters::child(filters),
        "mixed" => filters::mixed(filters),
        "items" => filters::items(filters),
        "header" => filters::header(filters),
        _ => filters::never(),
    };
    let mut run = Run::new();
    let rounds = number("ROUNDS", 10);
    for _ in 0..rounds {
        for message in &messages {
            match row {
                "quick-xml" => black_box(messages::quick_xml_events(message, false)),
                _ => black_box(evaluate(&mut run, &set, message)),
            };
        }
    }
}
