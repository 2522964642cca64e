//! Finds the envelope in a multipart message (MTOM/XOP, SOAP with Attachments).
//!
//! Fed the message as it comes, it gives the root part's bytes as they come: the part that
//! `start` names, else the first (RFC 2387; AP10 R2922). Everything else is passed over; the
//! road sends the message on as it is, boundaries included. Rules S19–S34.
//!
//! **Invariant:** the same bytes come out however the input was cut into chunks, and no more is
//! held than one delimiter's line or one part's headers.

use memchr::memmem::Finder;

use super::media::MediaType;
use super::transfer::{Broken, Decoder};

/// Longest headers of one part, and longest line of a delimiter, bytes (`part_headers`): real
/// ones stay below 1 KiB.
const PART_HEADERS_MAX: usize = 16 * 1024;
/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_MAX: usize = 70;
/// A delimiter at the very start has no line end before it; this, put in front, makes it have
/// one.
pub(super) const FIRST_LINE_END: &[u8] = b"\r\n";

/// Why a multipart message cannot be read. Offsets are bytes from the message's start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The type has no usable boundary.
    #[error(
        "the Content-Type of the multipart message has no `boundary`, or one longer than {BOUNDARY_MAX} characters"
    )]
    Boundary,
    /// A part's headers are too long.
    #[error(
        "the headers of a part are longer than {PART_HEADERS_MAX} bytes (limit `part_headers`, at byte {offset})"
    )]
    Headers {
        /// Where the headers, or the delimiter before them, begin.
        offset: u64,
    },
    /// The message is over, but the root part never came.
    #[error("the multipart message has no root part{} up to its end at byte {offset}", named(start.as_deref()))]
    NoRoot {
        /// The part that was looked for.
        start: Option<String>,
        /// Where the message, or its last part, ends.
        offset: u64,
    },
    /// Two parts call themselves the root part: nobody could say which one is meant.
    #[error("the multipart message has a second part{} (at byte {offset})", named(Some(start.as_str())))]
    TwoRoots {
        /// What both call themselves.
        start: String,
        /// Where the second one begins.
        offset: u64,
    },
    /// The message ends before its last delimiter.
    #[error(
        "the multipart message ends at byte {offset} without its last delimiter `--{boundary}--`"
    )]
    Truncated {
        /// The boundary.
        boundary: String,
        /// Where it ends.
        offset: u64,
    },
    /// The root part's encoding is unknown or broken.
    #[error("the root part's Content-Transfer-Encoding `{name}` cannot be read (at byte {offset})")]
    Encoding {
        /// The encoding.
        name: String,
        /// Where the piece begins that cannot be read.
        offset: u64,
    },
}

fn named(start: Option<&str>) -> String {
    start.map_or(String::new(), |start| format!(" with Content-ID `{start}`"))
}

/// Takes a multipart message apart: told all its bytes, in order.
pub(super) trait Pieces {
    /// Bytes that are none of the root part: delimiters, other parts, what is around them.
    fn other(&mut self, bytes: &[u8]);
    /// The root part's headers, without the empty line behind them.
    fn root_headers(&mut self, bytes: &[u8]);
    /// Where the root part's content is appended, decoded.
    fn root(&mut self) -> &mut Vec<u8>;
    /// The root part's content is over.
    fn root_end(&mut self);
}

/// Nothing but the root part's content.
impl Pieces for Vec<u8> {
    fn other(&mut self, _bytes: &[u8]) {}

    fn root_headers(&mut self, _bytes: &[u8]) {}

    fn root(&mut self) -> &mut Vec<u8> {
        self
    }

    fn root_end(&mut self) {}
}

/// Where in the message the finder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first delimiter.
    Preamble,
    /// In the headers of a part.
    Headers,
    /// In the content of a part.
    Content { root: bool },
    /// Behind all that is of interest.
    Done,
}

