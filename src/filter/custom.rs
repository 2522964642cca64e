//! Filters that a program embedding the library brings along.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::fields::Fields;
use crate::soap::Facts;

/// A predicate of your own, named in YAML as `custom: { type: NAME, data: ... }`.
///
/// It is asked once a message, when the envelope's header is complete, so it sees the facts
/// and the HTTP headers but not the body; look-ups must be quick, because the message waits.
pub trait MessageFilter: fmt::Debug + Send + Sync {
    /// Whether the message matches.
    fn matches(&self, message: &MessageView<'_>) -> bool;
}

/// What a custom filter sees.
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'a> {
    /// HTTP request headers.
    pub headers: &'a Fields,
    /// What the envelope's header says.
    pub facts: &'a Facts,
    /// The URL that the caller used.
    pub url: &'a str,
    /// The listener that it came to.
    pub listener: &'a str,
    /// The service that it came to.
    pub service: &'a str,
}

/// Why a custom filter cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CustomError {
    /// Nothing is registered by this name.
    #[error("no filter of type `{name}` is registered; registered: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// What is.
        known: String,
    },
    /// The filter refuses its data.
    #[error("filter type `{name}` refuses its data: {why}")]
    Data {
        /// The name.
        name: String,
        /// Its words.
        why: String,
    },
}

type Make = dyn Fn(&serde_json::Value) -> Result<Arc<dyn MessageFilter>, String> + Send + Sync;

/// Custom filters by type name.
#[derive(Clone, Default)]
pub struct Registry {
    makers: HashMap<String, Arc<Make>>,
}

impl Registry {
    /// Registers a type: `make` is called with `data` each time the configuration is compiled.
    pub fn register<F>(&mut self, name: &str, make: F) -> &mut Self
    where
        F: Fn(&serde_json::Value) -> Result<Arc<dyn MessageFilter>, String> + Send + Sync + 'static,
    {
        self.makers.insert(name.to_owned(), Arc::new(make));
        self
    }

    /// Makes a filter.
    ///
    /// # Errors
    /// When the type is unknown or refuses the data.
    pub fn make(
        &self,
        name: &str,
        data: &serde_json::Value,
    ) -> Result<Arc<dyn MessageFilter>, CustomError> {
        let make = self.makers.get(name).ok_or_else(|| CustomError::Unknown {
            name: name.to_owned(),
            known: self.known(),
        })?;
        make(data).map_err(|why| CustomError::Data {
            name: name.to_owned(),
            why,
        })
    }

    fn known(&self) -> String {
        let mut names: Vec<&str> = self.makers.keys().map(String::as_str).collect();
        names.sort_unstable();
        if names.is_empty() {
            "none (register them in the embedding program)".into()
        } else {
            names.join(", ")
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.makers.keys()).finish()
    }
}
