//! Names that point to nothing.

use std::collections::HashSet;

use super::super::filter::{Filter, FilterRef};
use super::super::loaded::Config;
use super::super::names::Named;
use super::super::node::shorten;
use super::super::service::TableRef;
use super::super::suggest;
use super::super::table::Backups;
use super::super::written::Spanned;
use super::tables::Used;
use crate::diag::{Diagnostic, Report, Sources};

/// The names that were used or nearly used: what a misspelled name probably meant is not called unused too.
#[derive(Default)]
pub(super) struct Seen<'c> {
    pub(super) endpoints: HashSet<&'c str>,
    pub(super) backup_lists: HashSet<&'c str>,
    pub(super) listeners: HashSet<&'c str>,
    pub(super) tables: HashSet<&'c str>,
    /// By the table's place in the list of tables.
    pub(super) filters: HashSet<(usize, &'c str)>,
}

/// A kind of thing that has names.
struct Thing {
    rule: &'static str,
    noun: &'static str,
}

const LISTENER: Thing = Thing {
    rule: "unknown-listener",
    noun: "a listener",
};
const TABLE: Thing = Thing {
    rule: "unknown-table",
    noun: "a table",
};
const ENDPOINT: Thing = Thing {
    rule: "unknown-endpoint",
    noun: "an endpoint",
};
const BACKUP_LIST: Thing = Thing {
    rule: "unknown-backup-list",
    noun: "a backup list",
};
const FILTER: Thing = Thing {
    rule: "unknown-filter",
    noun: "a filter",
};

/// Tells every name that nothing is declared under.
pub(super) fn check<'c>(
    config: &'c Config,
    tables: &[Used<'c>],
    sources: &Sources,
    report: &mut Report,
) -> Seen<'c> {
    let folder_read = !report.iter().any(|found| found.rule == "unreadable-folder");
    let mut look = Look {
        config,
        sources,
        report,
        seen: Seen::default(),
    };
    look.services(folder_read);
    look.routes();
    for (list, endpoints) in config.router.backup_lists.iter() {
        let context = format!("backup list `{}`", list.value);
        endpoints
            .0
            .iter()
            .for_each(|endpoint| look.endpoint(&context, endpoint));
    }
    for (index, table) in tables.iter().enumerate() {
        look.entries(table);
        for reference in table.references() {
            if let FilterRef::Name(name) = reference {
                look.filter(index, table, name);
            }
        }
    }
    look.seen
}

struct Look<'c, 'r> {
    config: &'c Config,
    sources: &'r Sources,
    report: &'r mut Report,
    seen: Seen<'c>,
}

