//! Filters that are no tree: when each can be decided, and how.

use std::sync::Arc;

use super::address::{Address, AddressPattern};
use super::custom::{MessageFilter, MessageView};
use super::probe::Arrival;
use super::spec::{Certificate, CertificateTest, HeaderTest, Sticky, TextTest};
use crate::fields::Fields;
use crate::soap::{Facts, QName, Stage, Version};
use crate::xpath::AtomId;

/// A compiled filter without children.
#[derive(Debug, Clone)]
pub(super) enum Leaf {
    Action(Vec<String>),
    Operation(Vec<QName>),
    Address(AddressPattern),
    Prefix(AddressPattern),
    EndpointName(String),
    XPath {
        atom: AtomId,
        text: Arc<str>,
    },
    SoapVersion(Version),
    Header(HeaderTest),
    Certificate(CertificateTest),
    Always,
    RoundRobin {
        group: usize,
        of: u32,
        index: u32,
    },
    Percent {
        share: f64,
        sticky: Option<Sticky>,
    },
    Custom {
        name: String,
        filter: Arc<dyn MessageFilter>,
    },
}

/// What is known of the message at this moment.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) arrival: &'a Arrival<'a>,
    pub(super) facts: &'a Facts,
    pub(super) stage: Stage,
    /// `To`, once the header is complete.
    pub(super) to: Option<&'a Address>,
    /// Most segments that a prefix filter of this level covers of `to`.
    pub(super) longest: Option<usize>,
}

impl Leaf {
    /// The earliest stage at which the leaf can be decided; XPath is the engine's matter.
    pub(super) const fn stage(&self) -> Stage {
        match self {
            Self::EndpointName(_)
            | Self::Header(_)
            | Self::Certificate(_)
            | Self::Always
            | Self::RoundRobin { .. }
            | Self::Percent { .. }
            | Self::XPath { .. } => Stage::Start,
            Self::SoapVersion(_) => Stage::Envelope,
            Self::Action(_) | Self::Address(_) | Self::Prefix(_) | Self::Custom { .. } => {
                Stage::Body
            }
            Self::Operation(_) => Stage::Operation,
        }
    }

    /// The leaf's value from what is known; `None` while it is open. XPath and round robin
    /// are asked elsewhere.
    pub(super) fn decide(&self, known: &Known<'_>) -> Option<bool> {
        if known.stage < self.stage() {
            return None;
        }
        let facts = known.facts;
        Some(match self {
            Self::Always => true,
            Self::EndpointName(name) => {
                name == known.arrival.listener || name == known.arrival.service
            }
            Self::SoapVersion(version) => facts.version == Some(*version),
            Self::Action(actions) => {
                let action = facts.action().unwrap_or("");
                actions.iter().any(|own| own == action)
            }
            Self::Operation(operations) => facts
                .operation
                .as_ref()
                .is_some_and(|found| operations.contains(found)),
            Self::Address(pattern) => known.to.is_some_and(|to| pattern.equals(to)),
            Self::Prefix(pattern) => {
                let covers = known.to.and_then(|to| pattern.covers(to));
                covers.is_some() && covers == known.longest
            }
            Self::Header(test) => test.holds(known.arrival.headers),
            Self::Certificate(test) => known
                .arrival
                .certificate
                .is_some_and(|shown| test.holds(shown)),
            // Known when the message was read whole; asked elsewhere.
            Self::Percent {
                sticky: Some(Sticky::XPath(_)),
                ..
            } => return None,
            Self::Percent { share, sticky } => draw(known, sticky.as_ref()) < *share,
            Self::Custom { filter, .. } => filter.matches(&MessageView {
                headers: known.arrival.headers,
                facts,
                url: known.arrival.url,
                listener: known.arrival.listener,
                service: known.arrival.service,
            }),
            Self::XPath { .. } | Self::RoundRobin { .. } => return None,
        })
    }

