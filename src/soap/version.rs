//! The two SOAP versions: their names on the wire.
//!
//! Holds constants and the small questions asked of them everywhere; reads no message.

use serde::{Deserialize, Serialize};

/// Envelope namespace of SOAP 1.1 (S11 §4).
pub const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// Envelope namespace of SOAP 1.2 (SOAP 1.2 Part 1 §5).
pub const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// The version of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Version {
    /// SOAP 1.1 (`text/xml`, `SOAPAction`).
    #[serde(rename = "1.1")]
    Soap11,
    /// SOAP 1.2 (`application/soap+xml`, `action` parameter).
    #[serde(rename = "1.2")]
    Soap12,
}

impl Version {
    /// The version whose envelope namespace this is.
    #[must_use]
    pub fn from_namespace(namespace: &str) -> Option<Self> {
        match namespace {
            SOAP11 => Some(Self::Soap11),
            SOAP12 => Some(Self::Soap12),
            _ => None,
        }
    }

    /// Envelope namespace.
    #[must_use]
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Soap11 => SOAP11,
            Self::Soap12 => SOAP12,
        }
    }

    /// Media type without parameters (SOAP 1.2 Part 2 App. A; SSBP R9702).
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Soap11 => "text/xml",
            Self::Soap12 => "application/soap+xml",
        }
    }

    /// `1.1` or `1.2`, as users write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soap11 => "1.1",
            Self::Soap12 => "1.2",
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
