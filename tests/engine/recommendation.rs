//! The recommendation's clauses as a table: `recommendation.txt`, streamed, on a tree, and cut.

use soap_router::xml::Limits;
use soap_router::xpath::{ParseLimits, parse, why};

use crate::support::{ask_all, environment, expr};

/// What a line of the table expects.
enum Expected {
    Answer(bool),
    Error(usize),
}

struct Case<'t> {
    line: usize,
    document: &'t str,
    expr: &'t str,
    expected: Expected,
}

#[test]
fn answers() {
    let table = include_str!("recommendation.txt");
    let (documents, cases) = read(table);
    let mut wrong = Vec::new();
    for case in &cases {
        let document = documents
            .iter()
            .find(|(name, _)| *name == case.document)
            .map(|(_, xml)| xml.as_str())
            .unwrap_or_else(|| panic!("no document {}", case.document));
        if let Err(told) = check(case, document) {
            wrong.push(format!("{}: {}: {told}", case.line, case.expr));
        }
    }
    assert!(cases.len() > 500, "{}", cases.len());
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

fn check(case: &Case<'_>, document: &str) -> Result<(), String> {
    let expected = match case.expected {
        Expected::Answer(expected) => expected,
        Expected::Error(column) => {
            return match parse(case.expr, &environment(), &ParseLimits::default()) {
                Ok(_) => Err("compiles".into()),
                Err(error) if column != 0 && error.column != column => {
                    Err(format!("is wrong at column {}: {error}", error.column))
                }
                Err(error) if error.column == 0 || error.column > case.expr.len() + 1 => {
                    Err(format!("column {}", error.column))
                }
                Err(_) => Ok(()),
            };
        }
    };
    if let Err(error) = parse(case.expr, &environment(), &ParseLimits::default()) {
        return Err(format!("does not compile: {error}"));
    }
    for size in [usize::MAX, 1, 7] {
        let answer = ask_all(&[case.expr], document.as_bytes(), size)?[0];
        if answer != expected {
            return Err(format!("{answer}, in pieces of {size}"));
        }
    }
    let limits = Limits::default();
    let tree = why(&expr(case.expr), document.as_bytes(), &[], &limits, None)
        .map_err(|error| error.to_string())?;
    if tree.holds != expected {
        return Err(format!("{} on a tree: {}", tree.holds, tree.why));
    }
    Ok(())
}

fn read(table: &str) -> (Vec<(&str, String)>, Vec<Case<'_>>) {
    let (mut documents, mut cases, mut on) = (Vec::new(), Vec::new(), "");
    for (line, text) in (1..).zip(table.lines()) {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let expected = match word {
            "doc" => {
                let (name, xml) = rest.split_once(' ').expect("a name and a document");
                let xml = xml.replace("\\n", "\n").replace("\\t", "\t");
                documents.push((name, xml.replace("\\r", "\r")));
                continue;
            }
            "on" => {
                on = rest;
                continue;
            }
            "true" | "false" => Expected::Answer(word == "true"),
            "error" => Expected::Error(
                rest.split(' ')
                    .next()
                    .unwrap_or("")
                    .parse()
                    .expect("column"),
            ),
            _ => continue,
        };
        let expr = match expected {
            Expected::Error(_) => rest.split_once(' ').map_or("", |(_, expr)| expr),
            Expected::Answer(_) => rest,
        };
        cases.push(Case {
            line,
            document: on,
            expr,
            expected,
        });
    }
    (documents, cases)
}
