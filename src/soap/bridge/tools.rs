//! What bridging a message takes beside its bytes, kept for the next one of the thread: making it
//! anew would cost more than reading 10 KiB.

use std::cell::RefCell;

use super::heads::Heads;
use super::patch::Patch;
use super::rest::Rest;
use super::shape::Shape;
use crate::xml::Scanner;

/// Kept for the next messages of a thread.
const SPARE_MAX: usize = 16;
/// Of tools that a large fault or head has filled nothing is kept.
const KEPT_BYTES_MAX: usize = 128 << 10;

thread_local! {
    // Boxed where they are used; moving them would cost as much as the allocation.
    #[allow(clippy::vec_box)]
    static SPARE: RefCell<Vec<Box<Tools>>> = const { RefCell::new(Vec::new()) };
}

/// A scanner with what its events are read into.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// What they were last used for.
    kind: usize,
    pub(super) scanner: Scanner,
    pub(super) heads: Heads,
    pub(super) shape: Shape,
    pub(super) patch: Patch,
    pub(super) rest: Rest,
}

impl Tools {
    /// Those that a message before has left, or new ones. Messages of one `kind` are alike, and
    /// scanners remember what they saw.
    pub(super) fn take(kind: usize) -> Box<Self> {
        let spare = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            let same = spare.iter().rposition(|tools| tools.kind == kind);
            match same {
                Some(at) => Some(spare.swap_remove(at)),
                None if spare.len() >= SPARE_MAX / 2 => spare.pop(),
                None => None,
            }
        });
        let mut tools: Box<Self> = spare.ok().flatten().unwrap_or_default();
        tools.kind = kind;
        tools
    }

    /// Leaves them to the next message.
    pub(super) fn give_back(mut self: Box<Self>) {
        if self.shape.doc.bytes.capacity() > KEPT_BYTES_MAX {
            return;
        }
        self.shape.clear();
        self.patch.clear();
        self.rest.clear();
        // The thread may be ending, and its spares gone.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(self);
            }
        });
    }
}
