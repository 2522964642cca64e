//! The scanner's intake: finds out the encoding and brings every chunk to UTF-8.
//!
//! Byte order mark, first bytes, transport and XML declaration decide, in this order (XML 1.0
//! appendix F, RFC 7303 §3). Leaves the reading of tokens to `tokens.rs`.

use super::decode::{self, Charset, Decoder};
use super::error::{Error, ErrorKind};
use super::scanner::{Fed, Place, Scanner, Step};
use super::sink::Sink;

/// Bytes of another encoding that are decoded at a time.
const PIECE: usize = 512;

/// How input bytes become UTF-8, and where they stood.
#[derive(Debug, Default)]
pub(super) struct Input {
    charset: Option<Charset>,
    from_transport: bool,
    /// UTF-16 was declared, its byte order is still to be seen.
    wide: bool,
    /// The first bytes, until there are four.
    first: Vec<u8>,
    decoder: Decoder,
    decoded: Vec<u8>,
    /// A stop left decoded bytes in the carry that nobody has read.
    unread: bool,
    /// The last XML declaration that was accepted and named UTF-8 or no encoding.
    pub(super) plain_declaration: Vec<u8>,
    /// Length of the byte order mark, in bytes as received.
    pub(super) mark: u64,
    /// What was decoded and not left behind yet: offsets are counted over it.
    history: Vec<u8>,
    history_base: u64,
    history_source: u64,
    told_source: u64,
}

impl Input {
    pub(super) fn begin(&mut self, charset: Option<&str>) -> Result<(), Error> {
        self.first.clear();
        self.unread = false;
        self.decoder.reset();
        self.history.clear();
        (
            self.history_base,
            self.history_source,
            self.told_source,
            self.mark,
        ) = (0, 0, 0, 0);
        self.wide = false;
        self.charset = None;
        self.from_transport = charset.is_some();
        if let Some(label) = charset {
            match decode::by_label(label).map_err(|kind| Error::new(kind, 0))? {
                Some(charset) => self.charset = Some(charset),
                None => self.wide = true,
            }
        }
        Ok(())
    }

    /// Whether nothing came yet and UTF-8 is expected.
    pub(super) fn awaits_utf8(&self) -> bool {
        self.charset() == Charset::Utf8 && !self.wide && self.first.is_empty()
    }

    /// Whether what comes is UTF-8, without a mark before it, and all that came was read.
    pub(super) fn is_plain(&self) -> bool {
        self.charset() == Charset::Utf8 && self.mark == 0 && !self.unread
    }

    fn charset(&self) -> Charset {
        self.charset.unwrap_or(Charset::Utf8)
    }

    /// The encoding the first bytes show, and the length of the byte order mark.
    fn sniff(&self, first: &[u8]) -> Result<(Charset, usize), Box<Error>> {
        Ok(match first {
            [0xFF, 0xFE, ..] => (Charset::Utf16Le, 2),
            [0xFE, 0xFF, ..] => (Charset::Utf16Be, 2),
            [0xEF, 0xBB, 0xBF, ..] => (Charset::Utf8, 3),
            [b'<', 0, ..] if self.charset.is_none() => (Charset::Utf16Le, 0),
            [0, b'<', ..] if self.charset.is_none() => (Charset::Utf16Be, 0),
            _ if self.wide => {
                let what = "declared as UTF-16, but it does not begin as UTF-16 does".into();
                return Err(Box::new(Error::new(ErrorKind::Encoding(what), 0)));
            }
            _ => (self.charset(), 0),
        })
    }

    /// Offset as received of an offset in the UTF-8 form.
    pub(super) fn source(&self, offset: u64) -> u64 {
        let charset = self.charset();
        if charset == Charset::Utf8 {
            return offset;
        }
        let Some(within) = offset.checked_sub(self.history_base) else {
            return self.told_source;
        };
        let known = self.history.get(..within as usize).unwrap_or(&self.history);
        self.history_source + source_bytes(charset, known)
    }

    /// Forgets what lies before `base`, keeping the answer for `told`.
    fn leave_behind(&mut self, base: u64, told: u64) {
        if told >= self.history_base {
            self.told_source = self.source(told);
        }
        let passed = (base.saturating_sub(self.history_base) as usize).min(self.history.len());
        if passed > 0 {
            self.history_source = self.source(base);
            self.history_base = base;
            self.history.drain(..passed);
        }
    }
}

impl Scanner {
    /// Ends the document: it must have been complete.
    ///
    /// # Errors
    /// When it was cut, or what was held back is wrong.
    pub fn finish<S: Sink>(&mut self, sink: &mut S) -> Result<(), Error> {
        self.end(sink).map_err(|error| *error)
    }

    fn end<S: Sink>(&mut self, sink: &mut S) -> Result<(), Box<Error>> {
        if self.place == Place::Start {
            let first = std::mem::take(&mut self.input.first);
            self.start(&first, sink)?;
            self.input.first = first;
        }
        self.ending = true;
        // Nobody can feed more, so a stop is passed over.
        while self.scan_carry(sink)? {}
        let offset = self.input.source(self.base + self.carry.len() as u64);
        if self.input.decoder.held() > 0 {
            let what = "the last character is cut".into();
            return Err(Box::new(Error::new(ErrorKind::Encoding(what), offset)));
        }
        if self.place == Place::Epilog && self.carry.is_empty() && self.at_markup() {
            return Ok(());
        }
        Err(Box::new(Error::new(ErrorKind::Truncated, offset)))
    }

