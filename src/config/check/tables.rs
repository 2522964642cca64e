//! Every table of a configuration, in files and in services, with those that use it.

use std::collections::HashMap;

use super::super::filter::{Filter, FilterRef};
use super::super::loaded::Config;
use super::super::service::{Service, TableRef};
use super::super::table::Table;
use super::super::written::Spanned;
use crate::diag::Span;

/// A table and where it is used.
pub(super) struct Used<'c> {
    /// `table `orders`` or `the table of service `orders``.
    pub(super) title: String,
    pub(super) table: &'c Table,
    /// Where it is declared.
    pub(super) span: Span,
    pub(super) services: Vec<(&'c str, &'c Service)>,
}

/// All tables: those of the filters folder first, then those written in services.
pub(super) fn tables(config: &Config) -> Vec<Used<'_>> {
    let mut users: HashMap<&str, Vec<(&str, &Service)>> = HashMap::new();
    let mut inline = Vec::new();
    for (name, service) in config.router.services.iter() {
        match &service.table {
            TableRef::Named(table) => users
                .entry(&table.value)
                .or_default()
                .push((&name.value, service)),
            TableRef::Inline(table) => inline.push(Used {
                title: format!("the table of service `{}`", name.value),
                table: &table.value,
                span: table.span,
                services: vec![(&name.value, service)],
            }),
        }
    }
    let files = config.tables.iter().map(|(name, table)| Used {
        title: format!("table `{}`", name.value),
        table,
        span: name.span,
        services: users.remove(name.value.as_str()).unwrap_or_default(),
    });
    let mut all: Vec<_> = files.collect();
    all.extend(inline);
    all
}

/// Calls `visit` with every reference that stands in a filter, inline ones and what is in them included.
/// The recursion is bounded by the depth of the YAML, for it does not follow names.
pub(super) fn each_reference<'c>(filter: &'c Filter, visit: &mut dyn FnMut(&'c FilterRef)) {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => {
            parts.iter().for_each(|part| each_from(part, visit));
        }
        Filter::Not(part) => each_from(part, visit),
        _ => {}
    }
}

/// The same, beginning with a reference.
pub(super) fn each_from<'c>(reference: &'c FilterRef, visit: &mut dyn FnMut(&'c FilterRef)) {
    visit(reference);
    if let FilterRef::Inline(filter) = reference {
        each_reference(&filter.value, visit);
    }
}

impl<'c> Used<'c> {
    /// Every reference of the table: those in named filters, then those of the entries.
    pub(super) fn references(&self) -> Vec<&'c FilterRef> {
        let mut all = Vec::new();
        let table: &'c Table = self.table;
        for (_, filter) in table.filters.iter() {
            each_reference(&filter.value, &mut |reference| all.push(reference));
        }
        for entry in &table.table {
            each_from(&entry.value.filter, &mut |reference| all.push(reference));
        }
        all
    }

    /// Every filter of the table, named or inline, with its place.
    pub(super) fn filters(&self) -> Vec<&'c Spanned<Filter>> {
        let table: &'c Table = self.table;
        let mut all: Vec<_> = table.filters.iter().map(|(_, filter)| filter).collect();
        all.extend(
            self.references()
                .into_iter()
                .filter_map(|reference| match reference {
                    FilterRef::Inline(filter) => Some(&**filter),
                    FilterRef::Name(_) => None,
                }),
        );
        all
    }
}
