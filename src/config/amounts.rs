//! Durations and sizes, read as they are written: `30s`, `64KiB`.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::fields::Measured;
use super::written::Leaf;

/// A duration as it is written: `500ms`, `30s`, `2m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Duration);

/// A number of bytes as it is written: `512`, `64KiB`, `10MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// A number of bytes, or `none` for no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SizeOrNone(pub Option<u64>);

const TIME_UNITS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Time {
    /// So many milliseconds.
    pub const fn millis(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    /// So many seconds.
    pub const fn secs(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Leaf for Time {
    const WHAT: &'static str = "a duration";
    const EXAMPLE: &'static str = "30s";
    const RULE: &'static str = "bad-duration";

    fn parse(text: &str) -> Result<Self, String> {
        amount(text, TIME_UNITS, None).map(Self::millis)
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" })
    }
}

impl Leaf for Size {
    const WHAT: &'static str = "a size";
    const EXAMPLE: &'static str = "64KiB";
    const RULE: &'static str = "bad-size";

    fn parse(text: &str) -> Result<Self, String> {
        amount(text, SIZE_UNITS, Some(1)).map(Self)
    }

    fn leaf_schema() -> Value {
        json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$" })
    }
}

impl Leaf for SizeOrNone {
    const WHAT: &'static str = "a size or `none`";
    const EXAMPLE: &'static str = "1GiB";
    const RULE: &'static str = "bad-size";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            Ok(Self(None))
        } else {
            Size::parse(text).map(|size| Self(Some(size.0)))
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^([0-9]+(B|KiB|MiB|GiB)?|none)$" })
    }
}

/// A whole number with a unit; the label says what is wrong with it.
fn amount(text: &str, units: &[(&str, u64)], bare: Option<u64>) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let list = || {
        units
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if number.is_empty() {
        return Err(format!("expected a whole number and a unit: {}", list()));
    }
    let factor = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => {
            bare.ok_or_else(|| format!("the unit is missing: {}", list()))?
        }
        None if unit.starts_with('.') => {
            return Err("write a whole number of a smaller unit".to_owned());
        }
        None => return Err(format!("the unit is one of {}", list())),
    };
    let product = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    product.ok_or_else(|| "the number is too large".to_owned())
}

fn written(
    f: &mut fmt::Formatter<'_>,
    amount: u64,
    units: &[(&str, u64)],
    smallest: &str,
) -> fmt::Result {
    let unit = units
        .iter()
        .find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => write!(f, "{}{name}", amount / factor),
        None => write!(f, "{amount}{smallest}"),
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        written(f, millis, TIME_UNITS, "ms")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        written(f, self.0, SIZE_UNITS, "B")
    }
}

impl fmt::Display for SizeOrNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(size) => Size(size).fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// Written the way it is read.
macro_rules! serialize_as_written {
    ($($type:ty),+) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+ };
}
pub(super) use serialize_as_written;
serialize_as_written!(Time, Size, SizeOrNone);

impl Measured for Time {
    fn amount(&self) -> Option<u64> {
        u64::try_from(self.0.as_millis()).ok()
    }

    fn show(amount: u64) -> String {
        Self::millis(amount).to_string()
    }
}

impl Measured for Size {
    fn amount(&self) -> Option<u64> {
        Some(self.0)
    }

    fn show(amount: u64) -> String {
        Self(amount).to_string()
    }
}

impl Measured for SizeOrNone {
    fn amount(&self) -> Option<u64> {
        self.0
    }

    fn show(amount: u64) -> String {
        Size(amount).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_written_alike() {
        for text in ["500ms", "30s", "2m", "1h", "36h", "1500ms"] {
            assert_eq!(
                Time::parse(text).map(|time| time.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in ["512B", "64KiB", "10MiB", "1GiB", "1025B"] {
            assert_eq!(
                Size::parse(text).map(|size| size.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(
            Time::parse("90s").map(|time| time.to_string()),
            Ok("90s".to_owned())
        );
        assert_eq!(Size::parse("65536"), Ok(Size(65536)));
        assert_eq!(SizeOrNone::parse("none"), Ok(SizeOrNone(None)));
    }

    #[test]
    fn bad_amounts_say_why() {
        let bad = |text| Time::parse(text).err().unwrap_or_default();
        assert!(bad("30").contains("unit is missing"));
        assert!(bad("30sec").contains("unit is one of"));
        assert!(bad("1.5s").contains("smaller unit"));
        assert!(bad("-1s").contains("whole number"));
        assert!(bad("99999999999999999999s").contains("too large"));
        assert!(bad("18446744073709551615h").contains("too large"));
        assert!(Size::parse("64KB").is_err_and(|label| label.contains("`KiB`")));
    }
}