    /// The value that was looked at, in words.
    pub(super) fn why(&self, known: &Known<'_>) -> String {
        let facts = known.facts;
        let quoted =
            |value: Option<&str>| value.map_or_else(|| "none".into(), |value| format!("`{value}`"));
        match self {
            Self::Always => "matches every message".into(),
            Self::EndpointName(_) => format!(
                "the message came to listener `{}`, service `{}`",
                known.arrival.listener, known.arrival.service
            ),
            Self::SoapVersion(_) => {
                format!(
                    "the envelope is SOAP {}",
                    facts.version.map_or("?", Version::as_str)
                )
            }
            Self::Action(wanted) => {
                let not = not(facts.action(), wanted.iter().map(String::as_str));
                format!("the action is {}{not}", quoted(facts.action()))
            }
            Self::Operation(wanted) => {
                let name = facts.operation.as_ref().map(ToString::to_string);
                let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
                let not = not(name.as_deref(), wanted.iter().map(String::as_str));
                format!("the operation is {}{not}", quoted(name.as_deref()))
            }
            Self::Address(_) | Self::Prefix(_) => {
                let to = facts.to.as_deref().unwrap_or(known.arrival.url);
                format!("the message is addressed to `{to}`")
            }
            Self::Header(test) => {
                let value = known.arrival.headers.get(&test.name);
                let text = value.map(String::from_utf8_lossy);
                match text {
                    Some(text) => format!("header {} is `{text}`", test.name),
                    None => format!("there is no header {}", test.name),
                }
            }
            Self::Certificate(_) => known.arrival.certificate.map_or_else(
                || "the caller showed no client certificate".into(),
                |shown| format!("the caller's certificate is for `{}`", shown.subject),
            ),
            Self::RoundRobin { of, index, .. } => format!("number {index} of every {of} messages"),
            Self::Percent { share, .. } => {
                format!(
                    "this message was drawn {}",
                    if self.decide(known) == Some(true) {
                        format!("into the {share} %")
                    } else {
                        format!("outside the {share} %")
                    }
                )
            }
            Self::Custom { name, .. } => format!("custom filter `{name}`"),
            Self::XPath { text, .. } => format!("`{text}`"),
        }
    }
}

/// ``, not `x` or `y` `` if the value found is none of those wanted.
fn not<'a>(found: Option<&str>, wanted: impl Iterator<Item = &'a str> + Clone) -> String {
    if wanted.clone().any(|one| Some(one) == found) {
        return String::new();
    }
    let shown: Vec<String> = wanted.map(|one| format!("`{one}`")).collect();
    match shown.as_slice() {
        [] => String::new(),
        [a] => format!(", not {a}"),
        [a, b] => format!(", not {a} or {b}"),
        [a, rest @ ..] => format!(", not {a} or one of {} more", rest.len()),
    }
}

impl CertificateTest {
    fn holds(&self, shown: &Certificate) -> bool {
        let equal = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        equal(&self.subject, &shown.subject)
            && equal(&self.issuer, &shown.issuer)
            && self
                .san
                .as_ref()
                .is_none_or(|wanted| shown.names.contains(wanted))
    }
}

impl HeaderTest {
    fn holds(&self, headers: &Fields) -> bool {
        let any = |test: &dyn Fn(&str) -> bool| {
            headers
                .get_all(&self.name)
                .any(|value| test(&String::from_utf8_lossy(value)))
        };
        match &self.test {
            TextTest::Present(wanted) => headers.contains(&self.name) == *wanted,
            TextTest::Equals(text) => any(&|value| value == text),
            TextTest::Prefix(text) => any(&|value| value.starts_with(text)),
            TextTest::Matches(regex) => any(&|value| regex.is_match(value)),
        }
    }
}

/// A number in 0..100: the same for the same key, or the message's own without one. One draw
/// serves all filters of a message, so growing a share keeps whom it had.
fn draw(known: &Known<'_>, sticky: Option<&Sticky>) -> f64 {
    let key = match sticky {
        Some(Sticky::Header(name)) => known.arrival.headers.get(name),
        Some(Sticky::XPath(_)) | None => None,
    };
    percent(key.map_or(known.arrival.draw, hash))
}

/// A number as a share, 0 to 100.
pub(super) fn percent(number: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "32 bits fit a double exactly")]
    let unit = (number >> 32) as f64 / (u64::from(u32::MAX) + 1) as f64;
    unit * 100.0
}

/// FNV-1a with a finishing mix: stable across restarts and routers, which a sticky share needs.
pub(super) fn hash(key: &[u8]) -> u64 {
    let mut hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}
