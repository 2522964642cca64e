//! The samples run as they say: each `Try:` is one shell session, and what stands behind `# says:` comes.
//!
//! Ports are exchanged for free ones, the same for the same in the session and in the files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::support::PATIENCE;
use crate::support::ports::FreePorts;
use crate::support::samples::{main_files, tree};

const SAYS: &str = "# says: ";
/// How a stub begins; behind it stands where it listens.
const STUB: &str = "soap-router stub --bind ";
/// Stands behind the output of each command, with its exit code.
const MARK: &str = "@@@";

/// The commands that a sample tells to try.
fn session(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.starts_with("# Try:"));
    let lines = lines.take_while(|line| line.starts_with('#'));
    lines
        .map(|line| {
            line.trim_start_matches("# Try:")
                .trim_start_matches('#')
                .trim()
                .to_owned()
        })
        .collect()
}

/// Runs a session and compares what it says.
fn run(name: &str, commands: &[String], folder: &Path) {
    let mut script = String::new();
    for command in commands {
        script.push_str(command);
        if !command.ends_with('&') {
            script.push_str(&format!("\nprintf '\\n{MARK}%s\\n' $?"));
        } else if let Some(stub) = command.strip_prefix(STUB) {
            // On a busy machine the router may be there before it, and ask a backup.
            let (address, _) = stub.split_once(' ').unwrap();
            let listens = format!("(: < /dev/tcp/{}) 2> /dev/null", address.replace(':', "/"));
            script.push_str(&format!(
                "\ntimeout {} bash -c 'until {listens}; do sleep 0.01; done'",
                PATIENCE.as_secs()
            ));
        }
        script.push('\n');
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_soap-router"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = || {
        format!(
            "{name}\n{stdout}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let mut parts = stdout.split(MARK);
    let mut said = parts.next().unwrap_or_default();
    for command in commands.iter().filter(|command| !command.ends_with('&')) {
        let next = parts
            .next()
            .unwrap_or_else(|| panic!("`{command}` did not end: {}", told()));
        assert!(next.starts_with("0\n"), "`{command}` failed: {}", told());
        if let Some((_, expected)) = command.split_once(SAYS) {
            let came = said.lines().any(|line| {
                line.to_ascii_lowercase()
                    .contains(&expected.to_ascii_lowercase())
            });
            assert!(came, "`{expected}` did not come of `{command}`: {}", told());
        }
        said = next;
    }
}

#[test]
fn what_each_sample_tells_to_try_runs_as_printed() {
    let openssl = Command::new("openssl").arg("version").output().is_ok();
    let folder = tree(None);
    let samples = main_files(folder.path());
    let all: Vec<_> = samples
        .iter()
        .filter(|main| main.parent().unwrap().ends_with("examples"))
        .collect();
    thread::scope(|scope| {
        for main in all {
            scope.spawn(move || {
                let name = main.file_name().unwrap().to_str().unwrap();
                let commands = session(&fs::read_to_string(main).unwrap());
                let checked = commands.iter().filter(|command| command.contains(SAYS));
                assert!(
                    checked.count() > 0,
                    "{name} says nothing that could be checked"
                );
                // Certificates are made with a tool that not every machine has.
                if !openssl && commands.iter().any(|command| command.contains("certs.sh")) {
                    return;
                }
                let mut ports = FreePorts::default();
                let folder = tree(Some(&mut ports));
                let script = ports.exchange(&commands.join("\n"));
                let commands: Vec<String> = script.lines().map(str::to_owned).collect();
                run(name, &commands, folder.path());
            });
        }
    });
}
