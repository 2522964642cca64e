//! `xpath`: an expression's boolean value on a message, as a filter sees it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::args::{Format, Xpath};
use super::message;
use super::verdict::Verdict;
use crate::filter::XPathTrial;

pub(super) fn run(args: &Xpath) -> anyhow::Result<Verdict> {
    let mut namespaces = Vec::new();
    for pair in &args.namespaces {
        let Some((prefix, uri)) = pair.split_once('=') else {
            bail!("`{pair}` is no prefix; write `p=uri`");
        };
        namespaces.push((prefix, uri));
    }
    let trial = match XPathTrial::new(&args.expr, &namespaces) {
        Ok(trial) => trial,
        Err(error) => {
            let under =
                " ".repeat(error.column.saturating_sub(1)) + &"^".repeat(error.length.max(1));
            eprintln!(
                "error: column {}: {}\n  {}\n  {under}",
                error.column, error.message, args.expr
            );
            if let Some(expected) = &error.expected {
                eprintln!("expected: {expected}");
            }
            if let Some(hint) = &error.hint {
                eprintln!("hint: {hint}");
            }
            return Ok(Verdict::CannotRun);
        }
    };
    let bytes = message::read(&args.message)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let outcome = trial
        .run(&bytes, now)
        .context("the message cannot be read")?;
    match args.format {
        Format::Json => println!(
            "{}",
            json!({
                "result": outcome.result,
                "strategy": outcome.strategy,
                "bytes_read": outcome.bytes_read,
                "message_bytes": bytes.len(),
            })
        ),
        Format::Human | Format::Concise => {
            println!("{}", outcome.result);
            eprintln!(
                "{} after {} of {} bytes: {}",
                outcome.strategy,
                outcome.bytes_read,
                bytes.len(),
                outcome.why
            );
        }
    }
    // "false" is an answer; the exit code says so without parsing.
    Ok(if outcome.result {
        Verdict::Fine
    } else {
        Verdict::No
    })
}
