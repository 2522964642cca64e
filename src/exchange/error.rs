//! The one table from what went wrong to what the caller is told.
//!
//! Errors are grouped by blame: the sender's, an endpoint's, the router's own. Texts are for
//! callers; what only operators may see stays in [`Error::detail`].

use std::time::Duration;

use crate::filter::ReadError;
use crate::net::SourceError;
use crate::routing::Undecidable;
use crate::soap::{ActionError, BridgeError, MediaError, MultipartError, QName, Reason, Version};

/// Whose doing a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The same message will fail again.
    Sender,
    /// Another try may succeed.
    Endpoint,
    /// A mistake in the router or its configuration.
    Router,
}

/// Why an exchange ends in a fault of the router.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `Content-Type` is none of SOAP's.
    #[error(transparent)]
    SenderMedia(#[from] MediaError),
    /// `SOAPAction` cannot be read.
    #[error(transparent)]
    SenderAction(#[from] ActionError),
    /// The multipart message has no root part that can be read.
    #[error(transparent)]
    SenderMultipart(#[from] MultipartError),
    /// A request body in a coding that cannot be looked into.
    #[error("Content-Encoding `{0}` cannot be looked into; send the message without it")]
    SenderCoding(String),
    /// The message is not what SOAP allows, or over a limit.
    #[error(transparent)]
    SenderMessage(#[from] ReadError),
    /// More bytes than may be held before the decision.
    #[error(
        "the message cannot be decided on within its first {max} bytes (limit `buffered_body`)"
    )]
    SenderBuffer {
        /// The limit.
        max: u64,
    },
    /// Longer than may be held for another attempt, and the service refuses such messages.
    #[error(
        "the message is longer than {max} bytes (limit `replay_buffer`, with `on_overflow: refuse`)"
    )]
    SenderReplay {
        /// The limit.
        max: u64,
    },
    /// Not well-formed behind the deciding byte (`verify: full`).
    #[error("{0}")]
    SenderTail(String),
    /// Longer than the service takes.
    #[error("the message is longer than {max} bytes (limit `message_bytes`)")]
    SenderTooLarge {
        /// The limit.
        max: u64,
    },
    /// The body stopped coming.
    #[error("no byte of the body for {after:?} after {bytes} bytes (limit `body_idle_timeout`)")]
    SenderIdle {
        /// The limit.
        after: Duration,
        /// What had come.
        bytes: u64,
    },
    /// The service's own time was over before the message was decided on.
    #[error(
        "the message was not there within {after:?} (the service's `timeout`), only {bytes} bytes of it"
    )]
    SenderSlow {
        /// The limit.
        after: Duration,
        /// What had come.
        bytes: u64,
    },
    /// The body broke off.
    #[error("the body broke off after {bytes} bytes")]
    SenderBroke {
        /// What had come.
        bytes: u64,
    },
    /// No service at this path.
    #[error("no service at this address")]
    SenderUnknownService,
    /// The message cannot be brought into its endpoint's versions.
    #[error(transparent)]
    SenderBridge(BridgeError),
    /// The media type names one version, the envelope another (`strict`).
    #[error("Content-Type says SOAP {said}, and the envelope is SOAP {found}")]
    SenderVersion {
        /// What HTTP says.
        said: Version,
        /// What came.
        found: Version,
    },
    /// A slip of old clients that this service does not let pass (`strict`).
    #[error("{0}")]
    SenderStrict(String),
    /// No row matched, or too many did.
    #[error(transparent)]
    Undecidable(#[from] Undecidable),
    /// Every endpoint asked failed.
    #[error("none of the endpoints for this message could be reached")]
    EndpointsUnavailable {
        /// What the last one wanted us to wait, if it said.
        retry_after: Option<String>,
    },
    /// The only endpoint has no place, and its queue is full or took too long.
    #[error("the endpoint for this message is busy; try again shortly")]
    EndpointBusy,
    /// The caller is bound to a server that is gone, and may get no other.
    #[error("the server that this caller is bound to is gone")]
    EndpointLost,
    /// The only endpoint was too slow.
    #[error("the endpoint for this message did not answer in time")]
    EndpointTimeout,
    /// The only endpoint answered something that is not SOAP.
    #[error("the endpoint for this message gave an answer that is not SOAP")]
    EndpointReply,
    /// The answer came, and cannot be brought into the caller's versions.
    #[error("the endpoint's answer cannot be bridged into the version of the request")]
    EndpointBridge,
    /// Too much at once.
    #[error("the router is busy; try again shortly")]
    RouterOverloaded,
    /// The caller's address may not.
    #[error("this service is not open to where you call from")]
    SenderNotAllowed,
    /// No turn at the service, or too many requests within a time.
    #[error("{what}; try again in {after} s")]
    RouterBusy {
        /// What there is too much of.
        what: &'static str,
        /// When it may be tried again, seconds.
        after: String,
    },
    /// The router stops.
    #[error("the router is shutting down; try again shortly")]
    RouterShuttingDown,
    /// Something that should not happen did.
    #[error("the router could not handle this message")]
    RouterInternal(&'static str),
}

impl Error {
    /// What the caller is told, by name.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::SenderMedia(_) | Self::SenderCoding(_) => Reason::UnsupportedMediaType,
            Self::SenderAction(_) | Self::SenderBroke { .. } | Self::SenderTail(_) => {
                Reason::MalformedMessage
            }
            Self::SenderMessage(error) => error.reason(),
            Self::SenderBridge(error) => error.reason(),
            Self::SenderVersion { .. } => Reason::VersionMismatch,
            Self::SenderStrict(_) => Reason::MalformedMessage,
            Self::SenderMultipart(MultipartError::Headers { .. }) => Reason::LimitExceeded,
            Self::SenderMultipart(_) => Reason::MalformedMessage,
            Self::SenderBuffer { .. }
            | Self::SenderReplay { .. }
            | Self::SenderIdle { .. }
            | Self::SenderSlow { .. } => Reason::LimitExceeded,
            Self::SenderTooLarge { .. } => Reason::MessageTooLarge,
            Self::SenderUnknownService => Reason::UnknownService,
            Self::Undecidable(Undecidable::NoMatch) => Reason::NoMatchingFilter,
            Self::Undecidable(Undecidable::Several(_)) => Reason::SeveralFiltersMatched,
            Self::EndpointsUnavailable { .. } | Self::EndpointLost => Reason::EndpointsUnavailable,
            Self::EndpointBusy => Reason::Overloaded,
            Self::EndpointTimeout => Reason::EndpointTimeout,
            Self::EndpointReply | Self::EndpointBridge => Reason::BadEndpointReply,
            Self::RouterOverloaded | Self::RouterBusy { .. } => Reason::Overloaded,
            Self::RouterShuttingDown => Reason::ShuttingDown,
            Self::SenderNotAllowed => Reason::NotAllowed,
            Self::RouterInternal(_) => Reason::InternalError,
        }
    }

    /// Whose doing it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::SenderMedia(_)
            | Self::SenderAction(_)
            | Self::SenderCoding(_)
            | Self::SenderMultipart(_)
            | Self::SenderMessage(_)
            | Self::SenderBridge(_)
            | Self::SenderVersion { .. }
            | Self::SenderStrict(_)
            | Self::SenderBuffer { .. }
            | Self::SenderReplay { .. }
            | Self::SenderTail(_)
            | Self::SenderTooLarge { .. }
            | Self::SenderIdle { .. }
            | Self::SenderSlow { .. }
            | Self::SenderBroke { .. }
            | Self::SenderUnknownService
            | Self::SenderNotAllowed
            | Self::Undecidable(Undecidable::NoMatch) => Blame::Sender,
            Self::EndpointsUnavailable { .. }
            | Self::EndpointBusy
            | Self::EndpointLost
            | Self::EndpointTimeout
            | Self::EndpointReply
            | Self::EndpointBridge => Blame::Endpoint,
            Self::Undecidable(Undecidable::Several(_))
            | Self::RouterOverloaded
            | Self::RouterBusy { .. }
            | Self::RouterShuttingDown
            | Self::RouterInternal(_) => Blame::Router,
        }
    }

    /// Mandatory header blocks that this node does not understand.
    #[must_use]
    pub fn not_understood(&self) -> &[QName] {
        match self {
            Self::SenderBridge(BridgeError::MustUnderstand(names)) => names,
            _ => &[],
        }
    }

    /// Whether the same message may succeed later.
    #[must_use]
    pub const fn may_retry(&self) -> bool {
        matches!(self.blame(), Blame::Endpoint)
            || matches!(
                self,
                Self::RouterOverloaded | Self::RouterBusy { .. } | Self::RouterShuttingDown
            )
    }

    /// The status that goes with it: the reason's, but for a lost server, which is 503 so that a
    /// caller can tell that it must begin anew.
    #[must_use]
    pub const fn http_status(&self, of_reason: u16) -> u16 {
        match self {
            Self::EndpointLost => 503,
            _ => of_reason,
        }
    }

    /// What the log says beyond the caller's text.
    #[must_use]
    pub const fn detail(&self) -> Option<&'static str> {
        match self {
            Self::RouterInternal(what) => Some(what),
            _ => None,
        }
    }

    /// Seconds for `Retry-After`, where there is something to say.
    #[must_use]
    pub fn retry_after(&self) -> Option<&str> {
        match self {
            Self::EndpointsUnavailable { retry_after } => retry_after.as_deref(),
            Self::RouterOverloaded | Self::RouterShuttingDown | Self::EndpointBusy => Some("1"),
            Self::RouterBusy { after, .. } => Some(after),
            _ => None,
        }
    }

    /// A failure of the caller's body, after `bytes` of it.
    #[must_use]
    pub fn from_source(error: &SourceError, bytes: u64) -> Self {
        match error {
            SourceError::Idle(after) => Self::SenderIdle {
                after: *after,
                bytes,
            },
            SourceError::TooLarge { max } => Self::SenderTooLarge { max: *max },
            SourceError::Malformed(what) => Self::SenderTail(what.clone()),
            SourceError::Unchangeable(why) => match why.downcast_ref::<BridgeError>() {
                Some(error) => Self::SenderBridge(error.clone()),
                None => Self::SenderTail(why.to_string()),
            },
            SourceError::Spool(_) => Self::RouterInternal("the message could not be spooled"),
            SourceError::Broken(_)
            | SourceError::Superseded
            | SourceError::Abandoned
            | SourceError::TooSlow(_) => Self::SenderBroke { bytes },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_place_in_the_table() {
        let cases = [
            (
                Error::from(MediaError::Missing),
                "UnsupportedMediaType",
                415,
                415,
                false,
            ),
            (
                Error::from(ActionError::Twice),
                "MalformedMessage",
                500,
                400,
                false,
            ),
            (
                Error::SenderCoding("gzip".into()),
                "UnsupportedMediaType",
                415,
                415,
                false,
            ),
            (
                Error::SenderBuffer { max: 1 },
                "LimitExceeded",
                500,
                400,
                false,
            ),
            (
                MultipartError::Boundary.into(),
                "MalformedMessage",
                500,
                400,
                false,
            ),
            (
                Error::SenderReplay { max: 1 },
                "LimitExceeded",
                500,
                400,
                false,
            ),
            (
                Error::SenderTail("x".into()),
                "MalformedMessage",
                500,
                400,
                false,
            ),
            (
                Error::SenderTooLarge { max: 1 },
                "MessageTooLarge",
                500,
                400,
                false,
            ),
            (
                Error::SenderIdle {
                    after: Duration::from_secs(1),
                    bytes: 0,
                },
                "LimitExceeded",
                500,
                400,
                false,
            ),
            (
                Error::SenderSlow {
                    after: Duration::from_secs(1),
                    bytes: 0,
                },
                "LimitExceeded",
                500,
                400,
                false,
            ),
            (
                Error::SenderBroke { bytes: 3 },
                "MalformedMessage",
                500,
                400,
                false,
            ),
            (
                Error::SenderUnknownService,
                "UnknownService",
                500,
                400,
                false,
            ),
            (
                Undecidable::NoMatch.into(),
                "NoMatchingFilter",
                500,
                400,
                false,
            ),
            (
                Undecidable::Several(vec![]).into(),
                "SeveralFiltersMatched",
                500,
                500,
                false,
            ),
            (
                Error::EndpointsUnavailable { retry_after: None },
                "EndpointsUnavailable",
                500,
                500,
                true,
            ),
            (Error::EndpointBusy, "Overloaded", 503, 503, true),
            (Error::EndpointLost, "EndpointsUnavailable", 503, 503, true),
            (Error::EndpointTimeout, "EndpointTimeout", 500, 500, true),
            (Error::EndpointReply, "BadEndpointReply", 500, 500, true),
            (Error::EndpointBridge, "BadEndpointReply", 500, 500, true),
            (
                Error::SenderBridge(BridgeError::Cannot("x".into())),
                "CannotBridge",
                500,
                400,
                false,
            ),
            (
                Error::SenderVersion {
                    said: Version::Soap11,
                    found: Version::Soap12,
                },
                "VersionMismatch",
                500,
                500,
                false,
            ),
            (
                Error::SenderStrict("x".into()),
                "MalformedMessage",
                500,
                400,
                false,
            ),
            (Error::RouterOverloaded, "Overloaded", 503, 503, true),
            (Error::SenderNotAllowed, "NotAllowed", 500, 400, false),
            (
                Error::RouterBusy {
                    what: "x",
                    after: "1".into(),
                },
                "Overloaded",
                503,
                503,
                true,
            ),
            (Error::RouterShuttingDown, "ShuttingDown", 503, 503, true),
            (Error::RouterInternal("x"), "InternalError", 500, 500, false),
        ];
        for (error, name, status11, status12, retry) in cases {
            assert_eq!(error.reason().name(), name, "{error:?}");
            assert_eq!(
                error.http_status(error.reason().http_status(Version::Soap11)),
                status11,
                "{error:?}"
            );
            assert_eq!(
                error.http_status(error.reason().http_status(Version::Soap12)),
                status12,
                "{error:?}"
            );
            assert_eq!(error.may_retry(), retry, "{error:?}");
        }
    }
}
