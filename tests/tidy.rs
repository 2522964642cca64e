//! The walls of the house, held by a test: one crate cannot lean on Cargo for its layering.
//!
//! Reads `src/**/*.rs` as text and fails on an import that runs up or across, a clock or a
//! socket in a pure room, a library outside the one room that it belongs to. What the walls are
//! for is told in `docs/architecture.md`; whoever moves one changes the table here first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top floor down, each with the rooms that it may import. All of those stand
/// below it in this list, so there can be no circle.
const ROOMS: [(&str, &[&str]); 21] = [
    (
        "cli",
        &[
            "admin",
            "app",
            "reload",
            "exchange",
            "snapshot",
            "filter",
            "routing",
            "upstream",
            "soap",
            "config",
            "net",
            "fields",
            "diag",
            "telemetry",
        ],
    ),
    (
        "admin",
        &[
            "reload",
            "exchange",
            "snapshot",
            "filter",
            "routing",
            "upstream",
            "telemetry",
        ],
    ),
    (
        "reload",
        &["app", "snapshot", "filter", "config", "diag", "telemetry"],
    ),
    (
        "app",
        &[
            "front",
            "exchange",
            "snapshot",
            "upstream",
            "net",
            "telemetry",
        ],
    ),
    (
        "front",
        &[
            "exchange",
            "snapshot",
            "net",
            "http1",
            "fields",
            "telemetry",
        ],
    ),
    (
        "exchange",
        &[
            "admission",
            "snapshot",
            "filter",
            "routing",
            "upstream",
            "soap",
            "xml",
            "net",
            "fields",
            "telemetry",
        ],
    ),
    (
        "snapshot",
        &[
            "admission",
            "filter",
            "routing",
            "upstream",
            "naming",
            "xpath",
            "soap",
            "xml",
            "config",
            "net",
            "fields",
            "diag",
            "telemetry",
        ],
    ),
    ("filter", &["routing", "xpath", "soap", "xml", "fields"]),
    ("routing", &[]),
    ("admission", &[]),
    (
        "upstream",
        &["naming", "net", "http1", "fields", "telemetry"],
    ),
    ("naming", &[]),
    ("xpath", &["xml"]),
    ("soap", &["xml"]),
    ("xml", &[]),
    ("config", &["diag"]),
    ("net", &["http1", "fields", "telemetry"]),
    ("http1", &["fields", "telemetry"]),
    ("fields", &[]),
    ("diag", &[]),
    ("telemetry", &[]),
];

/// Rooms that are functions of data, with the files that are not.
const PURE: [(&str, &[&str]); 10] = [
    ("fields", &[]),
    ("xml", &[]),
    ("soap", &[]),
    ("xpath", &[]),
    ("filter", &[]),
    ("routing", &[]),
    ("diag", &[]),
    ("config", &["load.rs", "files.rs"]),
    ("snapshot", &["live.rs"]),
    (
        "http1",
        &[
            "buffers.rs",
            "caller.rs",
            "date.rs",
            "endpoint.rs",
            "timer.rs",
            "upgrade.rs",
        ],
    ),
];

/// What a pure room does without: runtimes, clocks, files.
const IMPURE: [&str; 9] = [
    "tokio",
    "hyper",
    "hyper_util",
    "Instant",
    "SystemTime",
    "std::fs",
    "std::thread",
    "TcpStream",
    "TcpListener",
];

/// Libraries that may be named in one place only, so that they can be exchanged there.
const CONFINED: [(&str, &[&str]); 16] = [
    ("quick_xml", &["xml/"]),
    ("sxd_xpath", &["xpath/fallback.rs"]),
    ("sxd_document", &["xpath/fallback.rs"]),
    ("httparse", &["http1/"]),
    ("httpdate", &["http1/"]),
    ("h2", &["upstream/multiplexed.rs"]),
    ("arc_swap", &["snapshot/", "upstream/"]),
    ("anyhow", &["cli/"]),
    ("clap", &["cli/"]),
    ("notify", &["reload/"]),
    ("rustls", &["net/tls/"]),
    ("tokio_rustls", &["net/tls/"]),
    ("rustls_native_certs", &["config/files.rs"]),
    ("x509_parser", &["net/tls/"]),
    ("hickory_resolver", &["naming/"]),
    ("prometheus_client", &["telemetry/"]),
];

