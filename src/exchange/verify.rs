//! `verify: full`: a message is checked to its end while it passes.
//!
//! Reads the message a second time from the start, since the pass that decided stopped at the
//! deciding byte; at scanning speed that costs less than keeping the first pass alive.

use std::cell::RefCell;

use bytes::Bytes;

use super::error::Error;
use super::root_part::charset_of;
use crate::filter::ReadError;
use crate::net::Inspect;
use crate::soap::{MediaKind, MediaType, RootFinder};
use crate::xml::{Limits, Scanner, Unconcerned};

/// The check.
pub(super) struct Verifier {
    /// Made where none was spare.
    scanner: Option<Scanner>,
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

/// Scanners that a thread keeps for its next messages, since they remember what messages look like.
const SPARE_MAX: usize = 4;

thread_local! {
    static SPARE: RefCell<Vec<Scanner>> = const { RefCell::new(Vec::new()) };
}

impl Verifier {
    /// A check of a message of this type of which these bytes were read.
    pub(super) fn new(limits: Limits, media: &MediaType, read: &[Bytes]) -> Self {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
        let mut verifier = Self {
            scanner: spare.ok().flatten(),
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
        let scanner = self.scanner.get_or_insert_default();
        Ok(scanner
            .begin(&self.limits, charset, 0)
            .map_err(ReadError::from)?)
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let scanner = self.scanner.get_or_insert_default();
        let Some(part) = &mut self.part else {
            scanner
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
            let begun = scanner.begin(&self.limits, charset.as_deref(), 0);
            begun.map_err(ReadError::from)?;
        }
        let fed = scanner.feed(&part.fresh, &mut Unconcerned);
        fed.map_err(ReadError::from)?;
        if part.finder.is_done() {
            part.over = true;
            scanner.finish(&mut Unconcerned).map_err(ReadError::from)?;
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
                .get_or_insert_default()
                .finish(&mut Unconcerned)
                .map_err(ReadError::from)?,
        }
        Ok(())
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        let Some(scanner) = self.scanner.take() else {
            return;
        };
        // The thread may be ending, and its spares gone.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(scanner);
            }
        });
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
