//! What a message's addressing headers say: which version, which blocks, which references.
//!
//! Reads; `convert.rs` changes. Only blocks for the last receiver count (bridging rules 4.3).

use super::blocks::Block;
use super::doc::{Doc, NodeId, escape};
use super::names::{class, local};
use super::plan::{Context, Reference};
use super::work::Direction;
use crate::soap::addressing::Addressing;
use crate::soap::version::Version;

/// The addressing versions that a message uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Used {
    None,
    One(Addressing),
    Both,
}

/// A message's addressing blocks by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers {
    pub(super) action: Option<NodeId>,
    pub(super) to: Option<NodeId>,
    pub(super) message_id: Option<NodeId>,
    pub(super) reply_to: Option<NodeId>,
    pub(super) fault_to: Option<NodeId>,
    pub(super) from: Option<NodeId>,
    pub(super) relates_to: Vec<NodeId>,
    pub(super) fault_detail: Option<NodeId>,
    /// A header that stands twice though it may only once.
    pub(super) repeated: Option<&'static str>,
}

/// URIs that mean something.
impl Addressing {
    /// "The connection" (WSA-C §3.2.1).
    pub(super) const fn anonymous(self) -> &'static str {
        match self {
            Self::August2004 => "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous",
            Self::V10 => "http://www.w3.org/2005/08/addressing/anonymous",
        }
    }

    /// "A message that has no id".
    pub(super) const fn unspecified(self) -> &'static str {
        match self {
            Self::August2004 => "http://schemas.xmlsoap.org/ws/2004/08/addressing/id/unspecified",
            Self::V10 => "http://www.w3.org/2005/08/addressing/unspecified",
        }
    }

    /// Action of a fault about addressing itself (WSA-S §6; WSA04 §4).
    pub(super) const fn own_fault_action(self) -> &'static str {
        match self {
            Self::August2004 => "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault",
            Self::V10 => "http://www.w3.org/2005/08/addressing/fault",
        }
    }

    /// The bit of its namespace.
    pub(super) const fn class(self) -> u64 {
        match self {
            Self::August2004 => class::WSA04,
            Self::V10 => class::WSA10,
        }
    }

    /// The other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::August2004 => Self::V10,
            Self::V10 => Self::August2004,
        }
    }
}

/// "Send no answer"; the older version has no such address.
pub(super) const NONE_ADDRESS: &str = "http://www.w3.org/2005/08/addressing/none";

/// Whether an address means the connection, in either version's words (A15).
pub(super) fn is_anonymous(address: &str) -> bool {
    [Addressing::V10, Addressing::August2004]
        .iter()
        .any(|known| known.anonymous() == address)
}

/// The versions of the blocks that count. `FaultDetail` alone is no addressing.
pub(super) fn used(blocks: &[Block]) -> Used {
    let has = |version: Addressing| {
        let own = |block: &&Block| block.counts() && block.class & version.class() != 0;
        blocks
            .iter()
            .filter(own)
            .any(|block| block.class & !0xFF != const { local("FaultDetail") })
    };
    match (has(Addressing::V10), has(Addressing::August2004)) {
        (true, true) => Used::Both,
        (true, false) => Used::One(Addressing::V10),
        (false, true) => Used::One(Addressing::August2004),
        (false, false) => Used::None,
    }
}

impl Headers {
    /// Finds the blocks of one version.
    pub(super) fn find(doc: &Doc, blocks: &[Block], version: Option<Addressing>) -> Self {
        let mut headers = Self::default();
        for block in blocks.iter().filter(|block| block.counts()) {
            if block.class == (class::WSA10 | const { local("FaultDetail") }) {
                headers.fault_detail = Some(block.id);
            }
            if version.is_none_or(|version| block.class & version.class() == 0) {
                continue;
            };
            let (field, name) = match doc.name(block.id).1 {
                "Action" => (&mut headers.action, "Action"),
                "To" => (&mut headers.to, "To"),
                "MessageID" => (&mut headers.message_id, "MessageID"),
                "ReplyTo" => (&mut headers.reply_to, "ReplyTo"),
                "FaultTo" => (&mut headers.fault_to, "FaultTo"),
                "From" => (&mut headers.from, "From"),
                "RelatesTo" => {
                    headers.relates_to.push(block.id);
                    continue;
                }
                _ => continue,
            };
            if field.is_some() {
                headers.repeated = headers.repeated.or(Some(name));
            }
            field.get_or_insert(block.id);
        }
        headers
    }

