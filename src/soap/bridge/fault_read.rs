//! What a fault says, whatever its version (bridging rules §3).
//!
//! Reads leniently: old services leave prefixes away, and some write one version's parts into the
//! other's envelope (F2, F7, F8).

use super::doc::{Doc, NodeId, Resolved};
use super::names::class;
use crate::soap::addressing::Addressing;
use crate::soap::version::{SOAP11, SOAP12, Version};

/// The codes of SOAP 1.2, by which those of 1.1 are read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Sender,
    Receiver,
    MustUnderstand,
    VersionMismatch,
    DataEncodingUnknown,
}

/// A code of a more special kind, and the element that says it.
#[derive(Debug, Clone)]
pub(super) struct Subcode {
    pub(super) name: Resolved,
    /// The element whose text it is.
    pub(super) at: NodeId,
    /// The `Subcode` around it, in a 1.2 fault.
    pub(super) around: Option<NodeId>,
}

/// A fault.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) fault: NodeId,
    pub(super) code: Code,
    /// From the general to the special.
    pub(super) subcodes: Vec<Subcode>,
    /// `faultstring`, or each `Text`.
    pub(super) texts: Vec<NodeId>,
    /// `faultactor` or `Node`.
    pub(super) node: Option<NodeId>,
    pub(super) role: Option<NodeId>,
    pub(super) detail: Option<NodeId>,
    /// The children that were understood, in their order.
    pub(super) known: Vec<NodeId>,
    /// Those that were not.
    pub(super) others: Vec<NodeId>,
    /// A code was there that is no name: it cannot be carried over (F7).
    pub(super) unread_code: bool,
}

impl Code {
    /// Whether the sender is to blame, which in SOAP 1.2 means status 400.
    pub(super) const fn is_sender(self) -> bool {
        matches!(self, Self::Sender)
    }

    pub(super) const fn name12(self) -> &'static str {
        match self {
            Self::Sender => "Sender",
            Self::Receiver => "Receiver",
            Self::MustUnderstand => "MustUnderstand",
            Self::VersionMismatch => "VersionMismatch",
            Self::DataEncodingUnknown => "DataEncodingUnknown",
        }
    }

    /// F9, F10.
    pub(super) const fn name11(self) -> &'static str {
        match self {
            Self::Sender | Self::DataEncodingUnknown => "Client",
            Self::Receiver => "Server",
            Self::MustUnderstand => "MustUnderstand",
            Self::VersionMismatch => "VersionMismatch",
        }
    }

    fn of_name(local: &str) -> Option<Self> {
        Some(match local {
            "Client" | "Sender" => Self::Sender,
            "Server" | "Receiver" => Self::Receiver,
            "MustUnderstand" => Self::MustUnderstand,
            "VersionMismatch" => Self::VersionMismatch,
            "DataEncodingUnknown" => Self::DataEncodingUnknown,
            _ => return None,
        })
    }
}

impl Found {
    /// Whether a code is one of WS-Addressing's own.
    pub(super) fn is_about_addressing(&self) -> bool {
        let known = |code: &Subcode| Addressing::from_namespace(&code.name.namespace).is_some();
        self.subcodes.iter().any(known)
    }
}

/// Reads the fault at a node.
pub(super) fn read(doc: &Doc, fault: NodeId, version: Version) -> Found {
    let mut found = Found {
        fault,
        code: Code::Receiver,
        subcodes: Vec::new(),
        texts: Vec::new(),
        node: None,
        role: None,
        detail: None,
        known: Vec::new(),
        others: Vec::new(),
        unread_code: false,
    };
    for child in doc.children(fault).collect::<Vec<_>>() {
        if found.take(doc, child, version) {
            found.known.push(child);
        } else {
            found.others.push(child);
        }
    }
    found
}

