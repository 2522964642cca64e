//! An expression, a line break, documents with U+0001 between them: streaming says what the plain tree
//! evaluator says, and of each document what it would say without those before it.
//!
//! Run as `scanner.rs` says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soap_router::xml::{Limits, Nobody};
use soap_router::xpath::{
    Atom, AtomId, Environment, Landmarks, Namespaces, ParseLimits, Progress, Run, Set, parse, why,
};

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";

fn answer(run: &mut Run, set: &Set, message: &[u8], size: usize) -> Option<bool> {
    run.begin(set, &[], &Limits::default(), None).ok()?;
    for chunk in message.chunks(size) {
        let mut rest = chunk;
        while let Progress::Paused(taken) = run.feed(set, rest, &mut Nobody).ok()? {
            rest = &rest[taken..];
        }
    }
    run.finish(set, &mut Nobody).ok()?;
    if run.needs_tree() {
        run.evaluate_trees(set, message).ok()?;
    }
    run.state(AtomId(0))
}

fuzz_target!(|input: &str| {
    let Some((text, message)) = input.split_once('\n') else {
        return;
    };
    let mut namespaces = Namespaces::new();
    namespaces
        .bind("s", SOAP)
        .bind("o", "urn:o")
        .bind_any("x", &["urn:o", "urn:p"]);
    let Ok(expr) = parse(text, &Environment::new(namespaces), &ParseLimits::default()) else {
        return;
    };
    let name = |local: &str| vec![(SOAP.to_owned(), local.to_owned())];
    let landmarks = Landmarks {
        root: name("Envelope"),
        sections: vec![name("Header"), name("Body")],
        classes: None,
    };
    let set = Set::compile(vec![Atom { expr: expr.clone(), level: 0 }], &landmarks);
    // The same run for all: what it remembers of a message must change nothing of the next.
    let mut run = Run::new();
    for _ in 0..2 {
        for message in message.split('\u{1}').take(4) {
            let expected = why(&expr, message.as_bytes(), &[], &Limits::default(), None);
            let fresh = answer(&mut Run::new(), &set, message.as_bytes(), usize::MAX);
            for size in [usize::MAX, 1, 100, 7, usize::MAX] {
                let found = answer(&mut run, &set, message.as_bytes(), size);
                assert_eq!(found, fresh, "{text}");
                if let (Some(found), Ok(expected)) = (found, &expected) {
                    assert_eq!(found, expected.holds, "{text}");
                }
            }
        }
    }
});
