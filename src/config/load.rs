//! Reads the main file and the filters folder: the only file of this room that touches the disk.
//!
//! What cannot be read is a diagnostic like any other. What is in the texts is `loaded.rs`'s business.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use super::files::Files;
use super::loaded::{Loaded, Watch, finish, read_router, read_table};
use super::names::{Named, name_mistake};
use super::router::Router;
use super::table::Table;
use super::written::Spanned;
use crate::diag::{Diagnostic, FileId, Pos, Report, Sources, Span};

/// Larger files are refused: a table with 100,000 filters has about 10 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// More tables are refused: one table serves a service, and nobody has so many.
const TABLES_MAX: usize = 10_000;

/// Reads the main file at `path` and the tables of its filters folder, with every check that this room knows.
pub fn load(path: &Path) -> Loaded {
    let mut loading = Loading {
        sources: Sources::default(),
        report: Report::default(),
        watch: Watch::default(),
        files: Files::default(),
    };
    loading.files.note_time();
    loading.watch.files.push(path.to_owned());
    let router = loading.main_file(path);
    let mut tables = Named::default();
    let router = router.map(|mut router| {
        let base = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        loading.tables(&router.filters_dir, &base, &mut tables);
        loading.resolve(&mut router, &base);
        router
    });
    finish(
        router,
        tables,
        loading.sources,
        loading.report,
        loading.watch,
        loading.files,
    )
}

struct Loading {
    sources: Sources,
    report: Report,
    watch: Watch,
    files: Files,
}

impl Loading {
    fn main_file(&mut self, path: &Path) -> Option<Router> {
        let file = self.file(path, |error, span, name| {
            let found = if error.kind() == std::io::ErrorKind::NotFound {
                Diagnostic::error("missing-file", format!("there is no file `{name}`"), span)
            } else {
                Diagnostic::error(
                    "unreadable-file",
                    format!("the file `{name}` cannot be read: {error}"),
                    span,
                )
            };
            found.hint(
                "the main file is named with `-c PATH`; without it `config/router.yaml` is read",
            )
        })?;
        read_router(&self.sources, file, &mut self.report)
    }

    /// Every `*.yaml` of the folder is a table. A folder that nobody named need not exist.
    fn tables(&mut self, folder: &Spanned<PathBuf>, base: &Path, tables: &mut Named<Table>) {
        let path = base.join(&folder.value);
        let written = folder.span != Span::default();
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if !written && error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                let text = format!(
                    "the filters folder `{}` cannot be read: {error}",
                    shown(&path)
                );
                let found = Diagnostic::error("unreadable-folder", text, folder.span);
                self.report
                    .push(found.hint("`filters_dir` is relative to the file it stands in"));
                return;
            }
        };
        self.watch.folders.push(path);
        let mut files: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .collect();
        // The order of a folder is the file system's; reports must not depend on it.
        files.sort();
        files.retain(|file| file.is_file() || file.is_symlink());
        if files.len() > TABLES_MAX {
            let text = format!("the filters folder holds more than {TABLES_MAX} files");
            self.report
                .push(Diagnostic::error("unreadable-folder", text, folder.span));
            return;
        }
        for file in files {
            self.table(&file, tables);
        }
    }

    fn table(&mut self, path: &Path, tables: &mut Named<Table>) {
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // Editors and config-map mounts leave hidden files beside the real ones.
        if stem.starts_with('.') {
            return;
        }
        match path
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase())
            .as_deref()
        {
            Some("yaml") => {}
            Some("yml") => {
                let file = self.sources.add(shown(path), "");
                let text = "this file is not read: only `*.yaml` are tables";
                let found = Diagnostic::warning("ignored-file", text, Span::whole(file));
                self.report
                    .push(found.hint(format!("rename it to `{stem}.yaml`")));
                return;
            }
            _ => return,
        }
        self.watch.files.push(path.to_owned());
        let file = self.file(path, |error, span, name| {
            Diagnostic::error(
                "unreadable-file",
                format!("the table `{name}` cannot be read: {error}"),
                span,
            )
        });
        let Some(file) = file else {
            let nowhere = self
                .sources
                .files()
                .last()
                .map(Span::whole)
                .unwrap_or_default();
            tables.insert_broken(Spanned::new(stem, nowhere));
            return;
        };
        if let Some(label) = name_mistake(&stem) {
            let text = "the file's name cannot be the name of a table";
            self.report
                .push(Diagnostic::error("bad-name", text, Span::whole(file)).label(label));
        }
        read_table(&self.sources, file, &stem, tables, &mut self.report);
    }

    /// The text of a file, in `sources`. `unreadable` makes the diagnostic for what the system says.
    fn file(
        &mut self,
        path: &Path,
        unreadable: impl FnOnce(&std::io::Error, Span, &str) -> Diagnostic,
    ) -> Option<FileId> {
        let name = shown(path);
        let bytes = match read_bounded(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let file = self.sources.add(name.clone(), "");
                self.report
                    .push(unreadable(&error, Span::whole(file), &name));
                return None;
            }
        };
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Some(self.sources.add(name, text)),
            Err(error) => error,
        };
        let good = error.utf8_error().valid_up_to();
        let file = self
            .sources
            .add(name, String::from_utf8_lossy(error.as_bytes()));
        let at = place_of(&self.sources, file, good);
        let span = Span::new(file, at, Pos::new(at.line, at.col.saturating_add(1)));
        let found = Diagnostic::error("not-utf8", "the file is not UTF-8 text", span)
            .label("not UTF-8 from here on");
        self.report.push(found.hint("save it as UTF-8"));
        None
    }

    /// Makes every path absolute or relative to where the program runs, watches and reads what
    /// it names.
    fn resolve(&mut self, router: &mut Router, base: &Path) {
        let (watch, files, report) = (&mut self.watch.files, &mut self.files, &mut self.report);
        let mut place = |path: &mut Spanned<PathBuf>, watched: bool| {
            path.value = base.join(&path.value);
            if watched {
                watch.push(path.value.clone());
            }
        };
        place(&mut router.filters_dir, false);
        router
            .admin
            .iter_mut()
            .filter_map(|admin| admin.token_file.as_mut())
            .for_each(|path| place(path, true));
        router
            .access_log
            .path
            .iter_mut()
            .for_each(|path| place(path, false));
        for (_, endpoint) in router.endpoints.iter_mut() {
            endpoint
                .socket
                .iter_mut()
                .for_each(|path| place(path, false));
        }
        for path in router.named_files() {
            place(path, true);
            files.read(path, report);
        }
        if router.wants_system_roots() {
            files.read_system_roots();
        }
    }
}

