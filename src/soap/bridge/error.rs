//! Why a message is not bridged.

use crate::soap::facts::QName;
use crate::soap::fault::Reason;
use crate::soap::multipart::MultipartError;
use crate::xml;

/// The message goes nowhere; the texts are for its sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// Not well-formed, or over one of the scanner's limits.
    #[error(transparent)]
    Xml(#[from] xml::Error),
    /// The parts of a multipart message are none.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    /// No envelope of a known version.
    #[error("the document element is `{found}`, which is no envelope of SOAP 1.1 or 1.2")]
    Version {
        /// `{namespace}local` as found.
        found: String,
    },
    /// Not put together as its version says.
    #[error("{what} (at byte {offset})")]
    Structure {
        /// What was expected and found.
        what: String,
        /// Where, in the UTF-8 form.
        offset: u64,
    },
    /// A bridge's own limit.
    #[error("{what} is longer than {max} bytes (limit `{name}`)")]
    Limit {
        /// What is too long.
        what: &'static str,
        /// The limit's name in the configuration.
        name: &'static str,
        /// Its value.
        max: usize,
    },
    /// Header blocks for this node that it must understand and does not (6.2).
    #[error("the header block {} is mandatory for this node, which does not understand it", listed(.0))]
    MustUnderstand(Vec<QName>),
    /// The other version cannot express it, or it would be broken by the change.
    #[error("the message cannot be bridged: {0}")]
    Cannot(String),
}

impl BridgeError {
    /// What the sender is told, by name.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Xml(error) => Reason::of_markup(&error.kind),
            Self::Version { .. } => Reason::VersionMismatch,
            Self::Structure { .. } => Reason::MalformedMessage,
            Self::Limit { .. } | Self::Multipart(MultipartError::Headers { .. }) => {
                Reason::LimitExceeded
            }
            Self::Multipart(_) => Reason::MalformedMessage,
            Self::MustUnderstand(_) | Self::Cannot(_) => Reason::CannotBridge,
        }
    }
}

fn listed(names: &[QName]) -> String {
    let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    shown.join(", ")
}

pub(super) fn cannot<T>(why: impl Into<String>) -> Result<T, BridgeError> {
    Err(BridgeError::Cannot(why.into()))
}

pub(super) fn structure(what: impl Into<String>, at: usize) -> BridgeError {
    BridgeError::Structure {
        what: what.into(),
        offset: at as u64,
    }
}
