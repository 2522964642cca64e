//! Header fields that belong to one hop only.

use smallvec::SmallVec;

use crate::fields::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, Fields, HOST, HTTP2_SETTINGS, KEEP_ALIVE,
    Known, Names, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE,
};

/// Fields that an intermediary must not hand on (RFC 9110 §7.6.1), whether or not `Connection`
/// names them. `Transfer-Encoding` and `Trailer` are written anew by the next hop's framing;
/// `Expect` is answered here.
const HOP_BY_HOP: Names = Names::of(&[
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
    HTTP2_SETTINGS,
]);

/// These frame the message: a caller must not be able to have them dropped.
const KEPT: Names = Names::of(&[CONTENT_LENGTH, CONTENT_TYPE, HOST]);

/// Removes the fields of this hop, also those that `Connection` names.
pub fn strip_hop_by_hop(headers: &mut Fields) {
    if !headers.contains_any(HOP_BY_HOP) {
        return;
    }
    if headers.contains(CONNECTION) {
        let named: SmallVec<[Box<[u8]>; 4]> = headers
            .get_all(CONNECTION)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| !Known::of(name).is_some_and(|own| KEPT.has(own) || HOP_BY_HOP.has(own)))
            .map(Box::from)
            .collect();
        if !named.is_empty() {
            headers.remove_where(|own| named.iter().any(|name| own.eq_ignore_ascii_case(name)));
        }
    }
    headers.remove_any(HOP_BY_HOP);
}
