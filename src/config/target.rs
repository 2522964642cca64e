//! What an endpoint is asked for: host and path, as they are written.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::amounts::serialize_as_written;
use super::written::Leaf;

/// What goes into the `Host` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointHost {
    /// The URL's own.
    Endpoint,
    /// What the caller asked for.
    Caller,
    /// The chosen server's own.
    Server,
    /// This one.
    Name(String),
}

/// A path that begins and ends with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverridePath(pub String);

impl Leaf for EndpointHost {
    const WHAT: &'static str = "a host to ask for";
    const EXAMPLE: &'static str = "orders.internal";
    const RULE: &'static str = "bad-host";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "endpoint" => Ok(Self::Endpoint),
            "caller" => Ok(Self::Caller),
            "server" => Ok(Self::Server),
            _ if text.parse::<http::uri::Authority>().is_ok() && !text.contains('@') => {
                Ok(Self::Name(text.to_owned()))
            }
            _ => Err(
                "`endpoint`, `caller`, `server`, or a name, with its port if it has one".to_owned(),
            ),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[^\\s/@]+$" })
    }
}

impl fmt::Display for EndpointHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoint => "endpoint",
            Self::Caller => "caller",
            Self::Server => "server",
            Self::Name(name) => name,
        })
    }
}

impl Leaf for OverridePath {
    const WHAT: &'static str = "a path to put in front";
    const EXAMPLE: &'static str = "/service/";
    const RULE: &'static str = "bad-path";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            _ if !text.starts_with('/') || !text.ends_with('/') => {
                Err("it begins and ends with `/`".to_owned())
            }
            _ if text.contains(['?', '#']) || !text.bytes().all(|b| b.is_ascii_graphic()) => {
                Err("a path without query; other than ASCII stands percent-encoded".to_owned())
            }
            _ => Ok(Self(text.to_owned())),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^/([^?#\\s]*/)?$" })
    }
}

impl fmt::Display for OverridePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serialize_as_written!(EndpointHost, OverridePath);
