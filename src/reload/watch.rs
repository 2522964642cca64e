//! Notices that configuration files changed.
//!
//! Editors write a new file and rename it over the old one; config maps exchange a symlink of
//! the folder. So the folders are watched, not the files, and what counts is that *something*
//! happened in them: the reload reads everything anyway.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    changed: mpsc::Receiver<()>,
}

impl Watcher {
    /// Starts watching the folders in which `files` stand, and `folders` themselves.
    ///
    /// # Errors
    /// When the system gives no watch.
    pub fn start(files: &[PathBuf]) -> Result<Self, WatchError> {
        // One waiting note is enough: it says "look again", not what happened.
        let (note, changed) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(event.kind)) {
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
    /// steps are one change.
    pub async fn changed(&mut self, quiet: Duration) {
        if self.changed.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while let Ok(Some(())) = timeout(quiet, self.changed.recv()).await {}
    }
}

fn matters(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(_))
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
