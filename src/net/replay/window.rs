//! The part of a body that somebody may still want.
//!
//! Chunks by offset, in memory up to a bound and, if allowed, in a spool behind it.
//!
//! **Invariant:** every offset from `start` to `end` can be read, and gives the bytes that came.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use super::budget::{Budget, Share};
use super::spool::Spool;

#[derive(Debug)]
pub(super) struct Window {
    chunks: VecDeque<Bytes>,
    /// Offset of the first byte held.
    start: u64,
    /// Bytes in memory.
    held: u64,
    held_max: u64,
    share: Share,
    spool: Option<Spool>,
    /// Bytes that ever went to the spool.
    spilled: u64,
}

/// The window is full; the chunk was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Window {
    /// What was read before: held in any case, because it must be sent at least once.
    pub(super) fn new(read: Vec<Bytes>, held_max: u64, budget: Budget) -> Self {
        let held = read.iter().map(|chunk| chunk.len() as u64).sum();
        let mut share = budget.share();
        share.count(held);
        Self {
            chunks: read.into(),
            start: 0,
            held,
            held_max: held_max.max(held),
            share,
            spool: None,
            spilled: 0,
        }
    }

    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn end(&self) -> u64 {
        self.start + self.held + self.spooled()
    }

    /// Bytes in the spool now.
    fn spooled(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::len)
    }

    /// Bytes that ever went to the spool.
    pub(super) const fn spilled(&self) -> u64 {
        self.spilled
    }

    /// The bytes from this offset on, as many as lie together.
    pub(super) fn read(&mut self, offset: u64) -> io::Result<Option<Bytes>> {
        let mut at = self.start;
        for chunk in &self.chunks {
            let end = at + chunk.len() as u64;
            if offset < end {
                let skip = usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
                return Ok(Some(chunk.slice(skip.min(chunk.len())..)));
            }
            at = end;
        }
        match &mut self.spool {
            Some(spool) if offset < at + spool.len() => spool.read(offset).map(Some),
            _ => Ok(None),
        }
    }

    /// Holds more in memory.
    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), Full> {
        let bytes = chunk.len() as u64;
        if self.spool.is_some() || self.held + bytes > self.held_max || !self.share.take(bytes) {
            return Err(Full);
        }
        self.held += bytes;
        self.share.count(self.held);
        self.chunks.push_back(chunk);
        Ok(())
    }

    /// Passes a chunk through: with nothing held, there is nothing that it could overfill.
    pub(super) fn pass(&mut self, bytes: u64) {
        debug_assert!(
            self.chunks.is_empty() && self.spool.is_none(),
            "nothing may be skipped"
        );
        self.start += bytes;
    }

    /// Holds a chunk although the window is full: its reader has it, others do not.
    pub(super) fn overfill(&mut self, chunk: Bytes) {
        self.held += chunk.len() as u64;
        self.share.count(self.held);
        self.chunks.push_back(chunk);
    }

    /// Whether holding one more byte is not allowed.
    pub(super) const fn is_full(&self) -> bool {
        self.held >= self.held_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.spool.is_none()
    }

    /// Holds more in the spool.
    pub(super) fn spill(&mut self, chunk: &[u8]) -> io::Result<()> {
        let start = self.end();
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(Spool::create(start, &self.share)?),
        };
        spool.append(chunk)?;
        self.spilled += chunk.len() as u64;
        Ok(())
    }

    /// Lets go of what lies before this offset, by whole chunks.
    pub(super) fn forget(&mut self, before: u64) {
        let held = self.held;
        while let Some(first) = self.chunks.front() {
            let bytes = first.len() as u64;
            if self.start + bytes > before {
                break;
            }
            self.start += bytes;
            self.held -= bytes;
            self.share.give(bytes);
            self.chunks.pop_front();
        }
        if self.held < held {
            self.share.count(self.held);
        }
        if before >= self.end() {
            self.start = self.end();
            self.spool = None;
        }
    }

    /// All bytes together, if the whole body is in memory.
    pub(super) fn whole(&self) -> Option<Bytes> {
        if self.start != 0 || self.spool.is_some() {
            return None;
        }
        match self.chunks.len() {
            0 => Some(Bytes::new()),
            1 => self.chunks.front().cloned(),
            _ => {
                let mut bytes = Vec::with_capacity(usize::try_from(self.held).unwrap_or(0));
                self.chunks
                    .iter()
                    .for_each(|chunk| bytes.extend_from_slice(chunk));
                Some(bytes.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn read_all(window: &mut Window, mut offset: u64) -> String {
        let mut text = String::new();
        while let Some(bytes) = window.read(offset).unwrap() {
            offset += bytes.len() as u64;
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        text
    }

    #[test]
    fn holds_spills_and_forgets() {
        let mut window = Window::new(vec![chunk("abc")], 6, Budget::new(100));
        assert_eq!(window.push(chunk("def")), Ok(()));
        assert_eq!(window.push(chunk("g")), Err(Full), "over its own bound");
        window.spill(b"ghi").unwrap();
        window.spill(b"jkl").unwrap();
        assert_eq!(read_all(&mut window, 0), "abcdefghijkl");
        assert_eq!(read_all(&mut window, 4), "efghijkl");
        assert_eq!(read_all(&mut window, 10), "kl");
        assert_eq!((window.end(), window.spooled()), (12, 6));
        window.forget(5);
        assert_eq!(window.start(), 3, "by whole chunks");
        assert_eq!(read_all(&mut window, 5), "fghijkl");
        assert_eq!(window.whole(), None);
    }

    #[test]
    fn pieces_are_put_together_and_one_is_not_copied() {
        let window = |pieces: Vec<Bytes>| Window::new(pieces, 0, Budget::new(0)).whole();
        assert_eq!(window(vec![]).unwrap(), "");
        assert_eq!(window(vec![chunk("ab"), chunk("c")]).unwrap(), "abc");
        let one = Bytes::from(vec![b'x'; 100]);
        assert_eq!(window(vec![one.clone()]).unwrap().as_ptr(), one.as_ptr());
    }

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let budget = Budget::new(4);
        let mut one = Window::new(vec![], 10, budget.clone());
        let mut two = Window::new(vec![], 10, budget);
        assert_eq!(one.push(chunk("abc")), Ok(()));
        assert_eq!(two.push(chunk("de")), Err(Full));
        one.forget(3);
        assert_eq!(two.push(chunk("de")), Ok(()));
        drop(two);
        assert_eq!(one.push(chunk("wxyz")), Ok(()));
    }

    #[test]
    fn what_is_held_and_spooled_is_counted_until_it_is_let_go() {
        let budget = Budget::new(100);
        let mut one = Window::new(vec![chunk("abc")], 6, budget.clone());
        let mut two = Window::new(vec![chunk("wxyz")], 6, budget.clone());
        one.push(chunk("def")).unwrap();
        one.spill(b"ghi").unwrap();
        two.overfill(chunk("12345"));
        assert_eq!((budget.held(), budget.files()), (15, 1));
        one.forget(9);
        assert_eq!((budget.held(), budget.files()), (9, 0));
        assert_eq!((one.spooled(), one.spilled()), (0, 3));
        two.spill(b"6").unwrap();
        drop((one, two));
        assert_eq!((budget.held(), budget.files()), (0, 0));
    }
}
