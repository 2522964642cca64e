//! Where something is: socket addresses, URLs, URIs. What a request is known by is in `request.rs`.
//!
//! What can be parsed once is parsed here, so that nobody downstream has to ask again.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

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

/// An absolute URI, kept as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct AbsoluteUri(pub String);

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

impl Leaf for IpAddr {
    const WHAT: &'static str = "an IP address";
    const EXAMPLE: &'static str = "10.0.0.5";
    const RULE: &'static str = "bad-address";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "an IP address without brackets, port or name".to_owned())
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+$" })
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
        if text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '\\')
        {
            return Err("a URL holds no blanks and no backslashes".to_owned());
        }
        // The parser would make the first segment of the path the host.
        if lower.contains(":///") {
            return Err("the host is missing".to_owned());
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

/// Where a redirect leads: an absolute URI, or a path of the same host (RFC 9110 §10.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct RedirectTarget(pub String);

impl Leaf for RedirectTarget {
    const WHAT: &'static str = "where a redirect leads";
    const EXAMPLE: &'static str = "https://example.com/orders";
    const RULE: &'static str = "bad-uri";

    fn parse(text: &str) -> Result<Self, String> {
        let ascii = text.bytes().all(|byte| byte.is_ascii_graphic());
        match text {
            _ if !ascii => Err("no blanks, and other than ASCII percent-encoded".to_owned()),
            _ if text.starts_with("//") || text.starts_with("/\\") => {
                Err("behind `//` stands another host: write its scheme too".to_owned())
            }
            _ if text.starts_with('/') => Ok(Self(text.to_owned())),
            _ if text.starts_with("http://") || text.starts_with("https://") => {
                AbsoluteUri::parse(text).map(|uri| Self(uri.0))
            }
            _ => Err("begins with `http://`, `https://`, or with `/` for the same host".to_owned()),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^(https?://|/)\\S*$" })
    }
}

serialize_as_written!(EndpointUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parsed = |text| EndpointUrl::parse(text).unwrap();
        let plain = parsed("http://Host/a?b=c");
        assert_eq!(
            (plain.host.as_str(), plain.port, plain.path.as_str()),
            ("host", 80, "/a?b=c")
        );
        assert_eq!(plain.authority, "host");
        let v6 = parsed("https://[::1]:8443");
        assert_eq!(
            (v6.host.as_str(), v6.port, v6.path.as_str()),
            ("::1", 8443, "/")
        );
        assert_eq!(
            (v6.tls, v6.to_string()),
            (true, "https://[::1]:8443/".to_owned())
        );
        for bad in [
            "host",
            "ftp://h/",
            "http://",
            "http://u@h/",
            "http://h/#f",
            "http://h:0/",
            "http://h/a b",
            "http:///h",
            "http://h\\a",
        ] {
            assert!(EndpointUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