    /// The trimmed text of a block.
    pub(super) fn text(doc: &Doc, id: Option<NodeId>) -> Option<String> {
        let text = doc.text(id?).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// What an answer to this message will need (rule 0.5).
pub(super) fn context(
    doc: &Doc,
    soap: Version,
    addressing: Option<Addressing>,
    headers: &Headers,
    direction: Direction<'_>,
) -> Context {
    // An answer is not answered.
    let Direction::Request(arriving) = direction else {
        return Context::of(soap, addressing);
    };
    Context {
        message_id: Headers::text(doc, headers.message_id),
        reply_to: headers.reply_to.map(|id| reference(doc, id)),
        fault_to: headers.fault_to.map(|id| reference(doc, id)),
        action: Headers::text(doc, headers.action).or_else(|| arriving.action.clone()),
        one_way: arriving.one_way,
        languages: arriving.languages.clone(),
        within: arriving.within,
        ..Context::of(soap, addressing)
    }
}

/// The child of an endpoint reference with this name, in its own version's namespace.
pub(super) fn part(doc: &Doc, reference: NodeId, name: &str) -> Option<NodeId> {
    let class = doc.node(reference)?.class & 0xFF;
    let wanted = class | local(name);
    doc.children(reference)
        .find(|id| doc.node(*id).is_some_and(|node| node.class == wanted))
}

/// The address of an endpoint reference.
pub(super) fn address(doc: &Doc, reference: NodeId) -> String {
    Headers::text(doc, part(doc, reference, "Address")).unwrap_or_default()
}

fn reference(doc: &Doc, id: NodeId) -> Reference {
    let wrappers = ["ReferenceProperties", "ReferenceParameters"];
    let parts = wrappers.iter().filter_map(|name| part(doc, id, name));
    Reference {
        address: address(doc, id),
        blocks: parts
            .flat_map(|wrapper| doc.children(wrapper).collect::<Vec<_>>())
            .map(|child| stand_alone(doc, child, None))
            .collect(),
    }
}

/// An element's bytes with every declaration that they use from outside `within` (from outside
/// everything, if that is `None`), so that they can be put elsewhere (F26).
pub(super) fn stand_alone(doc: &Doc, id: NodeId, within: Option<NodeId>) -> String {
    let Some(node) = doc.node(id) else {
        return String::new();
    };
    let text = doc.slice(node.start..node.end);
    let at = node.name_end - node.start;
    let (head, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    let declared = missing(doc, id, within, text);
    format!("{head}{declared}{rest}")
}

/// Declarations that an element needs when it leaves its parents, up to `within`, behind.
pub(super) fn missing(doc: &Doc, id: NodeId, within: Option<NodeId>, text: &str) -> String {
    let own: Vec<&str> = doc
        .attributes(id)
        .iter()
        .filter_map(|a| doc.declares(a))
        .collect();
    let outer = within.map_or_else(Vec::new, |within| doc.scope(Some(within)));
    let mut out = String::new();
    for (prefix, namespace) in doc.scope(doc.node(id).and_then(|node| node.parent)) {
        let known = (prefix.clone(), namespace.clone());
        let unused = !prefix.is_empty() && !text.contains(&format!("{prefix}:"));
        let blank = prefix.is_empty() && namespace.is_empty();
        if own.contains(&prefix.as_str()) || unused || blank || outer.contains(&known) {
            continue;
        }
        out.push_str(&match prefix.as_str() {
            "" => format!(" xmlns=\"{}\"", escape(&namespace)),
            prefix => format!(" xmlns:{prefix}=\"{}\"", escape(&namespace)),
        });
    }
    out
}
