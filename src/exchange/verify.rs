//! `verify: full`: a message is checked to its end while it passes.
//!
//! Reads the message a second time from the start, since the pass that decided stopped at the
//! deciding byte; at scanning speed that costs less than keeping the first pass alive.

use bytes::Bytes;

use crate::filter::ReadError;
use crate::net::Inspect;
use crate::xml::{EndTag, Error, Flow, Limits, Scanner, Sink, Tag};

/// The check.
pub(super) struct Verifier {
    scanner: Scanner,
    /// What was wrong before the first byte of the rest.
    failed: Option<Error>,
}

/// Looks at nothing: what the scanner checks by itself is what is asked.
struct Unconcerned;

impl Verifier {
    /// A check that has read these bytes, in the charset that HTTP states.
    pub(super) fn new(limits: Limits, charset: Option<&str>, read: &[Bytes]) -> Self {
        let mut verifier = Self {
            scanner: Scanner::new(),
            failed: None,
        };
        let begun = verifier.scanner.begin(&limits, charset, 0);
        verifier.failed = begun.err();
        for chunk in read {
            if verifier.failed.is_none() {
                verifier.failed = verifier.scanner.feed(chunk, &mut Unconcerned).err();
            }
        }
        verifier
    }

    /// The message is over.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        match self.failed.take() {
            Some(failed) => Err(failed),
            None => self.scanner.finish(&mut Unconcerned),
        }
    }
}

impl Inspect for Verifier {
    fn next(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.failed.take() {
            Some(failed) => Err(said(failed)),
            None => self
                .scanner
                .feed(bytes, &mut Unconcerned)
                .map(|_| ())
                .map_err(said),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.finish().map_err(said)
    }
}

fn said(error: Error) -> String {
    ReadError::from(error).to_string()
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
