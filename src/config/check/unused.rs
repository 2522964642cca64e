//! Things that no name points to: harmless, and usually a slip.

use super::super::loaded::Config;
use super::super::written::Spanned;
use super::names::Seen;
use super::tables::Used;
use crate::diag::{Diagnostic, Report};

/// Warns of everything that is declared and not used.
pub(super) fn check(config: &Config, tables: &[Used<'_>], seen: &Seen<'_>, report: &mut Report) {
    let router = &config.router;
    let mut warn = |rule, what: &str, name: &Spanned<String>, hint: &str| {
        let text = format!("{what} `{}` is never used", name.value);
        report.push(Diagnostic::warning(rule, text, name.span).hint(hint));
    };
    for name in router
        .endpoints
        .declared()
        .filter(|name| !seen.endpoints.contains(name.as_str()))
    {
        warn(
            "unused-endpoint",
            "endpoint",
            name,
            "name it in an entry or a backup list, or remove it",
        );
    }
    for name in router
        .backup_lists
        .declared()
        .filter(|name| !seen.backup_lists.contains(name.as_str()))
    {
        warn(
            "unused-backup-list",
            "backup list",
            name,
            "name it in an entry's `backups`, or remove it",
        );
    }
    // A service that names no listeners is reached on all of them.
    let everywhere = router
        .services
        .iter()
        .any(|(_, service)| service.listeners.is_none());
    for name in router
        .listeners
        .declared()
        .filter(|name| !everywhere && !seen.listeners.contains(name.as_str()))
    {
        warn(
            "unused-listener",
            "listener",
            name,
            "name it in a service's `listeners`, or remove it",
        );
    }
    for name in config
        .tables
        .declared()
        .filter(|name| !seen.tables.contains(name.as_str()))
    {
        let hint = "name it in a service's `table`, or move the file out of the filters folder";
        warn("unused-table", "table", name, hint);
    }
    for (index, used) in tables.iter().enumerate() {
        let filters = used.table.filters.declared();
        for name in filters.filter(|name| !seen.filters.contains(&(index, name.as_str()))) {
            warn(
                "unused-filter",
                "filter",
                name,
                "name it in an entry or another filter, or remove it",
            );
        }
    }
}
