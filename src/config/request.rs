//! What a request is known by: path, host, operation, header fields. Where something is, is in `address.rs`.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::amounts::serialize_as_written;
use super::node::{Kind, Node};
use super::schema::Book;
use super::written::{Leaf, Reader, Written};

/// The path of a service: exact, or everything below a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServicePath {
    /// The path without `/*`; `/` for the root.
    pub path: String,
    /// True for `/orders/*`: the path itself and everything below it by whole segments.
    pub below: bool,
}

/// The path of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RoutePath {
    /// This path, or everything below it, as services have it.
    Plain(ServicePath),
    /// Every path that begins so (`/docs*`).
    Prefix(String),
    /// Every path in which the regular expression is found.
    Matches(String),
}

/// A host that a service answers to: exact, `*.example.com`, or with `*` and `?` anywhere. In
/// lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// The name, without `*.`; with `*` and `?` where they stand elsewhere.
    pub name: String,
    /// True for `*.example.com`: any one or more labels before the name.
    pub wildcard: bool,
}

/// The QName of the first child of Body, written `{namespace}local`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OperationName {
    /// The namespace; empty for none.
    pub namespace: String,
    /// The local name.
    pub local: String,
}

/// The name of an HTTP header field, kept as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct HeaderName(pub String);

impl Leaf for ServicePath {
    const WHAT: &'static str = "the path of a service";
    const EXAMPLE: &'static str = "/orders";
    const RULE: &'static str = "bad-path";

    fn parse(text: &str) -> Result<Self, String> {
        let (path, below) = text
            .strip_suffix("/*")
            .map_or((text, false), |path| (path, true));
        let path = if below && path.is_empty() { "/" } else { path };
        let bad = match path {
            _ if !path.starts_with('/') => "a path begins with `/`",
            _ if path.contains(['?', '#']) => "a path has no query and no fragment",
            _ if path.contains('*') => "`*` stands only at the end, as `/*`",
            _ if path.contains("//") => "a path has no empty segment `//`",
            _ if path.split('/').any(|segment| matches!(segment, "." | "..")) => {
                "a path has no `.` and `..`"
            }
            _ if !path.bytes().all(|byte| byte.is_ascii_graphic()) => {
                "other than ASCII stands percent-encoded in a path"
            }
            _ => {
                return Ok(Self {
                    path: path.to_owned(),
                    below,
                });
            }
        };
        Err(bad.to_owned())
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^/[^?#]*$" })
    }
}

impl ServicePath {
    /// Whether a request's path belongs to this service.
    pub fn covers(&self, path: &str) -> bool {
        if path == self.path || (self.below && self.path == "/") {
            return true;
        }
        self.below
            && path
                .strip_prefix(&self.path)
                .is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for ServicePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.below, self.path.as_str()) {
            (true, "/") => f.write_str("/*"),
            (true, path) => write!(f, "{path}/*"),
            (false, path) => f.write_str(path),
        }
    }
}

impl Written for RoutePath {
    const NOUN: &'static str = "the path of a route";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Kind::Map(entries) = &node.kind {
            if let [(key, value)] = entries.as_slice()
                && key.text == "matches"
            {
                return String::read(value, reader).map(Self::Matches);
            }
            reader.wrong_type(node, "a path, or `{ matches: REGEX }`", "/docs/*");
            return None;
        }
        let prefix = node.text().and_then(|text| {
            let prefix = text.strip_suffix('*')?;
            (!prefix.ends_with('/') && ServicePath::parse(prefix).is_ok()).then_some(prefix)
        });
        match prefix {
            Some(prefix) => Some(Self::Prefix(prefix.to_owned())),
            None => ServicePath::read(node, reader).map(Self::Plain),
        }
    }

    fn schema(book: &mut Book) -> Value {
        json!({ "anyOf": [ServicePath::schema(book), {
            "type": "object", "required": ["matches"], "additionalProperties": false,
            "properties": { "matches": { "type": "string" } },
        }] })
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(path) => path.fmt(f),
            Self::Prefix(path) => write!(f, "{path}*"),
            Self::Matches(regex) => write!(f, "~{regex}"),
        }
    }
}

impl Serialize for RoutePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Matches(regex) => serializer.collect_map([("matches", regex)]),
            plain => serializer.collect_str(plain),
        }
    }
}

impl Leaf for HostPattern {
    const WHAT: &'static str = "a host";
    const EXAMPLE: &'static str = "orders.example.com";
    const RULE: &'static str = "bad-host";

