//! Loads, compiles, compares, swaps, and remembers how it went.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::app::Router;
use crate::config;
use crate::diag::{Report, Sources, concise};
use crate::filter::Registry;
use crate::snapshot::{self, Snapshot, changes};

/// How a reload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// In force; what changed, a line each.
    Applied(Vec<String>),
    /// Refused; the old configuration stays. The mistakes, a line each.
    Refused(Vec<String>),
}

/// The state of the configuration, for operators.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The main file.
    pub file: PathBuf,
    /// Whether files and running configuration agree.
    pub up_to_date: bool,
    /// When the running configuration was loaded, Unix seconds.
    pub loaded_at: u64,
    /// How often a configuration was put in force, the first time included.
    pub generation: u64,
    /// Mistakes of the last refused reload.
    pub errors: Vec<String>,
    /// Warnings of the running configuration.
    pub warnings: Vec<String>,
    /// What the last applied reload changed.
    pub changes: Vec<String>,
}

/// Reloads one router.
#[derive(Debug)]
pub struct Reloader {
    path: PathBuf,
    registry: Registry,
    router: Arc<Router>,
    status: Mutex<Status>,
    /// One reload at a time: the last one to read the files must be the last one to swap.
    turn: Mutex<()>,
}

impl Reloader {
    /// For a router that runs the configuration at `path`, loaded with these warnings.
    #[must_use]
    pub fn new(
        path: &Path,
        registry: Registry,
        router: Arc<Router>,
        warnings: Vec<String>,
    ) -> Self {
        let status = Status {
            file: path.to_owned(),
            up_to_date: true,
            loaded_at: now(),
            generation: 1,
            errors: Vec::new(),
            warnings,
            changes: Vec::new(),
        };
        router.metrics().reload_ok.set(1);
        router
            .metrics()
            .reload_time
            .set(i64::try_from(now()).unwrap_or(i64::MAX));
        Self {
            path: path.to_owned(),
            registry,
            router,
            status: Mutex::new(status),
            turn: Mutex::new(()),
        }
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Reads the files again and puts them in force if they are right. Blocks on the disk.
    pub fn reload(&self) -> Outcome {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = config::load(&self.path);
        let (compiled, report) = snapshot::compile(&loaded, &self.registry);
        let Some(compiled) = compiled else {
            return self.refuse(lines(&report, &loaded.sources));
        };
        let old = self.router.snapshot();
        let changed = changes(&old, &compiled);
        match self.router.apply(Arc::new(compiled)) {
            Ok(()) => self.applied(changed, lines(&report, &loaded.sources)),
            Err(error) => self.refuse(vec![error.to_string()]),
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.router.snapshot()
    }

    /// The router that is reloaded.
    #[must_use]
    pub const fn router(&self) -> &Arc<Router> {
        &self.router
    }

    fn applied(&self, changed: Vec<String>, warnings: Vec<String>) -> Outcome {
        let metrics = self.router.metrics();
        metrics.reloaded("ok");
        metrics.reload_ok.set(1);
        metrics
            .reload_time
            .set(i64::try_from(now()).unwrap_or(i64::MAX));
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        if changed.is_empty() {
            tracing::info!("reloaded: nothing changed");
        }
        for change in &changed {
            tracing::info!("reloaded: {change}");
        }
        let mut status = self.lock();
        status.up_to_date = true;
        status.loaded_at = now();
        status.generation += 1;
        status.errors.clear();
        status.warnings = warnings;
        status.changes.clone_from(&changed);
        Outcome::Applied(changed)
    }

    fn refuse(&self, errors: Vec<String>) -> Outcome {
        let metrics = self.router.metrics();
        metrics.reloaded("refused");
        metrics.reload_ok.set(0);
        for error in &errors {
            tracing::error!("reload refused, the old configuration stays: {error}");
        }
        let mut status = self.lock();
        status.up_to_date = false;
        status.errors.clone_from(&errors);
        Outcome::Refused(errors)
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lines(report: &Report, sources: &Sources) -> Vec<String> {
    concise(report, sources)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
