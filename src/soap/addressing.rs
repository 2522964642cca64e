//! WS-Addressing names: the two versions in use and what their headers are called.
//!
//! Constants and questions only; values found in a message stand in [`Facts`](super::Facts).

use serde::{Deserialize, Serialize};

/// Namespace of the WS-Addressing member submission of August 2004.
pub const WSA04: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// Namespace of WS-Addressing 1.0 (W3C Recommendation, 9 May 2006).
pub const WSA10: &str = "http://www.w3.org/2005/08/addressing";

/// A WS-Addressing version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Addressing {
    /// Member submission of August 2004.
    #[serde(rename = "2004/08")]
    August2004,
    /// W3C Recommendation 1.0.
    #[serde(rename = "1.0")]
    V10,
}

impl Addressing {
    /// The version whose namespace this is.
    #[must_use]
    pub fn from_namespace(namespace: &str) -> Option<Self> {
        match namespace {
            WSA04 => Some(Self::August2004),
            WSA10 => Some(Self::V10),
            _ => None,
        }
    }

    /// Namespace of its headers.
    #[must_use]
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::August2004 => WSA04,
            Self::V10 => WSA10,
        }
    }

    /// `2004/08` or `1.0`, as users write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::August2004 => "2004/08",
            Self::V10 => "1.0",
        }
    }

    /// Action of a fault about addressing or, in 2004/08, of any fault without its own
    /// (WSA-S §6; WSA04 §4).
    #[must_use]
    pub const fn soap_fault_action(self) -> &'static str {
        match self {
            Self::August2004 => "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault",
            Self::V10 => "http://www.w3.org/2005/08/addressing/soap/fault",
        }
    }
}

impl std::fmt::Display for Addressing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
