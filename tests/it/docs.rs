//! The pages under `docs/` know what the code knows: each reason of a fault, each package.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use soap_router::soap::{Code, Reason, Version};

use crate::support::root;

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The cells of a table's row, without its outer bars.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner
        .split(" | ")
        .map(|cell| cell.trim().to_owned())
        .collect()
}

#[test]
fn each_reason_of_a_fault_is_documented_as_it_is() {
    let page = page("faults.md");
    let rows: Vec<Vec<String>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(cells)
        .collect();
    let documented: Vec<String> = rows
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(documented, known);
    for (row, reason) in rows.iter().zip(Reason::ALL) {
        let code = match reason.code() {
            Code::Sender => "Sender",
            Code::Receiver => "Receiver",
            Code::VersionMismatch => "VersionMismatch",
        };
        assert_eq!(row[1], code, "{row:?}");
        let status = format!(
            "{} / {}",
            reason.http_status(Version::Soap11),
            reason.http_status(Version::Soap12)
        );
        assert_eq!(row[2], status, "{row:?}");
        assert!(!row[3].is_empty(), "{row:?}");
    }
}

#[test]
fn each_package_has_its_line() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let of_section = |section: &str| -> BTreeSet<String> {
        let rest = manifest.split(&format!("[{section}]\n")).nth(1).unwrap();
        let lines = rest.lines().take_while(|line| !line.starts_with('['));
        let names = lines.filter_map(|line| Some(line.split_once(" = ")?.0.trim().to_owned()));
        names.filter(|name| !name.starts_with('#')).collect()
    };
    let packages: BTreeSet<String> = of_section("dependencies")
        .union(&of_section("dev-dependencies"))
        .cloned()
        .collect();
    let page = page("dependencies.md");
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, packages);
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages: Vec<_> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    pages.push(root().join("README.md"));
    let mut seen = 0;
    for path in pages
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
    {
        let text = fs::read_to_string(path).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            seen += 1;
            let there = path.parent().unwrap().join(file).exists();
            assert!(
                there,
                "{} links to `{target}`, which is not there",
                path.display()
            );
        }
    }
    assert!(seen > 3, "no links were found");
}

#[test]
fn the_life_of_a_message_names_the_code_as_it_is() {
    let page = page("life-of-a-message.md");
    let mut seen = 0;
    for path in page
        .split('`')
        .filter(|text| text.starts_with("src/") && !text.contains(' '))
    {
        seen += 1;
        assert!(root().join(path).exists(), "`{path}` is not there");
    }
    assert!(seen > 10, "the page names no files");
}

#[test]
fn each_variable_of_rewrites_is_documented() {
    let page = page("rewrites.md");
    let code = fs::read_to_string(root().join("src/snapshot/rewrite.rs")).unwrap();
    let names = code.split("const NAMES").nth(1).unwrap();
    let names: BTreeSet<String> = names
        .split("];")
        .next()
        .unwrap()
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 30, "{names:?}");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<String> = rows
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| !name.ends_with("NAME"))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, names);
}

#[test]
fn the_example_of_an_embedding_program_runs() {
    // Built with the tests, beside them.
    let program = std::env::current_exe().unwrap();
    let program = program
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/custom_filter");
    if !program.exists() {
        // `cargo test --test it` builds no examples; the whole `cargo test` does.
        return;
    }
    let filter = "{ custom: { type: customers, data: { header: X-Customer, of: [anna, bert] } } }";
    let table = format!(
        "- {{ filter: {filter}, endpoint: new, priority: 1 }}\n- {{ filter: {{ match_all: {{}} }}, endpoint: old }}"
    );
    let folder = crate::support::router(&table)
        .endpoint("new", "http://127.0.0.1:1/", "")
        .endpoint("old", "http://127.0.0.1:2/", "")
        .write();
    fs::write(
        folder.path().join("order.xml"),
        crate::support::messages::order().body,
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(&program)
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    for (customer, expected) in [("anna", "send to new"), ("carl", "send to old")] {
        let (code, out) = run(&[
            "explain",
            "order.xml",
            "--header",
            &format!("X-Customer: {customer}"),
        ]);
        assert!(
            code == Some(0) && out.contains(expected),
            "{customer}: {out}"
        );
    }
    let text = fs::read_to_string(folder.path().join("filters/orders.yaml")).unwrap();
    fs::write(
        folder.path().join("filters/orders.yaml"),
        text.replace("[anna, bert]", "[]"),
    )
    .unwrap();
    let (code, out) = run(&["check"]);
    assert!(
        code == Some(1) && out.contains("`of` lists nobody"),
        "{out}"
    );
}
