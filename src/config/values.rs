//! The other plain values: numbers, booleans, texts, shares. Each says what it expects and how a good one looks.
//!
//! Durations and sizes are in `amounts.rs`, what addresses something in `address.rs`; nothing here knows a key.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::fields::Measured;
use super::node::{Kind, Node};
use super::schema::Book;
use super::written::{Leaf, Reader, Written};
use crate::diag::Diagnostic;

/// A share of messages in percent, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct Share(pub f64);

/// The version of the file format; 1 is the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FormatVersion(pub u32);

/// One value or a list of them, never an empty list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OneOrMany<T>(pub Vec<T>);

/// Any YAML value, for a program that embeds the library.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Anything(pub serde_yaml::Value);

/// An empty mapping: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Empty {}

macro_rules! whole_numbers {
    ($($type:ty = $what:literal),+) => { $(
        impl Leaf for $type {
            const WHAT: &'static str = $what;
            const EXAMPLE: &'static str = "";
            const RULE: &'static str = "bad-number";

            fn parse(text: &str) -> Result<Self, String> {
                use std::num::IntErrorKind;
                text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
                    IntErrorKind::PosOverflow => "too large".to_owned(),
                    IntErrorKind::NegOverflow => "too small".to_owned(),
                    _ => "digits only".to_owned(),
                })
            }

            fn leaf_schema() -> Value {
                json!({ "type": "integer", "minimum": <$type>::MIN, "maximum": <$type>::MAX })
            }
        }

        impl Measured for $type {
            fn amount(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }

            fn show(amount: u64) -> String {
                amount.to_string()
            }
        }
    )+ };
}
whole_numbers!(
    u16 = "a whole number from 0 to 65535",
    u32 = "a whole number from 0 to 4294967295",
    i32 = "a whole number from -2147483648 to 2147483647"
);

impl Leaf for bool {
    const WHAT: &'static str = "`true` or `false`";
    const EXAMPLE: &'static str = "";
    const RULE: &'static str = "bad-boolean";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err("write `true` or `false`".to_owned()),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "boolean" })
    }
}

/// Text takes what stands there: `1.10` is not made a number and back.
impl Leaf for String {
    const WHAT: &'static str = "text";
    const EXAMPLE: &'static str = "";
    const RULE: &'static str = "wrong-type";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn leaf_schema() -> Value {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl Leaf for PathBuf {
    const WHAT: &'static str = "the path of a file";
    const EXAMPLE: &'static str = "certs/front.pem";
    const RULE: &'static str = "bad-file-path";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("the path is empty".to_owned()),
            _ if text.contains('\0') => Err("a path holds no NUL".to_owned()),
            _ => Ok(Self::from(text)),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Leaf for Share {
    const WHAT: &'static str = "a share in percent";
    const EXAMPLE: &'static str = "12.5";
    const RULE: &'static str = "bad-number";

    fn parse(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
        let number = number.ok().filter(|number| (0.0..=100.0).contains(number));
        number
            .map(Self)
            .ok_or_else(|| "a number from 0 to 100".to_owned())
    }

    fn leaf_schema() -> Value {
        json!({ "type": ["number", "string"], "minimum": 0, "maximum": 100, "pattern": "^[0-9.]+ *%?$" })
    }
}

impl Leaf for FormatVersion {
    const WHAT: &'static str = "a version of the file format that this program reads";
    const EXAMPLE: &'static str = "1";
    const RULE: &'static str = "unsupported-version";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "1" {
            Ok(Self(1))
        } else {
            Err("only version 1 is known".to_owned())
        }
    }

    fn leaf_schema() -> Value {
        json!({ "enum": [1, "1"] })
    }
}

impl Written for Anything {
    const NOUN: &'static str = "any value";

    fn read(node: &Node, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self(node.to_value()))
    }

    fn schema(_: &mut Book) -> Value {
        json!({})
    }
}

impl Written for Empty {
    const NOUN: &'static str = "an empty mapping";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let empty = matches!(&node.kind, Kind::Map(entries) if entries.is_empty());
        if !empty {
            reader.wrong_type(node, "an empty mapping", "{}");
        }
        empty.then_some(Self {})
    }

    fn schema(_: &mut Book) -> Value {
        json!({ "type": "object", "maxProperties": 0 })
    }
}

impl<T: Written> Written for OneOrMany<T> {
    const NOUN: &'static str = T::NOUN;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(items) if items.is_empty() => {
                let text = format!("this list is empty{}", reader.place());
                let found = Diagnostic::error("empty-list", text, node.span);
                reader.tell(found.label("needs at least one item"));
                None
            }
            Kind::List(_) => Vec::read(node, reader).map(Self),
            _ => T::read(node, reader).map(|one| Self(vec![one])),
        }
    }

    fn schema(book: &mut Book) -> Value {
        let one = T::schema(book);
        json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_from_0_to_100() {
        assert!(Share::parse("NaN").is_err() && Share::parse("100.5").is_err());
        assert!(Share::parse("-1").is_err() && Share::parse("").is_err());
        assert_eq!(Share::parse("12.5%"), Ok(Share(12.5)));
    }
}
