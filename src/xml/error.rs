//! What is wrong with a document, said to the one who sent it.
//!
//! Leaves the choice of fault and status to the rooms above.

use std::fmt;

/// A document that was refused, and the byte at which that became certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the message as it was received.
    pub offset: u64,
}

/// The ways in which a document is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// XML 1.0 well-formedness; the sentence says what was expected and what was found.
    NotWellFormed(String),
    /// Namespaces in XML 1.0.
    Namespace(String),
    /// A document type declaration, which SOAP forbids.
    Doctype,
    /// A processing instruction, which SOAP forbids.
    ProcessingInstruction,
    /// A limit was passed.
    Limit {
        /// The limit's name as in [`super::limits::Limits`].
        name: &'static str,
        /// Its value.
        max: u64,
    },
    /// The bytes are not what their character encoding says.
    Encoding(String),
    /// The document ended before its root element did.
    Truncated,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWellFormed(what) => write!(f, "the XML is not well-formed: {what}"),
            Self::Namespace(what) => write!(f, "the XML namespaces are wrong: {what}"),
            Self::Doctype => f.write_str(
                "a document type declaration (`<!DOCTYPE`) is not allowed in a SOAP message",
            ),
            Self::ProcessingInstruction => {
                f.write_str("a processing instruction (`<?...?>`) is not allowed in a SOAP message")
            }
            Self::Limit { name, max } => write!(f, "the XML exceeds the limit `{name}` of {max}"),
            Self::Encoding(what) => write!(f, "the character encoding is wrong: {what}"),
            Self::Truncated => f.write_str("the XML ends before its root element is closed"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl std::error::Error for Error {}
