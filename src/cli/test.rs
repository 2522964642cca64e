//! `test`: golden routing tests, a message and where it should go.
//!
//! Each test file is YAML: `service`, `config` (relative to the file) and `cases`. The answer
//! is `explain`'s, so a green test says what `serve` would do.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;

use super::args::{Format, Test};
use super::explain::explain_message;
use super::load;
use super::verdict::Verdict;
use crate::exchange::Explanation;
use crate::filter::Registry;
use crate::snapshot::Snapshot;

/// A test file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Configuration, relative to this file; the command line's otherwise.
    config: Option<PathBuf>,
    /// Service of the cases that name none.
    service: Option<String>,
    cases: Vec<Case>,
}

/// One message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    service: Option<String>,
    url: Option<String>,
    listener: Option<String>,
    /// The message itself.
    message: Option<String>,
    /// The message's file, relative to the test file.
    file: Option<PathBuf>,
    #[serde(default)]
    headers: Vec<String>,
    expect: Expect,
}

/// What should come of it; what is not given is not asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// The endpoint, or all of them for one-way.
    endpoint: Option<OneOrMany>,
    filter: Option<String>,
    backups: Option<Vec<String>>,
    fault: Option<String>,
    soap: Option<String>,
    action: Option<String>,
    operation: Option<String>,
    decided_after_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// One case's result.
struct Outcome {
    name: String,
    differences: Vec<String>,
}

pub(super) fn run(args: &Test, registry: &Registry) -> anyhow::Result<Verdict> {
    let mut outcomes = Vec::new();
    for path in &args.files {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let file: File = serde_yaml::from_str(&text)
            .with_context(|| format!("`{}` is no test file", path.display()))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let config = file
            .config
            .as_ref()
            .map_or_else(|| args.config.config.clone(), |config| folder.join(config));
        let Some(usable) = load::load(&config, registry) else {
            return Ok(Verdict::No);
        };
        for case in &file.cases {
            let differences = differences(&usable.snapshot, &file, case, folder)
                .with_context(|| format!("{}: {}", path.display(), case.name))?;
            outcomes.push(Outcome {
                name: format!("{}: {}", path.display(), case.name),
                differences,
            });
        }
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| !outcome.differences.is_empty())
        .count();
    print(args.format, &outcomes, failed);
    Ok(if failed == 0 {
        Verdict::Fine
    } else {
        Verdict::No
    })
}

fn print(format: Format, outcomes: &[Outcome], failed: usize) {
    if format == Format::Json {
        let cases: Vec<_> = outcomes
            .iter()
            .map(|outcome| json!({ "case": outcome.name, "differences": outcome.differences }))
            .collect();
        println!(
            "{}",
            json!({ "passed": outcomes.len() - failed, "failed": failed, "cases": cases })
        );
        return;
    }
    for outcome in outcomes
        .iter()
        .filter(|outcome| !outcome.differences.is_empty())
    {
        println!("FAILED {}", outcome.name);
        for difference in &outcome.differences {
            println!("  {difference}");
        }
    }
    println!("{} passed, {failed} failed", outcomes.len() - failed);
}

fn differences(
    snapshot: &Snapshot,
    file: &File,
    case: &Case,
    folder: &Path,
) -> anyhow::Result<Vec<String>> {
    let message = match (&case.message, &case.file) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(path)) => super::message::read(&folder.join(path))?,
        _ => bail!("give either `message` or `file`"),
    };
    let service = case.service.as_deref().or(file.service.as_deref());
    let service = if case.url.is_some() { None } else { service };
    let got = explain_message(
        snapshot,
        service,
        case.url.as_deref(),
        case.listener.as_deref(),
        &case.headers,
        &message,
    )?;
    Ok(compare(&case.expect, &got))
}

fn compare(expect: &Expect, got: &Explanation) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, expected: String, found: String| {
        if expected != found {
            differences.push(format!("{what}: expected {expected}, got {found}"));
        }
    };
    let fault = got.fault.as_ref().map_or("none", |fault| fault.reason);
    differ(
        "fault",
        expect.fault.clone().unwrap_or_else(|| "none".into()),
        fault.to_owned(),
    );
    if let Some(wanted) = &expect.endpoint {
        let wanted = match wanted {
            OneOrMany::One(one) => one.clone(),
            OneOrMany::Many(many) => many.join(", "),
        };
        let found: Vec<&str> = got
            .sends
            .iter()
            .map(|send| send.endpoint.as_str())
            .collect();
        differ("endpoint", wanted, found.join(", "));
    }
    let first = got.sends.first();
    if let Some(wanted) = &expect.filter {
        differ(
            "filter",
            wanted.clone(),
            first.map_or_else(String::new, |s| s.filter.clone()),
        );
    }
    if let Some(wanted) = &expect.backups {
        let found = first.map_or_else(String::new, |send| send.backups.join(", "));
        differ("backups", wanted.join(", "), found);
    }
    let text = |value: Option<&str>| value.unwrap_or("none").to_owned();
    if let Some(wanted) = &expect.soap {
        differ("soap", wanted.clone(), text(got.soap));
    }
    if let Some(wanted) = &expect.action {
        differ("action", wanted.clone(), text(got.action.as_deref()));
    }
    if let Some(wanted) = &expect.operation {
        differ("operation", wanted.clone(), text(got.operation.as_deref()));
    }
    if let Some(wanted) = expect.decided_after_bytes {
        differ(
            "decided_after_bytes",
            wanted.to_string(),
            got.decided_after_bytes.to_string(),
        );
    }
    differences
}
