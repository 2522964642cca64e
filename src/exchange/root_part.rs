//! The root part of a multipart message, on its way to the filters.
//!
//! Marries the finder of the root part with the probe: what the one gives the other reads.

use super::error::Error;
use crate::filter::Probe;
use crate::soap::{MediaType, RootFinder};

/// Bytes looked at at a time until the root part has begun, and while it has to be decoded: then
/// the deciding byte is told to within so many.
const PIECE_BYTES: usize = 64;

/// The reading of one multipart message.
#[derive(Debug)]
pub(super) struct RootPart {
    finder: RootFinder,
    /// The part's bytes of the last piece.
    fresh: Vec<u8>,
    /// All of the part, for whom it must be kept.
    whole: Vec<u8>,
    keeps_whole: bool,
    /// Bytes of the message that were looked at.
    read: u64,
    typed: bool,
    finished: bool,
}

impl RootPart {
    /// For a message of this type.
    ///
    /// # Errors
    /// When it has no boundary.
    pub(super) fn new(media: &MediaType) -> Result<Self, Error> {
        Ok(Self {
            finder: RootFinder::new(media)?,
            fresh: Vec::new(),
            whole: Vec::new(),
            keeps_whole: false,
            read: 0,
            typed: false,
            finished: false,
        })
    }

    /// Keeps all of the part, whether or not an expression needs it.
    pub(super) fn keep_whole(mut self) -> Self {
        self.keeps_whole = true;
        self
    }

    /// The part as far as it was read, where it was kept.
    pub(super) fn whole(&self) -> &[u8] {
        &self.whole
    }

    /// The next bytes of the message; the probe sees those of the root part.
    pub(super) fn feed(&mut self, mut bytes: &[u8], probe: &mut Probe<'_>) -> Result<(), Error> {
        while !bytes.is_empty() && !probe.is_decided() {
            let at_once = self.finder.root_offset().is_some() && self.finder.is_plain();
            let most = if at_once { bytes.len() } else { PIECE_BYTES };
            let (piece, rest) = bytes.split_at(most.min(bytes.len()));
            self.piece(piece, probe)?;
            bytes = rest;
        }
        if self.keeps_whole {
            self.keep_rest(bytes);
        }
        Ok(())
    }

    /// Behind the deciding byte nothing is refused any more.
    fn keep_rest(&mut self, bytes: &[u8]) {
        self.fresh.clear();
        if self.finder.feed(bytes, &mut self.fresh).is_ok() {
            self.whole.extend_from_slice(&self.fresh);
        }
    }

    fn piece(&mut self, bytes: &[u8], probe: &mut Probe<'_>) -> Result<(), Error> {
        self.fresh.clear();
        self.finder.feed(bytes, &mut self.fresh)?;
        self.read += bytes.len() as u64;
        if let (false, Some(kind)) = (self.typed, self.finder.root_type()) {
            // The part's own charset counts, not that of the whole (RFC 2387 §3).
            self.typed = true;
            if let Some(charset) = charset_of(kind) {
                probe.declare_charset(&charset)?;
            }
        }
        probe.feed(&self.fresh)?;
        if self.keeps_whole || probe.needs_whole() {
            self.whole.extend_from_slice(&self.fresh);
        }
        if self.finder.is_done() && !probe.is_decided() {
            self.finish_probe(probe)?;
        }
        Ok(())
    }

    /// The message is over.
    pub(super) fn finish(&mut self, probe: &mut Probe<'_>) -> Result<(), Error> {
        self.finder.finish()?;
        self.finish_probe(probe)
    }

    /// Offset in the message at which the decision fell.
    pub(super) fn decided_after(&self, probe: &Probe<'_>) -> u64 {
        match self.finder.root_offset() {
            Some(offset) if self.finder.is_plain() => offset + probe.decided_after(),
            _ => self.read,
        }
    }

    fn finish_probe(&mut self, probe: &mut Probe<'_>) -> Result<(), Error> {
        if !std::mem::replace(&mut self.finished, true) {
            probe.finish(&self.whole)?;
        }
        Ok(())
    }
}

/// `charset` of a part's type, whatever type that is (`application/xop+xml`, say).
pub(super) fn charset_of(kind: &str) -> Option<String> {
    let (_, parameters) = kind.split_once(';')?;
    MediaType::parse(&format!("text/xml;{parameters}"))
        .ok()?
        .charset
}
