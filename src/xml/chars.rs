//! Which characters XML 1.0 (fifth edition) allows, and where.
//!
//! Pure tables and tests; knows nothing of tags.

/// `Char` of XML 1.0 §2.2.
pub(super) fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether the string may stand as an XML name without a colon (`NCName`).
pub fn is_nc_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// `NameStartChar` of XML 1.0 §2.3 without the colon.
pub fn is_name_start(c: char) -> bool {
    matches!(c,
        'A'..='Z' | 'a'..='z' | '_'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}'
        | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// `NameChar` of XML 1.0 §2.3 without the colon.
pub fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// White space of XML 1.0 §2.3.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// White space that is read as it stands, which a carriage return is not (XML 1.0 §2.11).
#[inline(always)]
pub(super) fn is_bare_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

/// Splits a qualified name; the error is a phrase for a sentence.
pub(super) fn split_qname(name: &str) -> Result<(&str, &str), String> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) => (prefix, local),
        None => ("", name),
    };
    if prefix.len() != name.len() && name.starts_with(':')
        || !prefix.is_empty() && !is_nc_name(prefix)
    {
        return Err(format!("`{}` is not a name", clip(name)));
    }
    if !is_nc_name(local) {
        return Err(format!("`{}` is not a name", clip(name)));
    }
    Ok((prefix, local))
}

/// A piece of foreign text short enough for a sentence.
pub(super) fn clip(text: &str) -> String {
    if text.chars().count() <= 64 {
        return text.to_owned();
    }
    text.chars().take(61).chain("...".chars()).collect()
}

/// The first byte that no XML document may contain, in text that is valid UTF-8.
pub(super) fn find_forbidden(text: &[u8]) -> Option<usize> {
    let control = text.iter().fold(false, |bad, &b| {
        bad | ((b < 0x20) & (b != 9) & (b != 10) & (b != 13))
    });
    let first_control = || {
        text.iter()
            .position(|&b| b < 0x20 && !is_space(b))
            .filter(|_| control)
    };
    let noncharacter = memchr::memchr_iter(0xEF, text)
        .find(|&at| matches!(text.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])));
    match (first_control(), noncharacter) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, good) in [
            ("a", true),
            ("_a-1.", true),
            ("1a", false),
            ("", false),
            ("é", true),
            ("a:b", false),
        ] {
            assert_eq!(is_nc_name(name), good, "{name}");
        }
        assert_eq!(split_qname("p:a"), Ok(("p", "a")));
        for bad in [":a", "a:", "a:b:c", ":", "", "p:1"] {
            assert!(split_qname(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn forbidden_bytes_are_found() {
        assert_eq!(find_forbidden(b"ab\tc\n"), None);
        assert_eq!(find_forbidden(b"ab\x01c"), Some(2));
        assert_eq!(find_forbidden("ab\u{FFFE}".as_bytes()), Some(2));
        assert_eq!(find_forbidden("ab\u{FFFD}".as_bytes()), None);
    }
}
