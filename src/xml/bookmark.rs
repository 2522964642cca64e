//! A place behind the head of a document, at which another that begins with the same bytes can be taken up.
//!
//! **Invariant:** behind [`Scanner::resume`] everything is told that would be told had the head been read.

use super::scanner::{Frame, Mode, Place, Scanner};
use super::sink::Sink;

/// Deepest place that is marked.
const DEPTH_MAX: usize = 8;

/// Where a scanner stood.
#[derive(Debug)]
pub struct Bookmark {
    frames: Vec<Frame>,
    names: Vec<u8>,
    base: u64,
    /// How often the scanner and its traces had forgotten everything: what was numbered before means nothing.
    forgotten: u64,
    traces_since: u64,
}

impl Scanner {
    /// The place behind what was read of a document in UTF-8, if it is one between tags inside the root, is not
    /// deep, and will mean the same in another document. `sink` is the one that reads on there.
    pub fn bookmark<S: Sink>(&mut self, sink: &mut S) -> Option<Bookmark> {
        let between = self.mode == Mode::Markup
            && self.place == Place::Content
            && self.skip.is_none()
            && self.held() == 0
            && self.input.is_plain();
        let lasting = self.frames.iter().all(|f| self.scopes.lasts(f.scope));
        if !between || !lasting || self.frames.len() > DEPTH_MAX {
            return None;
        }
        if sink.traces() && self.knows_notes(sink) {
            self.identify(sink);
        }
        Some(Bookmark {
            frames: self.frames.clone(),
            names: self.names.clone(),
            base: self.base,
            forgotten: self.forgotten,
            traces_since: self.trace.since(),
        })
    }

    /// Goes to such a place in a document that begins as the one did in which it was marked, of which nothing was
    /// fed yet: what is fed next must be what follows. Nothing has happened when the answer is false.
    pub fn resume(&mut self, mark: &Bookmark) -> bool {
        let same = mark.forgotten == self.forgotten;
        if self.place != Place::Start || !self.input.awaits_utf8() || !same {
            return false;
        }
        self.frames.clone_from(&mark.frames);
        if mark.traces_since != self.trace.since() {
            self.forget_elements();
        }
        self.names.clone_from(&mark.names);
        self.place = Place::Content;
        (self.base, self.told) = (mark.base, mark.base);
        true
    }
}