impl<'c> Look<'c, '_> {
    fn services(&mut self, folder_read: bool) {
        let config = self.config;
        for (name, service) in config.router.services.iter() {
            let context = format!("service `{}`", name.value);
            for listener in service.listeners.iter().flat_map(|listeners| &listeners.0) {
                let declared = &config.router.listeners;
                let meant = self.look_up(&LISTENER, &context, listener, declared, || None);
                self.seen.listeners.extend(meant);
            }
            // Where the folder could not be read, nobody knows which tables there are.
            if let (TableRef::Named(table), true) = (&service.table, folder_read) {
                let hint = || {
                    let text = format!(
                        "a table is a file `{}.yaml` in the filters folder",
                        table.value
                    );
                    config.tables.is_empty().then_some(text)
                };
                let meant = self.look_up(&TABLE, &context, table, &config.tables, hint);
                self.seen.tables.extend(meant);
            }
            if let Some(endpoint) = &service.default_endpoint {
                self.endpoint(&context, endpoint);
            }
        }
    }

    fn routes(&mut self) {
        let config = self.config;
        for (name, route) in config.router.routes.iter() {
            let context = format!("route `{}`", name.value);
            let redirect = route.redirect.as_ref();
            let target = redirect.and_then(|redirect| redirect.value.listener.as_ref());
            let listed = route.listeners.iter().flat_map(|listeners| &listeners.0);
            for listener in listed.chain(target) {
                let declared = &config.router.listeners;
                let meant = self.look_up(&LISTENER, &context, listener, declared, || None);
                self.seen.listeners.extend(meant);
            }
            if let Some(endpoint) = &route.endpoint {
                self.endpoint(&context, endpoint);
            }
        }
    }

    fn entries(&mut self, used: &Used<'c>) {
        for entry in &used.table.table {
            self.endpoint(&used.title, &entry.value.endpoint);
            match &entry.value.backups {
                None => {}
                Some(Backups::Named(list)) => self.backup_list(&used.title, list),
                Some(Backups::Inline(list)) => {
                    list.value
                        .iter()
                        .for_each(|endpoint| self.endpoint(&used.title, endpoint));
                }
            }
        }
    }

    fn endpoint(&mut self, context: &str, name: &'c Spanned<String>) {
        let router = &self.config.router;
        let hint = || {
            let text = format!("`{0}` is a backup list: write `backups: {0}`", name.value);
            router.backup_lists.span_of(&name.value).map(|_| text)
        };
        let meant = self.look_up(&ENDPOINT, context, name, &router.endpoints, hint);
        self.seen.endpoints.extend(meant);
    }

    fn backup_list(&mut self, context: &str, name: &'c Spanned<String>) {
        let router = &self.config.router;
        let hint = || {
            let text = format!("`{0}` is an endpoint: write `[{0}]`", name.value);
            router.endpoints.span_of(&name.value).map(|_| text)
        };
        let meant = self.look_up(&BACKUP_LIST, context, name, &router.backup_lists, hint);
        self.seen.backup_lists.extend(meant);
    }

    fn filter(&mut self, index: usize, used: &Used<'c>, name: &'c Spanned<String>) {
        let table = used.table;
        let meant = self.look_up(&FILTER, &used.title, name, &table.filters, || {
            filter_hint(name)
        });
        self.seen.filters.extend(meant.map(|meant| (index, meant)));
    }

    /// The declared name, or after telling the mistake the one that was probably meant.
    fn look_up<T>(
        &mut self,
        thing: &Thing,
        context: &str,
        name: &'c Spanned<String>,
        declared: &'c Named<T>,
        hint: impl FnOnce() -> Option<String>,
    ) -> Option<&'c str> {
        if declared.span_of(&name.value).is_some() {
            return Some(&name.value);
        }
        let available = || declared.declared().map(|name| name.value.as_str());
        let near = suggest::nearest(&name.value, available());
        let meant = near.and_then(|near| {
            let place = self.sources.place(declared.span_of(near)?);
            Some(format!("did you mean `{near}`? It is declared at {place}"))
        });
        let Thing { rule, noun } = thing;
        let text = format!(
            "{context} names {noun} that is not declared: `{}`",
            shorten(&name.value)
        );
        let none = if declared.is_empty() {
            ", and there is none at all"
        } else {
            ""
        };
        let label = format!("no such {}{none}", super::super::written::bare_noun(noun));
        let told = Diagnostic::error(rule, text, name.span)
            .label(label)
            .allowed(available());
        self.report.push(told.hint_if(meant.or_else(hint)));
        near
    }
}

/// What stands where a filter's name is due is often the filter itself.
fn filter_hint(name: &str) -> Option<String> {
    match suggest::nearest(name, Filter::KINDS.iter().copied()) {
        Some("match_all") => {
            Some("the filter for every message is written `{ match_all: {} }`".to_owned())
        }
        Some(kind) if kind == name => Some(format!("a filter written here is `{{ {kind}: ... }}`")),
        _ if name.contains(['/', '(', '=']) => {
            Some("an XPath written here is `{ xpath: \"...\" }`".to_owned())
        }
        _ => None,
    }
}