pub(super) fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let too_large = || std::io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"));
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells the two cases apart, also for files that grow or have no length.
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > FILE_BYTES_MAX {
        Err(too_large())
    } else {
        Ok(bytes)
    }
}

/// The line and column of a byte offset in a text that was good up to there.
fn place_of(sources: &Sources, file: FileId, offset: usize) -> Pos {
    let before = sources.text(file).get(..offset).unwrap_or_default();
    let line = before.matches('\n').count();
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count();
    let number = |value: usize| {
        u32::try_from(value)
            .unwrap_or(u32::MAX - 1)
            .saturating_add(1)
    };
    Pos::new(number(line), number(column))
}

/// `config/../filters/a.yaml` as `filters/a.yaml`. For the eye only: behind a link `..` means another folder.
fn shown(path: &Path) -> String {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            (Component::CurDir, _) => {}
            _ => parts.push(part),
        }
    }
    parts
        .iter()
        .collect::<PathBuf>()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: &str = "
listeners: { p: { bind: '127.0.0.1:1', tls: { cert: certs/a.pem, key: /dev/null } } }
services: { s: { path: /s, table: t } }
endpoints: { a: { url: 'http://a/' } }
";
    const TABLE: &str = "table: [{ filter: { match_all: {} }, endpoint: a }]";

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["config", "config/certs", "filters"] {
            std::fs::create_dir(folder.path().join(inner)).unwrap();
        }
        let main = folder.path().join("config/router.yaml");
        std::fs::write(&main, ROUTER).unwrap();
        std::fs::write(main.with_file_name("certs/a.pem"), "").unwrap();
        std::fs::write(folder.path().join("filters/t.yaml"), TABLE).unwrap();
        (folder, main)
    }

    fn rules(loaded: &Loaded) -> Vec<&'static str> {
        loaded.report.iter().map(|found| found.rule).collect()
    }

    #[test]
    fn paths_are_relative_to_the_file_they_stand_in_and_all_files_are_watched() {
        let (folder, main) = folder();
        for hidden in [".#t.yaml", "notes.txt", ".hidden.yaml"] {
            std::fs::write(folder.path().join("filters").join(hidden), "[").unwrap();
        }
        std::fs::create_dir(folder.path().join("filters/..data")).unwrap();
        let loaded = load(&main);
        assert!(loaded.report.is_empty(), "{:?}", loaded.report);
        let config = folder.path().join("config");
        let table = config.join("../filters/t.yaml");
        let watched = [
            main,
            table,
            config.join("certs/a.pem"),
            PathBuf::from("/dev/null"),
        ];
        assert_eq!(loaded.watch.files, watched);
        assert_eq!(loaded.watch.folders, [config.join("../filters")]);
    }

    #[test]
    fn a_folder_is_no_file_and_a_file_no_folder() {
        let (folder, main) = folder();
        assert_eq!(rules(&load(folder.path())), ["unreadable-file"]);
        assert_eq!(
            rules(&load(&folder.path().join("nothing.yaml"))),
            ["missing-file"]
        );
        std::fs::write(&main, format!("{ROUTER}filters_dir: router.yaml\n")).unwrap();
        assert_eq!(rules(&load(&main)), ["unreadable-folder"]);
    }

    #[test]
    fn files_beyond_the_limits_are_refused() {
        let (folder, main) = folder();
        let large = folder.path().join("filters/large.yaml");
        // A hole in a file costs no disk.
        std::fs::File::create(&large)
            .unwrap()
            .set_len(FILE_BYTES_MAX + 1)
            .unwrap();
        assert_eq!(rules(&load(&main)), ["unreadable-file"]);
        std::fs::remove_file(large).unwrap();
        for number in 0..TABLES_MAX {
            std::fs::write(folder.path().join(format!("filters/t{number}.yaml")), "").unwrap();
        }
        assert_eq!(rules(&load(&main)), ["unreadable-folder"]);
    }

    #[test]
    fn paths_are_shown_as_one_would_write_them() {
        assert_eq!(
            shown(Path::new("config/../filters/a.yaml")),
            "filters/a.yaml"
        );
        assert_eq!(
            shown(Path::new("./config/router.yaml")),
            "config/router.yaml"
        );
        assert_eq!(shown(Path::new("../../filters")), "../../filters");
        assert_eq!(shown(Path::new("/etc/x/../y")), "/etc/y");
    }
}
