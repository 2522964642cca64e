//! Comparing endpoint addresses as WCF does (`wcf-routing` §1.2, §1.3).
//!
//! The message's `To` is reduced once to an [`Address`]; exact and prefix filters are then
//! look-ups by key. Host names are left out unless a filter asks for them, because a router
//! stands at another host than the services that its callers address.

use url::Url;

/// An absolute address, reduced to what is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    scheme: String,
    host: String,
    port: u16,
    /// Unescaped path without one trailing `/`, lower case.
    path: String,
    /// Escaped non-empty segments, lower case.
    segments: Vec<String>,
}

/// What an address filter compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern {
    /// The filter's address.
    pub address: Address,
    /// Whether the host must be equal too (and, for a prefix, the port).
    pub with_host: bool,
}

impl Address {
    /// Reads an absolute URI; anything else compares equal to nothing.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let url = Url::parse(uri.trim()).ok()?;
        let path = percent_decode(url.path()).to_lowercase();
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or("").to_lowercase(),
            port: url.port_or_known_default().unwrap_or(0),
            path: path.strip_suffix('/').unwrap_or(&path).to_owned(),
            segments: url
                .path()
                .split('/')
                .filter(|segment| !segment.is_empty())
                .map(str::to_lowercase)
                .collect(),
        })
    }
}

impl AddressPattern {
    /// Whether a message to `to` is addressed to exactly this: scheme, port and path, case
    /// and one trailing `/` aside; query and fragment are not compared.
    #[must_use]
    pub fn equals(&self, to: &Address) -> bool {
        let own = &self.address;
        own.scheme == to.scheme
            && own.port == to.port
            && own.path == to.path
            && (!self.with_host || own.host == to.host)
    }

    /// How many path segments of `to` this prefix covers, if it is one.
    #[must_use]
    pub fn covers(&self, to: &Address) -> Option<usize> {
        let own = &self.address;
        let same_host = !self.with_host || (own.host == to.host && own.port == to.port);
        (own.scheme == to.scheme && same_host && to.segments.starts_with(&own.segments))
            .then_some(own.segments.len())
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(high * 16 + low);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(uri: &str, with_host: bool) -> AddressPattern {
        AddressPattern {
            address: Address::parse(uri).unwrap(),
            with_host,
        }
    }

    #[test]
    fn exact_ignores_host_case_and_one_slash() {
        let cases = [
            ("http://a/app", "http://b/app", true),
            ("http://a/app", "http://b/APP/", true),
            ("http://a/app", "http://b/app//", false),
            ("http://a/app", "https://b/app", false),
            ("http://a:80/app", "http://b/app", true),
            ("http://a:81/app", "http://b/app", false),
            ("http://a/app", "http://b/app?x=1#y", true),
            ("http://a/app%20x", "http://b/app x", true),
            ("http://a/app", "http://b/app/x", false),
        ];
        for (filter, to, expected) in cases {
            let to_address = Address::parse(to).unwrap();
            assert_eq!(
                pattern(filter, false).equals(&to_address),
                expected,
                "{filter} {to}"
            );
        }
        let here = Address::parse("http://A/app").unwrap();
        assert!(pattern("http://a/app", true).equals(&here));
        assert!(!pattern("http://b/app", true).equals(&here));
        assert_eq!(Address::parse("/relative"), None);
    }

    #[test]
    fn prefixes_are_whole_segments() {
        let cases = [
            ("http://a/app", "http://b:9/app", Some(1)),
            ("http://a/app", "http://b/App/x/y", Some(1)),
            ("http://a/app", "http://b/apple", None),
            ("http://a/app//x/", "http://b/app/x/y", Some(2)),
            ("http://a/", "http://b/app", Some(0)),
            ("http://a/app", "https://b/app", None),
        ];
        for (filter, to, expected) in cases {
            let to_address = Address::parse(to).unwrap();
            assert_eq!(
                pattern(filter, false).covers(&to_address),
                expected,
                "{filter} {to}"
            );
        }
        assert_eq!(
            pattern("http://a/app", true).covers(&Address::parse("http://a:9/app").unwrap()),
            None
        );
    }
}