    /// Reads what the carry holds; true if the sink stopped with some of it unread.
    fn scan_carry<S: Sink>(&mut self, sink: &mut S) -> Result<bool, Box<Error>> {
        if self.carry.is_empty() {
            self.input.unread = false;
            return Ok(false);
        }
        let carry = std::mem::take(&mut self.carry);
        let scanned = self.scan(&carry, sink);
        self.carry = carry;
        let (read, stopped) = scanned?;
        self.carry.drain(..read);
        self.input.unread = stopped;
        Ok(stopped)
    }

    pub(super) fn feed_any<S: Sink>(
        &mut self,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<Fed, Box<Error>> {
        if self.place != Place::Start {
            return self.feed_decoding(bytes, sink);
        }
        // The first four bytes decide the encoding; they are read together however they were cut.
        if self.input.first.is_empty() && bytes.len() >= 4 {
            return self.start(bytes, sink);
        }
        let missing = 4_usize
            .saturating_sub(self.input.first.len())
            .min(bytes.len());
        let (head, rest) = bytes.split_at(missing);
        self.input.first.extend_from_slice(head);
        if self.input.first.len() < 4 {
            return Ok(Fed::More);
        }
        let first = std::mem::take(&mut self.input.first);
        let fed = self.start(&first, sink)?;
        if let Fed::Stopped(taken) = fed {
            // Behind a root as short as `<r>` a byte of the four is unread.
            self.carry
                .extend_from_slice(first.get(taken..).unwrap_or(&[]));
        }
        self.input.first = first;
        self.input.first.clear();
        if matches!(fed, Fed::Stopped(_)) {
            return Ok(Fed::Stopped(missing));
        }
        Ok(behind(missing, self.feed_decoding(rest, sink)?))
    }

    fn start<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<Fed, Box<Error>> {
        let (charset, mark) = self.input.sniff(bytes)?;
        self.input.charset = Some(charset);
        self.place = Place::Prolog;
        self.base = mark as u64;
        self.input.mark = mark as u64;
        self.input.history_base = mark as u64;
        self.input.history_source = mark as u64;
        Ok(behind(
            mark,
            self.feed_decoding(bytes.get(mark..).unwrap_or(&[]), sink)?,
        ))
    }

    fn feed_decoding<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<Fed, Box<Error>> {
        if self.input.charset() != Charset::Utf8 {
            return self.feed_foreign(bytes, sink);
        }
        let fed = self.feed_utf8(bytes, sink)?;
        let Fed::Stopped(taken) = fed else {
            return Ok(fed);
        };
        if self.input.charset() == Charset::Utf8 {
            return Ok(fed);
        }
        // The XML declaration named another set: the rest is read in it.
        self.input.history_base = self.base;
        self.input.history_source = self.base;
        Ok(behind(
            taken,
            self.feed_foreign(bytes.get(taken..).unwrap_or(&[]), sink)?,
        ))
    }

    fn feed_foreign<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<Fed, Box<Error>> {
        // What a stop left unread comes first.
        if self.input.unread && self.scan_carry(sink)? {
            return Ok(Fed::Stopped(0));
        }
        let charset = self.input.charset();
        let mut taken = 0;
        for piece in bytes.chunks(PIECE) {
            self.input.leave_behind(self.base, self.told);
            let mut decoded = std::mem::take(&mut self.input.decoded);
            decoded.clear();
            let result = self.input.decoder.decode(charset, piece, &mut decoded);
            self.input.history.extend_from_slice(&decoded);
            let fed = self.feed_utf8(&decoded, sink);
            if let Ok(Fed::Stopped(read)) = fed {
                // What was decoded and not read yet waits in the carry.
                self.carry
                    .extend_from_slice(decoded.get(read..).unwrap_or(&[]));
                self.input.unread = true;
            }
            self.input.decoded = decoded;
            taken += piece.len();
            if let Fed::Stopped(_) = fed? {
                return Ok(Fed::Stopped(taken));
            }
            if result.is_err() && !self.carry.is_empty() {
                // What stands before the wrong character may be wrong itself, and is told first.
                self.ending = true;
                let carry = std::mem::take(&mut self.carry);
                let scanned = self.scan(&carry, sink);
                self.carry = carry;
                let (read, _) = scanned?;
                self.carry.drain(..read);
            }
            result.map_err(|kind| {
                Box::new(Error::new(
                    kind,
                    self.input.source(self.base + self.carry.len() as u64),
                ))
            })?;
        }
        Ok(Fed::More)
    }

    /// Takes the encoding that the XML declaration names; `Stop` hands the rest to the decoder.
    pub(super) fn declared_encoding(
        &mut self,
        label: &str,
        at: usize,
        next: usize,
    ) -> Result<Step, Box<Error>> {
        let named = decode::by_label(label).map_err(|kind| self.error(kind, at))?;
        if self.input.from_transport || self.input.charset() != Charset::Utf8 || self.input.mark > 0
        {
            // The transport or the byte order mark has said it already, and they come first.
            return Ok(Step::Next(next));
        }
        match named {
            Some(charset @ Charset::Single(_)) => {
                self.input.charset = Some(charset);
                self.input.history_base = u64::MAX;
                self.input.told_source = self.base + at as u64;
                Ok(Step::Stop(next))
            }
            Some(Charset::Utf8) => Ok(Step::Next(next)),
            _ => {
                let what = "the XML declaration says UTF-16, but the bytes are not".into();
                Err(self.error(ErrorKind::Encoding(what), at))
            }
        }
    }
}

fn behind(taken: usize, fed: Fed) -> Fed {
    match fed {
        Fed::Stopped(more) => Fed::Stopped(taken + more),
        Fed::More => Fed::More,
    }
}

fn source_bytes(charset: Charset, text: &[u8]) -> u64 {
    let chars = text.utf8_chunks().flat_map(|chunk| chunk.valid().chars());
    chars.map(|c| decode::source_len(charset, c)).sum()
}