/// The finder.
#[derive(Debug)]
pub struct RootFinder {
    boundary: String,
    /// A line feed and `--boundary`.
    delimiter: Finder<'static>,
    start: Option<String>,
    place: Place,
    /// What could not be told yet.
    held: Vec<u8>,
    /// Offset in the message of the first byte held, the line end in front counted too.
    offset: u64,
    /// Bytes at the front of a part's content that are none of it: the empty line behind the
    /// headers, left there because it may be the line end of a delimiter.
    lead: usize,
    decoder: Decoder,
    root_type: Option<String>,
    root_offset: Option<u64>,
    root_over: bool,
    /// The parts behind the root part are read too, up to the last delimiter.
    to_end: bool,
}

/// What was found in a part's content.
enum Found {
    /// The content ends at `content`, what follows begins at `next`.
    Delimiter {
        content: usize,
        next: usize,
        last: bool,
    },
    /// A delimiter may begin behind `content`.
    Unsure { content: usize },
}

/// What stands behind `--boundary`.
enum Tail {
    /// The rest of a delimiter's line, so long.
    Ends { length: usize, last: bool },
    /// Too little to tell.
    Unsure,
    /// Something else: the line is content.
    Other,
}

impl RootFinder {
    /// For a message of this type.
    ///
    /// # Errors
    /// When it has no boundary.
    pub fn new(media: &MediaType) -> Result<Self, MultipartError> {
        let boundary = media.parameter("boundary").unwrap_or("");
        if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
            return Err(MultipartError::Boundary);
        }
        let start = media.parameter("start").map(bare_id);
        Ok(Self {
            boundary: boundary.to_owned(),
            delimiter: Finder::new(&format!("\n--{boundary}")).into_owned(),
            start: start.filter(|start| !start.is_empty()),
            place: Place::Preamble,
            held: FIRST_LINE_END.to_vec(),
            offset: 0,
            lead: 0,
            decoder: Decoder::default(),
            root_type: None,
            root_offset: None,
            root_over: false,
            to_end: false,
        })
    }

    /// Reads on behind the root part, so that [`RootFinder::finish`] knows whether the message
    /// is whole.
    #[must_use]
    pub fn to_end(mut self) -> Self {
        self.to_end = true;
        self
    }

    /// Whether the root part is over.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.root_over
    }

    /// The root part's own `Content-Type`, once its headers were read.
    #[must_use]
    pub fn root_type(&self) -> Option<&str> {
        self.root_type.as_deref()
    }

    /// Offset of the root part's content in the message, once it has begun.
    #[must_use]
    pub const fn root_offset(&self) -> Option<u64> {
        self.root_offset
    }

    /// Whether the root part's bytes stand in the message as they are.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.decoder.is_identity()
    }

    /// Reads on; root part content is appended to `root`.
    ///
    /// # Errors
    /// When the message is not what its type says, or over a limit.
    pub fn feed(&mut self, bytes: &[u8], root: &mut Vec<u8>) -> Result<(), MultipartError> {
        self.take_apart(bytes, root)
    }

    /// Reads on; every byte is told to `pieces`. The first ones are a line end that stands in
    /// front of no message.
    ///
    /// # Errors
    /// As [`RootFinder::feed`].
    pub(super) fn take_apart<P: Pieces>(
        &mut self,
        bytes: &[u8],
        pieces: &mut P,
    ) -> Result<(), MultipartError> {
        if self.place == Place::Done {
            pieces.other(bytes);
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        let used = if held.is_empty() {
            let used = self.read(bytes, pieces)?;
            held.extend_from_slice(bytes.get(used..).unwrap_or_default());
            used
        } else {
            held.extend_from_slice(bytes);
            let used = self.read(&held, pieces)?;
            held.drain(..used);
            used
        };
        self.offset += used as u64;
        self.held = held;
        Ok(())
    }

    /// The message is over.
    ///
    /// # Errors
    /// When it ended before its root part did, or, read to the end, before its last delimiter.
    pub fn finish(&mut self) -> Result<(), MultipartError> {
        self.finish_apart(&mut Vec::new())
    }

    /// The message is over; what was held is told to `pieces`, and a line feed behind it.
    ///
    /// # Errors
    /// As [`RootFinder::finish`].
    pub(super) fn finish_apart<P: Pieces>(&mut self, pieces: &mut P) -> Result<(), MultipartError> {
        let offset = self.place_of(self.held.len());
        // The last delimiter may end with the message instead of with a line.
        match self.take_apart(b"\n", pieces) {
            // Told below, with the place where the message really ends.
            Ok(()) | Err(MultipartError::NoRoot { .. }) => {}
            Err(error) => return Err(error),
        }
        match self.place {
            Place::Done => Ok(()),
            _ if self.root_over || self.place == (Place::Content { root: true }) => {
                Err(MultipartError::Truncated {
                    boundary: self.boundary.clone(),
                    offset,
                })
            }
            _ => Err(self.no_root(offset)),
        }
    }

    /// Reads what can be told; gives how much that was.
    fn read<P: Pieces>(&mut self, data: &[u8], pieces: &mut P) -> Result<usize, MultipartError> {
        let mut at = 0;
        loop {
            let rest = data.get(at..).unwrap_or_default();
            let used = match self.place {
                Place::Done => {
                    pieces.other(rest);
                    return Ok(data.len());
                }
                Place::Headers => self.headers(rest, at, pieces)?,
                Place::Preamble | Place::Content { .. } => {
                    let (used, more) = self.content(rest, at, pieces)?;
                    if !more {
                        return Ok(at + used);
                    }
                    Some(used)
                }
            };
            match used {
                Some(used) => at += used,
                None => return Ok(at),
            }
        }
    }

    /// Looks for the next delimiter; what lies before it belongs to the part at hand. Gives how
    /// much was read, and whether a delimiter was found.
    fn content<P: Pieces>(
        &mut self,
        data: &[u8],
        at: usize,
        pieces: &mut P,
    ) -> Result<(usize, bool), MultipartError> {
        let is_root = self.place == (Place::Content { root: true });
        let (content, next) = match self.find_delimiter(data, at)? {
            Found::Delimiter {
                content,
                next,
                last,
            } => (content, Some((next, last))),
            Found::Unsure { content } => (content, None),
        };
        if is_root {
            let lead = self.lead.min(content);
            pieces.other(data.get(..lead).unwrap_or_default());
            let piece = data.get(self.lead..content).unwrap_or_default();
            let decoded = self.decoder.decode(piece, pieces.root());
            let over = decoded.and_then(|()| match next {
                Some(_) => self.decoder.end(),
                None => Ok(()),
            });
            over.map_err(|broken| self.broken(&broken, at))?;
        } else {
            pieces.other(data.get(..content).unwrap_or_default());
        }
        if content > 0 || next.is_some() {
            self.lead = 0;
        }
        let Some((next, last)) = next else {
            return Ok((content, false));
        };
        if is_root {
            pieces.root_end();
        }
        pieces.other(data.get(content..next).unwrap_or_default());
        self.root_over |= is_root;
        if last && !self.root_over {
            return Err(self.no_root(self.place_of(at + next)));
        }
        let is_over = last || (self.root_over && !self.to_end);
        self.place = if is_over { Place::Done } else { Place::Headers };
        Ok((next, true))
    }

    /// A delimiter is a line of its own: `--boundary`, then `--` if it is the last, then
    /// blanks. Some senders end lines with a bare line feed (S32).
    fn find_delimiter(&self, data: &[u8], at: usize) -> Result<Found, MultipartError> {
        let mut from = 0;
        while let Some(found) = self.delimiter.find(data.get(from..).unwrap_or_default()) {
            let feed = from + found;
            let behind = feed + self.delimiter.needle().len();
            let rest = data.get(behind..).unwrap_or_default();
            let content = line_end(data, feed);
            match tail(rest) {
                Tail::Ends { length, last } => {
                    let next = behind + length;
                    return Ok(Found::Delimiter {
                        content,
                        next,
                        last,
                    });
                }
                Tail::Unsure if rest.len() > PART_HEADERS_MAX => {
                    let offset = self.place_of(at + feed + 1);
                    return Err(MultipartError::Headers { offset });
                }
                Tail::Unsure => return Ok(Found::Unsure { content }),
                Tail::Other => from = feed + 1,
            }
        }
        Ok(Found::Unsure {
            content: self.beginning(data),
        })
    }

    /// Where at the end of the data a delimiter may begin that is not all there.
    fn beginning(&self, data: &[u8]) -> usize {
        let needle = self.delimiter.needle();
        let last = data.len().saturating_sub(needle.len() - 1);
        let tail = data.get(last..).unwrap_or_default();
        // A boundary has no line feed in it: only the last one can begin a delimiter.
        match memchr::memrchr(b'\n', tail) {
            Some(feed) if needle.starts_with(tail.get(feed..).unwrap_or_default()) => {
                line_end(data, last + feed)
            }
            _ => data.len() - usize::from(data.last() == Some(&b'\r')),
        }
    }

    /// Reads a part's headers; `None` when they are not all there.
    fn headers<P: Pieces>(
        &mut self,
        data: &[u8],
        at: usize,
        pieces: &mut P,
    ) -> Result<Option<usize>, MultipartError> {
        let end = headers_end(data);
        if end.map_or(data.len(), |(length, _)| length) > PART_HEADERS_MAX {
            let offset = self.place_of(at);
            return Err(MultipartError::Headers { offset });
        }
        let Some((length, lead)) = end else {
            return Ok(None);
        };
        self.lead = lead;
        let head = String::from_utf8_lossy(data.get(..length).unwrap_or_default());
        let header = |name: &str| header_of(&head, name);
        let id = header("content-id").map(|id| bare_id(&id));
        let is_root = self.start.is_none() || id == self.start;
        let content = length + lead;
        if is_root && self.root_over {
            if let Some(start) = self.start.clone() {
                let offset = self.place_of(at + content);
                return Err(MultipartError::TwoRoots { start, offset });
            }
            self.place = Place::Content { root: false };
            pieces.other(data.get(..length).unwrap_or_default());
        } else if is_root {
            pieces.root_headers(data.get(..length).unwrap_or_default());
            self.root_type = header("content-type");
            let encoding = header("content-transfer-encoding").unwrap_or_default();
            let offset = self.place_of(at + content);
            self.root_offset = Some(offset);
            self.decoder = Decoder::new(&encoding)
                .map_err(|Broken(name)| MultipartError::Encoding { name, offset })?;
            self.place = Place::Content { root: true };
        } else {
            pieces.other(data.get(..length).unwrap_or_default());
            self.place = Place::Content { root: false };
        }
        Ok(Some(length))
    }

    /// The offset in the message of a place in the data at hand.
    const fn place_of(&self, at: usize) -> u64 {
        (self.offset + at as u64).saturating_sub(FIRST_LINE_END.len() as u64)
    }

    fn no_root(&self, offset: u64) -> MultipartError {
        MultipartError::NoRoot {
            start: self.start.clone(),
            offset,
        }
    }

    fn broken(&self, Broken(name): &Broken, at: usize) -> MultipartError {
        MultipartError::Encoding {
            name: name.clone(),
            offset: self.place_of(at),
        }
    }
}

