//! Values of filters with a short and a long form: `percent: 5`, or `percent: { share: 5, sticky_on: ... }`.
//!
//! Each is one type for those who use it; the keys of the long form are a type of their own, for reading only.

use serde::Serialize;
use serde_json::{Value, json};

use super::address::AbsoluteUri;
use super::node::{Kind, Node};
use super::request::HeaderName;
use super::schema::Book;
use super::shape::{kinds, written};
use super::values::Share;
use super::written::{Reader, Spanned, Written};
use crate::diag::Diagnostic;

/// An address to compare with: only the URI, or `{ uri, host: true }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AddressMatch {
    /// The URI.
    pub uri: Spanned<AbsoluteUri>,
    /// Whether the host is compared; WCF ignores it.
    pub host: bool,
}

/// The n-th of every so many messages: only the group, or `{ group, of, index }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoundRobin {
    /// The filters of one group share a count.
    pub group: Spanned<String>,
    /// How many messages one round has. Never absent in what [`load`](crate::config::load) gives: where it was left
    /// out it is the number of filters in the group.
    pub of: Option<u32>,
    /// Which of the round, from 1. Where it was left out: the filter's place in its group.
    pub index: Option<u32>,
}

/// A share of the messages: only the number, or `{ share, sticky_on }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Percent {
    /// The share.
    pub share: Spanned<Share>,
    /// What keeps equal messages on one side; each message is drawn anew without it.
    pub sticky_on: Option<StickyOn>,
}

kinds! {
    /// The value that keeps equal messages on one side.
    pub enum StickyOn as "sticky_on" {
        /// The string value of this XPath.
        XPath = "xpath": Spanned<String>,
        /// The value of this field of the HTTP request's head.
        Header = "header": Spanned<HeaderName>,
    }
}

written! {
    /// An address with the question whether its host counts.
    pub(super) struct AddressKeys as "an address" {
        /// The URI.
        pub(super) uri: Spanned<AbsoluteUri>,
        /// Whether the host is compared; WCF ignores it.
        pub(super) host: bool = false,
    }
}

written! {
    /// The n-th of every so many messages.
    pub(super) struct RoundRobinKeys as "round_robin" {
        /// The filters of one group share a count.
        pub(super) group: Spanned<String>,
        /// How many messages one round has.
        pub(super) of: Option<Spanned<u32>> = None,
        /// Which of the round, from 1.
        pub(super) index: Option<Spanned<u32>> = None,
    }
}

written! {
    /// A share of the messages.
    pub(super) struct PercentKeys as "percent" {
        /// The share in percent.
        pub(super) share: Spanned<Share>,
        /// What keeps equal messages on one side.
        pub(super) sticky_on: Option<StickyOn> = None,
    }
}

/// Implements reading for a type that is one scalar in its short form and a mapping in its long one.
macro_rules! short_or_long {
    ($type:ident, $long:ident, $short:ty, |$one:ident| $from_short:expr, |$keys:ident, $node:ident, $reader:ident| $from_long:expr) => {
        impl Written for $type {
            const NOUN: &'static str = <$long as Written>::NOUN;

            fn read($node: &Node, $reader: &mut Reader<'_>) -> Option<Self> {
                if matches!($node.kind, Kind::Map(_)) {
                    let $keys = $long::read($node, $reader)?;
                    $from_long
                } else {
                    let $one = <$short as Written>::read($node, $reader)?;
                    Some($from_short)
                }
            }

            fn schema(book: &mut Book) -> Value {
                json!({ "anyOf": [<$short as Written>::schema(book), $long::schema(book)] })
            }
        }
    };
}

short_or_long!(
    AddressMatch,
    AddressKeys,
    Spanned<AbsoluteUri>,
    |uri| AddressMatch { uri, host: false },
    |keys, node, reader| Some(AddressMatch {
        uri: keys.uri,
        host: keys.host
    })
);
short_or_long!(
    Percent,
    PercentKeys,
    Spanned<Share>,
    |share| Percent {
        share,
        sticky_on: None
    },
    |keys, node, reader| Some(Percent {
        share: keys.share,
        sticky_on: keys.sticky_on
    })
);
short_or_long!(
    RoundRobin,
    RoundRobinKeys,
    Spanned<String>,
    |group| RoundRobin {
        group,
        of: None,
        index: None
    },
    |keys, node, reader| keys.settled(node, reader)
);

impl RoundRobinKeys {
    /// `of` and `index` belong together, and the index lies within the round.
    fn settled(self, node: &Node, reader: &mut Reader<'_>) -> Option<RoundRobin> {
        let (of, index) = (
            self.of.as_ref().map(|of| of.value),
            self.index.as_ref().map(|index| index.value),
        );
        let mistake = match (of, index) {
            (None, None) => None,
            (Some(1..), Some(1..)) if index <= of => None,
            (Some(_), Some(_)) => Some("`index` is from 1 to `of`"),
            _ => Some("`of` and `index` belong together; without both they follow from the order"),
        };
        let Some(mistake) = mistake else {
            return Some(RoundRobin {
                group: self.group,
                of,
                index,
            });
        };
        let span = self.index.map_or(node.span, |index| index.span);
        let text = format!("a round robin that cannot be{}", reader.place());
        reader.tell(Diagnostic::error("bad-round-robin", text, span).label(mistake));
        None
    }
}
