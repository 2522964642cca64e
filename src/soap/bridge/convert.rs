//! Addressing headers in their other version, taken out, or made (bridging rules §4).

use super::addressing::{self, NONE_ADDRESS, is_anonymous};
use super::blocks::Block;
use super::doc::{Node, NodeId, escape};
use super::error::{BridgeError, cannot};
use super::fault_read::Found;
use super::loss::Loss;
use super::names::class;
use super::plan::{Arriving, Context, Reference};
use super::work::{Direction, Work};
use crate::soap::addressing::{Addressing, WSA10};

/// What `RelationshipType` says when it is left out, in 1.0.
const REPLY10: &str = "http://www.w3.org/2005/08/addressing/reply";

impl Work<'_> {
    /// Brings addressing from the one version to the other.
    pub(super) fn address(&mut self, found: Option<&Found>) -> Result<(), BridgeError> {
        let (from, to) = (self.from.addressing, self.to.addressing);
        if from != to {
            self.note_body()?;
        }
        match (from, to, self.direction) {
            (None, None, _) => {}
            (Some(from), Some(to), _) if from == to => self.rewrite_to(to),
            (Some(from), Some(to), _) => self.convert(from, to, found),
            (Some(from), None, Direction::Request(_)) => {
                self.refuse_other_addresses()?;
                self.take_out(from);
            }
            (Some(from), None, Direction::Reply(_)) => self.take_out(from),
            (None, Some(to), Direction::Request(arriving)) => self.make(to, arriving, found)?,
            (None, Some(to), Direction::Reply(context)) => self.correlate(to, context, found),
        }
        if from.is_some() && from != to && to != Some(Addressing::V10) {
            self.unmark_references();
        }
        Ok(())
    }

    /// A14, S12: endpoint references in the Body stay as they are, and protocols that live by them
    /// do not work across versions.
    fn note_body(&mut self) -> Result<(), BridgeError> {
        let doc = self.doc();
        let Some(&first) = self.shape.children.first() else {
            return Ok(());
        };
        let plain = |node: &Node| node.class & class::CARRIER == 0;
        if doc.node(first).is_none_or(plain) {
            return Ok(());
        }
        if self.plan.forward_body_addresses {
            self.losses.add(Loss::AddressesInBody);
            return Ok(());
        }
        let (name, namespace) = (doc.name(first).1, doc.namespace(first));
        cannot(format!(
            "its Body is `{name}` of `{namespace}`, which carries addresses in the caller's version \
             of WS-Addressing (`bridge: {{ addresses_in_body: forward }}` sends them as they are)"
        ))
    }

    /// A20: only where the endpoint has a logical address.
    fn rewrite_to(&mut self, version: Addressing) {
        let (Some(to), false) = (self.plan.to.clone(), self.is_reply()) else {
            return;
        };
        match self.headers.to {
            Some(id) => self.content(id, &to),
            None => self.add(version, "To", &to),
        }
    }

    /// A21: a plain endpoint can answer on the connection only.
    fn refuse_other_addresses(&self) -> Result<(), BridgeError> {
        let doc = self.doc();
        let references = [
            (self.headers.reply_to, "ReplyTo"),
            (self.headers.fault_to, "FaultTo"),
        ];
        for (reference, name) in references {
            let Some(id) = reference else { continue };
            let address = addressing::address(doc, id);
            if !is_anonymous(&address) && address != NONE_ADDRESS {
                return cannot(format!(
                    "its {name} asks for an answer elsewhere, and the endpoint can only answer on \
                     the connection (wsa:OnlyAnonymousAddressSupported)"
                ));
            }
        }
        Ok(())
    }

    /// A17, A23: all blocks of the version that are for the last receiver.
    fn take_out(&mut self, version: Addressing) {
        let is_none = |id: Option<NodeId>| {
            id.is_some_and(|id| addressing::address(self.doc(), id) == NONE_ADDRESS)
        };
        if is_none(self.headers.reply_to) {
            self.context.one_way = true;
        }
        for block in self.blocks.iter_mut().filter(|block| own(block, version)) {
            block.dropped = true;
        }
    }

    /// A12, A18: the marks of reference parameters; the blocks stay.
    fn unmark_references(&mut self) {
        let kept: Vec<NodeId> = self
            .blocks
            .iter()
            .filter(|b| !b.dropped)
            .map(|b| b.id)
            .collect();
        for id in kept {
            if let Some(mark) = self.doc().attribute(id, WSA10, "IsReferenceParameter") {
                self.patch.remove(mark.whole());
                self.losses.add(Loss::ReferenceMark);
            }
        }
    }

    /// A17, A19, A20: what an endpoint with addressing needs of a caller without.
    fn make(
        &mut self,
        version: Addressing,
        arriving: &Arriving,
        found: Option<&Found>,
    ) -> Result<(), BridgeError> {
        let stated = self
            .context
            .action
            .clone()
            .filter(|action| is_absolute(action));
        let fallback = self.plan.default_action.as_deref().map(str::to_owned);
        let of_fault = found.map(|found| self.fault_action(version, found).to_owned());
        let Some(action) = stated.or(fallback).or(of_fault) else {
            return cannot(
                "the endpoint wants WS-Addressing, and the message states no action that is an \
                 absolute URI (SOAPAction or the `action` parameter)",
            );
        };
        self.add(version, "Action", &action);
        self.context.action = Some(action);
        let to = self
            .plan
            .to
            .clone()
            .unwrap_or_else(|| self.plan.url.clone());
        self.add(version, "To", &to);
        self.context.added_addressing = true;
        if !self.context.one_way && found.is_none() {
            self.make_id(version, arriving);
            if version == Addressing::August2004 {
                self.add_reply_to(version, version.anonymous());
            }
        }
        Ok(())
    }

    /// A6.
    fn make_id(&mut self, version: Addressing, arriving: &Arriving) {
        let id = uuid(arriving.unique);
        self.add(version, "MessageID", &id);
        self.context.made_id = Some(id);
    }

    /// A23 to A25: what a caller with addressing expects of an endpoint without.
    fn correlate(&mut self, version: Addressing, context: &Context, found: Option<&Found>) {
        let action = match (found, &context.action) {
            (Some(found), _) => Some(self.fault_action(version, found).to_owned()),
            (None, Some(action)) => Some(format!("{action}Response")),
            (None, None) => None,
        };
        if let Some(action) = action {
            self.add(version, "Action", &action);
        }
        self.relate(version, context);
        let to_faults = context.fault_to.as_ref().filter(|_| found.is_some());
        let back = to_faults.or(context.reply_to.as_ref());
        if version == Addressing::August2004 {
            let stated = back
                .map(|back| back.address.as_str())
                .filter(|to| !to.is_empty());
            self.add(version, "To", stated.unwrap_or_else(|| version.anonymous()));
        }
        if let Some(back) = back {
            self.carry_back(version, back);
        }
    }

    fn relate(&mut self, version: Addressing, context: &Context) {
        if let Some(id) = &context.message_id {
            self.add(version, "RelatesTo", id);
        }
    }

    /// A25.
    fn carry_back(&mut self, version: Addressing, reference: &Reference) {
        for block in &reference.blocks {
            let name = block
                .find([' ', '\t', '\r', '\n', '>', '/'])
                .unwrap_or(block.len());
            let Some((head, rest)) = block.split_at_checked(name) else {
                continue;
            };
            if version == Addressing::August2004 {
                self.added.push_str(block);
                continue;
            }
            let free = |prefix: &String| !block.contains(&format!("xmlns:{prefix}"));
            let more = (1..100).map(|n| format!("{}{n}", self.wsa));
            let prefix = std::iter::once(self.wsa.to_owned()).chain(more).find(free);
            let prefix = prefix.unwrap_or_else(|| "reference-mark".to_owned());
            self.added.push_str(&format!(
                "{head} {prefix}:IsReferenceParameter=\"true\" xmlns:{prefix}=\"{WSA10}\"{rest}"
            ));
        }
    }

    /// A26, A27.
    fn fault_action(&self, version: Addressing, found: &Found) -> &'static str {
        if found.is_about_addressing() {
            version.own_fault_action()
        } else {
            version.soap_fault_action()
        }
    }

    /// A1 to A13: every block that counts, from one version into the other.
    fn convert(&mut self, from: Addressing, to: Addressing, found: Option<&Found>) {
        let old = from == Addressing::August2004;
        let blocks: Vec<NodeId> = self
            .blocks
            .iter()
            .filter(|b| own(b, from) && !b.dropped)
            .map(|b| b.id)
            .collect();
        let reply_none = self.has_none(self.headers.reply_to) && !old;
        if reply_none {
            self.context.one_way = true;
            self.losses.add(Loss::NoneAddress);
        }
        for id in blocks {
            let name = self.doc().name(id).1;
            match name {
                "ReplyTo" | "From" if reply_none => self.drop_block(id),
                "FaultTo" if !old && self.has_none(Some(id)) => {
                    self.losses.add(Loss::NoneAddress);
                    self.drop_block(id);
                }
                "ReplyTo" | "FaultTo" | "From" => self.reference(id, from, to),
                "RelatesTo" => self.related(id, from, to),
                "FaultDetail" if found.is_some() => {}
                "Action" => {
                    self.translate(id, name, to);
                    self.translate_action(id, to, found);
                }
                "To" => {
                    self.translate(id, name, to);
                    if self.plan.to.is_some() && !self.is_reply() {
                        self.rewrite_to(to);
                    } else {
                        self.translate_uri(id, from, to);
                    }
                }
                _ => {
                    self.translate(id, name, to);
                    self.translate_uri(id, from, to);
                }
            }
        }
        match self.direction {
            // A fault is no request that waits for an answer.
            Direction::Request(arriving) => self.complete(to, arriving, found.is_none()),
            Direction::Reply(context) => {
                if self.headers.relates_to.is_empty() {
                    self.relate(to, context);
                }
            }
        }
    }

    /// A2, A4 to A6: what the other version requires and this one leaves out.
    fn complete(&mut self, to: Addressing, arriving: &Arriving, asks: bool) {
        let old = to == Addressing::August2004;
        let waits = asks && !self.context.one_way;
        if self.headers.to.is_none() && (old || self.plan.to.is_some()) {
            let url = self
                .plan
                .to
                .clone()
                .unwrap_or_else(|| self.plan.url.clone());
            self.add(to, "To", &url);
        }
        if self.headers.message_id.is_none() && waits {
            self.make_id(to, arriving);
        }
        let headers = &self.headers;
        if old && waits && headers.reply_to.is_none() {
            self.add_reply_to(to, to.anonymous());
        } else if !old && asks && !waits && headers.reply_to.is_none() && headers.from.is_none() {
            self.add_reply_to(to, NONE_ADDRESS);
        }
    }

    fn has_none(&self, reference: Option<NodeId>) -> bool {
        reference.is_some_and(|id| addressing::address(self.doc(), id) == NONE_ADDRESS)
    }

    fn drop_block(&mut self, id: NodeId) {
        for block in self.blocks.iter_mut().filter(|block| block.id == id) {
            block.dropped = true;
        }
    }

    /// A1: the name in the other namespace, its prefix declared on the element.
    fn translate(&mut self, id: NodeId, name: &str, to: Addressing) {
        let declared = [" xmlns:", self.wsa, "=\"", to.namespace(), "\""];
        self.rename(id, self.wsa, name, declared);
    }

    /// A3, A8: URIs of the one version's own.
    fn translate_uri(&mut self, id: NodeId, from: Addressing, to: Addressing) {
        let text = self.doc().text(id);
        let new = match text.trim() {
            uri if is_anonymous(uri) => to.anonymous(),
            uri if uri == from.unspecified() => to.unspecified(),
            _ => return,
        };
        self.content(id, new);
    }

    /// A28: fault actions are constants of their version.
    fn translate_action(&mut self, id: NodeId, to: Addressing, found: Option<&Found>) {
        let action = self.doc().text(id);
        let action = action.trim();
        let other = to.other();
        let new = match found {
            _ if action != other.soap_fault_action() && action != other.own_fault_action() => {
                return;
            }
            Some(found) => self.fault_action(to, found),
            None if action == other.own_fault_action() => to.own_fault_action(),
            None => to.soap_fault_action(),
        };
        if !self.is_reply() {
            self.context.action = Some(new.to_owned());
        }
        self.content(id, new);
    }

    /// An endpoint reference, its own children included (A3, A10, A11).
    fn reference(&mut self, id: NodeId, from: Addressing, to: Addressing) {
        let name = self.doc().name(id).1;
        self.translate(id, name, to);
        let children: Vec<NodeId> = self.doc().children(id).collect();
        let (mut properties, mut parameters) = (None, None);
        for child in children {
            let class = self.doc().node(child).map_or(0, |node| node.class);
            let name = self.doc().name(child).1;
            let own = class & from.class() != 0;
            match name {
                "Metadata" | "PortType" | "ServiceName" if own => self.lose_metadata(child),
                "Policy" if from == Addressing::August2004 && !own => self.lose_metadata(child),
                "ReferenceProperties" if own && from == Addressing::August2004 => {
                    properties = Some(child);
                }
                "ReferenceParameters" if own => parameters = Some(child),
                "Address" if own => {
                    self.rename(child, self.wsa, name, []);
                    self.translate_uri(child, from, to);
                }
                _ if own => self.rename(child, self.wsa, name, []),
                _ => {}
            }
        }
        self.parameters(properties, parameters);
    }

    /// Properties, then parameters, all of them as parameters (A10).
    fn parameters(&mut self, properties: Option<NodeId>, parameters: Option<NodeId>) {
        let name = "ReferenceParameters";
        if properties.is_some() {
            self.losses.add(Loss::ReferenceProperties);
        }
        let (Some(first), Some(second)) = (properties, parameters) else {
            if let Some(only) = properties.or(parameters) {
                self.rename(only, self.wsa, name, []);
            }
            return;
        };
        let doc = self.doc();
        let parent = doc.node(first).and_then(|node| node.parent);
        let (keep, moved, at_end) = if first < second {
            (first, second, true)
        } else {
            (second, first, false)
        };
        let children: Vec<NodeId> = doc.children(moved).collect();
        let moved_blocks: String = children
            .into_iter()
            .map(|child| addressing::stand_alone(doc, child, parent))
            .collect();
        let Some(node) = doc.node(keep) else { return };
        self.remove(moved);
        if node.empty {
            self.rename(keep, self.wsa, name, []);
            self.patch.replace(
                doc.close(keep)..node.open_end,
                [">", &moved_blocks, "</", self.wsa, ":", name, ">"],
            );
            return;
        }
        self.rename(keep, self.wsa, name, []);
        let at = if at_end {
            node.close_start
        } else {
            node.open_end
        };
        self.patch.insert(at, [&moved_blocks]);
    }

    fn lose_metadata(&mut self, id: NodeId) {
        self.losses.add(Loss::EndpointMetadata);
        self.remove(id);
    }

    /// A7, and A6 for answers to an id that the bridge made.
    fn related(&mut self, id: NodeId, from: Addressing, to: Addressing) {
        let doc = self.doc();
        if let Direction::Reply(context) = self.direction
            && context.message_id.is_none()
            && context.made_id.as_deref() == Some(doc.text(id).trim())
        {
            self.drop_block(id);
            return;
        }
        if let Some(kind) = doc.attribute(id, "", "RelationshipType") {
            let value = doc.value(&kind).trim().to_owned();
            let is_reply = match from {
                Addressing::V10 => value == REPLY10,
                Addressing::August2004 => doc.qname(id, &value).is_some_and(|name| {
                    name.namespace == from.namespace() && name.local == "Reply"
                }),
            };
            if is_reply {
                self.patch.remove(kind.whole());
            } else {
                self.losses.add(Loss::RelationshipType);
                // An answer must relate; a request may do without.
                match self
                    .relationship(id, from, &value)
                    .filter(|_| self.is_reply())
                {
                    Some((declared, value)) => {
                        self.patch.replace(kind.value(), [&value]);
                        self.patch.insert(kind.whole().start, [&declared]);
                    }
                    None if self.is_reply() => self.patch.remove(kind.whole()),
                    None => {
                        self.drop_block(id);
                        return;
                    }
                }
            }
        }
        self.translate(id, "RelatesTo", to);
        self.translate_uri(id, from, to);
    }

    /// A relationship as the other version writes it: a declaration if it needs one, and the value.
    fn relationship(&self, id: NodeId, from: Addressing, value: &str) -> Option<(String, String)> {
        if from == Addressing::August2004 {
            let name = self.doc().qname(id, value)?;
            let slash = if name.namespace.ends_with(['/', '#']) {
                ""
            } else {
                "/"
            };
            let uri = format!("{}{slash}{}", name.namespace, name.local);
            return Some((String::new(), escape(&uri)));
        }
        let at = value.rfind(['/', '#'])? + 1;
        let (namespace, name) = value.split_at_checked(at)?;
        let prefix = format!("{}r", self.wsa);
        let attributes = self.doc().attributes(id).iter();
        let mut declared = attributes.filter_map(|one| self.doc().declares(one));
        (crate::xml::is_nc_name(name) && declared.all(|own| own != prefix)).then(|| {
            (
                format!(" xmlns:{prefix}=\"{}\"", escape(namespace)),
                format!("{prefix}:{name}"),
            )
        })
    }

    /// Other content for an element.
    pub(super) fn content(&mut self, id: NodeId, text: &str) {
        let doc = self.doc();
        let Some(node) = doc.node(id) else { return };
        let text = escape(text);
        if node.empty {
            let name = doc.slice(doc.name_range(id));
            self.patch
                .replace(doc.close(id)..node.open_end, [">", &text, "</", name, ">"]);
        } else {
            self.patch.replace(node.open_end..node.close_start, [&text]);
        }
    }

    /// A new block (E38).
    fn add(&mut self, version: Addressing, name: &str, text: &str) {
        let (p, namespace, text) = (self.wsa, version.namespace(), escape(text));
        for piece in ["<", p, ":", name, " xmlns:", p, "=\"", namespace, "\">"] {
            self.added.push_str(piece);
        }
        for piece in [&text, "</", p, ":", name, ">"] {
            self.added.push_str(piece);
        }
    }

    fn add_reply_to(&mut self, version: Addressing, address: &str) {
        let (prefix, namespace) = (self.wsa, version.namespace());
        self.added.push_str(&format!(
            "<{prefix}:ReplyTo xmlns:{prefix}=\"{namespace}\"><{prefix}:Address>{address}\
             </{prefix}:Address></{prefix}:ReplyTo>"
        ));
    }
}

fn own(block: &Block, version: Addressing) -> bool {
    block.counts() && block.class & version.class() != 0
}

/// Whether a URI says of itself what it is (RFC 3986 §3: a scheme first).
pub(super) fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(good)
        && !rest.is_empty()
}

/// A random UUID (RFC 9562 §5.4) of a number.
fn uuid(number: u128) -> String {
    let version = (number & !(0xF << 76)) | (0x4 << 76);
    let v = (version & !(0x3 << 62)) | (0x2 << 62);
    format!(
        "urn:uuid:{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        v >> 96,
        v >> 80 & 0xFFFF,
        v >> 64 & 0xFFFF,
        v >> 48 & 0xFFFF,
        v & 0xFFFF_FFFF_FFFF
    )
}
