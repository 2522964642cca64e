//! `verify: full`: a message is checked to its end while it passes.
//!
//! Reads the message a second time from the start, since the pass that decided stopped at the
//! deciding byte; at scanning speed that costs less than keeping the first pass alive.

use bytes::Bytes;

use super::error::Error;
use super::root_part::charset_of;
use crate::filter::ReadError;
use crate::net::Inspect;
use crate::soap::{MediaKind, MediaType, RootFinder};
use crate::xml::{EndTag, Flow, Limits, Scanner, Sink, Tag};

/// The check.
pub(super) struct Verifier {
    scanner: Scanner,
    limits: Limits,
    part: Option<Part>,
    /// What was wrong before the first byte of the rest.
    failed: Option<Error>,
}

/// Of a multipart message the root part is XML, and the parts must be whole.
struct Part {
    finder: RootFinder,
    fresh: Vec<u8>,
    begun: bool,
    over: bool,
}

/// Looks at nothing: what the scanner checks by itself is what is asked.
struct Unconcerned;

impl Verifier {
    /// A check of a message of this type of which these bytes were read.
    pub(super) fn new(limits: Limits, media: &MediaType, read: &[Bytes]) -> Self {
        let mut verifier = Self {
            scanner: Scanner::new(),
            limits,
            part: None,
            failed: None,
        };
        let begun = verifier.begin(media);
        let mut read = read.iter();
        verifier.failed = begun
            .and_then(|()| read.try_for_each(|chunk| verifier.feed(chunk)))
            .err();
        verifier
    }

    fn begin(&mut self, media: &MediaType) -> Result<(), Error> {
        if media.kind == MediaKind::Multipart {
            self.part = Some(Part {
                finder: RootFinder::new(media)?.to_end(),
                fresh: Vec::new(),
                begun: false,
                over: false,
            });
            return Ok(());
        }
        let charset = media.charset.as_deref();
        Ok(self
            .scanner
            .begin(&self.limits, charset, 0)
            .map_err(ReadError::from)?)
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(part) = &mut self.part else {
            self.scanner
                .feed(bytes, &mut Unconcerned)
                .map_err(ReadError::from)?;
            return Ok(());
        };
        part.fresh.clear();
        part.finder.feed(bytes, &mut part.fresh)?;
        if part.over || part.finder.root_offset().is_none() {
            return Ok(());
        }
        if !std::mem::replace(&mut part.begun, true) {
            let charset = part.finder.root_type().and_then(charset_of);
            let begun = self.scanner.begin(&self.limits, charset.as_deref(), 0);
            begun.map_err(ReadError::from)?;
        }
        let fed = self.scanner.feed(&part.fresh, &mut Unconcerned);
        fed.map_err(ReadError::from)?;
        if part.finder.is_done() {
            part.over = true;
            self.scanner
                .finish(&mut Unconcerned)
                .map_err(ReadError::from)?;
        }
        Ok(())
    }

    /// The message is over.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        match &mut self.part {
            Some(part) => part.finder.finish()?,
            None => self
                .scanner
                .finish(&mut Unconcerned)
                .map_err(ReadError::from)?,
        }
        Ok(())
    }
}

impl Inspect for Verifier {
    fn next(&mut self, bytes: &[u8]) -> Result<(), String> {
        let failed = self.failed.take();
        failed
            .map_or_else(|| self.feed(bytes), Err)
            .map_err(|error| error.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        self.finish().map_err(|error| error.to_string())
    }
}

impl Sink for Unconcerned {
    fn symbol(&mut self, _namespace: &str, _local: &str) -> u64 {
        0
    }

    fn start(&mut self, _tag: &Tag<'_>) -> Flow {
        Flow::Continue
    }

    fn wants_text(&self) -> bool {
        false
    }

    fn text(&mut self, _text: &str) {}

    fn comment(&mut self, _text: &str, _last: bool) {}

    fn end(&mut self, _tag: &EndTag<'_>) -> Flow {
        Flow::Continue
    }
}
