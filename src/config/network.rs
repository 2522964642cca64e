//! Networks and sockets as they are written: `10.0.0.0/8`, `127.0.0.1:8080`, `unix:/run/router.sock`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::amounts::serialize_as_written;
use super::written::Leaf;

/// Addresses with a common beginning; one address alone is a network too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(pub IpNet);

/// What a listener listens on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bind {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Leaf for Network {
    const WHAT: &'static str = "a network";
    const EXAMPLE: &'static str = "10.0.0.0/8";
    const RULE: &'static str = "bad-network";

    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.into()));
        }
        match text.parse::<IpNet>() {
            Ok(net) if net.trunc() == net => Ok(Self(net)),
            Ok(net) => Err(format!("write `{}`", net.trunc())),
            Err(_) => Err("expected an IP address, or one with `/` and its bits".to_owned()),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$" })
    }
}

impl Leaf for Bind {
    const WHAT: &'static str = "an address to listen on";
    const EXAMPLE: &'static str = "127.0.0.1:8080";
    const RULE: &'static str = "bad-address";

    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') && !path.contains('\0') => {
                // The kernel's bound (unix(7)), less the NUL at the end.
                if path.len() > 107 {
                    return Err("the path of a socket has at most 107 bytes".to_owned());
                }
                Ok(Self::Unix(PathBuf::from(path)))
            }
            Some(_) => Err("a socket's path begins with `/`: `unix:/run/router.sock`".to_owned()),
            None => SocketAddr::parse(text).map(Self::Tcp),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^(.+:[0-9]+|unix:/.+)$" })
    }
}

impl Bind {
    /// The IP address and port, if it is one.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

serialize_as_written!(Network, Bind);
