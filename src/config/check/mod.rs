//! What only shows when all files are seen together: names that nobody declared, circles, entries that never win.
//!
//! Data in, diagnostics out, nothing stops at the first mistake. What one value alone can have wrong was
//! told while it was read; XPath, regular expressions and certificates are left to those who compile them.

mod entries;
mod filters;
mod meaning;
mod names;
mod places;
mod servers;
mod tables;
mod unused;

use super::loaded::Config;
use crate::diag::{Report, Sources};

/// Runs every check. Those that speak of what is *not* there (unused, never wins) would mislead where parts
/// were left out because of mistakes, and wait until those are gone.
pub(super) fn check(config: &Config, sources: &Sources, report: &mut Report) {
    let whole = !report.has_errors();
    let tables = tables::tables(config);
    let seen = names::check(config, &tables, sources, report);
    places::check(config, report);
    servers::check(config, report);
    for table in &tables {
        let sound = filters::check(table, config, report);
        entries::check_each(table, config, whole, report);
        if whole && sound {
            entries::check_order(table, report);
        }
    }
    if whole {
        unused::check(config, &tables, &seen, report);
    }
}
