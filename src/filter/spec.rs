//! A filter as it is given to be compiled: names resolved, expressions parsed.

use std::sync::Arc;

use http::HeaderName;
use regex::Regex;

use super::address::AddressPattern;
use super::custom::MessageFilter;
use super::value::MessageValue;
use crate::soap::{QName, Version};
use crate::xpath::Expr;

/// One filter, or a tree of them.
#[derive(Debug, Clone)]
pub enum Spec {
    /// The action equals one of these, ordinally; `""` is a message without one.
    Action(Vec<String>),
    /// Body's first child is one of these.
    Operation(Vec<QName>),
    /// `To`, or the request URL, equals this address.
    Address(AddressPattern),
    /// `To`, or the request URL, lies below this address, and below none of the longer ones.
    Prefix(AddressPattern),
    /// The listener or service that the message came to.
    EndpointName(String),
    /// The expression is true of the envelope.
    XPath {
        /// Parsed.
        expr: Expr,
        /// As written.
        text: String,
    },
    /// The envelope's version.
    SoapVersion(Version),
    /// An HTTP request header.
    Header(HeaderTest),
    /// The verified client certificate.
    Certificate(CertificateTest),
    /// Always.
    Always,
    /// All of them.
    And(Vec<Self>),
    /// Any of them.
    Or(Vec<Self>),
    /// Not this one.
    Not(Box<Self>),
    /// Every `of`-th message of the group, starting with the `index`-th (from 0).
    RoundRobin {
        /// Filters with the same group share a counter.
        group: Arc<str>,
        /// Length of the round.
        of: u32,
        /// Place in it.
        index: u32,
    },
    /// A share of the messages, in percent.
    Percent {
        /// 0 to 100.
        share: f64,
        /// What keeps a caller on one side.
        sticky: Option<Sticky>,
    },
    /// One that the embedding program brought.
    Custom {
        /// Its registered name.
        name: String,
        /// The filter.
        filter: Arc<dyn MessageFilter>,
    },
}

/// A test of one header.
#[derive(Debug, Clone)]
pub struct HeaderTest {
    /// Which.
    pub name: HeaderName,
    /// What its value must be; several fields of the name are each tested.
    pub test: TextTest,
}

/// A test of a text.
#[derive(Debug, Clone)]
pub enum TextTest {
    /// It is there (or, if false, not).
    Present(bool),
    /// It is this.
    Equals(String),
    /// It starts so.
    Prefix(String),
    /// The expression is found in it.
    Matches(Regex),
}

/// A client's certificate, verified, as far as filters see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Subject, as RFC 4514 text.
    pub subject: String,
    /// Issuer, as RFC 4514 text.
    pub issuer: String,
    /// Alternative names.
    pub names: Vec<String>,
}

/// A test of the client's certificate: what is given must be equal.
#[derive(Debug, Clone, Default)]
pub struct CertificateTest {
    /// Subject, as RFC 4514 text.
    pub subject: Option<String>,
    /// Issuer, as RFC 4514 text.
    pub issuer: Option<String>,
    /// One of the alternative names.
    pub san: Option<String>,
}

/// What a share is drawn by.
#[derive(Debug, Clone)]
pub enum Sticky {
    /// The value of a header.
    Header(HeaderName),
    /// The string value of an expression.
    XPath(MessageValue),
}
