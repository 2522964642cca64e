//! Maps of fields, used again: a message needs two, which live no longer than it.

use std::cell::RefCell;

use http::HeaderMap;

/// Maps kept by each thread: as many as are in hand at a time when it is busy.
const KEPT_MAX: usize = 64;
/// Room for the fields of most heads, and for what is added on the way.
const ROOM: usize = 16;
/// A map that has grown beyond this is not kept.
const ROOM_MAX: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map with room for this many fields.
pub(super) fn take(fields: usize) -> HeaderMap {
    let kept = KEPT.with_borrow_mut(Vec::pop);
    let mut map = kept.unwrap_or_else(|| HeaderMap::with_capacity(ROOM));
    map.reserve(fields);
    map
}

/// Keeps the map of a head that was written.
pub(super) fn give_back(mut map: HeaderMap) {
    if map.capacity() < ROOM || map.capacity() > ROOM_MAX {
        return;
    }
    map.clear();
    KEPT.with_borrow_mut(|kept| {
        if kept.len() < KEPT_MAX {
            kept.push(map);
        }
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HOST;

    use super::*;

    #[test]
    fn what_is_taken_is_empty_and_what_is_kept_is_bounded() {
        for _ in 0..2 * KEPT_MAX {
            let mut map = HeaderMap::with_capacity(ROOM);
            map.insert(HOST, HeaderValue::from_static("a"));
            give_back(map);
        }
        give_back(HeaderMap::new());
        give_back(HeaderMap::with_capacity(10 * ROOM_MAX));
        assert_eq!(KEPT.with_borrow(Vec::len), KEPT_MAX);
        assert!(take(3).is_empty());
        assert!(take(100).capacity() >= 100);
    }
}
