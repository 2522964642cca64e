//! Any bytes: no panic; whole, byte by byte and skipped alike; and whatever quick-xml and the scanner
//! both accept, they tell the same.
//!
//! Without cargo-fuzz: `RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Cpasses=sancov-module
//! -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
//! cargo run --release --target x86_64-unknown-linux-gnu --bin scanner -- -max_total_time=300`;
//! with the target named, the flags do not reach what runs while building.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soap_router::xml::{EndTag, Event, Fed, Flow, Limits, Reader, Scanner, Sink, Tag};

/// Events in words, text joined.
#[derive(Default, PartialEq, Debug)]
struct Log {
    lines: Vec<String>,
    text: String,
    comment: String,
    skip_at: Option<u32>,
}

impl Log {
    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.lines.push(std::mem::take(&mut self.text));
        }
    }
}

impl Sink for Log {
    fn symbol(&mut self, _: &str, _: &str) -> u64 {
        0
    }
    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        self.flush();
        let name = tag.name();
        let mut line = format!("<{{{}}}{}", name.namespace, name.local);
        for attribute in tag.attributes() {
            line += &format!(
                " {{{}}}{}={:?}",
                attribute.name.namespace, attribute.name.local, attribute.value
            );
        }
        self.lines.push(line);
        if self.skip_at == Some(tag.depth()) {
            Flow::Skip
        } else {
            Flow::Continue
        }
    }
    fn wants_text(&self) -> bool {
        true
    }
    fn text(&mut self, text: &str) {
        self.text += text;
    }
    fn comment(&mut self, text: &str, last: bool) {
        self.flush();
        self.comment += text;
        if last {
            let comment = std::mem::take(&mut self.comment);
            self.lines.push(format!("<!--{comment}"));
        }
    }
    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        self.flush();
        self.lines.push(format!("</{}", tag.depth));
        Flow::Continue
    }
}

fn scan(
    bytes: &[u8],
    size: usize,
    skip_at: Option<u32>,
) -> (Log, Result<u64, soap_router::xml::Error>) {
    scan_with(&mut Scanner::new(), bytes, size, skip_at)
}

fn scan_with(
    scanner: &mut Scanner,
    bytes: &[u8],
    size: usize,
    skip_at: Option<u32>,
) -> (Log, Result<u64, soap_router::xml::Error>) {
    let mut log = Log {
        skip_at,
        ..Log::default()
    };
    let mut result = scanner.begin(&Limits::default(), None, 1);
    for chunk in bytes.chunks(size) {
        let mut rest = chunk;
        while result.is_ok() && !rest.is_empty() {
            match scanner.feed(rest, &mut log) {
                Ok(Fed::More) => rest = &[],
                Ok(Fed::Stopped(taken)) => rest = &rest[taken..],
                Err(error) => result = Err(error),
            }
        }
    }
    let result = result
        .and_then(|()| scanner.finish(&mut log))
        .map(|()| scanner.offset());
    if result.is_err() {
        // Text and comments before an error are told as far as they came; only the error counts.
        log = Log {
            skip_at,
            ..Log::default()
        };
    }
    log.flush();
    (log, result)
}

fn read(text: &str) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    let mut reader = Reader::new(text, &Limits::default());
    let mut depth = 0;
    while let Some(event) = reader.next_event().ok()? {
        lines.push(match event {
            Event::Start { name, attributes } => {
                depth += 1;
                // quick-xml takes a namespace as it is written, without normalising the value.
                let written =
                    |name: &(String, String, String)| name.2.contains(['&', '\n', '\r', '\t']);
                if written(&name) || attributes.iter().any(|(name, _)| written(name)) {
                    return None;
                }
                let mut line = format!("<{{{}}}{}", name.2, name.1);
                for (name, value) in attributes {
                    line += &format!(" {{{}}}{}={value:?}", name.2, name.1);
                }
                line
            }
            Event::Text(text) => text,
            Event::Comment(text) => format!("<!--{text}"),
            Event::End => {
                depth -= 1;
                format!("</{}", depth + 1)
            }
        });
    }
    Some(lines)
}

fuzz_target!(|bytes: &[u8]| {
    let mut scanner = Scanner::new();
    let whole = scan_with(&mut scanner, bytes, usize::MAX, None);
    // What it remembers of the first time changes nothing of the second.
    for size in [usize::MAX, 100] {
        assert_eq!(scan_with(&mut scanner, bytes, size, None), whole);
    }
    for size in [1, 5] {
        assert_eq!(scan(bytes, size, None), whole);
    }
    if whole.1.is_ok() {
        for depth in [1, 2] {
            let skipped = scan(bytes, usize::MAX, Some(depth));
            assert!(skipped.1.is_ok(), "a good document is passed over");
            assert_eq!(scan(bytes, 3, Some(depth)), skipped);
            let end = format!("</{depth}");
            let ends = |log: &Log| log.lines.iter().filter(|line| **line == end).count();
            assert_eq!(ends(&skipped.0), ends(&whole.0));
        }
        if let Ok(text) = std::str::from_utf8(bytes)
            && let Some(lines) = read(text)
        {
            assert_eq!(whole.0.lines, lines);
        }
    }
});