impl Found {
    fn take(&mut self, doc: &Doc, child: NodeId, version: Version) -> bool {
        let class = doc.node(child).map_or(0, |node| node.class);
        let plain = class & (class::UNQUALIFIED | class::ENVELOPE) != 0;
        let old = version == Version::Soap11;
        let slot = match doc.name(child).1 {
            _ if !plain => return false,
            "faultcode" if old => {
                self.code11(doc, child);
                return true;
            }
            "Code" => {
                self.code12(doc, child);
                return true;
            }
            "faultstring" if old => {
                self.texts.push(child);
                return true;
            }
            "Reason" => {
                let texts = doc.children(child).filter(|id| doc.name(*id).1 == "Text");
                self.texts.extend(texts);
                return true;
            }
            "faultactor" if old => &mut self.node,
            "Node" => &mut self.node,
            "Role" => &mut self.role,
            "detail" if old => &mut self.detail,
            "Detail" => &mut self.detail,
            _ => return false,
        };
        let free = slot.is_none();
        slot.get_or_insert(child);
        free
    }

    /// F1 to F8.
    fn code11(&mut self, doc: &Doc, at: NodeId) {
        let text = doc.text(at);
        let text = text.trim();
        let (prefix, local) = super::doc::split(text);
        let Some(name) = doc.qname(at, text) else {
            self.unresolved(prefix, local);
            return;
        };
        let unqualified = prefix.is_empty();
        let known = Code::of_name(&name.local)
            .filter(|_| unqualified || name.namespace == SOAP11 || name.namespace == SOAP12);
        if let Some(code) = known {
            self.code = code;
            return;
        }
        let general = name.local.split('.').next().and_then(Code::of_name);
        self.code = match Addressing::from_namespace(&name.namespace) {
            // F5: the service may answer later.
            Some(_) if name.local == "EndpointUnavailable" => Code::Receiver,
            Some(_) => Code::Sender,
            None if is_senders(&name.namespace) => Code::Sender,
            // F3: `Client.Authentication` is a kind of `Client`.
            None if name.namespace == SOAP11 || unqualified => general.unwrap_or(Code::Receiver),
            None => Code::Receiver,
        };
        self.subcodes.push(Subcode {
            name,
            at,
            around: None,
        });
    }

    /// An undeclared prefix in front of a name that everybody knows is forgiven (F2); anything
    /// else is no code (F7).
    fn unresolved(&mut self, prefix: &str, local: &str) {
        let known = Code::of_name(local).filter(|_| crate::xml::is_nc_name(prefix));
        self.unread_code |= known.is_none();
        self.code = known.unwrap_or(Code::Receiver);
    }

    fn code12(&mut self, doc: &Doc, code: NodeId) {
        let value = |of: NodeId| doc.children(of).find(|id| doc.name(*id).1 == "Value");
        if let Some(at) = value(code) {
            let text = doc.text(at);
            let (prefix, local) = super::doc::split(text.trim());
            match doc.qname(at, &text) {
                Some(name) => self.code = Code::of_name(&name.local).unwrap_or(Code::Receiver),
                None => self.unresolved(prefix, local),
            }
        }
        let mut around = code;
        while let Some(next) = doc.children(around).find(|id| doc.name(*id).1 == "Subcode") {
            around = next;
            let Some(at) = value(next) else { continue };
            match doc.qname(at, &doc.text(at)) {
                Some(name) => self.subcodes.push(Subcode {
                    name,
                    at,
                    around: Some(next),
                }),
                None => self.unread_code = true,
            }
        }
    }
}

/// F4: protocols whose codes blame the sender.
fn is_senders(namespace: &str) -> bool {
    const KNOWN: [&str; 6] = [
        "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
        "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd",
        "http://schemas.xmlsoap.org/ws/2005/02/trust",
        "http://docs.oasis-open.org/ws-sx/ws-trust/200512",
        "http://schemas.xmlsoap.org/ws/2005/02/rm",
        "http://docs.oasis-open.org/ws-rx/wsrm/200702",
    ];
    KNOWN.contains(&namespace)
}
