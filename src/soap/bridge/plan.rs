//! What a bridge is told beforehand, what an exchange must remember, and what comes out.
//!
//! Types only; who decides what stands in the files beside.

use std::sync::Arc;

use super::loss::Losses;
use crate::soap::addressing::Addressing;
use crate::soap::version::Version;
use crate::xml;

/// The addressing that the other side wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Whatever the message has.
    Keep,
    /// None: its headers are taken out.
    None,
    /// This version.
    To(Addressing),
}

/// What happens to a signed message that would have to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnSigned {
    /// It is refused.
    #[default]
    Fault,
    /// It is sent as it came.
    ForwardUnchanged,
    /// It is bridged, and its signature breaks.
    BridgeAnyway,
}

/// What one endpoint speaks and how far the bridge may go; compiled once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The SOAP version; as the message came if `None`.
    pub soap: Option<Version>,
    /// The addressing.
    pub addressing: Target,
    /// For signed messages.
    pub on_signed: OnSigned,
    /// The endpoint's logical address for `To`, which is then always written (rule A20).
    pub to: Option<Arc<str>>,
    /// The endpoint's URL, for a `To` that is missing and needed (A2).
    pub url: Arc<str>,
    /// The action of messages that state none (A19).
    pub default_action: Option<Arc<str>>,
    /// Header blocks for `next` are forwarded as they are: a transport proxy, no SOAP node (6.3).
    pub transparent_headers: bool,
    /// Roles that the router plays beside `next` (6.1).
    pub roles: Arc<[String]>,
    /// Blocks for the role `none` go to SOAP 1.1 with that URI as actor (E17).
    pub keep_none_headers: bool,
    /// Elements after Body are left out on the way to SOAP 1.2, not refused (E30).
    pub drop_trailers: bool,
    /// Header blocks without a namespace are left out on the way to SOAP 1.2, not refused (E40).
    pub drop_unqualified_headers: bool,
    /// Most bytes up to the first child of Body (S-stream 1).
    pub header_max: usize,
    /// For messages that do not say under which limits they came.
    pub within: Within,
    /// A Body of a protocol that carries addresses is bridged to another addressing version with the
    /// addresses as they are, not refused (A14, S12).
    pub forward_body_addresses: bool,
}

/// Limits that a message came under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// Most bytes of a fault (S-stream 2).
    pub fault_max: usize,
    /// What the scanner accepts.
    pub xml: xml::Limits,
}

impl Default for Within {
    fn default() -> Self {
        Self {
            fault_max: FAULT_BYTES_MAX,
            xml: xml::Limits::default(),
        }
    }
}

/// Default of [`Plan::header_max`].
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// Default of [`Within::fault_max`].
pub const FAULT_BYTES_MAX: usize = 1 << 20;

impl Default for Plan {
    fn default() -> Self {
        Self {
            soap: None,
            addressing: Target::Keep,
            on_signed: OnSigned::default(),
            to: None,
            url: "".into(),
            default_action: None,
            transparent_headers: false,
            roles: Arc::new([]),
            keep_none_headers: false,
            drop_trailers: false,
            drop_unqualified_headers: false,
            header_max: HEADER_BYTES_MAX,
            within: Within::default(),
            forward_body_addresses: false,
        }
    }
}

/// What is known of a request beside its bytes.
#[derive(Debug, Clone, Default)]
pub struct Arriving {
    /// The charset that HTTP states.
    pub charset: Option<String>,
    /// The action that HTTP states.
    pub action: Option<String>,
    /// Nobody waits for an answer.
    pub one_way: bool,
    /// The languages that the caller prefers, `Accept-Language` (F16).
    pub languages: Option<String>,
    /// The limits of its service, if those of the plan are not meant.
    pub within: Option<Within>,
    /// A number of this message's own, for a `MessageID` that must be made (A6).
    pub unique: u128,
}

/// A reference that an answer must carry back: header blocks, each able to stand alone (A25).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// `Address`.
    pub address: String,
    /// Reference properties and parameters, as header blocks.
    pub blocks: Vec<String>,
}

/// What an exchange remembers of its request, to bridge the answer back (rule 0.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The caller's SOAP version.
    pub soap: Version,
    /// The caller's addressing.
    pub addressing: Option<Addressing>,
    /// Its `MessageID`.
    pub message_id: Option<String>,
    /// The one that the bridge made because the caller had none: answers to it relate to nothing.
    pub made_id: Option<String>,
    /// Its `ReplyTo`.
    pub reply_to: Option<Reference>,
    /// Its `FaultTo`.
    pub fault_to: Option<Reference>,
    /// Its action.
    pub action: Option<String>,
    /// Nobody waits for an answer.
    pub one_way: bool,
    /// The languages that the caller prefers, `Accept-Language` (F16).
    pub languages: Option<String>,
    /// The bridge added addressing headers, which the caller never wrote (M7).
    pub added_addressing: bool,
    /// The limits that hold for the answer, if those of the plan are not meant.
    pub within: Option<Within>,
}

impl Context {
    /// Of a message in these versions of which nothing else is known.
    #[must_use]
    pub const fn of(soap: Version, addressing: Option<Addressing>) -> Self {
        Self {
            soap,
            addressing,
            message_id: None,
            made_id: None,
            reply_to: None,
            fault_to: None,
            action: None,
            one_way: false,
            languages: None,
            added_addressing: false,
            within: None,
        }
    }
}

/// A version of SOAP with one of addressing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The envelope's.
    pub soap: Version,
    /// The headers'.
    pub addressing: Option<Addressing>,
}

impl Dialect {
    /// All of them.
    pub const NAMES: [&str; 6] = [
        "SOAP 1.1",
        "SOAP 1.1 with addressing 2004/08",
        "SOAP 1.1 with addressing 1.0",
        "SOAP 1.2",
        "SOAP 1.2 with addressing 2004/08",
        "SOAP 1.2 with addressing 1.0",
    ];

    /// Its place in [`Dialect::NAMES`].
    #[must_use]
    pub const fn number(self) -> usize {
        let addressing = match self.addressing {
            None => 0,
            Some(Addressing::August2004) => 1,
            Some(Addressing::V10) => 2,
        };
        match self.soap {
            Version::Soap11 => addressing,
            Version::Soap12 => addressing + 3,
        }
    }

    /// Its name in metrics and in what is told.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(self.number()).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose doing a fault says it is, which in SOAP 1.2 decides the HTTP status (H36).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `Sender` / `Client`.
    Sender,
    /// Every other code.
    Other,
}

/// What the head of a message came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether bytes change; if not, the message leaves as it came.
    pub changed: bool,
    /// What came.
    pub from: Dialect,
    /// What leaves.
    pub to: Dialect,
    /// The message is a fault.
    pub fault: Option<FaultKind>,
    /// What could not be kept.
    pub losses: Losses,
    /// Why a message that would have had to change leaves as it came.
    pub unchanged_because: Option<&'static str>,
    /// What the answer will need; of an answer what its request left.
    pub context: Arc<Context>,
}

impl Outcome {
    /// The action that HTTP must state of a request.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.context.action.as_deref()
    }
}
