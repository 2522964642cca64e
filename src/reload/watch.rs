//! Notices that configuration files changed.
//!
//! Editors write a new file and rename it over the old one; config maps exchange a symlink of
//! the folder. So the folders are watched, not the files, and it hardly matters what happened in
//! them: the reload reads everything anyway. Only writing into a file that is none of ours says
//! nothing: a log that stands beside the configuration and grows all the time would never let the
//! folder be quiet, and a change would never come into force.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Watching is not possible.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch `{path}` for changes: {source}")]
pub struct WatchError {
    path: PathBuf,
    source: notify::Error,
}

/// Watches the folders of a set of files.
#[derive(Debug)]
pub struct Watcher {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    names: Names,
    changed: mpsc::Receiver<()>,
}

/// What the watched files are called, shared with the thread that hears of changes.
type Names = Arc<RwLock<BTreeSet<OsString>>>;

/// How long changes that never stop can put off a reload, in waits for quiet.
const WAITS_MAX: u32 = 20;

impl Watcher {
    /// Starts watching the folders in which `files` stand, and `folders` themselves.
    ///
    /// # Errors
    /// When the system gives no watch.
    pub fn start(files: &[PathBuf]) -> Result<Self, WatchError> {
        // One waiting note is enough: it says "look again", not what happened.
        let (note, changed) = mpsc::channel(1);
        let names = Names::default();
        let known = Arc::clone(&names);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let known = known.read().unwrap_or_else(PoisonError::into_inner);
            if event.is_ok_and(|event| matters(&event, &known)) {
                // Full means that a note is waiting already.
                let _ = note.try_send(());
            }
        })
        .map_err(|source| WatchError {
            path: PathBuf::new(),
            source,
        })?;
        let mut started = Self {
            watcher,
            folders: BTreeSet::new(),
            names,
            changed,
        };
        started.follow(files)?;
        Ok(started)
    }

    /// Watches another set of files from now on.
    ///
    /// # Errors
    /// When a folder cannot be watched; the others are.
    pub fn follow(&mut self, files: &[PathBuf]) -> Result<(), WatchError> {
        *self.names.write().unwrap_or_else(PoisonError::into_inner) =
            files.iter().flat_map(|file| names_of(file)).collect();
        let wanted: BTreeSet<PathBuf> = files.iter().flat_map(|file| folders_of(file)).collect();
        for gone in self.folders.difference(&wanted) {
            // A folder that no longer exists cannot be unwatched, nor need it be.
            let _ = self.watcher.unwatch(gone);
        }
        let mut failed = Ok(());
        let mut watched = BTreeSet::new();
        for folder in wanted {
            let known = self.folders.contains(&folder);
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => _ = watched.insert(folder),
                Err(_) if known => _ = watched.insert(folder),
                Err(source) => {
                    failed = Err(WatchError {
                        path: folder,
                        source,
                    });
                }
            }
        }
        self.folders = watched;
        failed
    }

    /// Waits for a change, and then until nothing has changed for `quiet`: an editor's several
    /// steps are one change. Changes that never stop are looked at all the same, now and then.
    pub async fn changed(&mut self, quiet: Duration) {
        if self.changed.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let settle =
            async { while let Ok(Some(())) = timeout(quiet, self.changed.recv()).await {} };
        // Running out only means that the reload may find a change half made, and look again.
        let _ = timeout(quiet * WAITS_MAX, settle).await;
    }
}

/// Whether the event can mean another configuration.
///
/// Files that come, go or are renamed always can: config maps exchange a symlink whose name
/// nobody mentioned. So can a file that a refused configuration named for the first time, which
/// the one in force does not know; its ending shows what it is for.
fn matters(event: &Event, known: &BTreeSet<OsString>) -> bool {
    match event.kind {
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => {
            event.paths.is_empty() || event.paths.iter().any(|path| is_ours(path, known))
        }
        _ => true,
    }
}

fn is_ours(path: &Path, known: &BTreeSet<OsString>) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| CONFIGURATION_ENDINGS.contains(&ending))
        || path.file_name().is_none_or(|name| known.contains(name))
}

/// Endings of the files that a configuration consists of.
const CONFIGURATION_ENDINGS: [&str; 7] = ["yaml", "yml", "pem", "crt", "cer", "key", "token"];

/// The file's own name and, where it is a symlink, that of what it points to.
fn names_of(path: &Path) -> BTreeSet<OsString> {
    let real = path.canonicalize().ok();
    let paths = [Some(path), real.as_deref()].into_iter().flatten();
    paths
        .filter_map(Path::file_name)
        .map(OsString::from)
        .collect()
}

/// The folder that holds the path and, where the path is reached through a symlink, the folder
/// of what it points to.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
    };
    let mut folders = vec![if path.is_dir() {
        path.to_path_buf()
    } else {
        parent(path)
    }];
    if let Ok(real) = path.canonicalize() {
        folders.push(if real.is_dir() { real } else { parent(&real) });
    }
    folders
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, RenameMode};

    use super::*;

    #[test]
    fn a_log_beside_the_configuration_says_nothing() {
        let known = BTreeSet::from([OsString::from("partners")]);
        let check = |kind: EventKind, file: &str, expected: bool| {
            let event = Event::new(kind).add_path(Path::new("config").join(file));
            assert_eq!(matters(&event, &known), expected, "{event:?}");
        };
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check(written, "access.log", false);
        check(written, "partners", true);
        check(written, "router.yaml", true);
        check(written, "new.pem", true);
        check(
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            "..data",
            true,
        );
        check(EventKind::Create(CreateKind::File), "orders", true);
        check(EventKind::Access(AccessKind::Read), "router.yaml", false);
    }
}