/// Where the line end begins that this line feed ends: it belongs to the delimiter.
fn line_end(data: &[u8], feed: usize) -> usize {
    match feed.checked_sub(1) {
        Some(before) if data.get(before) == Some(&b'\r') => before,
        _ => feed,
    }
}

fn tail(rest: &[u8]) -> Tail {
    let last = rest.starts_with(b"--");
    let blanks = if last { 2 } else { 0 };
    let behind = rest.get(blanks..).unwrap_or_default();
    let other = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r');
    match behind.iter().position(other) {
        Some(at) if behind.get(at) == Some(&b'\n') => Tail::Ends {
            length: blanks + at + 1,
            last,
        },
        Some(_) if rest == b"-" => Tail::Unsure,
        Some(_) => Tail::Other,
        None => Tail::Unsure,
    }
}

/// Length of the headers with their line ends, and of the empty line behind them.
fn headers_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut line = 0;
    loop {
        let feed = line + memchr::memchr(b'\n', bytes.get(line..)?)?;
        if bytes
            .get(line..feed)
            .is_some_and(|text| text.is_empty() || text == b"\r")
        {
            return Some((line, feed + 1 - line));
        }
        line = feed + 1;
    }
}

pub(super) fn header_of(head: &str, wanted: &str) -> Option<String> {
    // A folded line continues the one before it (RFC 5322 §2.2.3).
    let unfolded = head
        .replace("\r\n ", " ")
        .replace("\r\n\t", " ")
        .replace("\n ", " ")
        .replace("\n\t", " ");
    unfolded.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case(wanted)
            .then(|| value.trim().to_owned())
    })
}

