//! Header fields that belong to one hop only.

use http::HeaderMap;
use http::header::{self, HeaderName};
use smallvec::SmallVec;

/// Fields that an intermediary must not hand on (RFC 9110 §7.6.1), whether or not `Connection`
/// names them. `Transfer-Encoding` and `Trailer` are written anew by the next hop's framing;
/// `Expect` is answered here.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("http2-settings"),
];

/// Removes the fields of this hop, also those that `Connection` names.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Looked for among the fields that are there: a message has few, and mostly none of these.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    let mut found: SmallVec<[HeaderName; 8]> = headers
        .keys()
        .filter(|name| HOP_BY_HOP.contains(name))
        .cloned()
        .collect();
    if found.contains(&header::CONNECTION) {
        let named = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|name| !name.eq_ignore_ascii_case("keep-alive"))
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            // These frame the message: a caller must not be able to have them dropped.
            .filter(|name| {
                *name != header::CONTENT_LENGTH
                    && *name != header::CONTENT_TYPE
                    && *name != header::HOST
            });
        found.extend(named);
    }
    for name in &found {
        headers.remove(name);
    }
}
