//! Why a message cannot be decided on: it is none.

use crate::soap::{HeadError, Reason};
use crate::xml;

/// The message is not what its version of SOAP allows, or over a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not XML, or beyond a limit. It says all that its cause says, so it names none.
    #[error("{}", in_words(.0))]
    Xml(xml::Error),
    /// Not an envelope.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// An expression needed more than it may have.
    #[error("{0}")]
    Tree(String),
}

impl From<xml::Error> for ReadError {
    fn from(error: xml::Error) -> Self {
        Self::Xml(error)
    }
}

impl ReadError {
    /// What the caller is told, by name.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Xml(error) => Reason::of_markup(&error.kind),
            Self::Head(HeadError::Version { .. }) => Reason::VersionMismatch,
            Self::Head(HeadError::Structure { .. }) => Reason::MalformedMessage,
            Self::Head(HeadError::Value { .. }) | Self::Tree(_) => Reason::LimitExceeded,
        }
    }
}

/// A limit is told by the name that it has in the configuration, so that it can be found there.
fn in_words(error: &xml::Error) -> String {
    match &error.kind {
        xml::ErrorKind::Limit { name, max } => {
            let name = name.strip_suffix("_max").unwrap_or(name);
            format!(
                "the XML exceeds the limit `{name}` of {max} (at byte {})",
                error.offset
            )
        }
        _ => error.to_string(),
    }
}
