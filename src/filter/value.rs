//! A value that an expression takes out of a message: what callers are bound or hashed by.

use std::time::Duration;

use super::environment::{Externals, days_since_year_one};
use super::error::ReadError;
use crate::xml;
use crate::xpath::{self, Expr};

/// A compiled expression whose string value is wanted.
#[derive(Debug, Clone)]
pub struct MessageValue {
    expr: Expr,
}

/// What the expression may ask for beside the message.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The action stated by HTTP.
    pub action: Option<&'a str>,
    /// The URL that the caller used.
    pub url: &'a str,
    /// The charset stated by HTTP.
    pub charset: Option<&'a str>,
    /// What the scanner accepts.
    pub limits: xml::Limits,
    /// Time since the Unix epoch.
    pub now: Duration,
}

impl MessageValue {
    /// The value of this expression.
    #[must_use]
    pub const fn new(expr: Expr) -> Self {
        Self { expr }
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        self.expr.source()
    }

    /// The value in a whole message; `None` if it is empty, as where nothing is found.
    ///
    /// # Errors
    /// When the message is not well-formed, or the expression too costly.
    pub fn of(&self, whole: &[u8], around: &Around<'_>) -> Result<Option<String>, ReadError> {
        let externals = Externals {
            http_action: around.action.unwrap_or(""),
            url: around.url,
            now_days: days_since_year_one(around.now),
        };
        let values = externals.values();
        let value = xpath::string_value(&self.expr, whole, &values, &around.limits, around.charset)
            .map_err(|error| match error {
                xpath::TreeError::Xml(error) => ReadError::Xml(error),
                costly @ xpath::TreeError::TooCostly { .. } => ReadError::Tree(costly.to_string()),
            })?;
        Ok((!value.is_empty()).then_some(value))
    }
}
