//! What an envelope says of itself, as far as routing and faults need it.

use super::addressing::Addressing;
use super::version::Version;

/// An expanded name, written `{namespace}local`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QName {
    /// The namespace, or `""`.
    pub namespace: String,
    /// The local name.
    pub local: String,
}

/// Facts found so far; a `None` may still become something until the header is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The envelope's version.
    pub version: Option<Version>,
    /// The addressing version of the first addressing header meant for the last receiver.
    pub addressing: Option<Addressing>,
    /// `wsa:Action`.
    pub wsa_action: Option<String>,
    /// The action stated by HTTP.
    pub http_action: Option<String>,
    /// `wsa:To`.
    pub to: Option<String>,
    /// `wsa:MessageID`.
    pub message_id: Option<String>,
    /// A header block is for the next node, which is this one (`actor/next`, `role/next`).
    pub for_next: bool,
    /// The first child of Body.
    pub operation: Option<QName>,
}

impl Facts {
    /// The action that filters compare: `wsa:Action` if there is one, else what HTTP says
    /// (bridging rules, "the action used for filters").
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.wsa_action.as_deref().or(self.http_action.as_deref())
    }
}

impl QName {
    /// Reads `{namespace}local`, or `local` for a name in no namespace.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, local) = match text.strip_prefix('{') {
            Some(rest) => rest.split_once('}')?,
            None => ("", text),
        };
        let plain = !local.is_empty() && !local.contains(['{', '}', ':', ' ']);
        plain.then(|| Self {
            namespace: namespace.to_owned(),
            local: local.to_owned(),
        })
    }
}

impl std::fmt::Display for QName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.local);
        }
        write!(f, "{{{}}}{}", self.namespace, self.local)
    }
}
