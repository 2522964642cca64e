//! The names that bridging knows, as the scanner's symbols; and prefixes that nobody has taken.
//!
//! The scanner asks once per name and scope ([`classify`]), so that a body full of tags costs one
//! comparison each.

use crate::soap::addressing::{WSA04, WSA10};
use crate::soap::version::{SOAP11, SOAP12, Version};

/// XML signatures.
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
/// XML encryption.
const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
/// WS-Security 1.0 and 1.1, then older drafts (rule S7), and the 1.1 additions.
const SECURITY: [&str; 6] = [
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
    "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd",
    "http://schemas.xmlsoap.org/ws/2002/04/secext",
    "http://schemas.xmlsoap.org/ws/2002/07/secext",
    "http://schemas.xmlsoap.org/ws/2002/12/secext",
    "http://schemas.xmlsoap.org/ws/2003/06/secext",
];
/// Protocols whose bodies carry addresses of one addressing version (rules A14, S12):
/// reliable messaging, coordination, eventing, discovery, metadata exchange.
const ADDRESS_CARRIERS: [&str; 8] = [
    "http://schemas.xmlsoap.org/ws/2005/02/rm",
    "http://docs.oasis-open.org/ws-rx/wsrm/200702",
    "http://schemas.xmlsoap.org/ws/2004/10/wscoor",
    "http://docs.oasis-open.org/ws-tx/wscoor/2006/06",
    "http://schemas.xmlsoap.org/ws/2004/08/eventing",
    "http://schemas.xmlsoap.org/ws/2005/04/discovery",
    "http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01",
    "http://schemas.xmlsoap.org/ws/2004/09/mex",
];

/// What an expanded name is to the bridge: bits of [`class`].
pub(super) type Class = u64;

/// Bits of a [`Class`]: the namespace, then the local name's number from bit 8 on.
pub(super) mod class {
    /// In the SOAP 1.1 envelope namespace.
    pub(in crate::soap::bridge) const SOAP11: u64 = 1;
    /// In the SOAP 1.2 envelope namespace.
    pub(in crate::soap::bridge) const SOAP12: u64 = 1 << 1;
    /// In either.
    pub(in crate::soap::bridge) const ENVELOPE: u64 = SOAP11 | SOAP12;
    /// In the WS-Addressing 1.0 namespace.
    pub(in crate::soap::bridge) const WSA10: u64 = 1 << 2;
    /// In the 2004/08 one.
    pub(in crate::soap::bridge) const WSA04: u64 = 1 << 3;
    /// In a WS-Security namespace.
    pub(in crate::soap::bridge) const SECURITY: u64 = 1 << 4;
    /// XML signature.
    pub(in crate::soap::bridge) const DSIG: u64 = 1 << 5;
    /// XML encryption.
    pub(in crate::soap::bridge) const XENC: u64 = 1 << 6;
    /// In no namespace.
    pub(in crate::soap::bridge) const UNQUALIFIED: u64 = 1 << 7;
    /// Bits of the local name.
    pub(in crate::soap::bridge) const LOCAL_SHIFT: u32 = 8;
    /// A protocol whose bodies carry addresses.
    pub(in crate::soap::bridge) const CARRIER: u64 = 1 << 32;
    /// No name of an attribute, but the declaration of a namespace.
    pub(in crate::soap::bridge) const DECLARATION: u64 = 1 << 33;
}

/// Local names that mean something in one of the namespaces above.
const LOCALS: [&str; 35] = [
    "Envelope",
    "Header",
    "Body",
    "Fault",
    "encodingStyle",
    "Upgrade",
    "NotUnderstood",
    "Action",
    "To",
    "From",
    "ReplyTo",
    "FaultTo",
    "MessageID",
    "RelatesTo",
    "FaultDetail",
    "Signature",
    "EncryptedData",
    "EncryptedHeader",
    "CanonicalizationMethod",
    "Transform",
    "Address",
    "ReferenceParameters",
    "ReferenceProperties",
    "Metadata",
    "PortType",
    "ServiceName",
    "RetryAfter",
    "mustUnderstand",
    "IsReferenceParameter",
    "EncryptedKey",
    "Code",
    "Reason",
    "actor",
    "role",
    "relay",
];

/// The class of a local name alone; 0 for one that is not known.
pub(super) const fn local(name: &str) -> Class {
    let mut at = 0;
    while at < LOCALS.len() {
        if same(LOCALS[at], name) {
            return (at as u64 + 1) << class::LOCAL_SHIFT;
        }
        at += 1;
    }
    0
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The class of an expanded name.
pub(super) fn classify(namespace: &str, name: &str) -> Class {
    let space = match namespace {
        "" => class::UNQUALIFIED,
        SOAP11 => class::SOAP11,
        SOAP12 => class::SOAP12,
        WSA10 => class::WSA10,
        WSA04 => class::WSA04,
        DSIG => class::DSIG,
        XENC => class::XENC,
        other if SECURITY.contains(&other) => class::SECURITY,
        other if ADDRESS_CARRIERS.contains(&other) => class::CARRIER,
        _ => 0,
    };
    if space == 0 { 0 } else { space | local(name) }
}

/// What an attribute's expanded name is to who reads on behind the head: 1 is nothing, of 2 the tag must be shown.
pub(super) fn attribute_class(namespace: &str, name: &str) -> u8 {
    1 + u8::from(classify(namespace, name) & class::ENVELOPE != 0)
}

/// Whether this is `encodingStyle` of either version.
pub(super) const fn is_encoding(class: Class) -> bool {
    class & class::ENVELOPE != 0 && class & !0xFF == const { local("encodingStyle") }
}

/// The namespace bit of a version.
pub(super) const fn of_version(version: Version) -> Class {
    match version {
        Version::Soap11 => class::SOAP11,
        Version::Soap12 => class::SOAP12,
    }
}

/// Prefixes of two families that start tags have declared: ours must be none of them (rule E32).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    envelope: u64,
    addressing: u64,
}

