//! Faults that the router makes: a reason from a fixed list, written in the caller's dialect.
//!
//! Writes the envelope and names the HTTP status; which error becomes which reason is decided
//! by `exchange::error`. Texts must be for the caller: no inner address, no stack.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::addressing::Addressing;
use super::facts::QName;
use super::version::{SOAP12, Version};
use crate::xml::ErrorKind;

/// Namespace of the fault's detail element.
pub const FAULT_NAMESPACE: &str = "urn:soap-router:fault";
/// Who made the fault: `faultactor` (1.1) or `Node` (1.2), required of an intermediary
/// (S11 §4.4; SOAP 1.2 Part 1 §5.4.3).
pub const ROUTER_NODE: &str = "urn:soap-router";

/// Why the router answered with a fault. The names are a promise to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "each name says what happened; docs/faults.md explains them"
)]
pub enum Reason {
    MalformedMessage,
    ForbiddenMarkup,
    LimitExceeded,
    MessageTooLarge,
    UnsupportedMediaType,
    VersionMismatch,
    UnknownService,
    NoMatchingFilter,
    SeveralFiltersMatched,
    CannotBridge,
    EndpointsUnavailable,
    EndpointTimeout,
    BadEndpointReply,
    Overloaded,
    ShuttingDown,
    NotAllowed,
    InternalError,
}

/// Whose doing it was: the part of a fault code that both versions share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// `Client` / `Sender`: the same message will fail again.
    Sender,
    /// `Server` / `Receiver`: the message may succeed later.
    Receiver,
    /// The envelope's version is unknown here.
    VersionMismatch,
}

impl Reason {
    /// Every reason, for tables in docs, metrics and tests.
    pub const ALL: [Self; 17] = [
        Self::MalformedMessage,
        Self::ForbiddenMarkup,
        Self::LimitExceeded,
        Self::MessageTooLarge,
        Self::UnsupportedMediaType,
        Self::VersionMismatch,
        Self::UnknownService,
        Self::NoMatchingFilter,
        Self::SeveralFiltersMatched,
        Self::CannotBridge,
        Self::EndpointsUnavailable,
        Self::EndpointTimeout,
        Self::BadEndpointReply,
        Self::Overloaded,
        Self::ShuttingDown,
        Self::NotAllowed,
        Self::InternalError,
    ];

    /// Of what is no XML, or none that a message may have.
    pub(crate) const fn of_markup(error: &ErrorKind) -> Self {
        match error {
            ErrorKind::Doctype | ErrorKind::ProcessingInstruction => Self::ForbiddenMarkup,
            ErrorKind::Limit { .. } => Self::LimitExceeded,
            _ => Self::MalformedMessage,
        }
    }

    /// The name in the fault's detail, in metrics and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MalformedMessage => "MalformedMessage",
            Self::ForbiddenMarkup => "ForbiddenMarkup",
            Self::LimitExceeded => "LimitExceeded",
            Self::MessageTooLarge => "MessageTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::VersionMismatch => "VersionMismatch",
            Self::UnknownService => "UnknownService",
            Self::NoMatchingFilter => "NoMatchingFilter",
            Self::SeveralFiltersMatched => "SeveralFiltersMatched",
            Self::CannotBridge => "CannotBridge",
            Self::EndpointsUnavailable => "EndpointsUnavailable",
            Self::EndpointTimeout => "EndpointTimeout",
            Self::BadEndpointReply => "BadEndpointReply",
            Self::Overloaded => "Overloaded",
            Self::ShuttingDown => "ShuttingDown",
            Self::NotAllowed => "NotAllowed",
            Self::InternalError => "InternalError",
        }
    }

    /// The fault code that goes with it.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::VersionMismatch => Code::VersionMismatch,
            Self::MalformedMessage
            | Self::ForbiddenMarkup
            | Self::LimitExceeded
            | Self::MessageTooLarge
            | Self::UnsupportedMediaType
            | Self::UnknownService
            | Self::NoMatchingFilter
            | Self::CannotBridge
            | Self::NotAllowed => Code::Sender,
            Self::SeveralFiltersMatched
            | Self::EndpointsUnavailable
            | Self::EndpointTimeout
            | Self::BadEndpointReply
            | Self::Overloaded
            | Self::ShuttingDown
            | Self::InternalError => Code::Receiver,
        }
    }

    /// HTTP status: 500 for every 1.1 fault (BP R1126); 400 for Sender, else 500, in 1.2
    /// (Part 2 Table 20). A wrong media type is 415 in both (BP R1115, Part 2 Table 18), and a
    /// router that is too busy or leaving says 503, which balancers and clients act upon.
    #[must_use]
    pub const fn http_status(self, version: Version) -> u16 {
        match (self, version, self.code()) {
            (Self::UnsupportedMediaType, ..) => 415,
            (Self::Overloaded | Self::ShuttingDown, ..) => 503,
            (_, Version::Soap12, Code::Sender) => 400,
            _ => 500,
        }
    }
}

