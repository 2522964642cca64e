//! Start tags with declarations that were seen before, byte for byte.
//!
//! A service's envelopes begin alike; such a tag need not be read again. **Invariant:** a tag is only
//! kept when its scope is, and all are forgotten when scopes are.

use super::key::NameKey;
use super::scope::{NameRef, ScopeId};
use super::sink::Record;
use super::tag::Read;
use super::trace::ElementId;

/// Tags that are kept: envelope, body content, and the two of another client.
const KNOWN_MAX: usize = 4;
/// So many new tags are seen before one is replaced: a message of many must not cost copies.
const REPLACED_EVERY: u32 = 256;
/// Longest tag that is kept.
const BYTES_MAX: usize = 1 << 10;

/// A tag and what reading it gave.
#[derive(Debug, Default)]
pub(super) struct Known {
    bytes: Vec<u8>,
    depth: usize,
    outer: ScopeId,
    pub(super) name: NameRef,
    pub(super) key: NameKey,
    pub(super) scope: ScopeId,
    pub(super) records: Vec<Record>,
    name_end: usize,
    pub(super) close: usize,
    empty: bool,
    /// Which element of the traces a root is, and since when these are what they are.
    element: ElementId,
    traces_since: u64,
}

/// The tags that are kept.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    all: Vec<Known>,
    next: usize,
    misses: u32,
    /// Depths at which there is one, as bits.
    depths: u64,
}

impl Known {
    pub(super) fn read(&self, at: usize) -> Read {
        Read {
            name_end: at + self.name_end,
            close: at + self.close,
            empty: self.empty,
            declares: true,
        }
    }
}

impl Remembered {
    pub(super) fn forget(&mut self) {
        self.all.clear();
        self.depths = 0;
    }

    /// Whether a tag at this depth may be known.
    #[inline(always)]
    pub(super) fn waits_at(&self, depth: usize) -> bool {
        self.depths >> depth.min(63) & 1 == 1
    }

    /// The known tag that stands at `at`, and its number.
    #[inline]
    pub(super) fn find(
        &self,
        buf: &[u8],
        at: usize,
        depth: usize,
        outer: ScopeId,
    ) -> Option<(usize, &Known)> {
        let rest = buf.get(at..)?;
        self.all.iter().enumerate().find(|(_, known)| {
            known.depth == depth && known.outer == outer && rest.starts_with(&known.bytes)
        })
    }

    /// Which element of the traces a root is, if that is known of the traces since then; else 0.
    #[inline(always)]
    pub(super) fn element(&self, number: usize, traces_since: u64) -> ElementId {
        let known = self.all.get(number);
        let known = known.filter(|known| known.traces_since == traces_since);
        known.map_or(0, |known| known.element)
    }

    /// Keeps which element of the traces, which are what they are since then, a root is.
    pub(super) fn place(&mut self, number: usize, element: ElementId, traces_since: u64) {
        if let Some(known) = self.all.get_mut(number) {
            (known.element, known.traces_since) = (element, traces_since);
        }
    }

    /// Keeps a tag while there is room; later one now and then, in the place of the oldest.
    pub(super) fn keep(
        &mut self,
        tag: &[u8],
        depth: usize,
        outer: ScopeId,
        read: (&Read, usize),
        what: What<'_>,
    ) {
        if tag.len() > BYTES_MAX || depth >= 63 {
            return;
        }
        self.misses = self.misses.wrapping_add(1);
        if self.all.len() < KNOWN_MAX {
            self.all.push(Known::default());
            self.next = self.all.len() - 1;
        } else if self.misses.is_multiple_of(REPLACED_EVERY) {
            self.next = (self.next + 1) % KNOWN_MAX;
        } else {
            return;
        }
        let Some(known) = self.all.get_mut(self.next) else {
            return;
        };
        known.bytes.clear();
        known.bytes.extend_from_slice(tag);
        known.records.clear();
        known.records.extend_from_slice(what.records);
        (known.name, known.key, known.scope) = (what.name, what.key, what.scope);
        (known.depth, known.outer) = (depth, outer);
        (known.element, known.traces_since) = (0, 0);
        (known.name_end, known.close, known.empty) = (
            read.0.name_end - read.1,
            read.0.close - read.1,
            read.0.empty,
        );
        self.depths = self
            .all
            .iter()
            .fold(0, |bits, known| bits | 1 << known.depth);
    }
}

/// What reading a tag gave.
pub(super) struct What<'r> {
    pub(super) name: NameRef,
    pub(super) key: NameKey,
    pub(super) scope: ScopeId,
    pub(super) records: &'r [Record],
}