    fn parse(text: &str) -> Result<Self, String> {
        let (name, wildcard) = text
            .strip_prefix("*.")
            .map_or((text, false), |name| (name, true));
        let name = name.to_ascii_lowercase();
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let ipv6 = name.starts_with('[')
            && name.ends_with(']')
            && name
                .trim_matches(['[', ']'])
                .parse::<std::net::Ipv6Addr>()
                .is_ok();
        let bad = match name.as_str() {
            _ if ipv6 && !wildcard => return Ok(Self { name, wildcard }),
            "*" => "leave `hosts` out to answer to every host",
            _ if name.contains(['*', '?']) => match glob_mistake(text) {
                Some(mistake) => mistake,
                None => {
                    return Ok(Self {
                        name: text.to_ascii_lowercase(),
                        wildcard: false,
                    });
                }
            },
            _ if name.contains("://") || name.contains('/') => "a host is a name, not a URL",
            _ if name.contains(':') => "a host has no port here: the listener has it",
            _ if !name.split('.').all(label_ok) || name.len() > 253 => {
                "a host is a DNS name or an IP address"
            }
            _ => return Ok(Self { name, wildcard }),
        };
        Err(bad.to_owned())
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9._*?-]+$|^\\[[0-9A-Fa-f:.]+\\]$" })
    }
}

/// What is wrong with a host in which `*` stands for any characters and `?` for one.
fn glob_mistake(text: &str) -> Option<&'static str> {
    let stars = text.matches('*').count();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '?');
    match text {
        _ if text.contains("**") || text.contains("*?") || text.contains("?*") => {
            Some("`*` stands for any characters already: no other beside it")
        }
        _ if stars > 2 || stars + text.matches('?').count() > 4 => {
            Some("at most 2 `*`, and 4 of `*` and `?` together")
        }
        _ if text.split('.').any(|label| label.matches('*').count() > 1) => {
            Some("at most one `*` between two dots")
        }
        _ if !text.chars().all(good) => Some("a host is a DNS name or an IP address"),
        _ => None,
    }
}

impl HostPattern {
    /// Whether others may fit where it fits.
    pub fn is_pattern(&self) -> bool {
        self.wildcard || self.name.contains(['*', '?'])
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.name)
    }
}

impl Leaf for OperationName {
    const WHAT: &'static str = "the QName of an operation";
    const EXAMPLE: &'static str = "{urn:orders}Place";
    const RULE: &'static str = "bad-operation";

    fn parse(text: &str) -> Result<Self, String> {
        let (namespace, local) = match text.strip_prefix('{') {
            Some(rest) => rest.split_once('}').ok_or("the `}` is missing")?,
            None => ("", text),
        };
        if local.contains(':') {
            return Err("a prefix means nothing here: write the namespace in braces".to_owned());
        }
        let start = local
            .chars()
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_');
        if !start
            || local
                .chars()
                .any(|c| c.is_whitespace() || "<>&/{}\"'()[]".contains(c))
        {
            return Err("behind the namespace stands the name of an element".to_owned());
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            local: local.to_owned(),
        })
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^(\\{[^}]*\\})?[^:\\s]+$" })
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}{}", self.namespace, self.local)
    }
}

impl Leaf for HeaderName {
    const WHAT: &'static str = "the name of an HTTP header field";
    const EXAMPLE: &'static str = "X-Partner";
    const RULE: &'static str = "bad-header-name";

    fn parse(text: &str) -> Result<Self, String> {
        // `token` of RFC 9110 §5.6.2.
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match text {
            "" => Err("the name is empty".to_owned()),
            _ if text.ends_with(':') => Err("without the colon".to_owned()),
            _ if !text.bytes().all(token) => {
                Err("a field name holds letters, digits and `-`, no blanks".to_owned())
            }
            _ => Ok(Self(text.to_owned())),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$" })
    }
}

serialize_as_written!(ServicePath, HostPattern, OperationName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_itself_and_below_it_whole_segments() {
        let covers = |written: &str, path: &str| ServicePath::parse(written).unwrap().covers(path);
        assert!(covers("/orders", "/orders") && !covers("/orders", "/orders/x"));
        assert!(covers("/orders/*", "/orders") && covers("/orders/*", "/orders/x/y"));
        assert!(!covers("/orders/*", "/ordersx") && covers("/*", "/any/thing") && covers("/", "/"));
    }

    #[test]
    fn operations_are_taken_apart() {
        let parsed = OperationName::parse("{urn:o}Place").unwrap();
        assert_eq!(
            (parsed.namespace.as_str(), parsed.local.as_str()),
            ("urn:o", "Place")
        );
        assert_eq!(
            OperationName::parse("Place").unwrap().to_string(),
            "{}Place"
        );
        for bad in ["", "{}", "{urn:o", "o:Place", "{urn:o}a b", "//x"] {
            assert!(OperationName::parse(bad).is_err(), "{bad}");
        }
    }
}
