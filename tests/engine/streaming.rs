//! Streaming against the plain tree evaluator, on random documents and expressions; every cut the same.
//!
//! `ENGINE_CASES` asks for more cases than the default.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use soap_router::xml::Limits;
use soap_router::xpath::{AtomId, Strategy as How, why};

use crate::generate::{document, expression};
use crate::support::{ask_all, expr, set_of};

fn cases(default: u32) -> u32 {
    std::env::var("ENGINE_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(default)
}

#[test]
fn streaming_is_the_tree() {
    let mut runner = TestRunner::new(Config {
        cases: cases(300),
        failure_persistence: None,
        ..Config::default()
    });
    let inputs = (
        prop::collection::vec(expression(), 1..20),
        document(),
        1..40_usize,
    );
    let counts = std::cell::Cell::new((0_u64, 0_u64));
    let run = runner.run(&inputs, |(expressions, document, size)| {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let set = set_of(&texts);
        let expected: Vec<bool> = texts
            .iter()
            .map(|text| {
                why(
                    &expr(text),
                    document.as_bytes(),
                    &[],
                    &Limits::default(),
                    None,
                )
                .unwrap()
                .holds
            })
            .collect();
        for size in [usize::MAX, size] {
            let found = ask_all(&texts, document.as_bytes(), size).unwrap();
            for (index, text) in texts.iter().enumerate() {
                let how = set.strategy(AtomId(index as u32));
                let (streamed, trees) = counts.get();
                let streams = matches!(how, Some(How::Streaming { .. }));
                counts.set((streamed + u64::from(streams), trees + u64::from(!streams)));
                prop_assert_eq!(
                    found[index],
                    expected[index],
                    "{} ({:?}) pieces of {}",
                    text,
                    how,
                    size
                );
            }
        }
        Ok(())
    });
    let (streamed, trees) = counts.get();
    println!("answers compared: {streamed} streamed, {trees} on trees");
    if let Err(error) = run {
        panic!("{error}");
    }
}
