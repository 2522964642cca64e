//! Header blocks: for whom they are, whether they are mandatory, and which of them a SOAP node
//! forwards (bridging rules E14 to E18 and 6.1 to 6.3).

use smallvec::SmallVec;

use super::doc::{Doc, NodeId};
use super::error::{BridgeError, structure};
use super::names::{Class, class, local, of_version};
use super::raw::RawAttribute;
use crate::soap::facts::QName;
use crate::soap::version::{SOAP12, Version};

/// `next` in SOAP 1.1 (S11 §4.2.2).
pub(super) const NEXT11: &str = "http://schemas.xmlsoap.org/soap/actor/next";
/// `next` in SOAP 1.2 (Part 1 §2.2).
pub(super) const NEXT12: &str = "http://www.w3.org/2003/05/soap-envelope/role/next";
/// `none` in SOAP 1.2.
pub(super) const NONE12: &str = "http://www.w3.org/2003/05/soap-envelope/role/none";

/// Whom a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The last receiver.
    Ultimate,
    /// This node: `next`, or a role that it was given.
    Us,
    /// Nobody.
    None,
    /// Some other node.
    Other,
}

/// An attribute of the envelope's version on a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Soap {
    MustUnderstand,
    Actor,
    Relay,
    EncodingStyle,
}

/// One header block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) id: NodeId,
    pub(super) class: Class,
    pub(super) role: Role,
    pub(super) must_understand: bool,
    pub(super) relay: bool,
    pub(super) attributes: SmallVec<[(Soap, RawAttribute); 2]>,
    /// It is left out.
    pub(super) dropped: bool,
}

/// Reads the blocks of a header.
///
/// # Errors
/// When an attribute's value is none of its type, or, in SOAP 1.2, a block has no namespace.
pub(super) fn read(
    doc: &Doc,
    header: NodeId,
    version: Version,
    roles: &[String],
) -> Result<Vec<Block>, BridgeError> {
    let mut blocks = Vec::new();
    for id in doc.children(header) {
        let Some(node) = doc.node(id) else { continue };
        if version == Version::Soap12 && node.class & class::UNQUALIFIED != 0 {
            // SOAP 1.2 Part 1 §5.2.1.
            let what = format!("the header block `{}` is in no namespace", doc.name(id).1);
            return Err(structure(what, node.start));
        }
        let mut block = Block {
            id,
            class: node.class,
            role: Role::Ultimate,
            must_understand: false,
            relay: false,
            attributes: SmallVec::new(),
            dropped: false,
        };
        for attribute in doc.attributes(id) {
            if let Some(kind) = kind(attribute.class, version) {
                block.take(doc, kind, *attribute, version, roles)?;
            }
        }
        blocks.push(block);
    }
    Ok(blocks)
}

impl Block {
    /// Whether an addressing block of this local name counts: it is for the last receiver.
    pub(super) fn counts(&self) -> bool {
        self.role == Role::Ultimate
    }

    fn take(
        &mut self,
        doc: &Doc,
        kind: Soap,
        attribute: RawAttribute,
        version: Version,
        roles: &[String],
    ) -> Result<(), BridgeError> {
        let value = doc.value(&attribute);
        let value = value.trim();
        match kind {
            Soap::MustUnderstand | Soap::Relay => {
                let Some(said) = boolean(value) else {
                    let name = doc.slice(attribute.name());
                    let what = format!("`{name}` is `{}`, which is no boolean", clip(value));
                    return Err(structure(what, attribute.whole().start));
                };
                match kind {
                    Soap::MustUnderstand => self.must_understand = said,
                    _ => self.relay = said,
                }
            }
            Soap::Actor => self.role = role(value, version, roles),
            Soap::EncodingStyle => {}
        }
        self.attributes.push((kind, attribute));
        Ok(())
    }
}

fn kind(class: Class, version: Version) -> Option<Soap> {
    const MUST_UNDERSTAND: Class = local("mustUnderstand");
    const ACTOR: Class = local("actor");
    const ROLE: Class = local("role");
    const RELAY: Class = local("relay");
    const ENCODING_STYLE: Class = local("encodingStyle");
    if class & class::ENVELOPE != of_version(version) {
        return None;
    }
    match (class & !0xFF, version) {
        (MUST_UNDERSTAND, _) => Some(Soap::MustUnderstand),
        (ACTOR, Version::Soap11) | (ROLE, Version::Soap12) => Some(Soap::Actor),
        (RELAY, Version::Soap12) => Some(Soap::Relay),
        (ENCODING_STYLE, _) => Some(Soap::EncodingStyle),
        _ => None,
    }
}

/// An empty URI means the same as no attribute (rule E16).
fn role(value: &str, version: Version, roles: &[String]) -> Role {
    let special = value.strip_prefix(SOAP12);
    match (value, special, version) {
        ("", ..) | (_, Some("/role/ultimateReceiver"), Version::Soap12) => Role::Ultimate,
        (NEXT11, _, Version::Soap11) | (NEXT12, _, Version::Soap12) => Role::Us,
        (NONE12, ..) => Role::None,
        _ if roles.iter().any(|own| own == value) => Role::Us,
        _ => Role::Other,
    }
}

/// `xs:boolean` (rule E14).
fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// Marks the blocks that this node does not forward; true if there is one.
///
/// # Errors
/// When one of them is mandatory and not understood: then nothing is processed (6.2).
pub(super) fn process(doc: &Doc, blocks: &mut [Block]) -> Result<bool, BridgeError> {
    let own = |block: &Block| block.role == Role::Us;
    let strange = |block: &&Block| own(block) && block.must_understand && !understood(block);
    let name = |block: &Block| QName {
        namespace: doc.namespace(block.id),
        local: doc.name(block.id).1.to_owned(),
    };
    let missing: Vec<QName> = blocks.iter().filter(strange).map(name).collect();
    if !missing.is_empty() {
        return Err(BridgeError::MustUnderstand(missing));
    }
    let mut any = false;
    for block in blocks.iter_mut().filter(|block| own(block)) {
        // Optional and relayable: forwarded (SOAP 1.2 Part 1 Table 3).
        if understood(block) || !block.relay {
            block.dropped = true;
            any = true;
        }
    }
    Ok(any)
}

/// A router understands addressing, of either version, and nothing else (6.2, A31).
const fn understood(block: &Block) -> bool {
    block.class & (class::WSA10 | class::WSA04) != 0
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}
