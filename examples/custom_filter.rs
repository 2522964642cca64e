//! A router with a filter of its own: orders of customers in a list go to one endpoint.
//!
//! What the YAML cannot say, a program says: it registers a type of filter and then runs the
//! same command line as `soap-router` itself. The list stands in the configuration, as `data`:
//!
//! ```yaml
//! table:
//!   - { filter: { custom: { type: customers, data: { header: X-Customer, of: [anna, bert] } } }, endpoint: new, priority: 1 }
//!   - { filter: { match_all: {} }, endpoint: old }
//! ```
//!
//! Try:  `cargo run --example custom_filter -- check -c my/router.yaml`
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use http::HeaderName;
use serde_json::Value;
use soap_router::cli;
use soap_router::filter::{MessageFilter, MessageView, Registry};

/// Messages that name one of these customers in a header.
#[derive(Debug)]
struct Customers {
    header: HeaderName,
    names: BTreeSet<String>,
}

impl MessageFilter for Customers {
    // Asked once a message, when the envelope's Header is complete; the message waits meanwhile.
    fn matches(&self, message: &MessageView<'_>) -> bool {
        let customer = message.headers.text(&self.header);
        customer.is_some_and(|customer| self.names.contains(customer))
    }
}

/// Made anew whenever the configuration is compiled. A refusal is told as every other mistake
/// of the configuration: with the file, the line, and this sentence.
fn customers(data: &Value) -> Result<Arc<dyn MessageFilter>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let header = data
        .get("header")
        .and_then(Value::as_str)
        .and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .ok_or("`header` must name a header")?;
    let names = data
        .get("of")
        .and_then(Value::as_array)
        .ok_or("`of` must list customers")?;
    let names: BTreeSet<String> = names.iter().filter_map(text).collect();
    if names.is_empty() {
        return Err("`of` lists nobody".to_owned());
    }
    Ok(Arc::new(Customers { header, names }))
}

fn main() -> ExitCode {
    let mut registry = Registry::default();
    registry.register("customers", customers);
    cli::run(registry)
}