/// Files are small: 300 lines is the aim, beyond this one is a room that wants to be divided.
const LINES_MAX: usize = 700;
/// Those that are longer all the same, until they are divided; nothing is to be added here.
const OVERLONG: [(&str, usize); 0] = [];

/// A source file: where it stands under `src/`, and its code without comments and unit tests.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn file(&self) -> &str {
        self.path.split_once('/').map_or("", |(_, file)| file)
    }
}

#[test]
fn imports_run_down_and_the_table_has_no_circle() {
    let rank: BTreeMap<&str, usize> = ROOMS
        .iter()
        .enumerate()
        .map(|(at, (name, _))| (*name, at))
        .collect();
    for (room, allowed) in ROOMS {
        for below in allowed {
            assert!(
                rank[below] > rank[room],
                "`{room}` may not import `{below}`, which stands above it"
            );
        }
    }
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources() {
        let Some(at) = rank.get(source.room()) else {
            continue;
        };
        let (room, allowed) = ROOMS[*at];
        seen.insert(room);
        for used in uses(&source.code) {
            if used != room && rank.contains_key(used.as_str()) && !allowed.contains(&used.as_str())
            {
                wrong.push(format!("{} imports `{used}`", source.path));
            }
        }
        if source.code.contains("crate::{") {
            wrong.push(format!("{} imports through the crate's root", source.path));
        }
    }
    assert_eq!(
        seen.len(),
        ROOMS.len(),
        "rooms that are gone: only {seen:?} were found"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_has_a_place_in_the_table_and_on_the_map() {
    let map = read(&root().join("src/lib.rs"));
    let architecture = read(&root().join("docs/architecture.md"));
    let known: BTreeSet<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    for source in sources() {
        let room = source.room().to_owned();
        if room == "lib" || room == "main" {
            continue;
        }
        assert!(
            known.contains(room.as_str()),
            "`{room}` is not in the table of tests/tidy.rs"
        );
        assert!(
            map.contains(&format!("[`{room}`]")),
            "`{room}` is not on the map in src/lib.rs"
        );
        assert!(
            architecture.contains(&format!("`{room}`")),
            "`{room}` is not in docs/architecture.md"
        );
    }
}

#[test]
fn pure_rooms_have_no_runtime_no_clock_and_no_files() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, except)) = PURE.iter().find(|(room, _)| *room == source.room()) else {
            continue;
        };
        if except.contains(&source.file()) {
            continue;
        }
        for word in IMPURE.iter().filter(|word| names(&source.code, word)) {
            wrong.push(format!("{} names `{word}`", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (library, places) in CONFINED {
            let at_home = places.iter().any(|place| source.path.starts_with(place));
            if !at_home && names(&source.code, &format!("{library}::")) {
                wrong.push(format!("{} names `{library}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_imports_its_own_door() {
    let all = sources();
    let mut wrong = Vec::new();
    for door in all.iter().filter(|source| source.path.ends_with("/mod.rs")) {
        let folder = door.path.trim_end_matches("mod.rs");
        for name in definitions(&door.code) {
            let siblings = all.iter().filter(|source| {
                let inside = source.path.strip_prefix(folder);
                inside.is_some_and(|file| file != "mod.rs" && !file.contains('/'))
            });
            for sibling in siblings.filter(|sibling| imports_from_door(&sibling.code, &name)) {
                wrong.push(format!(
                    "{} imports `{name}` from its own door",
                    sibling.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn metric_names_stand_in_one_file() {
    for source in sources() {
        if source.path == "telemetry/names.rs" {
            continue;
        }
        assert!(
            !source.code.contains("\"soap_router_"),
            "{} writes out a metric's name",
            source.path
        );
        let squeezed: String = source.code.split_whitespace().collect();
        assert!(
            !squeezed.contains(".register(\"soap") && !squeezed.contains("registry.register(\""),
            "{}",
            source.path
        );
    }
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_endless() {
    for source in sources() {
        let path = &source.path;
        assert!(source.text.starts_with("//! "), "{path} has no header");
        let lines = source.text.lines().count();
        let known = OVERLONG.iter().find(|(overlong, _)| overlong == path);
        let most = known.map_or(LINES_MAX, |(_, lines)| *lines);
        assert!(
            lines <= most,
            "{path} has {lines} lines, {most} is the most"
        );
        for word in ["_utils", "helpers", "common", "_manager"] {
            assert!(
                !path.contains(word),
                "`{path}` says nothing of what is in it"
            );
        }
    }
}

#[test]
fn nobody_leaves_the_safe_language() {
    for file in ["lib.rs", "main.rs"] {
        assert!(
            read(&root().join("src").join(file)).contains("#![forbid(unsafe_code)]"),
            "{file}"
        );
    }
}

/// The checks see what they are meant to see.
#[test]
fn the_checks_themselves() {
    let code = strip(
        "use crate::soap::Facts; // crate::cli\n/// crate::app\nlet a = \"http://x\"; // y\n#[cfg(test)]\nmod tests { use crate::cli::X; }\n",
    );
    assert_eq!(uses(&code), BTreeSet::from(["soap".to_owned()]));
    assert!(
        code.contains("\"http://x\"") && !code.contains('y'),
        "{code}"
    );
    assert!(names("use tokio::net;", "tokio") && !names("tokio_util::x my_tokio", "tokio"));
    assert!(names("let a: Instant;", "Instant") && !names("Instantly", "Instant"));
    assert_eq!(
        definitions("pub fn a() {}\n    fn b() {}\npub(crate) enum C {\nmod d;\n"),
        ["a", "C"]
    );
    assert!(
        imports_from_door("use super::C;", "C") && imports_from_door("use super::{a, C};", "C")
    );
    assert!(
        !imports_from_door("use super::c::C;", "C")
            && !imports_from_door("use super::{a::C};", "C")
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources() -> Vec<Source> {
    let start = root().join("src");
    let (mut found, mut folders) = (Vec::new(), vec![start.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = read(&path);
                let name = path
                    .strip_prefix(&start)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.push(Source {
                    path: name,
                    code: strip(&text),
                    text,
                });
            }
        }
    }
    assert!(found.len() > 50, "the sources are gone");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The code without comments, and without the unit tests, which stand last in a file.
fn strip(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let line = |line: &str| {
        // A `//` inside a text is no comment; an odd number of quotes before it tells.
        let comment = line
            .match_indices("//")
            .map(|(at, _)| at)
            .find(|at| line[..*at].matches('"').count().is_multiple_of(2));
        comment.map_or(line, |at| &line[..at]).to_owned() + "\n"
    };
    code.lines().map(line).collect()
}

/// Rooms that are named as `crate::ROOM`.
fn uses(code: &str) -> BTreeSet<String> {
    let word = |rest: &str| {
        rest.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    code.match_indices("crate::")
        .map(|(at, found)| word(&code[at + found.len()..]))
        .collect()
}

/// Whether the code names this, as a word of its own.
fn names(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, found)| {
        let before = code[..at].chars().next_back();
        let after = code[at + found.len()..].chars().next();
        !before.is_some_and(part) && (found.ends_with(':') || !after.is_some_and(part))
    })
}

/// What a door defines itself, at its outermost level.
fn definitions(code: &str) -> Vec<String> {
    let kinds = [
        "fn ", "struct ", "enum ", "trait ", "type ", "const ", "static ",
    ];
    let of_line = |line: &str| {
        let rest = line
            .strip_prefix("pub ")
            .or_else(|| line.strip_prefix("pub(crate) "))
            .unwrap_or(line);
        let rest = rest.strip_prefix("async ").unwrap_or(rest);
        let name = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
        Some(
            name.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect(),
        )
    };
    code.lines().filter_map(of_line).collect()
}

/// Whether the code imports this name from the module above it.
fn imports_from_door(code: &str, name: &str) -> bool {
    let listed = |list: &str| list.split(',').any(|item| item.trim() == name);
    code.split("use super::").skip(1).any(|rest| {
        let import = rest.split(';').next().unwrap_or_default().trim();
        match import.strip_prefix('{') {
            Some(list) => listed(list.trim_end_matches('}')),
            None => import == name,
        }
    })
}
