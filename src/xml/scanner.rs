//! The push scanner: bytes in, checked and namespaced events out.
//!
//! Sketch: one pass; text is never held, only a tag is, bounded by `tag_bytes_max`. Bytes are checked
//! for UTF-8 and forbidden characters a block at a time, names once per scope (`scope.rs`). This file
//! feeds; `input.rs` brings bytes to UTF-8, `tokens.rs` reads one token, `tag.rs` start and end tags, `text.rs` character data,
//! `skip.rs` passes over what nobody wants.
//!
//! **Invariant:** events and errors are the same however the input was cut (`tests/engine/chunks.rs`).

use std::cell::Cell;

use fearless_simd::Level;

use super::error::{Error, ErrorKind};
use super::find;
use super::input::Input;
use super::key::NameKey;
use super::limits::Limits;
use super::names::Names;
use super::remembered::Remembered;
use super::retrace::Retraced;
use super::scope::{ScopeId, Scopes, Span};
use super::sink::{Record, Sink};
use super::trace::{ElementId, Trace};

/// The first block that is checked ahead of the tokens, which are mostly few: traces check for themselves.
pub(super) const BLOCK_FIRST: usize = 128;
/// Later blocks grow up to this: they stay in the first-level cache until the tokens are read.
const BLOCK: usize = 8 << 10;

/// How `feed` came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// Everything was read; more may come.
    More,
    /// The sink asked to stop; this many of the bytes given were taken. What is fed next must go
    /// on there.
    Stopped(usize),
}

/// Where in the document the scanner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing has been read, not even a byte order mark.
    Start,
    Prolog,
    Content,
    Epilog,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Markup,
    Comment,
    Cdata,
}

/// How one token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Go on at this index.
    Next(usize),
    /// Go on there, but return first.
    Stop(usize),
    /// The token that starts here needs more bytes.
    Incomplete(usize),
}

/// An open element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) key: NameKey,
    /// Where the bytes of a name stand that the key does not hold whole.
    pub(super) name_start: u32,
    pub(super) scope: ScopeId,
    /// The scope's serial number.
    pub(super) serial: u32,
    /// The sink's number for its name, and its class.
    pub(super) symbol: u64,
    pub(super) class: u8,
    /// Which element of the traces it is; 0 if it is not known.
    pub(super) element: ElementId,
    /// Whether the scope begins with this element.
    pub(super) declares: bool,
}

impl Frame {
    /// Of no element.
    pub(super) const NONE: Self = Self {
        key: NameKey::NONE,
        name_start: 0,
        scope: 0,
        serial: 0,
        symbol: 0,
        class: 0,
        element: 0,
        declares: false,
    };
}

/// The scanner; reusable, grows to its working size once.
#[derive(Debug)]
pub struct Scanner {
    pub(super) limits: Limits,
    /// The vectors that the machine has.
    pub(super) level: Level,
    pub(super) scopes: Scopes,
    pub(super) frames: Vec<Frame>,
    /// Names of open elements that their keys do not hold whole.
    pub(super) names: Vec<u8>,
    pub(super) known: Names,
    pub(super) remembered: Remembered,
    pub(super) trace: Trace,
    pub(super) records: Vec<Record>,
    pub(super) values: Vec<u8>,
    pub(super) mode: Mode,
    pub(super) place: Place,
    /// Offset of the first byte of the buffer in hand, in UTF-8 bytes of the document.
    pub(super) base: u64,
    /// Bytes of the buffer that are checked; tokens may not end behind.
    pub(super) checked: usize,
    /// Bytes that were checked ahead of where the sink stopped: what is fed next begins with them.
    ahead: usize,
    /// First byte of the buffer that cannot be read, and why, if it is wrong rather than cut.
    pub(super) stop_at: usize,
    pub(super) wrong: Option<ErrorKind>,
    /// Where in the buffer the last error was.
    error_at: Cell<usize>,
    /// Whether the checked block is free of references, carriage returns and `]]>`.
    pub(super) plain: bool,
    pub(super) block: usize,
    /// Open elements inside a skipped one; the skipped element itself does not count.
    pub(super) skip: Option<u32>,
    /// End of the last token told, for `offset`.
    pub(super) told: u64,
    pub(super) carry: Vec<u8>,
    carry_seen: usize,
    carry_quote: u8,
    pub(super) input: Input,
    /// Nothing more will come.
    pub(super) ending: bool,
    symbols_of: u64,
    /// How often everything that was remembered was forgotten.
    pub(super) forgotten: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner that has seen nothing; call [`Scanner::begin`] before each document.
    pub fn new() -> Self {
        Self {
            limits: Limits::default(),
            level: Level::new(),
            scopes: Scopes::new(),
            frames: Vec::new(),
            names: Vec::new(),
            known: Names::default(),
            remembered: Remembered::default(),
            trace: Trace::default(),
            records: Vec::new(),
            values: Vec::new(),
            mode: Mode::Markup,
            place: Place::Start,
            base: 0,
            checked: 0,
            ahead: 0,
            stop_at: usize::MAX,
            wrong: None,
            error_at: Cell::new(0),
            plain: true,
            block: BLOCK_FIRST,
            skip: None,
            told: 0,
            carry: Vec::new(),
            carry_seen: 0,
            carry_quote: 0,
            input: Input::default(),
            ending: false,
            symbols_of: 0,
            forgotten: 0,
        }
    }

