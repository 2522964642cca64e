//! Strings, numbers and what XPath 1.0 §4 makes of one as the other.
//!
//! Pure functions on values; knows no nodes. The tree and the stream share them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// White space as XML means it.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// `number(string)`: optional white space and minus around a plain decimal, otherwise NaN.
pub(super) fn number(text: &str) -> f64 {
    if let Some(number) = short_number(text.as_bytes()) {
        return number;
    }
    let text = text.trim_matches(is_space);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_decimal = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|&b| b == b'.').count() <= 1
        && digits.bytes().any(|b| b.is_ascii_digit());
    if is_decimal {
        text.parse().unwrap_or(f64::NAN)
    } else {
        f64::NAN
    }
}

/// The same of bytes that are UTF-8.
pub(super) fn number_of(text: &[u8]) -> f64 {
    short_number(text)
        .or_else(|| std::str::from_utf8(text).ok().map(number))
        .unwrap_or(f64::NAN)
}

/// A number of few digits: both its digits and the power of ten are exact, so one division rounds right.
fn short_number(bytes: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ];
    if bytes.len() > POWERS.len() {
        return None;
    }
    let (mut digits, mut point) = (0_u64, None);
    for (&byte, at) in bytes.iter().zip(1..) {
        match byte {
            b'0'..=b'9' => digits = digits * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let behind = bytes.len() - point.unwrap_or(bytes.len());
    let digits_seen = bytes.len() - usize::from(point.is_some());
    if digits_seen == 0 || digits_seen >= POWERS.len() {
        return None;
    }
    Some(digits as f64 / POWERS.get(behind)?)
}

/// `string(number)`: plain decimal without exponent, `0` for both zeros.
pub(super) fn text(number: f64) -> String {
    let mut out = String::new();
    write_text(number, &mut out);
    out
}

/// The same, appended.
pub(super) fn write_text(number: f64, out: &mut String) {
    if number.is_nan() {
        out.push_str("NaN");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
    } else if number == 0.0 {
        out.push('0');
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{number}");
    }
}

/// `boolean(number)`.
pub(super) fn truth(number: f64) -> bool {
    number != 0.0 && !number.is_nan()
}

/// `round()`: to the nearer integer, halves up, minus zero kept.
pub(super) fn round(number: f64) -> f64 {
    if !number.is_finite() {
        return number;
    }
    if (-0.5..0.0).contains(&number) {
        return -0.0;
    }
    let floor = number.floor();
    if number - floor >= 0.5 {
        floor + 1.0
    } else {
        floor
    }
}

/// `substring()` by characters; positions are rounded as the specification says.
pub(super) fn substring(text: &str, start: f64, length: Option<f64>) -> &str {
    let first = round(start);
    let inside = |at: f64| match length {
        Some(length) => at >= first && at < first + round(length),
        None => at >= first,
    };
    let mut range: Option<(usize, usize)> = None;
    for (index, (byte, c)) in text.char_indices().enumerate() {
        if inside((index + 1) as f64) {
            let from = range.map_or(byte, |(from, _)| from);
            range = Some((from, byte + c.len_utf8()));
        } else if range.is_some() {
            break;
        }
    }
    range
        .and_then(|(from, to)| text.get(from..to))
        .unwrap_or("")
}

/// `normalize-space()`, borrowing when nothing changes.
pub(super) fn normalize_space(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim_matches(is_space);
    let clean = !trimmed.contains(['\t', '\r', '\n']) && !trimmed.contains("  ");
    if clean {
        return Cow::Borrowed(trimmed);
    }
    let mut out = String::with_capacity(trimmed.len());
    for word in trimmed.split(is_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    Cow::Owned(out)
}

/// `translate()`.
pub(super) fn translate(text: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    let mut map: std::collections::HashMap<char, Option<char>> = std::collections::HashMap::new();
    for (index, c) in from.chars().enumerate() {
        map.entry(c).or_insert_with(|| to.get(index).copied());
    }
    text.chars()
        .filter_map(|c| map.get(&c).map_or(Some(c), |mapped| *mapped))
        .collect()
}

/// `lang()` on the value of `xml:lang` in force.
pub(super) fn speaks(language: &str, wanted: &str) -> bool {
    let (language, wanted) = (language.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    language
        .strip_prefix(wanted.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_text() {
        for (text, value) in [
            ("1", 1.0),
            (" -1.5 ", -1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("-.5", -0.5),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
        for bad in [
            "", " ", "+1", "1e3", "1.2.3", "-", ".", "- 1", "0x1", "Infinity", "--1",
        ] {
            assert!(number(bad).is_nan(), "{bad}");
        }
    }

    #[test]
    fn text_from_numbers() {
        let cases = [
            (1.0, "1"),
            (-0.0, "0"),
            (1e21, "1000000000000000000000"),
            (0.1, "0.1"),
            (1e-7, "0.0000001"),
        ];
        for (value, shown) in cases {
            assert_eq!(text(value), shown);
        }
        assert_eq!(text(f64::NAN), "NaN");
        assert_eq!(text(f64::NEG_INFINITY), "-Infinity");
    }

    #[test]
    fn substrings_of_the_specification() {
        let s = "12345";
        assert_eq!(substring(s, 1.5, Some(2.6)), "234");
        assert_eq!(substring(s, 0.0, Some(3.0)), "12");
        assert_eq!(substring(s, f64::NAN, Some(3.0)), "");
        assert_eq!(substring(s, 1.0, Some(f64::NAN)), "");
        assert_eq!(substring(s, -42.0, Some(f64::INFINITY)), "12345");
        assert_eq!(substring(s, f64::NEG_INFINITY, Some(f64::INFINITY)), "");
        assert_eq!(substring(s, 2.0, None), "2345");
    }

    #[test]
    fn rounding() {
        for (value, rounded) in [
            (2.5, 3.0),
            (-2.5, -2.0),
            (0.499_999_999_999_999_94, 0.0),
            (1.4, 1.0),
        ] {
            assert_eq!(round(value), rounded, "{value}");
        }
        assert!(round(-0.2).is_sign_negative());
    }

    #[test]
    fn spaces_and_letters() {
        assert_eq!(normalize_space(" a\t b\n"), "a b");
        assert_eq!(normalize_space("a\u{A0}b"), "a\u{A0}b");
        assert_eq!(translate("--aaa--", "abc-", "ABC"), "AAA");
        assert!(speaks("en-US", "EN") && !speaks("eng", "en"));
    }
}
