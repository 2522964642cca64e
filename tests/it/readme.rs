//! What the README prints runs as printed, and prints what it says.
//!
//! The blocks marked `sh` (without the two commands at the top and the `setup` of a path) are
//! run as one shell session; the ports in them are exchanged for free ones, the same for the
//! same, and each line of a `text` block must be a line of the output so far.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::ports::FreePorts;

/// The blocks of the page: language tag and text.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(tag) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((tag, text.join("\n")));
        }
    }
    blocks
}

#[test]
fn the_session_of_the_readme_runs_as_printed() {
    let page = include_str!("../../README.md");
    let blocks = blocks(page);
    assert_eq!(blocks[0].1, "cargo run --release -- demo");
    assert_eq!(blocks[1].1, "cargo test");
    let session: Vec<&str> = blocks[2..]
        .iter()
        .filter(|(tag, _)| *tag == "sh")
        .map(|(_, text)| text.as_str())
        .collect();
    assert!(session.len() >= 3, "the session is gone from the README");
    // `set -e` would end at the first command whose answer is "no"; output is what counts.
    let script = format!(
        "{}\nwait\n",
        FreePorts::default().exchange(&session.join("\n"))
    );
    let folder = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_soap-router"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .arg("-c")
        .arg(&script)
        .current_dir(folder.path())
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut said = stdout.lines();
    // The picture of the road is also `text`; it stands before the session.
    let first = blocks
        .iter()
        .position(|(tag, _)| *tag == "sh setup")
        .unwrap();
    for (_, expected) in blocks[first..].iter().filter(|(tag, _)| *tag == "text") {
        for line in expected.lines() {
            assert!(
                said.any(|said| said == line),
                "`{line}` did not come, or not in its order\n{stdout}\n{stderr}"
            );
        }
    }
}
