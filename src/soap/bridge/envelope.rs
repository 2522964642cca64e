//! The envelope in its other version: Envelope, Header and Body renamed, attributes of header
//! blocks translated, `encodingStyle` moved to where SOAP 1.2 allows it (bridging rules §2).

use super::blocks::{Block, NEXT11, NEXT12, Role, Soap};
use super::doc::NodeId;
use super::error::{BridgeError, cannot};
use super::loss::Loss;
use super::names::{class, local, of_version};
use super::raw::RawAttribute;
use super::work::Work;
use crate::soap::version::Version;

/// No claim is made about the encoding (SOAP 1.2 Part 1 §5.1.1).
pub(super) const ENCODING_NONE: &str = "http://www.w3.org/2003/05/soap-envelope/encoding/none";

impl Work<'_> {
    /// Renames the structure and translates the header; gives the `encodingStyle` that applies to
    /// children of Body and that they do not state themselves (E23).
    pub(super) fn envelope(&mut self) -> Result<Option<String>, BridgeError> {
        let declared = [
            " xmlns:",
            self.prefix,
            "=\"",
            self.to.soap.namespace(),
            "\"",
        ];
        let envelope = self.structural(0, "Envelope", declared);
        let header = self
            .shape
            .header
            .map(|id| self.structural(id, "Header", []));
        let body = self
            .shape
            .body
            .and_then(|id| self.structural(id, "Body", []));
        let outer =
            |own: Option<String>| own.or_else(|| envelope.clone()).filter(|s| !s.is_empty());
        let header_style = outer(header.flatten());
        let body_style = outer(body);
        let mut blocks = std::mem::take(&mut self.blocks);
        let translated = blocks
            .iter_mut()
            .try_for_each(|block| self.block(block, header_style.as_deref()));
        self.blocks = blocks;
        translated?;
        self.nested_styles();
        if self.shape.fault().is_none() {
            for child in self.shape.children.clone() {
                self.body_child(child, body_style.as_deref());
            }
        }
        Ok(body_style)
    }

    /// One of the three elements that change their name (E34). Declarations stay (E33);
    /// the value of an `encodingStyle`, which must go, is the answer.
    fn structural<const N: usize>(
        &mut self,
        id: NodeId,
        name: &str,
        declared: [&str; N],
    ) -> Option<String> {
        self.rename(id, self.prefix, name, declared);
        let own_style = of_version(self.from.soap) | const { local("encodingStyle") };
        let mut style = None;
        for attribute in self.doc().attributes(id) {
            if attribute.class & class::UNQUALIFIED != 0 {
                self.patch.remove(attribute.whole());
                self.losses.add(Loss::UnqualifiedAttributes);
            } else if attribute.class == own_style {
                style = Some(self.first_style(attribute));
                self.patch.remove(attribute.whole());
                self.losses.add(Loss::EncodingStylePlace);
            }
        }
        style
    }

    /// Gives an element another name, in its start tag, where `declared` is written behind it, and,
    /// if that is held, in its end tag.
    pub(super) fn rename<const N: usize>(
        &mut self,
        id: NodeId,
        prefix: &str,
        name: &str,
        declared: [&str; N],
    ) {
        let doc = self.doc();
        let Some(node) = doc.node(id) else { return };
        self.patch.replace(doc.name_range(id), [prefix, ":", name]);
        self.patch.extend(declared);
        if node.end > node.close_start {
            self.patch
                .replace(node.close_start..node.end, ["</", prefix, ":", name, ">"]);
        }
    }

    fn block(&mut self, block: &mut Block, style: Option<&str>) -> Result<(), BridgeError> {
        if block.dropped {
            return Ok(());
        }
        let to12 = self.to.soap == Version::Soap12;
        if block.class & class::UNQUALIFIED != 0 && to12 {
            if !self.plan.drop_unqualified_headers {
                let name = self.doc().name(block.id).1;
                return cannot(format!(
                    "its header block `{name}` is in no namespace, which SOAP 1.2 does not allow"
                ));
            }
            self.losses.add(Loss::UnqualifiedHeaders);
            block.dropped = true;
        }
        // These speak about the other hop (F32, F33).
        if block.class & class::ENVELOPE != 0 && block.class & !0xFF == const { local("Upgrade") } {
            self.losses.add(Loss::Upgrade);
            block.dropped = true;
        }
        if block.class == (class::SOAP12 | const { local("NotUnderstood") }) && !to12 {
            self.losses.add(Loss::NotUnderstood);
            block.dropped = true;
        }
        if block.role == Role::None && !to12 && !self.plan.keep_none_headers {
            self.losses.add(Loss::NoneRole);
            block.dropped = true;
        }
        if block.dropped {
            return Ok(());
        }
        for (kind, attribute) in block.attributes.clone() {
            self.block_attribute(block, kind, &attribute);
        }
        let stated = block
            .attributes
            .iter()
            .any(|(kind, _)| *kind == Soap::EncodingStyle);
        if stated {
            self.style(block.id, style.is_some());
        } else if let Some(style) = style {
            self.state_style(block.id, style);
        }
        Ok(())
    }

    fn block_attribute(&mut self, block: &Block, kind: Soap, attribute: &RawAttribute) {
        let to12 = self.to.soap == Version::Soap12;
        let value = || self.doc().value(attribute);
        let written = match (kind, to12) {
            (Soap::EncodingStyle, _) => return,
            (Soap::Relay, _) => {
                if block.relay {
                    self.losses.add(Loss::Relay);
                }
                None
            }
            // E15: the canonical form in 1.2; in 1.1 only `1` says something.
            (Soap::MustUnderstand, true) if block.must_understand => {
                Some(("mustUnderstand", "true"))
            }
            (Soap::MustUnderstand, true) => Some(("mustUnderstand", "false")),
            (Soap::MustUnderstand, false) => {
                block.must_understand.then_some(("mustUnderstand", "1"))
            }
            (Soap::Actor, _) if block.role == Role::Ultimate => None,
            (Soap::Actor, true) if value().trim() == NEXT11 => Some(("role", NEXT12)),
            (Soap::Actor, false) if value().trim() == NEXT12 => Some(("actor", NEXT11)),
            (Soap::Actor, true) => Some(("role", "")),
            (Soap::Actor, false) => Some(("actor", "")),
        };
        let Some((name, value)) = written else {
            self.patch.remove(attribute.whole());
            return;
        };
        self.make_room(block.id, name);
        self.patch
            .replace(attribute.name(), [self.prefix, ":", name]);
        if !value.is_empty() {
            self.patch.replace(attribute.value(), [value]);
        }
    }

    /// An attribute of the new version that stood there without effect (E20) would now be there
    /// twice.
    fn make_room(&mut self, id: NodeId, name: &str) {
        let doc = self.doc();
        let new = of_version(self.to.soap);
        if !doc.attributes(id).iter().any(|one| one.class & new != 0) {
            return;
        }
        if let Some(other) = doc.attribute(id, self.to.soap.namespace(), name) {
            self.patch.remove(other.whole());
        }
    }

    /// Children of Body whose start tags are held.
    fn body_child(&mut self, id: NodeId, style: Option<&str>) {
        let Some(node) = self.doc().node(id) else {
            return;
        };
        if node.quoted {
            return;
        }
        let own = of_version(self.from.soap) | const { local("encodingStyle") };
        if node.encoding && self.doc().attribute_of(id, own).is_some() {
            self.style(id, style.is_some());
        } else if let Some(style) = style {
            self.state_style(id, style);
        }
    }

    /// `encodingStyle` below header blocks and below children of Body (E19, E28).
    fn nested_styles(&mut self) {
        let doc = self.doc();
        for (id, node) in doc.nodes.iter().enumerate() {
            if node.encoding && !node.quoted && node.depth > 3 && !self.is_in_fault(id) {
                self.style(id, true);
            }
        }
    }

    fn is_in_fault(&self, id: NodeId) -> bool {
        self.shape.fault().is_some_and(|fault| id >= fault)
    }

    /// Brings an element's own `encodingStyle` into the new namespace (E25 to E27).
    pub(super) fn style(&mut self, id: NodeId, outer: bool) {
        let doc = self.doc();
        let own = of_version(self.from.soap) | const { local("encodingStyle") };
        let Some(found) = doc.attribute_of(id, own) else {
            return;
        };
        let value = doc.value(&found).trim().to_owned();
        let written = style_value(&value, self.to.soap, outer);
        if value.split_whitespace().nth(1).is_some() && self.to.soap == Version::Soap12 {
            self.losses.add(Loss::EncodingStyleList);
        }
        let Some(written) = written else {
            self.patch.remove(found.whole());
            return;
        };
        self.make_room(id, "encodingStyle");
        self.patch
            .replace(found.name(), [self.prefix, ":encodingStyle"]);
        if written != value {
            self.patch
                .replace(found.value(), [&super::doc::escape(written)]);
        }
    }

    /// Writes an `encodingStyle` on an element that has none.
    pub(super) fn state_style(&mut self, id: NodeId, style: &str) {
        self.make_room(id, "encodingStyle");
        let at = self.doc().name_range(id).end;
        let style = super::doc::escape(style);
        self.patch
            .insert(at, [" ", self.prefix, ":encodingStyle=\"", &style, "\""]);
    }

    fn first_style(&mut self, attribute: &RawAttribute) -> String {
        let value = self.doc().value(attribute).into_owned();
        let mut all = value.split_whitespace();
        let first = all.next().unwrap_or_default().to_owned();
        if all.next().is_some() {
            self.losses.add(Loss::EncodingStyleList);
        }
        first
    }
}

/// What an `encodingStyle` says in the other version; nothing when the attribute goes.
pub(super) fn style_value(value: &str, to: Version, outer: bool) -> Option<&str> {
    match to {
        Version::Soap12 => match value.split_whitespace().next() {
            Some(first) => Some(first),
            None if outer => Some(ENCODING_NONE),
            None => None,
        },
        Version::Soap11 if value == ENCODING_NONE => Some(""),
        Version::Soap11 => Some(value),
    }
}
