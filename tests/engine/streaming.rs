//! Streaming against the plain tree evaluator, on random documents and expressions; every cut the same.
//!
//! `ENGINE_CASES` asks for more cases than the default.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use soap_router::xml::{Limits, Nobody};
use soap_router::xpath::{AtomId, Progress, Run, Strategy as How, why};

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

/// What a run remembers of the messages before changes no answer.
#[test]
fn messages_before_leave_no_trace() {
    let mut runner = TestRunner::new(Config {
        cases: cases(150),
        failure_persistence: None,
        ..Config::default()
    });
    let spaced = document().prop_map(|document| document + &" ".repeat(80));
    let inputs = (
        prop::collection::vec(expression(), 1..20),
        prop::collection::vec(spaced, 1..4),
        prop::collection::vec(0_usize..4, 3..9),
    );
    let found = runner.run(&inputs, |(expressions, documents, order)| {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let set = set_of(&texts);
        let mut run = Run::new();
        for number in order {
            let document = documents[number % documents.len()].as_bytes();
            run.begin(&set, &[], &Limits::default(), None).unwrap();
            let mut rest = document;
            while let Progress::Paused(taken) = run.feed(&set, rest, &mut Nobody).unwrap() {
                rest = &rest[taken..];
                if rest.is_empty() {
                    break;
                }
            }
            run.finish(&set, &mut Nobody).unwrap();
            if run.needs_tree() {
                run.evaluate_trees(&set, document).unwrap();
            }
            let fresh = ask_all(&texts, document, usize::MAX).unwrap();
            for (number, text) in (0..).zip(&texts) {
                let answer = run.state(AtomId(number)).unwrap();
                prop_assert_eq!(answer, fresh[number as usize], "{}", text);
            }
        }
        Ok(())
    });
    if let Err(error) = found {
        panic!("{error}");
    }
}
