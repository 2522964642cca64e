//! A filter as it is written: one kind, or a tree of filters and names.
//!
//! What a filter means is decided in the room `filter`; XPath and regular expressions are only carried.

use serde::Serialize;
use serde_json::{Value, json};

use super::forms::{AddressMatch, Percent, RoundRobin};
use super::node::{Kind, Node};
use super::request::{HeaderName, OperationName};
use super::schema::Book;
use super::shape::{kinds, words, written};
use super::values::{Anything, Empty, OneOrMany};
use super::written::{Reader, Spanned, Written};
use crate::diag::Span;

kinds! {
    /// A predicate over a message.
    pub enum Filter as "a filter" {
        /// The message's action equals one of these.
        Action = "action": OneOrMany<Spanned<String>>,
        /// The QName of the first child of Body, `{namespace}local`, is one of these.
        Operation = "operation": OneOrMany<Spanned<OperationName>>,
        /// The address the message is for (wsa:To, else the request URL) equals this one.
        EndpointAddress = "endpoint_address": AddressMatch,
        /// The address begins with this one by whole path segments; the longest match wins.
        PrefixEndpointAddress = "prefix_endpoint_address": AddressMatch,
        /// The message arrived at this listener or service.
        EndpointName = "endpoint_name": Spanned<String>,
        /// An XPath 1.0 expression over the envelope is true.
        XPath = "xpath": Spanned<String>,
        /// The envelope has this version.
        SoapVersion = "soap_version": EnvelopeVersion,
        /// A field of the HTTP request's head.
        HttpHeader = "http_header": Spanned<HttpHeader>,
        /// The verified TLS client certificate.
        ClientCertificate = "client_certificate": Spanned<ClientCertificate>,
        /// Every message.
        MatchAll = "match_all": Empty,
        /// All of these match.
        And = "and": Vec<FilterRef>,
        /// At least one of these matches.
        Or = "or": Vec<FilterRef>,
        /// This one does not match.
        Not = "not": FilterRef,
        /// Every n-th message.
        RoundRobin = "round_robin": RoundRobin,
        /// A share of the messages.
        Percent = "percent": Percent,
        /// A filter that a program which embeds the library registers.
        Custom = "custom": Custom,
    }
}

/// A filter by its name, or written where it is used.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FilterRef {
    /// A filter of the same table.
    Name(Spanned<String>),
    /// A filter of this place alone.
    Inline(Box<Spanned<Filter>>),
}

words! {
    /// The version of an envelope.
    pub enum EnvelopeVersion as "a SOAP version" {
        /// SOAP 1.1.
        V11 = "1.1",
        /// SOAP 1.2.
        V12 = "1.2",
    }
}

written! {
    /// A field of the HTTP request's head, and one test of its value.
    pub struct HttpHeader as "http_header" {
        /// The field's name; its case does not matter.
        pub name: Spanned<HeaderName>,
        /// The value is this.
        pub equals: Option<Spanned<String>> = None,
        /// The value begins with this.
        pub prefix: Option<Spanned<String>> = None,
        /// This regular expression is found in the value.
        pub matches: Option<Spanned<String>> = None,
        /// The field is there, or is not.
        pub present: Option<bool> = None,
    }
}

written! {
    /// What the verified client certificate must say; all that is written.
    pub struct ClientCertificate as "client_certificate" {
        /// The subject's distinguished name.
        pub subject: Option<Spanned<String>> = None,
        /// The issuer's distinguished name.
        pub issuer: Option<Spanned<String>> = None,
        /// One of the subject's alternative names.
        pub san: Option<Spanned<String>> = None,
    }
}

written! {
    /// A filter that a program which embeds the library registers.
    pub struct Custom as "custom" {
        /// The name that it was registered under.
        pub r#type: Spanned<String>,
        /// Whatever it needs.
        pub data: Anything = Anything(serde_yaml::Value::Null),
    }
}

/// The one test of an [`HttpHeader`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeaderTest<'f> {
    /// The value is this.
    Equals(&'f Spanned<String>),
    /// The value begins with this.
    Prefix(&'f Spanned<String>),
    /// This regular expression is found in the value.
    Matches(&'f Spanned<String>),
    /// The field is there, or is not.
    Present(bool),
}

impl FilterRef {
    /// How the filter is called in messages, logs and `explain`: its name, or its kind and value
    /// (`xpath: //o:Tier = 'gold'`); `match_all` is `match-all`.
    pub fn title(&self) -> String {
        match self {
            Self::Name(name) => name.value.clone(),
            Self::Inline(filter) => filter.value.title(),
        }
    }

    /// Where it is written.
    pub fn span(&self) -> Span {
        match self {
            Self::Name(name) => name.span,
            Self::Inline(filter) => filter.span,
        }
    }
}

impl Filter {
    /// Its kind and value in one line.
    pub fn title(&self) -> String {
        let list = |parts: &[FilterRef]| {
            parts
                .iter()
                .map(FilterRef::title)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let value = match self {
            Self::MatchAll(_) => return "match-all".to_owned(),
            Self::And(parts) | Self::Or(parts) => format!("[{}]", list(parts)),
            Self::Not(part) => part.title(),
            Self::XPath(text) | Self::EndpointName(text) => text.value.clone(),
            Self::SoapVersion(version) => version.word().to_owned(),
            // A list of one is shown as the one.
            other => match serde_json::to_value(other)
                .unwrap_or_default()
                .get(other.kind())
            {
                Some(Value::Array(items)) if items.len() == 1 => {
                    items.first().map(plain).unwrap_or_default()
                }
                value => value.map(plain).unwrap_or_default(),
            },
        };
        format!("{}: {value}", self.kind())
    }
}

/// Text as it is, all else as JSON.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

impl HttpHeader {
    /// The test that is written; where none is, that the field is there.
    pub fn test(&self) -> HeaderTest<'_> {
        let equals = self.equals.as_ref().map(HeaderTest::Equals);
        let prefix = || self.prefix.as_ref().map(HeaderTest::Prefix);
        let matches = || self.matches.as_ref().map(HeaderTest::Matches);
        let present = HeaderTest::Present(self.present.unwrap_or(true));
        equals.or_else(prefix).or_else(matches).unwrap_or(present)
    }

    /// How many tests are written; `check` wants one.
    pub(super) fn tests(&self) -> usize {
        let texts = [&self.equals, &self.prefix, &self.matches];
        texts.iter().filter(|test| test.is_some()).count() + usize::from(self.present.is_some())
    }
}

impl Written for FilterRef {
    const NOUN: &'static str = "a filter";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match (&node.kind, node.text()) {
            (Kind::Map(_), _) => {
                Spanned::read(node, reader).map(|filter| Self::Inline(Box::new(filter)))
            }
            (_, Some(name)) => Some(Self::Name(Spanned::new(name.to_owned(), node.span))),
            _ => {
                reader.wrong_type(
                    node,
                    "the name of a filter, or a filter",
                    "{ action: \"urn:place\" }",
                );
                None
            }
        }
    }

    fn schema(book: &mut Book) -> Value {
        json!({ "anyOf": [{ "type": "string" }, Filter::schema(book)] })
    }
}
