//! What must not change an answer: order, company, skipping, early stops, prefixes, empty-element style.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use soap_router::xml::{Limits, Nobody};
use soap_router::xpath::{Atom, AtomId, Pause, Progress, Run, Set};

use crate::generate::{document, expression};
use crate::support::{ask_all, expr, landmarks, set_of};

fn run(cases: u32, check: impl Fn(Vec<String>, String) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let inputs = (prop::collection::vec(expression(), 1..12), document());
    if let Err(error) = runner.run(&inputs, |(expressions, document)| {
        check(expressions, document)
    }) {
        panic!("{error}");
    }
}

fn answers(texts: &[String], document: &str) -> Vec<bool> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    ask_all(&texts, document.as_bytes(), usize::MAX).unwrap()
}

#[test]
fn order_and_company() {
    run(150, |expressions, document| {
        let expected = answers(&expressions, &document);
        let mut turned = expressions.clone();
        turned.reverse();
        let mut found = answers(&turned, &document);
        found.reverse();
        prop_assert_eq!(&found, &expected);
        for (expression, expected) in expressions.iter().zip(expected) {
            prop_assert_eq!(
                answers(std::slice::from_ref(expression), &document)[0],
                expected,
                "{}",
                expression
            );
        }
        Ok(())
    });
}

#[test]
fn skipping_and_pausing() {
    run(150, |expressions, document| {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let set = set_of(&texts);
        let expected = answers(&expressions, &document);
        for (check_all, pause) in [
            (true, Pause::WhenSettled),
            (false, Pause::AtEachDecision),
            (true, Pause::WhenBestLevelIsSure),
        ] {
            let mut run = Run::new();
            run.set_check_all(check_all);
            run.set_pause(pause);
            run.begin(&set, &[], &Limits::default(), None).unwrap();
            let mut rest = document.as_bytes();
            while let Progress::Paused(taken) = run.feed(&set, rest, &mut Nobody).unwrap() {
                rest = &rest[taken..];
            }
            run.finish(&set, &mut Nobody).unwrap();
            if run.needs_tree() {
                run.evaluate_trees(&set, document.as_bytes()).unwrap();
            }
            let found: Vec<bool> = (0..texts.len())
                .map(|at| run.state(AtomId(at as u32)).unwrap())
                .collect();
            prop_assert_eq!(&found, &expected);
        }
        Ok(())
    });
}

/// What was decided when reading stopped is what the whole message says.
#[test]
fn early_decisions_stand() {
    run(150, |expressions, document| {
        let atoms = expressions.iter().enumerate();
        let atoms = atoms
            .map(|(at, text)| Atom {
                expr: expr(text),
                level: at as u32 % 3,
            })
            .collect();
        let set = Set::compile(atoms, &landmarks());
        let expected = answers(&expressions, &document);
        let mut run = Run::new();
        run.set_pause(Pause::AtEachDecision);
        run.begin(&set, &[], &Limits::default(), None).unwrap();
        let mut rest = document.as_bytes();
        loop {
            let progress = run.feed(&set, rest, &mut Nobody).unwrap();
            let mut open = [0_u32; 3];
            for (at, expected) in expected.iter().enumerate() {
                match run.state(AtomId(at as u32)) {
                    Some(found) => prop_assert_eq!(found, *expected, "{}", expressions[at]),
                    None => open[at % 3] += 1,
                }
            }
            for level in 0..3 {
                prop_assert_eq!(run.open(level as u32), open[level] > 0);
                prop_assert_eq!(
                    run.open_at_or_above(level as u32),
                    open[..=level].iter().sum::<u32>() > 0
                );
            }
            match progress {
                Progress::Paused(taken) => rest = &rest[taken..],
                Progress::More => break,
            }
        }
        Ok(())
    });
}

#[test]
fn style_of_writing() {
    run(100, |expressions, document| {
        let expected = answers(&expressions, &document);
        let mut restyled = document.replace("='", " = '").replace("/>", " />");
        restyled.insert_str(0, "<?xml version='1.0'?>\n");
        // Only where no attribute's value or text holds these characters, which the generator ensures.
        prop_assert_eq!(answers(&expressions, &restyled), &expected[..]);
        Ok(())
    });
}
