//! `schema`: the JSON schema of a configuration file, for editors.

use super::args::{Schema, SchemaOf};
use super::verdict::Verdict;
use crate::config;

pub(super) fn run(args: &Schema) -> anyhow::Result<Verdict> {
    let schema = match args.of {
        SchemaOf::Router => config::router_schema(),
        SchemaOf::Table => config::table_schema(),
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(Verdict::Fine)
}
