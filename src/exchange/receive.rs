//! Step 1: read no more of the message than its filters need.
//!
//! What was read is kept for sending; what was not stays in the caller's connection.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use smallvec::{SmallVec, smallvec};
use tokio::time::timeout;

use super::error::Error;
use super::root_part::RootPart;
use crate::filter::Probe;
use crate::net::{self, Bounds, Budget, Incoming, Replay};
use crate::snapshot::Limits;

/// A message up to this is held for other attempts without further ado.
const SMALL_BYTES: u64 = 64 * 1024;

/// A message of which enough was read.
#[derive(Debug)]
pub(super) struct Parcel<'a> {
    /// What was read, in order.
    held: SmallVec<[Bytes; 1]>,
    held_bytes: u64,
    /// What is still to come.
    rest: Option<Incoming>,
    trailers: Option<HeaderMap>,
    length: Option<u64>,
    limits: &'a Limits,
}

impl<'a> Parcel<'a> {
    pub(super) fn new(body: Incoming, limits: &'a Limits) -> Self {
        Self {
            length: body.size_hint().exact(),
            held: SmallVec::new_const(),
            held_bytes: 0,
            rest: Some(body),
            trailers: None,
            limits,
        }
    }

    /// Bytes read so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Whether all of it is here, and so little that it costs nothing to hold on to it.
    pub(super) fn is_small(&self) -> bool {
        let max = self.limits.replay_buffer.min(SMALL_BYTES);
        self.is_complete() && self.trailers.is_none() && self.held_bytes <= max
    }

    /// Whether the message was read to its end.
    pub(super) const fn is_complete(&self) -> bool {
        self.rest.is_none()
    }

    /// Reads until the probe has decided.
    ///
    /// # Errors
    /// When the message is none, over a limit, or stops coming.
    pub(super) async fn until_decided(
        &mut self,
        probe: &mut Probe<'_>,
        mut root: Option<&mut RootPart>,
    ) -> Result<(), Error> {
        if self
            .length
            .is_some_and(|length| length > self.message_max())
        {
            return Err(Error::SenderTooLarge {
                max: self.message_max(),
            });
        }
        while !probe.is_decided() {
            match (self.read().await?, &mut root) {
                (Some(chunk), None) => probe.feed(chunk)?,
                (Some(chunk), Some(root)) => root.feed(chunk, probe)?,
                (None, None) => {
                    let whole = if probe.needs_whole() {
                        self.whole()
                    } else {
                        Bytes::new()
                    };
                    probe.finish(&whole)?;
                }
                (None, Some(root)) => root.finish(probe)?,
            }
        }
        Ok(())
    }

    /// Reads on until the first child of Body is known: how long the endpoint may take depends on it.
    ///
    /// # Errors
    /// As [`Parcel::until_decided`].
    pub(super) async fn until_operation(&mut self, probe: &mut Probe<'_>) -> Result<(), Error> {
        while probe.facts().operation.is_none() {
            match self.read().await? {
                Some(chunk) => probe.feed(chunk)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Reads on until the message is complete or longer than may be held: with
    /// `on_overflow: refuse` nothing is sent that could not be sent again.
    ///
    /// # Errors
    /// When it is longer, or stops coming.
    pub(super) async fn until_held(&mut self) -> Result<(), Error> {
        let max = self.limits.replay_buffer;
        while self.read().await?.is_some() {
            if self.held_bytes > max {
                return Err(Error::SenderReplay { max });
            }
        }
        Ok(())
    }

    /// The next bytes, also kept; `None` at the end.
    pub(super) async fn read(&mut self) -> Result<Option<&[u8]>, Error> {
        let read = match &mut self.rest {
            None => false,
            // Most messages came with their head: no timer is needed for what is here.
            Some(Incoming::Whole(bytes)) => {
                let bytes = std::mem::take(bytes);
                self.rest = None;
                let some = !bytes.is_empty();
                if some {
                    self.keep(bytes)?;
                }
                some
            }
            Some(_) => self.read_on().await?,
        };
        Ok(self.held.last().filter(|_| read).map(|last| &**last))
    }

    /// Says whether there was more.
    async fn read_on(&mut self) -> Result<bool, Error> {
        let Some(rest) = &mut self.rest else {
            return Ok(false);
        };
        let idle = self.limits.body_idle_timeout;
        loop {
            let frame =
                timeout(idle, rest.frame())
                    .await
                    .map_err(|_elapsed| Error::SenderIdle {
                        after: idle,
                        bytes: self.held_bytes,
                    })?;
            let Some(frame) = frame else {
                self.rest = None;
                return Ok(false);
            };
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "caller's body broke off");
                Error::SenderBroke {
                    bytes: self.held_bytes,
                }
            })?;
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    // With a known length the end is known with the last byte.
                    if rest.is_end_stream() {
                        self.rest = None;
                    }
                    self.keep(data)?;
                    return Ok(true);
                }
                Err(other) => {
                    self.trailers = other.into_trailers().ok().or_else(|| self.trailers.take());
                }
            }
        }
    }

    fn keep(&mut self, data: Bytes) -> Result<(), Error> {
        self.held_bytes += data.len() as u64;
        if self.held_bytes > self.message_max() {
            return Err(Error::SenderTooLarge {
                max: self.message_max(),
            });
        }
        if self.held_bytes > self.limits.buffered_body {
            return Err(Error::SenderBuffer {
                max: self.limits.buffered_body,
            });
        }
        self.held.push(data);
        Ok(())
    }

    fn message_max(&self) -> u64 {
        self.limits.message_bytes.unwrap_or(u64::MAX)
    }

    /// All bytes read so far.
    pub(super) fn whole(&mut self) -> Bytes {
        self.join();
        self.held.first().cloned().unwrap_or_default()
    }

    fn join(&mut self) {
        if self.held.len() > 1 {
            self.held = smallvec![self.held.concat().into()];
        }
    }

    /// Takes the message out, all of it read.
    pub(super) fn take_whole(&mut self) -> Bytes {
        self.join();
        self.held.pop().unwrap_or_default()
    }

    /// Takes the message out, as a body with a lane for each delivery; `replayable` says which of them
    /// may have to be sent again.
    pub(super) fn take_replay(
        &mut self,
        replayable: &[bool],
        on_overflow: net::OnOverflow,
        budget: Budget,
    ) -> Replay {
        let bounds = Bounds {
            held_max: self.limits.replay_buffer,
            budget,
            on_overflow,
            received_max: self.message_max(),
            idle: self.limits.body_idle_timeout,
        };
        Replay::new(
            std::mem::take(&mut self.held).into_vec(),
            self.rest.take(),
            self.trailers.take(),
            self.length,
            replayable,
            bounds,
        )
    }

    /// What was read so far, chunk by chunk.
    pub(super) fn held(&self) -> &[Bytes] {
        &self.held
    }

    /// What is left unread, for draining after a refusal.
    pub(super) fn take_rest(&mut self) -> Option<Incoming> {
        self.rest.take()
    }
}
