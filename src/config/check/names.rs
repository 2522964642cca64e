//! Names that point to nothing, and things that no name points to.

use std::collections::HashSet;

use super::super::filter::{Filter, FilterRef};
use super::super::loaded::Config;
use super::super::names::Named;
use super::super::service::TableRef;
use super::super::suggest;
use super::super::table::Backups;
use super::super::written::Spanned;
use super::tables::Used;
use crate::diag::{Diagnostic, Report, Sources};

/// The names that were used or nearly used: what a misspelled name probably meant is not called unused too.
#[derive(Default)]
pub(super) struct Names {
    endpoints: HashSet<String>,
    backup_lists: HashSet<String>,
    listeners: HashSet<String>,
    tables: HashSet<String>,
    /// By the table's place in the list of tables.
    filters: HashSet<(usize, String)>,
}

/// Tells every name that nothing is declared under.
pub(super) fn check(
    config: &Config,
    tables: &[Used<'_>],
    sources: &Sources,
    report: &mut Report,
) -> Names {
    let mut seen = Names::default();
    let folder_read = !report.iter().any(|found| found.rule == "unreadable-folder");
    let mut look = Look {
        config,
        sources,
        report,
        folder_read,
    };
    look.services(&mut seen);
    for (list, endpoints) in config.router.backup_lists.iter() {
        let context = format!("backup list `{}`", list.value);
        for endpoint in &endpoints.0 {
            look.endpoint(&context, endpoint, &mut seen);
        }
    }
    for (index, table) in tables.iter().enumerate() {
        look.entries(table, &mut seen);
        for reference in table.references() {
            look.reference(index, table, reference, &mut seen);
        }
    }
    seen
}

/// Warns of things that no name points to.
pub(super) fn unused(config: &Config, tables: &[Used<'_>], seen: &Names, report: &mut Report) {
    let router = &config.router;
    let mut warn = |rule, what: &str, name: &Spanned<String>, hint: &str| {
        let text = format!("{what} `{}` is never used", name.value);
        report.push(Diagnostic::warning(rule, text, name.span).hint(hint));
    };
    for name in router
        .endpoints
        .declared()
        .filter(|name| !seen.endpoints.contains(&name.value))
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
        .filter(|name| !seen.backup_lists.contains(&name.value))
    {
        warn(
            "unused-backup-list",
            "backup list",
            name,
            "name it in an entry's `backups`, or remove it",
        );
    }
    let everywhere = router
        .services
        .iter()
        .any(|(_, service)| service.listeners.is_none());
    for name in router
        .listeners
        .declared()
        .filter(|name| !everywhere && !seen.listeners.contains(&name.value))
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
        .filter(|name| !seen.tables.contains(&name.value))
    {
        warn(
            "unused-table",
            "table",
            name,
            "name it in a service's `table`, or move the file out of the filters folder",
        );
    }
    for (index, table) in tables.iter().enumerate() {
        for name in table.table.filters.declared() {
            if !seen.filters.contains(&(index, name.value.clone())) {
                warn(
                    "unused-filter",
                    "filter",
                    name,
                    "name it in an entry or another filter, or remove it",
                );
            }
        }
    }
}

struct Look<'c, 'r> {
    config: &'c Config,
    sources: &'c Sources,
    report: &'r mut Report,
    folder_read: bool,
}

impl Look<'_, '_> {
    fn services(&mut self, seen: &mut Names) {
        let config = self.config;
        for (name, service) in config.router.services.iter() {
            let context = format!("service `{}`", name.value);
            for listener in service.listeners.iter().flat_map(|listeners| &listeners.0) {
                let meant = self.look_up(
                    "unknown-listener",
                    "listener",
                    &context,
                    listener,
                    &config.router.listeners,
                    None,
                );
                seen.listeners.extend(meant);
            }
            // Where the folder could not be read, nobody knows which tables there are.
            if let TableRef::Named(table) = &service.table
                && self.folder_read
            {
                let hint = config.tables.is_empty().then(|| {
                    format!(
                        "a table is a file `{}.yaml` in the filters folder",
                        table.value
                    )
                });
                seen.tables.extend(self.look_up(
                    "unknown-table",
                    "table",
                    &context,
                    table,
                    &config.tables,
                    hint,
                ));
            }
            if let Some(endpoint) = &service.default_endpoint {
                self.endpoint(&context, endpoint, seen);
            }
        }
    }

    fn entries(&mut self, used: &Used<'_>, seen: &mut Names) {
        let lists = &self.config.router.backup_lists;
        for entry in &used.table.table {
            self.endpoint(&used.title, &entry.value.endpoint, seen);
            match &entry.value.backups {
                None => {}
                Some(Backups::Inline(endpoints)) => {
                    endpoints
                        .value
                        .iter()
                        .for_each(|endpoint| self.endpoint(&used.title, endpoint, seen));
                }
                Some(Backups::Named(list)) => {
                    let is_endpoint = self.config.router.endpoints.span_of(&list.value).is_some();
                    let hint = is_endpoint
                        .then(|| format!("`{0}` is an endpoint: write `[{0}]`", list.value));
                    seen.backup_lists.extend(self.look_up(
                        "unknown-backup-list",
                        "backup list",
                        &used.title,
                        list,
                        lists,
                        hint,
                    ));
                }
            }
        }
    }

    fn endpoint(&mut self, context: &str, name: &Spanned<String>, seen: &mut Names) {
        let router = &self.config.router;
        let is_list = router.backup_lists.span_of(&name.value).is_some();
        let hint =
            is_list.then(|| format!("`{0}` is a backup list: write `backups: {0}`", name.value));
        seen.endpoints.extend(self.look_up(
            "unknown-endpoint",
            "endpoint",
            context,
            name,
            &router.endpoints,
            hint,
        ));
    }

    fn reference(
        &mut self,
        index: usize,
        used: &Used<'_>,
        reference: &FilterRef,
        seen: &mut Names,
    ) {
        let name = match reference {
            FilterRef::Name(name) => name,
            FilterRef::Inline(_) => return,
        };
        let text = name.value.as_str();
        let kind = suggest::nearest(text, Filter::KINDS.iter().copied());
        let hint = match kind {
            Some("match_all") => {
                Some("the filter for every message is written `{ match_all: {} }`".to_owned())
            }
            Some(kind) if kind == text => {
                Some(format!("a filter written here is `{{ {kind}: ... }}`"))
            }
            _ if text.contains(['/', '(', '=']) => {
                Some("an XPath written here is `{ xpath: \"...\" }`".to_owned())
            }
            _ => None,
        };
        let meant = self.look_up(
            "unknown-filter",
            "filter",
            &used.title,
            name,
            &used.table.filters,
            hint,
        );
        seen.filters.extend(meant.map(|meant| (index, meant)));
    }

    /// The declared name, or after telling the mistake the one that was probably meant.
    fn look_up<T>(
        &mut self,
        rule: &'static str,
        what: &str,
        context: &str,
        name: &Spanned<String>,
        declared: &Named<T>,
        hint: Option<String>,
    ) -> Option<String> {
        if declared.span_of(&name.value).is_some() {
            return Some(name.value.clone());
        }
        let available = || declared.declared().map(|name| name.value.as_str());
        let near = suggest::nearest(&name.value, available());
        let meant = near.and_then(|near| {
            let place = self.sources.place(declared.span_of(near)?);
            Some(format!("did you mean `{near}`? It is declared at {place}"))
        });
        let article = if what.starts_with('e') { "an" } else { "a" };
        let text = format!(
            "{context} names {article} {what} that is not declared: `{}`",
            super::super::node::shorten(&name.value)
        );
        let none = if declared.is_empty() {
            ", and there is none at all"
        } else {
            ""
        };
        let told = Diagnostic::error(rule, text, name.span)
            .label(format!("no such {what}{none}"))
            .allowed(available());
        self.report.push(told.hint_if(meant.or(hint)));
        near.map(str::to_owned)
    }
}
