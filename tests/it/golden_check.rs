//! Broken configurations and what is said of them: one folder a case under `tests/golden/check/`.
//!
//! A case is a tree as a user has it (`config/router.yaml`, `filters/*.yaml`) and `check.out`, the report in
//! its human face. `UPDATE_GOLDEN=1` rewrites the outputs and the examples in `docs/diagnostics.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use soap_router::{config, diag, filter, snapshot};

#[test]
fn each_broken_configuration_is_told_as_agreed() {
    let mut wrong = Vec::new();
    for (name, folder) in cases() {
        let expected = folder.join("check.out");
        let found = check(&folder);
        if updating() {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("--- {name}\n{found}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "UPDATE_GOLDEN=1 rewrites these:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn each_rule_is_documented_with_the_example_that_its_case_prints() {
    let path = root().join("docs/diagnostics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut fresh = String::new();
    let mut documented = BTreeSet::new();
    let mut sections = page.split("\n### ");
    fresh.push_str(sections.next().unwrap_or_default());
    for section in sections {
        let rule = section
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .trim_matches('`');
        documented.insert(rule.to_owned());
        fresh.push_str("\n### ");
        fresh.push_str(&with_example(section, &example(rule)));
    }
    if updating() {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        assert_eq!(
            fresh, page,
            "the examples are stale: UPDATE_GOLDEN=1 rewrites them"
        );
    }
    let known = rules_in_code();
    assert!(known.len() > 50, "{known:?}");
    assert_eq!(
        known, documented,
        "rules in the code (left) and in docs/diagnostics.md (right)"
    );
}

/// Whatever a file holds, reading it ends with a report; nothing panics.
#[test]
fn mangled_files_are_told_and_never_crash() {
    let router = std::fs::read_to_string(root().join("config/router.yaml")).unwrap();
    let table = std::fs::read_to_string(root().join("filters/orders.yaml")).unwrap();
    let inserts = [
        "", "\"", "'", "{", "]", ": ", "\n", "\t", "&a ", "*a", "- ", "|\n", "\u{0}", "é", "!x ",
        "#", "%", "? ",
    ];
    for (index, insert) in inserts.iter().cycle().take(900).enumerate() {
        for text in [&router, &table] {
            let at = text
                .char_indices()
                .nth(index * 7 % text.chars().count())
                .map_or(0, |(at, _)| at);
            let skip = text[at..].chars().next().map_or(0, char::len_utf8) * (index % 2);
            let mangled = format!("{}{insert}{}", &text[..at], &text[at + skip..]);
            read_and_show(&mangled, &table);
            read_and_show(&router, &mangled);
            read_and_show(&text[..at], &text[at..]);
        }
    }
}

fn read_and_show(router: &str, table: &str) {
    let tables = [config::TableText {
        name: "orders",
        path: "orders.yaml",
        text: table,
    }];
    let loaded = config::read("router.yaml", router, &tables);
    let shown = diag::human(&loaded.report, &loaded.sources, diag::Colour::Always);
    assert_eq!(shown.is_empty(), loaded.report.is_empty());
    let lines = diag::concise(&loaded.report, &loaded.sources)
        .lines()
        .count();
    assert_eq!(lines, loaded.report.iter().len());
    assert!(diag::to_json(&loaded.report, &loaded.sources).is_array());
    if let Some(config) = &loaded.config {
        assert!(config.effective().is_object());
    }
}

/// The report of a case as `check` prints it, with paths as seen from its folder.
fn check(folder: &Path) -> String {
    let loaded = config::load(&folder.join("config/router.yaml"));
    let (_, report) = snapshot::compile(&loaded, &filter::Registry::default());
    let shown = diag::human(&report, &loaded.sources, diag::Colour::Never);
    let gap = if shown.is_empty() { "" } else { "\n" };
    let text = format!("{shown}{gap}{}\n", report.summary());
    text.replace(&format!("{}/", folder.display()), "")
}

fn cases() -> BTreeMap<String, PathBuf> {
    let folders = std::fs::read_dir(root().join("tests/golden/check")).unwrap();
    let folders = folders
        .map(|folder| folder.unwrap().path())
        .filter(|path| path.is_dir());
    folders
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                path,
            )
        })
        .collect()
}

/// The first finding of a rule in the case that has its name.
fn example(rule: &str) -> String {
    let folder = root().join("tests/golden/check").join(rule);
    assert!(folder.is_dir(), "no case `tests/golden/check/{rule}`");
    let text = check(&folder);
    let block = text
        .split("\n\n")
        .find(|block| block.contains(&format!("[{rule}]")));
    block
        .unwrap_or_else(|| panic!("the case `{rule}` does not break its rule:\n{text}"))
        .trim_end()
        .to_owned()
}

/// The section with the text between its fences replaced.
fn with_example(section: &str, example: &str) -> String {
    let mut parts = section.splitn(3, "```");
    let (before, after) = (
        parts.next().unwrap_or_default(),
        parts.nth(1).unwrap_or_default(),
    );
    format!("{before}```text\n{example}\n```{after}")
}

/// Every rule that the code can tell: the literals that stand where a rule does.
fn rules_in_code() -> BTreeSet<String> {
    let starts = [
        "Diagnostic::error(",
        "Diagnostic::warning(",
        "warn(",
        "rule:",
        "RULE: &'static str =",
    ];
    let mut rules = BTreeSet::new();
    let all = sources(&root().join("src")).into_iter();
    // The examples and tests of `diag` break rules that do not exist.
    for file in all.filter(|file| !file.starts_with(root().join("src/diag"))) {
        let text = std::fs::read_to_string(file).unwrap();
        for start in starts {
            for rest in text.split(start).skip(1) {
                let Some(literal) = rest.trim_start().strip_prefix('"') else {
                    continue;
                };
                rules.extend(literal.split('"').next().map(str::to_owned));
            }
        }
    }
    rules
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let nested = entries.map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    });
    nested
        .flatten()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}