    /// Starts a document. `charset` is what its transport says; `symbols_of` names the meaning of
    /// [`Sink::symbol`]: when it differs from the last document's, remembered symbols are forgotten.
    pub fn begin(
        &mut self,
        limits: &Limits,
        charset: Option<&str>,
        symbols_of: u64,
    ) -> Result<(), Error> {
        if self.symbols_of != symbols_of || self.limits != *limits {
            self.limits = *limits;
            self.symbols_of = symbols_of;
            self.forget();
        } else if self.scopes.is_full() || self.known.is_full() {
            self.forget();
        }
        self.trace.begin();
        self.frames.clear();
        self.names.clear();
        self.mode = Mode::Markup;
        self.place = Place::Start;
        self.base = 0;
        self.skip = None;
        self.block = BLOCK_FIRST;
        self.told = 0;
        self.ahead = 0;
        self.carry.clear();
        self.carry_seen = 0;
        self.carry_quote = 0;
        self.ending = false;
        self.input.begin(charset)
    }

    /// Forgets what was remembered of the messages before.
    fn forget(&mut self) {
        self.scopes.forget();
        self.known.forget();
        self.remembered.forget();
        self.trace.forget();
        self.forgotten += 1;
    }

    /// Reads more of the document.
    ///
    /// # Errors
    /// When the document is not well-formed, is refused, or passes a limit.
    pub fn feed<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<Fed, Error> {
        self.feed_any(bytes, sink).map_err(|error| *error)
    }

    /// Whether the root element is closed.
    pub fn root_closed(&self) -> bool {
        self.place == Place::Epilog
    }

    /// Offset behind the last event told, in bytes as received.
    pub fn offset(&self) -> u64 {
        self.input.source(self.told)
    }

    /// Bytes at the end of what was fed that belong to a token whose end has not come yet: whoever
    /// copies a document while it is scanned keeps them back.
    pub fn held(&self) -> usize {
        self.carry.len()
    }

    /// Open elements.
    #[inline]
    pub fn depth(&self) -> u32 {
        self.frames.len() as u32
    }

