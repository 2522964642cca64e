//! `Date` for answers that have none, written out once a second.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use crate::telemetry::clock;

thread_local! {
    static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Writes the line with the time, as HTTP writes it (RFC 9110 §5.6.7).
pub(super) fn line(out: &mut Vec<u8>) {
    let seconds = clock::since_epoch().as_secs();
    LAST.with_borrow_mut(|(at, line)| {
        if *at != seconds {
            let now = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            (*at, *line) = (seconds, format!("Date: {now}\r\n"));
        }
        out.extend_from_slice(line.as_bytes());
    });
}
