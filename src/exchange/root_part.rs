//! The root part of a multipart message, on its way to the filters.
//!
//! Marries the finder of the root part with the probe: what the one gives the other reads.

use super::error::Error;
use crate::filter::Probe;
use crate::soap::{MediaType, RootFinder};

/// The reading of one multipart message.
#[derive(Debug)]
pub(super) struct RootPart {
    finder: RootFinder,
    /// The part's bytes of the last chunk.
    fresh: Vec<u8>,
    /// All of the part, for expressions that need it at once.
    whole: Vec<u8>,
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
            typed: false,
            finished: false,
        })
    }

    /// The next bytes of the message; the probe sees those of the root part.
    pub(super) fn feed(&mut self, bytes: &[u8], probe: &mut Probe<'_>) -> Result<(), Error> {
        self.fresh.clear();
        self.finder.feed(bytes, &mut self.fresh)?;
        if let (false, Some(kind)) = (self.typed, self.finder.root_type()) {
            // The part's own charset counts, not that of the whole (RFC 2387 §3).
            self.typed = true;
            if let Some(charset) = charset_of(kind) {
                probe.declare_charset(&charset)?;
            }
        }
        probe.feed(&self.fresh)?;
        if probe.needs_whole() {
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
        self.finder.root_offset().unwrap_or(0) + probe.decided_after()
    }

    fn finish_probe(&mut self, probe: &mut Probe<'_>) -> Result<(), Error> {
        if !std::mem::replace(&mut self.finished, true) {
            probe.finish(&self.whole)?;
        }
        Ok(())
    }
}

/// `charset` of a part's type, whatever type that is (`application/xop+xml`, say).
fn charset_of(kind: &str) -> Option<String> {
    let (_, parameters) = kind.split_once(';')?;
    MediaType::parse(&format!("text/xml;{parameters}"))
        .ok()?
        .charset
}
