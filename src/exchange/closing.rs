//! The end of patience: a stopping router that has waited long enough.

use std::pin::Pin;
use std::task::Poll;

use super::worker::Closing;

/// What `work` gives, or nothing once the last word was said: whoever still waits for an endpoint
/// then is told so, instead of being cut off. Whoever serves the connection is woken by
/// [`Closing::wake`], and polls this with it.
///
/// The work stays where the caller has it: it is large, and taking it would copy it twice.
pub(super) async fn unless_said<T>(
    closing: &Closing,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if closing.is_said() => {
            closing.breaks_off();
            Poll::Ready(None)
        }
        Poll::Pending => Poll::Pending,
    })
    .await
}
