//! From texts to one checked configuration: what [`load`](super::load::load) does once the files are read.
//!
//! A function of data: the same texts give the same configuration and the same report, without a disk.

use std::path::PathBuf;

use serde_json::Value;

use super::check;
use super::files::Files;
use super::limits::LimitsInForce;
use super::names::Named;
use super::router::Router;
use super::schema::set;
use super::service::{Service, TableRef};
use super::table::Table;
use super::written::{Reader, Spanned, Written};
use super::yaml;
use crate::diag::{FileId, Report, Sources, Span};

/// The whole configuration as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The main file.
    pub router: Router,
    /// The tables of the filters folder, by the stem of their file.
    pub tables: Named<Table>,
}

/// What came of reading a configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What could be read; `None` if the main file gives no router at all. Usable only if the report has
    /// no errors: until then parts with mistakes are left out.
    pub config: Option<Config>,
    /// Every mistake, sorted.
    pub report: Report,
    /// The texts that the report points into.
    pub sources: Sources,
    /// What to watch for changes.
    pub watch: Watch,
    /// What is in the files that the configuration names.
    pub files: Files,
}

/// The files whose change asks for a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// The main file, the tables, certificates, keys and tokens.
    pub files: Vec<PathBuf>,
    /// The filters folder: a new file in it is a new table.
    pub folders: Vec<PathBuf>,
}

/// A table file that was read already.
#[derive(Debug, Clone, Copy)]
pub struct TableText<'t> {
    /// The stem of its file, which is its name.
    pub name: &'t str,
    /// The path that diagnostics show.
    pub path: &'t str,
    /// Its text.
    pub text: &'t str,
}

/// Reads a configuration from texts.
///
/// ```
/// let router = "
/// listeners: { public: { bind: '127.0.0.1:8080' } }
/// services:  { orders: { path: /orders, table: [{ filter: { match_all: {} }, endpoint: v1 }] } }
/// endpoints: { v1: { url: 'http://127.0.0.1:9101/' } }
/// ";
/// let loaded = soap_router::config::read("router.yaml", router, &[]);
/// assert!(loaded.report.is_empty());
/// assert_eq!(loaded.config.unwrap().router.endpoints.names().collect::<Vec<_>>(), ["v1"]);
/// ```
pub fn read(path: &str, text: &str, tables: &[TableText<'_>]) -> Loaded {
    let mut sources = Sources::default();
    let mut report = Report::default();
    let file = sources.add(path, text);
    let router = read_router(&sources, file, &mut report);
    let mut read_tables = Named::default();
    for table in tables {
        let file = sources.add(table.path, table.text);
        read_table(&sources, file, table.name, &mut read_tables, &mut report);
    }
    let (watch, files) = (Watch::default(), Files::default());
    finish(router, read_tables, sources, report, watch, files)
}

pub(super) fn read_router(sources: &Sources, file: FileId, report: &mut Report) -> Option<Router> {
    let node = yaml::parse(sources, file, report)?;
    let mut router = Router::read(&node, &mut Reader::new(report))?;
    for (_, service) in router.services.iter_mut() {
        if let TableRef::Inline(table) = &mut service.table {
            table.value.settle();
        }
    }
    Some(router)
}

pub(super) fn read_table(
    sources: &Sources,
    file: FileId,
    name: &str,
    tables: &mut Named<Table>,
    report: &mut Report,
) {
    let spanned = Spanned::new(name.to_owned(), Span::whole(file));
    let node = yaml::parse(sources, file, report);
    let mut reader = Reader::new(report);
    let table = node.and_then(|node| {
        reader.inside(format!("table `{name}`"), |reader| {
            Table::read(&node, reader)
        })
    });
    match table {
        Some(mut table) => {
            table.settle();
            tables.insert(spanned, table);
        }
        None => tables.insert_broken(spanned),
    }
}

pub(super) fn finish(
    router: Option<Router>,
    tables: Named<Table>,
    sources: Sources,
    mut report: Report,
    watch: Watch,
    files: Files,
) -> Loaded {
    let config = router.map(|router| Config { router, tables });
    if let Some(config) = &config {
        check::check(config, &sources, &mut report);
    }
    report.settle();
    Loaded {
        config,
        report,
        sources,
        watch,
        files,
    }
}

impl Config {
    /// The table of a service: that of the name it gives, or the one it holds.
    pub fn table_of<'c>(&'c self, service: &'c Service) -> Option<&'c Table> {
        match &service.table {
            TableRef::Named(name) => self.tables.get(name),
            TableRef::Inline(table) => Some(&table.value),
        }
    }

    /// The limits in force for a service.
    pub fn limits_of(&self, service: &Service) -> LimitsInForce {
        let mut limits = self.router_limits().of_service(&service.limits);
        limits.replay_buffer = service
            .replay_buffer
            .map_or(limits.replay_buffer, |size| size.value);
        limits
    }

    /// The limits in force where no service is known yet.
    pub fn router_limits(&self) -> LimitsInForce {
        LimitsInForce::of_router(&self.router.limits)
    }

    /// The configuration with all defaults filled in, as data: `{ router, tables }`, each with the keys of its file.
    pub fn effective(&self) -> Value {
        let mut router = serde_json::to_value(&self.router).unwrap_or_default();
        let limits = serde_json::to_value(self.router_limits()).unwrap_or_default();
        set(&mut router, "limits", limits);
        let tables = serde_json::to_value(&self.tables).unwrap_or_default();
        let mut whole = serde_json::json!({ "router": router, "tables": tables });
        drop_nulls(&mut whole);
        whole
    }

    /// The main file with all defaults filled in, as YAML that [`read`] takes again.
    pub fn router_yaml(&self) -> String {
        yaml(self.effective().get("router").unwrap_or(&Value::Null))
    }
}

/// A written thing as YAML, without the keys that say nothing.
pub fn to_yaml<T: serde::Serialize>(written: &T) -> String {
    let mut value = serde_json::to_value(written).unwrap_or_default();
    drop_nulls(&mut value);
    yaml(&value)
}

fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}

/// A key that was left out is not a key without a value: the reader takes only the former.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