/// A Content-ID without its brackets, which some senders leave away (S23).
fn bare_id(id: &str) -> String {
    let id = id.trim();
    id.strip_prefix('<')
        .and_then(|id| id.strip_suffix('>'))
        .unwrap_or(id)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: &str, message: &str, cut: usize) -> Result<(String, RootFinder), MultipartError> {
        let mut finder = RootFinder::new(&MediaType::parse(kind).unwrap())?;
        let mut root = Vec::new();
        for chunk in message.as_bytes().chunks(cut) {
            finder.feed(chunk, &mut root)?;
        }
        finder.finish()?;
        Ok((String::from_utf8(root).unwrap(), finder))
    }

    fn every_cut(kind: &str, message: &str) -> Result<String, MultipartError> {
        let whole = run(kind, message, message.len()).map(|(root, _)| root);
        for cut in 1..message.len() {
            assert_eq!(
                run(kind, message, cut).map(|(root, _)| root),
                whole,
                "cut at {cut}"
            );
        }
        whole
    }

    const KIND: &str =
        "multipart/related; boundary=\"b=1\"; type=\"application/xop+xml\"; start=\"<root>\"";

    #[test]
    fn the_named_part_is_the_root_wherever_it_stands() {
        let message = "preamble\r\n--b=1\r\nContent-ID: <a>\r\n\r\nattachment\r\n--b=12\r\nstill\r\n--b=1 \r\n\
             Content-Type: application/xop+xml;\r\n charset=utf-8\r\nContent-ID: <root>\r\n\r\n<a>\r\n--b\r\n</a>\r\n--b=1--\r\nepilogue";
        assert_eq!(every_cut(KIND, message).unwrap(), "<a>\r\n--b\r\n</a>");
        let (_, finder) = run(KIND, message, 7).unwrap();
        assert_eq!(
            finder.root_type(),
            Some("application/xop+xml; charset=utf-8")
        );
        let at = usize::try_from(finder.root_offset().unwrap()).unwrap();
        assert!(message[at..].starts_with("<a>"), "{}", &message[at..]);
    }

    #[test]
    fn without_start_the_first_part_is_the_root() {
        let kind = "multipart/related; boundary=x";
        let cases = [
            ("--x\r\n\r\n<a/>\r\n--x--", "<a/>"),
            ("--x\n\n<a/>\n--x--\n", "<a/>"),
            (
                "--x\r\nContent-Transfer-Encoding: base64\r\n\r\nPGE+\r\nPC9hPg==\r\n--x\r\n\r\nz\r\n--x--",
                "<a></a>",
            ),
            (
                "--x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<a b=3D\"1\"=\r\n/>\r\n--x--",
                "<a b=\"1\"/>",
            ),
        ];
        for (message, root) in cases {
            assert_eq!(every_cut(kind, message).as_deref(), Ok(root), "{message}");
        }
    }

    #[test]
    fn an_empty_line_may_be_that_of_a_delimiter() {
        let kind = "multipart/related; boundary=x; start=r";
        let cases = [
            "--x\r\n\r\n--x\r\nContent-ID: r\r\n\r\n<a/>\r\n--x--",
            "--x\r\nA: b\r\n\r\n--x\r\nContent-ID: <r>\r\n\r\n<a/>\r\n--x\r\n\r\n--x--\r\n",
            "--x\n\n--x\nContent-ID: r\n\n<a/>\n--x\n\n--x--",
        ];
        for message in cases {
            assert_eq!(every_cut(kind, message).as_deref(), Ok("<a/>"), "{message}");
        }
    }

    #[test]
    fn read_to_the_end_a_message_must_have_one() {
        let kind = MediaType::parse("multipart/related; boundary=x; start=r").unwrap();
        let root = "--x\r\nContent-ID: r\r\n\r\n<a/>\r\n";
        let run = |message: &str, cut: usize| {
            let mut finder = RootFinder::new(&kind)?.to_end();
            let mut root = Vec::new();
            for chunk in message.as_bytes().chunks(cut) {
                finder.feed(chunk, &mut root)?;
            }
            finder.finish().map(|()| root)
        };
        let cases = [
            ("--x--", None),
            ("--x\r\n\r\nz\r\n--x--epilogue\r\n--x--\r\n", None),
            ("--x\r\n\r\nz", Some("without its last delimiter")),
            ("--x\r\n\r\nz\r\n--x-", Some("without its last delimiter")),
            ("--x\r\n", Some("without its last delimiter")),
            ("", Some("without its last delimiter")),
            (
                "--x\r\nContent-ID: <r>\r\n\r\n<b/>\r\n--x--",
                Some("second part"),
            ),
        ];
        for (rest, expected) in cases {
            let message = format!("{root}{rest}");
            for cut in 1..=message.len() {
                let result = run(&message, cut).map_err(|error| error.to_string());
                match expected {
                    None => assert_eq!(result.as_deref(), Ok(&b"<a/>"[..]), "{rest} by {cut}"),
                    Some(why) => assert!(result.unwrap_err().contains(why), "{rest} by {cut}"),
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let kind = "multipart/related; boundary=x";
        assert_eq!(
            run("multipart/related", "", 1).unwrap_err(),
            MultipartError::Boundary
        );
        let truncated = MultipartError::Truncated {
            boundary: "x".into(),
            offset: 13,
        };
        assert_eq!(every_cut(kind, "--x\r\n\r\n<a>cut"), Err(truncated));
        let (start, offset) = (None, 8);
        let none = MultipartError::NoRoot { start, offset };
        assert_eq!(every_cut(kind, "no parts"), Err(none));
        let (start, offset) = (Some("root".into()), 19);
        let missing = MultipartError::NoRoot { start, offset };
        assert_eq!(every_cut(KIND, "--b=1\r\n\r\nz\r\n--b=1--"), Err(missing));
        let long = format!("--x\r\nA: {}\r\n\r\n", "y".repeat(PART_HEADERS_MAX));
        assert!(matches!(
            run(kind, &long, 100),
            Err(MultipartError::Headers { offset: 5 })
        ));
    }

    #[test]
    fn many_parts_cost_what_their_bytes_cost() {
        // A thousand times the parts in a chunk must not cost a thousand times as much a byte;
        // not timed, but a square of this would not end within anybody's patience.
        let kind = MediaType::parse("multipart/related; boundary=x; start=r").unwrap();
        let message = "--x\r\n\r\nz\r\n".repeat(1 << 20);
        let mut finder = RootFinder::new(&kind).unwrap();
        finder.feed(message.as_bytes(), &mut Vec::new()).unwrap();
        assert!(finder.finish().is_err());
    }
}
