//! How fields are called, and how that is spelled on the wire.
//!
//! HTTP/1 names are case-insensitive, yet old SOAP servers refuse `soapaction` and `Soapaction`,
//! and some clients look for what they know letter by letter. So a sender's spelling goes along
//! with its fields, and names that come without one are spelled the usual way: a capital after
//! each hyphen, but for those that the world spells differently (`known.rs`).

use http::HeaderName;

use super::known::Known;

/// What a field is called by.
pub trait Name<'n> {
    /// As fields are looked up.
    fn key(self) -> Key<'n>;
}

/// A name as fields are looked up by it.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// By its number.
    Known(Known),
    /// Any other, in lower case.
    Other(&'a str),
}

impl Name<'static> for Known {
    fn key(self) -> Key<'static> {
        Key::Known(self)
    }
}

impl<'n> Name<'n> for &'n HeaderName {
    fn key(self) -> Key<'n> {
        let name = self.as_str();
        Known::of(name.as_bytes()).map_or(Key::Other(name), Key::Known)
    }
}

impl Key<'_> {
    /// 0 for names that are not known.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Known(known) => known.number(),
            Self::Other(_) => 0,
        }
    }

    /// Writes it the usual way.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Known(known) => out.extend_from_slice(known.as_str().as_bytes()),
            Self::Other(name) => capitals(name.as_bytes(), out),
        }
    }
}

/// Writes a name the usual way, however it came.
pub fn write_name(name: &[u8], out: &mut Vec<u8>) {
    match Known::of(name) {
        Some(known) => out.extend_from_slice(known.as_str().as_bytes()),
        None => capitals(name, out),
    }
}

fn capitals(name: &[u8], out: &mut Vec<u8>) {
    let mut first = true;
    out.extend(name.iter().map(|byte| {
        let byte = if first {
            byte.to_ascii_uppercase()
        } else {
            byte.to_ascii_lowercase()
        };
        first = byte == b'-';
        byte
    }));
}

/// Whether a name that is not known is written the usual way.
pub(super) fn has_capitals(name: &[u8]) -> bool {
    let mut first = true;
    name.iter().all(|byte| {
        let fits = if first {
            !byte.is_ascii_lowercase()
        } else {
            !byte.is_ascii_uppercase()
        };
        first = *byte == b'-';
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_servers_know_them() {
        let names = [
            ("soapaction", "SOAPAction"),
            ("content-type", "Content-Type"),
            ("etag", "ETag"),
            ("x-forwarded-for", "X-Forwarded-For"),
            ("x--ab", "X--Ab"),
        ];
        for (lower, usual) in names {
            for written in [lower.to_owned(), lower.to_uppercase(), usual.to_owned()] {
                let mut out = Vec::new();
                write_name(written.as_bytes(), &mut out);
                assert_eq!(out, usual.as_bytes());
            }
            let name = &HeaderName::from_static(lower);
            let mut out = Vec::new();
            name.key().write(&mut out);
            assert_eq!(out, usual.as_bytes());
            if Known::of(lower.as_bytes()).is_none() {
                assert!(has_capitals(usual.as_bytes()) && !has_capitals(lower.as_bytes()));
            }
        }
    }
}
