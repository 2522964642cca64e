//! Where a bridged message's bytes go: into one buffer, or in pieces that share what came.

use bytes::Bytes;

/// From here on a piece of what came is shared; below, copying costs less than another piece on its
/// way to the wire.
const SHARED_MIN: usize = 16 << 10;

/// Takes a message's bytes in their order.
pub(super) trait Out {
    /// For bytes of the bridge's own.
    fn text(&mut self) -> &mut Vec<u8>;
    /// Bytes as they came.
    fn pass(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    fn text(&mut self) -> &mut Vec<u8> {
        self
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Pieces of a message: long runs of `source` are slices of it.
pub(super) struct Sharing<'a> {
    source: &'a Bytes,
    text: Vec<u8>,
    pieces: &'a mut Vec<Bytes>,
}

impl<'a> Sharing<'a> {
    pub(super) fn new(source: &'a Bytes, pieces: &'a mut Vec<Bytes>) -> Self {
        Self {
            source,
            text: Vec::new(),
            pieces,
        }
    }

    /// Whether this is a part of the source.
    fn holds(&self, bytes: &[u8]) -> bool {
        let (whole, part) = (self.source.as_ptr_range(), bytes.as_ptr_range());
        whole.start <= part.start && part.end <= whole.end
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(std::mem::take(&mut self.text).into());
        }
    }
}

impl Out for Sharing<'_> {
    fn text(&mut self) -> &mut Vec<u8> {
        if self.text.capacity() == 0 {
            // All of a short source, or what stands around a shared run.
            let copied = Some(self.source.len()).filter(|length| *length < SHARED_MIN);
            self.text.reserve(copied.unwrap_or(0) + 1024);
        }
        &mut self.text
    }

    fn pass(&mut self, bytes: &[u8]) {
        if bytes.len() < SHARED_MIN || !self.holds(bytes) {
            self.text().extend_from_slice(bytes);
            return;
        }
        self.flush();
        self.pieces.push(self.source.slice_ref(bytes));
    }
}

impl Drop for Sharing<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_shared_and_short_ones_are_not() {
        let source = Bytes::from(vec![b'x'; 3 * SHARED_MIN]);
        let elsewhere = vec![b'y'; SHARED_MIN];
        let mut pieces = Vec::new();
        let mut out = Sharing::new(&source, &mut pieces);
        out.text().extend_from_slice(b"head");
        out.pass(&source[..10]);
        out.pass(&source[10..10 + SHARED_MIN]);
        out.pass(&elsewhere);
        out.text().extend_from_slice(b"tail");
        drop(out);
        let lengths: Vec<usize> = pieces.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [14, SHARED_MIN, SHARED_MIN + 4]);
        assert_eq!(pieces[1].as_ptr(), source[10..].as_ptr());
        assert_ne!(pieces[2].as_ptr(), elsewhere.as_ptr());
    }
}
