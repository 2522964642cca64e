//! What may stand in a field (RFC 9110 §5.5).

use http::HeaderValue;

/// Something that may be a field's value.
pub trait Value {
    /// Its bytes, if it may stand in a field.
    fn as_value(&self) -> Option<&[u8]>;
}

impl Value for &HeaderValue {
    fn as_value(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

/// Bytes as they may come from elsewhere: anything but control characters.
impl Value for &[u8] {
    fn as_value(&self) -> Option<&[u8]> {
        is_value(self).then_some(self)
    }
}

/// What the router itself says: ASCII only.
impl Value for &str {
    fn as_value(&self) -> Option<&[u8]> {
        (self.is_ascii() && is_value(self.as_bytes())).then_some(self.as_bytes())
    }
}

/// No control characters but the tab. Looks at all of them, which goes by many at a time.
fn is_value(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, byte| {
        bad | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7F)
    })
}

/// The value of a field as text, if it is plain: visible ASCII, blanks and tabs. There are no other
/// control characters in a field.
#[must_use]
pub fn as_text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte is judged as `http` judges it.
    #[test]
    fn values_are_what_http_takes_for_values() {
        for byte in 0..=u8::MAX {
            let bytes = [b'a', byte, b'b'];
            assert_eq!(
                bytes.as_slice().as_value().is_some(),
                HeaderValue::from_bytes(&bytes).is_ok(),
                "{byte}"
            );
            let text = std::str::from_utf8(&bytes);
            assert_eq!(
                text.is_ok_and(|text| text.as_value().is_some()),
                text.is_ok_and(|text| HeaderValue::from_str(text).is_ok()),
                "{byte}"
            );
            let bytes = bytes.as_slice();
            let theirs = HeaderValue::from_bytes(bytes);
            let ours = bytes.as_value().and_then(as_text);
            assert_eq!(
                ours,
                theirs.as_ref().ok().and_then(|value| value.to_str().ok())
            );
        }
    }
}
