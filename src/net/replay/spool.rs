//! What of a body memory may not hold, in a temporary file.
//!
//! The file has no name from its first moment, so it is gone on every way out, a kill included.
//! Writes and reads go to the page cache and are done in place: handing them to another thread
//! would cost more than they do.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use bytes::Bytes;

use super::budget::{CountedFile, Share};

/// Bytes read back at a time.
const READ_BYTES: u64 = 64 * 1024;

/// The tail of a body, from an offset on.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    start: u64,
    end: u64,
    _counted: CountedFile,
}

impl Spool {
    /// A spool for the bytes from `start` on.
    pub(super) fn create(start: u64, share: &Share) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile()?,
            start,
            end: start,
            _counted: share.file(),
        })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end - self.start))?;
        self.file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Some bytes from this offset on; empty at the end.
    pub(super) fn read(&mut self, offset: u64) -> io::Result<Bytes> {
        let wanted = self.end.saturating_sub(offset).min(READ_BYTES);
        self.file
            .seek(SeekFrom::Start(offset.saturating_sub(self.start)))?;
        let mut bytes = Vec::new();
        (&mut self.file).take(wanted).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    pub(super) const fn len(&self) -> u64 {
        self.end - self.start
    }
}
