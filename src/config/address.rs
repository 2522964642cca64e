//! The values that address something: socket addresses, URLs, hosts, paths, QNames, header names.
//!
//! What can be parsed once is parsed here, so that nobody downstream has to ask again.

use std::fmt;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::amounts::serialize_as_written;
use super::written::Leaf;

/// An endpoint's URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl {
    /// True for `https`.
    pub tls: bool,
    /// The host name or IP address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, 80 or 443 where none is written.
    pub port: u16,
    /// What goes into the `Host` field: the host, and the port unless it is the scheme's own.
    pub authority: String,
    /// Path and query, never empty.
    pub path: String,
}

/// The path of a service: exact, or everything below a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServicePath {
    /// The path without `/*`; `/` for the root.
    pub path: String,
    /// True for `/orders/*`: the path itself and everything below it by whole segments.
    pub below: bool,
}

/// A host that a service answers to: exact or `*.example.com`. In lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// The name, without `*.`.
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

/// An absolute URI, kept as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct AbsoluteUri(pub String);

/// The name of an HTTP header field, kept as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct HeaderName(pub String);

impl Leaf for SocketAddr {
    const WHAT: &'static str = "an address to listen on";
    const EXAMPLE: &'static str = "127.0.0.1:8080";
    const RULE: &'static str = "bad-address";

    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        Err(match port.parse::<u16>() {
            Ok(port) if host.is_empty() || host == "*" => {
                format!("write `0.0.0.0:{port}` to listen on every address")
            }
            Ok(port) if host == "localhost" => {
                format!("write `127.0.0.1:{port}` or `[::1]:{port}`")
            }
            Ok(_) if host.contains(':') => {
                "an IPv6 address stands in brackets, such as `[::1]:8080`".to_owned()
            }
            Ok(_) => "expected an IP address and a port, not a name".to_owned(),
            Err(_) => "expected an IP address, a colon and a port from 0 to 65535".to_owned(),
        })
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^.+:[0-9]+$" })
    }
}

impl Leaf for EndpointUrl {
    const WHAT: &'static str = "the URL of an endpoint";
    const EXAMPLE: &'static str = "http://127.0.0.1:9101/orders";
    const RULE: &'static str = "bad-url";

    fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if !(lower.starts_with("http://") || lower.starts_with("https://")) {
            return Err("the URL begins with `http://` or `https://`".to_owned());
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("a URL holds no blanks".to_owned());
        }
        let url = url::Url::parse(text).map_err(|error| error.to_string())?;
        // The parser drops `user@`, but not what it means for the reader: a secret in the configuration.
        if !url.username().is_empty() || url.password().is_some() {
            return Err("user and password cannot stand in the URL".to_owned());
        }
        if url.fragment().is_some() {
            return Err("a fragment (`#...`) is never sent".to_owned());
        }
        let tls = url.scheme() == "https";
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err("the host is missing".to_owned());
        };
        let port = url
            .port_or_known_default()
            .unwrap_or(if tls { 443 } else { 80 });
        if port == 0 {
            return Err("a port is 1 to 65535".to_owned());
        }
        let authority = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let query = url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let path = format!("{}{query}", url.path());
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Self {
            tls,
            host,
            port,
            authority,
            path,
        })
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://[^\\s#@]+$" })
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            if self.tls { "https" } else { "http" },
            self.authority,
            self.path
        )
    }
}

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
            _ if name.contains('*') => "`*` stands only at the start, as `*.`",
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
        json!({ "type": "string", "pattern": "^(\\*\\.)?[A-Za-z0-9._-]+$|^\\[[0-9A-Fa-f:.]+\\]$" })
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

impl Leaf for AbsoluteUri {
    const WHAT: &'static str = "an absolute URI";
    const EXAMPLE: &'static str = "http://example.com/orders";
    const RULE: &'static str = "bad-uri";

    fn parse(text: &str) -> Result<Self, String> {
        match url::Url::parse(text) {
            _ if text.chars().any(|c| c.is_whitespace() || c.is_control()) => {
                Err("a URI holds no blanks".to_owned())
            }
            Ok(_) => Ok(Self(text.to_owned())),
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                Err("a scheme such as `http://` is missing".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:\\S*$" })
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

serialize_as_written!(EndpointUrl, ServicePath, HostPattern, OperationName);
