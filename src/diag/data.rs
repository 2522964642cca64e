//! The faces of a report that programs read: one line each, and JSON.

use serde_json::{Value, json};

use super::diagnostic::Diagnostic;
use super::report::Report;
use super::source::{Sources, Span};

/// One line a finding: `file:line:col: message [rule]`.
pub fn concise(report: &Report, sources: &Sources) -> String {
    report
        .iter()
        .map(|found| line(found, sources) + "\n")
        .collect()
}

/// An array with one object a finding. A place without a line (the file as a whole) has `null` there.
pub fn to_json(report: &Report, sources: &Sources) -> Value {
    report.iter().map(|found| object(found, sources)).collect()
}

fn line(found: &Diagnostic, sources: &Sources) -> String {
    let place = sources.place(found.primary);
    let label = found.label_line();
    let more = if label.is_empty() {
        String::new()
    } else {
        format!(": {label}")
    };
    // A message may quote the user's text; a line end in it must not break the one-line promise.
    let message = format!("{}{more}", found.message).replace(['\n', '\r'], " ");
    format!("{place}: {message} [{}]", found.rule)
}

fn object(found: &Diagnostic, sources: &Sources) -> Value {
    let mut object = json!({
        "rule": found.rule,
        "severity": found.severity.word(),
        "message": found.message,
        "label": found.label,
    });
    let other = found.other.iter().map(|other| {
        let mut object = json!({ "label": other.label });
        place_into(&mut object, other.span, sources);
        object
    });
    let other: Value = other.collect();
    place_into(&mut object, found.primary, sources);
    if let Some(map) = object.as_object_mut() {
        map.insert("allowed".into(), json!(found.allowed));
        map.insert("hint".into(), json!(found.hint));
        map.insert("other".into(), other);
    }
    object
}

fn place_into(object: &mut Value, span: Span, sources: &Sources) {
    let number = |value: u32| {
        if value == 0 {
            Value::Null
        } else {
            json!(value)
        }
    };
    let Some(map) = object.as_object_mut() else {
        return;
    };
    map.insert("file".into(), json!(sources.name(span.file)));
    map.insert("line".into(), number(span.start.line));
    map.insert("column".into(), number(span.start.col));
    map.insert("end_line".into(), number(span.end.line));
    map.insert("end_column".into(), number(span.end.col));
}

#[cfg(test)]
mod tests {
    use super::super::source::Pos;
    use super::*;

    fn sample() -> (Report, Sources) {
        let mut sources = Sources::default();
        let file = sources.add("router.yaml", "a: 1\na: 2\n");
        let at = |line| Span::new(file, Pos::new(line, 1), Pos::new(line, 2));
        let mut report = Report::default();
        let found = Diagnostic::error("duplicate-key", "key `a` stands here again", at(2));
        report.push(
            found
                .other(at(1), "previously defined here")
                .hint("keep one"),
        );
        report.push(Diagnostic::warning("unread", "two\nlines", Span::whole(file)).allowed(["x"]));
        (report, sources)
    }

    #[test]
    fn one_finding_is_one_line() {
        let (report, sources) = sample();
        assert_eq!(
            concise(&report, &sources),
            "router.yaml:2:1: key `a` stands here again [duplicate-key]\n\
             router.yaml: two lines: available: `x` [unread]\n"
        );
    }

    #[test]
    fn json_has_all_of_it() {
        let (report, sources) = sample();
        let value = to_json(&report, &sources);
        assert_eq!(value[0]["rule"], "duplicate-key");
        assert_eq!(value[0]["line"], 2);
        assert_eq!(value[0]["end_column"], 2);
        assert_eq!(value[0]["other"][0]["line"], 1);
        assert_eq!(value[0]["hint"], "keep one");
        assert_eq!(value[1]["line"], Value::Null);
        assert_eq!(value[1]["severity"], "warning");
    }
}
