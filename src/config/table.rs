//! A filter table as it is written: namespaces, named filters, entries.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::filter::{Filter, FilterRef};
use super::forms::RoundRobin;
use super::names::{Named, Namespaces};
use super::node::{Kind, Node};
use super::schema::Book;
use super::shape::written;
use super::written::{Reader, Spanned, Written};

written! {
    /// A filter table: which endpoint for which message.
    pub struct Table as "a table" {
        /// Prefixes for XPath, beside those that are always known.
        pub namespaces: Namespaces = Namespaces::default(),
        /// Filters by name, for the entries and for each other.
        pub filters: Named<Spanned<Filter>> = Named::default(),
        /// The entries; priorities are tried from the highest.
        pub table: Vec<Spanned<Entry>>,
    }
}

written! {
    /// One row of a filter table.
    pub struct Entry as "an entry" {
        /// Which messages: the name of a filter, or a filter.
        pub filter: FilterRef,
        /// The endpoint they go to.
        pub endpoint: Spanned<String>,
        /// What is tried after the endpoint fails: the name of a backup list, or endpoints.
        pub backups: Option<Backups> = None,
        /// Higher is tried first.
        pub priority: i32 = 0,
    }
}

/// What is tried after an entry's endpoint fails.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Backups {
    /// A backup list of the router.
    Named(Spanned<String>),
    /// Endpoints, in this order.
    Inline(Spanned<Vec<Spanned<String>>>),
}

impl Table {
    /// Gives every round robin without numbers its place: the filters of a group in the order they stand.
    pub(super) fn settle(&mut self) {
        let mut counts: HashMap<String, u32> = HashMap::new();
        self.each_round_robin(&mut |one| {
            let count = counts.entry(one.group.value.clone()).or_default();
            if one.index.is_none() {
                *count += 1;
                one.index = Some(*count);
            }
        });
        self.each_round_robin(&mut |one| {
            one.of = one.of.or_else(|| counts.get(&one.group.value).copied());
        });
    }

    fn each_round_robin(&mut self, visit: &mut dyn FnMut(&mut RoundRobin)) {
        for (_, filter) in self.filters.iter_mut() {
            each_in(filter, visit);
        }
        for entry in &mut self.table {
            each_behind(&mut entry.value.filter, visit);
        }
    }

    /// A table without names of its own.
    pub fn of_entries(entries: Vec<Spanned<Entry>>) -> Self {
        Self {
            namespaces: Namespaces::default(),
            filters: Named::default(),
            table: entries,
        }
    }
}

fn each_in(filter: &mut Spanned<Filter>, visit: &mut dyn FnMut(&mut RoundRobin)) {
    match &mut filter.value {
        Filter::RoundRobin(one) => visit(one),
        Filter::And(parts) | Filter::Or(parts) => {
            parts.iter_mut().for_each(|part| each_behind(part, visit));
        }
        Filter::Not(part) => each_behind(part, visit),
        _ => {}
    }
}

fn each_behind(reference: &mut FilterRef, visit: &mut dyn FnMut(&mut RoundRobin)) {
    if let FilterRef::Inline(filter) = reference {
        each_in(filter, visit);
    }
}

impl Written for Backups {
    const NOUN: &'static str = "backups";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match (&node.kind, node.text()) {
            (Kind::List(_), _) => Spanned::read(node, reader).map(Self::Inline),
            (_, Some(name)) => Some(Self::Named(Spanned::new(name.to_owned(), node.span))),
            _ => {
                reader.wrong_type(
                    node,
                    "the name of a backup list, or a list of endpoints",
                    "[orders-dr]",
                );
                None
            }
        }
    }

    fn schema(_: &mut Book) -> Value {
        json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}
