//! Would a change break a signature or an encryption? (bridging rules S1 to S7, A16)

use super::doc::Doc;
use super::names::{Class, class, local};
use super::shape::Shape;

/// Canonical XML without `exc-`: it renders every namespace in scope, so that a declaration on the
/// Envelope is a change (S4).
const INCLUSIVE: [&str; 2] = [
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2006/12/xml-c14n11",
];

/// Why the message cannot change, if it cannot.
pub(super) fn breaks(shape: &Shape) -> Option<&'static str> {
    let doc = &shape.doc;
    let header = shape.header?;
    for id in doc.descendants(header) {
        let Some(node) = doc.node(id) else { continue };
        let name = node.class & !0xFF;
        if node.class & class::DSIG != 0
            && name == const { local("Signature") }
            && is_touched(doc, id)
        {
            return Some("it is signed, and the change would break its signature");
        }
        let is_block = node.depth == 3;
        let encrypted = node.class & class::XENC != 0 && name == const { local("EncryptedData") }
            || node.class & class::SECURITY != 0 && name == const { local("EncryptedHeader") };
        if is_block && encrypted {
            return Some("a header block is encrypted, so that it cannot be translated");
        }
    }
    None
}

/// A signature inside an assertion covers the assertion alone and stays whole (S10), unless it
/// renders what is declared outside. Any other is taken to cover the message.
fn is_touched(doc: &Doc, signature: usize) -> bool {
    let in_security = |parent| {
        doc.node(parent)
            .is_some_and(|node| node.depth == 3 || node.class & class::SECURITY != 0)
    };
    let parent = doc.node(signature).and_then(|node| node.parent);
    if parent.is_none_or(in_security) || doc.node(signature).is_some_and(|node| node.depth == 3) {
        return true;
    }
    doc.descendants(signature).any(|id| {
        let class = doc.node(id).map_or(0, |node| node.class);
        is_method(class)
            && doc
                .attribute(id, "", "Algorithm")
                .is_some_and(|algorithm| is_inclusive(&doc.value(&algorithm)))
    })
}

/// Whether this names how signed elements are rendered.
pub(super) const fn is_method(class: Class) -> bool {
    let name = class & !0xFF;
    class & class::DSIG != 0
        && (name == const { local("CanonicalizationMethod") }
            || name == const { local("Transform") })
}

/// Whether an algorithm renders every namespace in scope.
pub(super) fn is_inclusive(algorithm: &str) -> bool {
    INCLUSIVE
        .iter()
        .any(|inclusive| algorithm.starts_with(inclusive))
}
