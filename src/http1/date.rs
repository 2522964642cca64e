//! `Date` for answers that have none, written out once a second.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

use crate::telemetry::clock;

thread_local! {
    static LAST: RefCell<(u64, HeaderValue)> =
        const { RefCell::new((u64::MAX, HeaderValue::from_static(""))) };
}

/// The time, as HTTP writes it (RFC 9110 §5.6.7).
pub(super) fn now() -> HeaderValue {
    let seconds = clock::since_epoch().as_secs();
    LAST.with_borrow_mut(|(at, written)| {
        if *at != seconds {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            if let Ok(value) = HeaderValue::from_str(&text) {
                (*at, *written) = (seconds, value);
            }
        }
        written.clone()
    })
}
