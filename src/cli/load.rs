//! Loading a configuration for a verb, mistakes printed to stderr.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use crate::config;
use crate::diag::{Colour, Report, Sources, human};
use crate::filter::Registry;
use crate::snapshot::{self, Snapshot};

/// A usable configuration, with its warnings a line each.
#[derive(Debug)]
pub(super) struct Usable {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) warnings: Vec<String>,
}

/// Loads and compiles; `None` after printing why not.
pub(super) fn load(path: &Path, registry: &Registry) -> Option<Usable> {
    let loaded = config::load(path);
    let (snapshot, report) = snapshot::compile(&loaded, registry);
    if !report.is_empty() {
        print_report(&report, &loaded.sources);
    }
    let warnings = crate::diag::concise(&report, &loaded.sources);
    Some(Usable {
        snapshot: Arc::new(snapshot?),
        warnings: warnings.lines().map(str::to_owned).collect(),
    })
}

/// The human face, coloured when stderr is a terminal.
pub(super) fn print_report(report: &Report, sources: &Sources) {
    let colour = colour(std::io::stderr().is_terminal());
    eprint!("{}", human(report, sources, colour));
}

pub(super) fn colour(terminal: bool) -> Colour {
    Colour::wanted(terminal, std::env::var_os("NO_COLOR").as_deref())
}
