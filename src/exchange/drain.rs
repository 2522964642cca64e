//! What is left of a refused request.
//!
//! A caller that is still sending does not read; if its connection were closed at once, the
//! fault could be lost to a reset. So the rest is read away, up to a bound. Over HTTP/1 the
//! caller's connection does that by itself.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::net::Incoming;

/// Most bytes read away; a caller with more to send loses its connection.
const DRAIN_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest time spent reading away.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Reads the rest away in the background.
pub(super) fn drain(rest: Option<Incoming>) {
    let Some(Incoming::Hyper(mut rest)) = rest else {
        return;
    };
    tokio::spawn(async move {
        let read = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = rest.frame().await {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if bytes > DRAIN_BYTES_MAX {
                    return;
                }
            }
        };
        // Past the time, dropping the body closes the connection, which is the intent.
        let _ = timeout(DRAIN_TIME_MAX, read).await;
    });
}