/// How many prefixes of a family are looked at; a message that declares them all is refused.
const FAMILY: u8 = 64;

impl Taken {
    /// Notes a declared prefix.
    pub(super) fn note(&mut self, prefix: &[u8]) {
        // Of neither family is nearly every one.
        if !matches!(prefix, [b's' | b'e' | b'a' | b'w', ..]) {
            return;
        }
        let Ok(prefix) = std::str::from_utf8(prefix) else {
            return;
        };
        if let Some(slot) = envelope_slot(prefix) {
            self.envelope |= 1 << slot;
        } else if let Some(slot) = addressing_slot(prefix) {
            self.addressing |= 1 << slot;
        }
    }

    /// A free prefix for the envelope namespace: `s`, `soap`, `env`, `s1`, ... (rule E36).
    pub(super) fn free_envelope(self) -> Option<u8> {
        let slot = u8::try_from(self.envelope.trailing_ones()).ok()?;
        (slot < FAMILY).then_some(slot)
    }

    /// A free prefix for addressing: `a`, `wsa`, `a1`, ...
    pub(super) fn free_addressing(self) -> Option<&'static str> {
        let slot = usize::try_from(self.addressing.trailing_ones()).ok()?;
        ADDRESSING.get(slot).copied()
    }

    /// The same with one more slot of the envelope's family taken.
    pub(super) const fn with_envelope(mut self, slot: u8) -> Self {
        self.envelope |= 1 << slot;
        self
    }
}

/// The place of a prefix in the family `s`, `soap`, `env`, `s1` to `s61`.
pub(super) fn envelope_slot(prefix: &str) -> Option<u8> {
    match prefix {
        "s" => Some(0),
        "soap" => Some(1),
        "env" => Some(2),
        _ => numbered(prefix.strip_prefix('s')?, 61).map(|number| number + 2),
    }
}

/// The prefix at a place of that family.
pub(super) fn envelope_prefix(slot: u8) -> &'static str {
    ENVELOPE.get(usize::from(slot)).copied().unwrap_or("s")
}

/// The family of prefixes for the envelope's namespace.
#[rustfmt::skip]
const ENVELOPE: [&str; FAMILY as usize] = [
    "s", "soap", "env", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13",
    "s14", "s15", "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27",
    "s28", "s29", "s30", "s31", "s32", "s33", "s34", "s35", "s36", "s37", "s38", "s39", "s40", "s41",
    "s42", "s43", "s44", "s45", "s46", "s47", "s48", "s49", "s50", "s51", "s52", "s53", "s54", "s55",
    "s56", "s57", "s58", "s59", "s60", "s61",
];

/// The family of prefixes for addressing.
#[rustfmt::skip]
const ADDRESSING: [&str; FAMILY as usize] = [
    "a", "wsa", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11", "a12", "a13", "a14",
    "a15", "a16", "a17", "a18", "a19", "a20", "a21", "a22", "a23", "a24", "a25", "a26", "a27", "a28",
    "a29", "a30", "a31", "a32", "a33", "a34", "a35", "a36", "a37", "a38", "a39", "a40", "a41", "a42",
    "a43", "a44", "a45", "a46", "a47", "a48", "a49", "a50", "a51", "a52", "a53", "a54", "a55", "a56",
    "a57", "a58", "a59", "a60", "a61", "a62",
];

fn addressing_slot(prefix: &str) -> Option<u8> {
    match prefix {
        "a" => Some(0),
        "wsa" => Some(1),
        _ => numbered(prefix.strip_prefix('a')?, 62).map(|number| number + 1),
    }
}

fn numbered(digits: &str, most: u8) -> Option<u8> {
    let number: u8 = digits.parse().ok()?;
    let plain = !digits.starts_with(['0', '+']);
    (plain && (1..=most).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_fresh_and_the_family_ends() {
        let mut taken = Taken::default();
        for expected in ["s", "soap", "env", "s1", "s2"] {
            let slot = taken.free_envelope().unwrap();
            assert_eq!(envelope_prefix(slot), expected);
            assert_eq!(envelope_slot(expected), Some(slot));
            taken.note(expected.as_bytes());
        }
        for number in 0..=100 {
            taken.note(format!("s{number}").as_bytes());
            taken.note(format!("a{number}").as_bytes());
        }
        assert_eq!(taken.free_envelope(), None);
        assert_eq!(taken.free_addressing(), Some("a"));
        taken.note(b"a");
        taken.note(b"wsa");
        assert_eq!(taken.free_addressing(), None);
    }

    #[test]
    fn classes() {
        assert_eq!(classify("urn:x", "Body"), 0);
        assert_eq!(classify(SOAP11, "Body"), class::SOAP11 | local("Body"));
        assert_eq!(classify(SOAP12, "nothing"), class::SOAP12);
        assert_ne!(local("To"), local("From"));
    }
}