/// A fault ready to be written.
#[derive(Debug, Clone)]
pub struct Fault<'a> {
    /// The caller's version.
    pub version: Version,
    /// Why.
    pub reason: Reason,
    /// One sentence that the caller can act on.
    pub text: &'a str,
    /// Exchange id, also in the log.
    pub exchange: &'a str,
    /// The caller's addressing version and its `MessageID`, where it used addressing.
    pub relates_to: Option<(Addressing, Option<&'a str>)>,
    /// Mandatory header blocks that were not understood: the fault is then `MustUnderstand`.
    pub not_understood: &'a [QName],
}

impl Fault<'_> {
    /// The envelope, UTF-8 without declaration.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = String::with_capacity(1024);
        let _ = write!(out, "<s:Envelope xmlns:s=\"{}\">", self.version.namespace());
        self.header(&mut out);
        out.push_str("<s:Body><s:Fault>");
        match self.version {
            Version::Soap11 => self.body11(&mut out),
            Version::Soap12 => self.body12(&mut out),
        }
        out.push_str("</s:Fault></s:Body></s:Envelope>");
        out.into_bytes()
    }

    /// HTTP status: as the reason has it, 500 for `MustUnderstand` (Part 2 Table 20).
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        if self.not_understood.is_empty() {
            self.reason.http_status(self.version)
        } else {
            500
        }
    }

    /// `Content-Type` that goes with it.
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        match self.version {
            Version::Soap11 => "text/xml; charset=utf-8",
            Version::Soap12 => "application/soap+xml; charset=utf-8",
        }
    }

    fn header(&self, out: &mut String) {
        let upgrade = self.reason == Reason::VersionMismatch;
        let not_understood = match self.version {
            Version::Soap11 => &[],
            Version::Soap12 => self.not_understood,
        };
        if !upgrade && self.relates_to.is_none() && not_understood.is_empty() {
            return;
        }
        out.push_str("<s:Header>");
        if upgrade {
            push_upgrade(out);
        }
        // SOAP 1.2 Part 1 §5.4.8: one for each, its attribute in no namespace.
        for name in not_understood {
            let _ = write!(
                out,
                "<s:NotUnderstood qname=\"n:{}\" xmlns:n=\"",
                name.local
            );
            push_escaped(out, &name.namespace);
            out.push_str("\"/>");
        }
        if let Some((addressing, message_id)) = self.relates_to {
            let _ = write!(
                out,
                "<a:Action xmlns:a=\"{0}\">{1}</a:Action>",
                addressing.namespace(),
                addressing.soap_fault_action()
            );
            if let Some(id) = message_id {
                let _ = write!(out, "<a:RelatesTo xmlns:a=\"{}\">", addressing.namespace());
                push_escaped(out, id);
                out.push_str("</a:RelatesTo>");
            }
        }
        out.push_str("</s:Header>");
    }

    fn body11(&self, out: &mut String) {
        let code = match self.reason.code() {
            _ if !self.not_understood.is_empty() => "MustUnderstand",
            Code::Sender => "Client",
            Code::Receiver => "Server",
            Code::VersionMismatch => "VersionMismatch",
        };
        let _ = write!(
            out,
            "<faultcode>s:{code}</faultcode><faultstring xml:lang=\"en\">"
        );
        push_escaped(out, self.text);
        let _ = write!(
            out,
            "</faultstring><faultactor>{ROUTER_NODE}</faultactor><detail>"
        );
        self.detail(out);
        out.push_str("</detail>");
    }

    fn body12(&self, out: &mut String) {
        let code = match self.reason.code() {
            _ if !self.not_understood.is_empty() => "MustUnderstand",
            Code::Sender => "Sender",
            Code::Receiver => "Receiver",
            Code::VersionMismatch => "VersionMismatch",
        };
        let _ = write!(out, "<s:Code><s:Value>s:{code}</s:Value>");
        if self.reason.code() != Code::VersionMismatch {
            let _ = write!(
                out,
                "<s:Subcode><s:Value xmlns:r=\"{FAULT_NAMESPACE}\">r:{}</s:Value></s:Subcode>",
                self.reason.name()
            );
        }
        out.push_str("</s:Code><s:Reason><s:Text xml:lang=\"en\">");
        push_escaped(out, self.text);
        let _ = write!(
            out,
            "</s:Text></s:Reason><s:Node>{ROUTER_NODE}</s:Node><s:Detail>"
        );
        self.detail(out);
        out.push_str("</s:Detail>");
    }

    fn detail(&self, out: &mut String) {
        let _ = write!(
            out,
            "<r:fault xmlns:r=\"{FAULT_NAMESPACE}\"><r:reason>{}</r:reason><r:exchange>",
            self.reason.name()
        );
        push_escaped(out, self.exchange);
        out.push_str("</r:exchange></r:fault>");
    }
}

/// What this node understands, best first (SOAP 1.2 Part 1 §5.4.7); in the 1.2 namespace even
/// in a 1.1 fault, as §5.4.7.1 requires.
fn push_upgrade(out: &mut String) {
    let _ = write!(out, "<u:Upgrade xmlns:u=\"{SOAP12}\">");
    for version in [Version::Soap12, Version::Soap11] {
        let _ = write!(
            out,
            "<u:SupportedEnvelope qname=\"n:Envelope\" xmlns:n=\"{}\"/>",
            version.namespace()
        );
    }
    out.push_str("</u:Upgrade>");
}

/// Appends text with markup escaped and characters that XML cannot carry replaced.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{0}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
}