    /// Scans UTF-8, completing first what the last chunk left.
    pub(super) fn feed_utf8<S: Sink>(
        &mut self,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<Fed, Box<Error>> {
        let mut taken = 0;
        let mut idle = 0;
        while !self.carry.is_empty() {
            let Some(more) = self.top_up(bytes.get(taken..).unwrap_or(&[]))? else {
                return Ok(Fed::More);
            };
            taken += more;
            let carry = std::mem::take(&mut self.carry);
            let scanned = self.scan(&carry, sink);
            self.carry = carry;
            let (read, stopped) = scanned?;
            self.carry.drain(..read);
            self.carry_seen = 0;
            self.carry_quote = 0;
            if stopped {
                return Ok(Fed::Stopped(taken));
            }
            // Once the search may have to begin anew. Never twice, since both searches for a tag's end
            // agree (`every_short_tag_ends_in_one_place`); were they to differ, this ends the loop.
            idle = if more + read == 0 { idle + 1 } else { 0 };
            if idle > 1 {
                let what = "where this tag ends cannot be told".to_owned();
                return Err(self.error(ErrorKind::NotWellFormed(what), 0));
            }
        }
        let rest = bytes.get(taken..).unwrap_or(&[]);
        let (read, stopped) = self.scan(rest, sink)?;
        if stopped {
            return Ok(Fed::Stopped(taken + read));
        }
        self.carry
            .extend_from_slice(rest.get(read..).unwrap_or(&[]));
        Ok(Fed::More)
    }

    /// Adds to the carry what its token may need: a tag up to its end, anything else a byte.
    ///
    /// The answer is the number of bytes added, or nothing when they did not suffice.
    fn top_up(&mut self, bytes: &[u8]) -> Result<Option<usize>, Box<Error>> {
        let is_tag = self.mode == Mode::Markup
            && self.carry.first() == Some(&b'<')
            && self.carry.get(1).is_some_and(|b| !matches!(b, b'!' | b'?'));
        if !is_tag {
            let Some(&next) = bytes.first() else {
                return Ok(None);
            };
            self.carry.push(next);
            return Ok(Some(1));
        }
        let is_end = self.carry.get(1) == Some(&b'/');
        let before = self.carry.len();
        let room = (self.limits.tag_bytes_max as usize + 2).saturating_sub(before);
        let offered = bytes.get(..room.min(bytes.len())).unwrap_or(&[]);
        self.carry_seen = self.carry_seen.max(1);
        // What the carry holds already was searched when it came, except when it was left by a scan.
        let held_end = if is_end {
            memchr::memchr(b'>', self.carry.get(self.carry_seen..).unwrap_or(&[]))
        } else {
            find::tag_end(&self.carry, self.carry_seen, &mut self.carry_quote)
        };
        if held_end.is_some() {
            return Ok(Some(0));
        }
        self.carry_seen = before;
        let end = if is_end {
            memchr::memchr(b'>', offered)
        } else {
            find::tag_end(offered, 0, &mut self.carry_quote)
        };
        let added = end.map_or(offered.len(), |end| end + 1);
        self.carry
            .extend_from_slice(offered.get(..added).unwrap_or(&[]));
        self.carry_seen = self.carry.len();
        Ok(
            (end.is_some() || self.carry.len() > self.limits.tag_bytes_max as usize)
                .then_some(added),
        )
    }

    /// Scans a buffer; the answer is how many bytes are done with, and whether the sink stopped.
    pub(super) fn scan<S: Sink>(
        &mut self,
        buf: &[u8],
        sink: &mut S,
    ) -> Result<(usize, bool), Box<Error>> {
        self.checked = std::mem::take(&mut self.ahead).min(buf.len());
        self.stop_at = usize::MAX;
        self.wrong = None;
        self.plain |= self.checked == 0;
        self.trace.draft.discard();
        let mut at = 0;
        if self.place == Place::Prolog && self.checked == 0 && self.mode == Mode::Markup {
            match self.known_start(buf, sink)? {
                Some(Step::Stop(next)) => {
                    self.base += next as u64;
                    return Ok((next, true));
                }
                Some(Step::Next(next) | Step::Incomplete(next)) => at = next,
                None => {}
            }
        }
        let stopped = loop {
            if at >= buf.len() {
                break false;
            }
            if at >= self.checked {
                // What is taken by trace need not be checked besides.
                if self.in_content() {
                    match self.retrace(buf, &mut at, sink) {
                        Retraced::Not => {}
                        Retraced::Some => continue,
                        Retraced::Stop => break true,
                        Retraced::Skip => {
                            self.skip = Some(0);
                            continue;
                        }
                    }
                }
                self.plain = true;
                self.check(buf, at + 1);
                if at >= self.stop_at {
                    self.refuse_wrong(at)?;
                    break false;
                }
            }
            if self.in_content() {
                match self.common_content(buf, at, sink)? {
                    Step::Stop(next) => {
                        at = next;
                        self.draft_rest(buf, at);
                        break true;
                    }
                    Step::Next(next) | Step::Incomplete(next) => at = next,
                }
                if at >= self.checked {
                    continue;
                }
                if self.trace.draft.is_active() && self.is_cut(buf, at) {
                    // A draft goes on where only the block ended.
                    self.check(buf, self.checked + 1);
                    continue;
                }
            }
            // What is passed over may be part of a draft.
            if self.skip.is_none() || !self.trace.draft.passes_over() {
                if self.trace.draft.is_active() {
                    self.draft_rest(buf, at);
                }
                self.trace.lose();
            }
            let step = match self.token(buf, at, sink) {
                Err(error) => self.first_of(buf, at, error)?,
                Ok(step) => step,
            };
            match step {
                Step::Next(next) => at = next,
                Step::Stop(next) => {
                    at = next;
                    break true;
                }
                Step::Incomplete(next) => {
                    at = next;
                    if self.checked < buf.len().min(self.stop_at) {
                        // Only the block was too short.
                        self.check(buf, self.checked + 1);
                        continue;
                    }
                    if !self.awaits_tag(buf, at) {
                        self.refuse_wrong(at)?;
                    }
                    break false;
                }
            }
        };
        if stopped && self.stop_at == usize::MAX {
            self.ahead = self.checked.saturating_sub(at);
        }
        self.base += at as u64;
        Ok((at, stopped))
    }

    /// Whether a tag or text comes next, inside the root and wanted.
    #[inline(always)]
    fn in_content(&self) -> bool {
        self.mode == Mode::Markup && self.place == Place::Content && self.skip.is_none()
    }

    /// Whether what begins here may only be cut by the end of the block.
    fn is_cut(&self, buf: &[u8], at: usize) -> bool {
        self.checked - at < BLOCK_FIRST && self.checked < buf.len().min(self.stop_at)
    }

    /// Whether a tag begins here whose end may still come. A wrong byte in it waits for that end: what
    /// is wrong with the tag itself may stand before it, and is only known when the tag is whole.
    fn awaits_tag(&self, buf: &[u8], at: usize) -> bool {
        if self.ending || self.wrong.is_none() || self.mode != Mode::Markup {
            return false;
        }
        match buf.get(at..) {
            Some([b'<', b'!' | b'?', ..]) => false,
            Some(rest @ [b'<', b'/', ..]) => memchr::memchr(b'>', rest).is_none(),
            Some(rest @ [b'<', _, ..]) => find::tag_end(rest, 1, &mut 0).is_none(),
            _ => false,
        }
    }

    /// Refuses the bytes that ended the checked part, if they are wrong rather than cut.
    fn refuse_wrong(&mut self, at: usize) -> Result<(), Box<Error>> {
        match self.wrong.take() {
            Some(kind) => Err(self.error(kind, self.stop_at.max(at))),
            None => Ok(()),
        }
    }

    /// A wrong byte that stands before a wrong token is what is told, since in smaller pieces it
    /// would have been met first.
    /// Where the error is at a character whose rest has not come, that is waited for.
    #[cold]
    fn first_of(
        &mut self,
        buf: &[u8],
        token: usize,
        error: Box<Error>,
    ) -> Result<Step, Box<Error>> {
        let at = self.error_at.get();
        self.check(buf, at.saturating_add(1));
        match self.wrong.take() {
            Some(kind) if self.stop_at <= at => Err(self.error(kind, self.stop_at)),
            None if self.stop_at <= at && !self.ending => Ok(Step::Incomplete(token)),
            _ => Err(error),
        }
    }

    /// Checks blocks until `upto` bytes are known to be good, or the bad byte is known.
    #[inline]
    pub(super) fn check(&mut self, buf: &[u8], upto: usize) {
        while self.checked < upto.min(buf.len()) && self.stop_at == usize::MAX {
            self.check_block(buf, upto);
        }
    }

    fn check_block(&mut self, buf: &[u8], upto: usize) {
        let start = self.checked;
        let mut end = buf.len().min(upto.max(start + self.block));
        self.block = (self.block * 2).min(BLOCK);
        let Some(block) = buf.get(start..end) else {
            return;
        };
        let survey = find::survey(block);
        if survey.non_ascii
            && let Err(error) = std::str::from_utf8(block)
        {
            let good = start + error.valid_up_to();
            if error.error_len().is_some() || (end == buf.len() && good + 4 <= end) {
                self.wrong = Some(ErrorKind::Encoding("a byte is not UTF-8".into()));
                self.stop_at = good;
            } else if end == buf.len() {
                self.stop_at = good;
            }
            end = good;
        }
        let block = buf.get(start..end).unwrap_or(&[]);
        let suspicious = survey.control || survey.non_ascii;
        if suspicious && let Some(bad) = super::chars::find_forbidden(block) {
            let byte = block.get(bad).copied().unwrap_or(0);
            let what = if byte < 0x20 {
                format!("U+{byte:04X}")
            } else {
                "U+FFFE or U+FFFF".into()
            };
            self.wrong = Some(ErrorKind::NotWellFormed(format!(
                "the character {what} is not allowed in XML"
            )));
            end = start + bad;
            self.stop_at = end;
        }
        // A `]]>` may have begun in the block before and end with the first byte of this one.
        let before = start.checked_sub(1).and_then(|last| buf.get(last));
        let special = survey.special || before == Some(&b']');
        self.plain = self.plain
            && (!special || is_plain(buf.get(start.saturating_sub(2)..end).unwrap_or(&[])));
        self.checked = end;
    }

    /// The bytes that may be read now.
    #[inline]
    pub(super) fn ready<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        buf.get(..self.checked.min(self.stop_at)).unwrap_or(buf)
    }

    #[cold]
    pub(super) fn error(&self, kind: ErrorKind, at: usize) -> Box<Error> {
        self.error_at.set(at);
        Box::new(Error::new(kind, self.input.source(self.base + at as u64)))
    }

    #[cold]
    pub(super) fn malformed(&self, what: impl Into<String>, at: usize) -> Box<Error> {
        self.error(ErrorKind::NotWellFormed(what.into()), at)
    }

    #[cold]
    pub(super) fn limit(&self, name: &'static str, max: u32, at: usize) -> Box<Error> {
        self.error(
            ErrorKind::Limit {
                name,
                max: u64::from(max),
            },
            at,
        )
    }
}

/// A span of a tag, from indexes in the buffer.
pub(super) fn span(from: usize, start: usize, end: usize) -> Span {
    Span {
        start: (start - from) as u32,
        end: (end - from) as u32,
    }
}

fn is_plain(block: &[u8]) -> bool {
    memchr::memchr2(b'&', b'\r', block).is_none() && memchr::memmem::find(block, b"]]>").is_none()
}
