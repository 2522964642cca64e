//! What an expression may refer to besides the message: prefixes, functions of the caller, and
//! values given with each message.
//!
//! **Invariant:** nothing here knows SOAP; the caller brings its functions as expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::ast::{External, Native, Node, Type};
use super::error::SyntaxError;
use super::parser::{self, ParseLimits};

/// Prefixes and the namespaces they mean; a prefix may mean any of several.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    bound: BTreeMap<String, SmallVec<[Arc<str>; 2]>>,
}

impl Namespaces {
    /// No prefix but `xml`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a prefix to one namespace, replacing what it meant.
    pub fn bind(&mut self, prefix: &str, uri: &str) -> &mut Self {
        self.bind_any(prefix, &[uri])
    }

    /// Binds a prefix that matches each of several namespaces.
    pub fn bind_any(&mut self, prefix: &str, uris: &[&str]) -> &mut Self {
        self.bound.insert(
            prefix.to_owned(),
            uris.iter().map(|uri| Arc::from(*uri)).collect(),
        );
        self
    }

    /// The namespaces of a prefix.
    pub fn get(&self, prefix: &str) -> Option<&[Arc<str>]> {
        self.bound.get(prefix).map(|uris| &uris[..])
    }

    /// All prefixes in order.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.bound.keys().map(String::as_str)
    }
}

/// Prefixes, functions and external values: all an expression is parsed against.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The prefixes of the expressions.
    pub namespaces: Namespaces,
    functions: BTreeMap<(String, String), Custom>,
    externals: Vec<External>,
}

/// A function of the caller.
#[derive(Debug, Clone)]
pub(super) enum Custom {
    /// Replaced by its body.
    Macro { parameters: Vec<Type>, body: Node },
    /// Computed from its arguments' strings.
    Native { arguments: usize, native: Native },
}

impl Environment {
    /// An environment with these prefixes and nothing else.
    pub fn new(namespaces: Namespaces) -> Self {
        Self {
            namespaces,
            ..Self::default()
        }
    }

    /// Declares a string that comes with each message. In macro bodies it is written `$name`; the
    /// answer is its place in the slice given to `Run::begin`.
    pub fn external_string(&mut self, name: &str) -> usize {
        self.external(name, Type::String)
    }

    /// Declares a number that comes with each message.
    pub fn external_number(&mut self, name: &str) -> usize {
        self.external(name, Type::Number)
    }

    fn external(&mut self, name: &str, kind: Type) -> usize {
        let index = self.externals.len();
        self.externals.push(External {
            name: name.into(),
            index,
            kind,
        });
        index
    }

    /// Defines the function `{namespace}local` as an expression. In `body` the arguments are `$1`,
    /// `$2`, ..., externals are `$name`, and `first-non-empty(a, b)` exists. A parameter declared as
    /// a node-set takes only node-sets; one used inside a predicate takes only what does not depend
    /// on the context.
    ///
    /// # Errors
    /// When the body does not parse in the namespaces given for it.
    pub fn define(
        &mut self,
        namespace: &str,
        local: &str,
        parameters: &[Type],
        body: &str,
        body_namespaces: &Namespaces,
    ) -> Result<(), SyntaxError> {
        let node = parser::parse_macro(
            body,
            self,
            body_namespaces,
            parameters,
            &ParseLimits::default(),
        )?;
        let custom = Custom::Macro {
            parameters: parameters.to_vec(),
            body: node,
        };
        self.functions
            .insert((namespace.to_owned(), local.to_owned()), custom);
        Ok(())
    }

    /// Defines a function of strings that gives a number; it must depend on nothing but its arguments.
    pub fn define_native(
        &mut self,
        namespace: &str,
        local: &str,
        arguments: usize,
        call: fn(&[&str]) -> f64,
    ) {
        let native = Native {
            name: format!("{{{namespace}}}{local}").into(),
            call,
        };
        self.functions.insert(
            (namespace.to_owned(), local.to_owned()),
            Custom::Native { arguments, native },
        );
    }

    pub(super) fn function(&self, namespace: &str, local: &str) -> Option<&Custom> {
        self.functions
            .get(&(namespace.to_owned(), local.to_owned()))
    }

    pub(super) fn functions_of(&self, namespace: &str) -> impl Iterator<Item = &str> {
        self.functions
            .keys()
            .filter(move |(uri, _)| uri == namespace)
            .map(|(_, local)| local.as_str())
    }

    pub(super) fn external_named(&self, name: &str) -> Option<&External> {
        self.externals
            .iter()
            .find(|external| *external.name == *name)
    }

    pub(super) fn all_externals(&self) -> impl Iterator<Item = &str> {
        self.externals.iter().map(|external| &*external.name)
    }
}
