//! `xpath`: the boolean value of expressions on messages, as a filter sees them.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use super::args::{Format, Xpath};
use super::message;
use super::verdict::Verdict;
use crate::filter::{SyntaxError, TrialOutcome, XPathTrial};

/// An expression as it was given.
struct Given {
    text: String,
    trial: Result<XPathTrial, SyntaxError>,
}

pub(super) fn run(args: &Xpath) -> anyhow::Result<Verdict> {
    let namespaces = namespaces(&args.namespaces)?;
    let given = |text: &str| Given {
        text: text.to_owned(),
        trial: XPathTrial::new(text, &namespaces),
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    match (&args.file, args.words.as_slice()) {
        (None, [expr, message]) => one(&given(expr), message, now, args.format),
        (None, [expr, messages @ ..]) if !messages.is_empty() => {
            many(&[given(expr)], messages, now, args.format)
        }
        (None, _) => bail!("a message is missing; write `soap-router xpath EXPR MESSAGE`"),
        (Some(file), messages) => {
            let text = message::read(file)?;
            let text = std::str::from_utf8(&text)
                .with_context(|| format!("`{}` is not UTF-8", file.display()))?;
            let lines = text.lines().map(str::trim);
            let all: Vec<Given> = lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(given)
                .collect();
            many(&all, messages, now, args.format)
        }
    }
}

fn namespaces(pairs: &[String]) -> anyhow::Result<Vec<(&str, &str)>> {
    pairs
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some(both) => Ok(both),
            None => bail!("`{pair}` is no prefix; write `p=uri`"),
        })
        .collect()
}

/// One expression on one message; what it is decided on goes to stderr.
fn one(given: &Given, file: &str, now: Duration, format: Format) -> anyhow::Result<Verdict> {
    let trial = match &given.trial {
        Ok(trial) => trial,
        Err(error) => {
            show(&given.text, error);
            return Ok(Verdict::CannotRun);
        }
    };
    let bytes = message::read(Path::new(file))?;
    let outcome = trial
        .run(&bytes, now)
        .context("the message cannot be read")?;
    let why = trial.why(&bytes, now);
    if format == Format::Json {
        println!("{}", Value::Object(fields(trial, &outcome, &bytes, why)));
    } else {
        println!("{}", outcome.result);
        eprintln!(
            "{} after {} of {} bytes: {why}",
            outcome.strategy,
            outcome.bytes_read,
            bytes.len(),
        );
        if let Some(reason) = trial.tree_reason() {
            eprintln!("a tree of the whole message is needed: {reason}");
        }
    }
    Ok(verdict(outcome.result))
}

/// Every expression on every message, a line each. "No" when any is false; the others are
/// answered also when one cannot be.
fn many(all: &[Given], files: &[String], now: Duration, format: Format) -> anyhow::Result<Verdict> {
    let mut worst = Verdict::Fine;
    if format != Format::Json {
        for given in all {
            if let Err(error) = &given.trial {
                show(&given.text, error);
            }
        }
    }
    for file in files {
        let bytes = message::read(Path::new(file))?;
        for given in all {
            let answer = given.answer(&bytes, now);
            worst = match &answer {
                Err(_) => Verdict::CannotRun,
                Ok((_, outcome)) if worst == Verdict::Fine => verdict(outcome.result),
                Ok(_) => worst,
            };
            if format == Format::Json {
                let mut line = match answer {
                    Ok((trial, outcome)) => fields(trial, &outcome, &bytes, trial.why(&bytes, now)),
                    Err(error) => Map::from_iter([("error".to_owned(), error)]),
                };
                line.insert("file".into(), json!(file));
                line.insert("expression".into(), json!(given.text));
                println!("{}", Value::Object(line));
            } else {
                let from = (files.len() > 1).then_some(file.as_str());
                println!("{}", row(&answer, &given.text, from));
            }
        }
    }
    Ok(worst)
}

impl Given {
    /// The answer on a message, or what is wrong as JSON.
    fn answer(&self, bytes: &[u8], now: Duration) -> Result<(&XPathTrial, TrialOutcome), Value> {
        let trial = self.trial.as_ref().map_err(mistake)?;
        let outcome = trial.run(bytes, now);
        let outcome = outcome.map_err(|error| json!({ "message": error.to_string() }))?;
        Ok((trial, outcome))
    }
}

/// An answer as a line for people.
fn row(
    answer: &Result<(&XPathTrial, TrialOutcome), Value>,
    text: &str,
    from: Option<&str>,
) -> String {
    let shown = from.map_or_else(|| text.to_owned(), |file| format!("{file}: {text}"));
    match answer {
        Ok((_, outcome)) => format!("{:<5}  {:<9}  {shown}", outcome.result, outcome.strategy),
        Err(error) => {
            let said = error.get("message").and_then(Value::as_str).unwrap_or("");
            format!("error             {shown}: {said}")
        }
    }
}

/// "false" is an answer; the exit code says so without parsing.
const fn verdict(result: bool) -> Verdict {
    if result { Verdict::Fine } else { Verdict::No }
}

fn fields(
    trial: &XPathTrial,
    outcome: &TrialOutcome,
    bytes: &[u8],
    why: String,
) -> Map<String, Value> {
    Map::from_iter([
        ("result".to_owned(), json!(outcome.result)),
        ("strategy".to_owned(), json!(outcome.strategy)),
        ("tree_reason".to_owned(), json!(trial.tree_reason())),
        ("bytes_read".to_owned(), json!(outcome.bytes_read)),
        ("message_bytes".to_owned(), json!(bytes.len())),
        ("why".to_owned(), json!(why)),
    ])
}

fn mistake(error: &SyntaxError) -> Value {
    json!({
        "message": error.message,
        "column": error.column,
        "length": error.length,
        "expected": error.expected,
        "hint": error.hint,
    })
}

fn show(text: &str, error: &SyntaxError) {
    let under = " ".repeat(error.column.saturating_sub(1)) + &"^".repeat(error.length.max(1));
    eprintln!(
        "error: column {}: {}\n  {text}\n  {under}",
        error.column, error.message
    );
    if let Some(expected) = &error.expected {
        eprintln!("expected: {expected}");
    }
    if let Some(hint) = &error.hint {
        eprintln!("hint: {hint}");
    }
}
