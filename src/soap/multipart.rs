//! Finds the envelope in a multipart message (MTOM/XOP, SOAP with Attachments).
//!
//! Fed the message as it comes, it gives the root part's bytes as they come: the part that
//! `start` names, else the first (RFC 2387; AP10 R2922). Everything else is passed over; the
//! road sends the message on as it is, boundaries included. Rules S19–S34.
//!
//! **Invariant:** the same bytes come out however the input was cut into chunks, and no more is
//! held than one delimiter, one part's headers, or one line of an encoded root part.

use super::media::MediaType;

/// Longest headers of one part, bytes (`part_headers`): real ones stay below 1 KiB.
const PART_HEADERS_MAX: usize = 16 * 1024;
/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_MAX: usize = 70;

/// Why a multipart message cannot be read.
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
        /// Where the part begins.
        offset: u64,
    },
    /// The message is over, but the root part never came.
    #[error("the multipart message has no root part{}", start.as_ref().map_or(String::new(), |start| format!(" with Content-ID `{start}`")))]
    NoRoot {
        /// The part that was looked for.
        start: Option<String>,
    },
    /// The message ends before its last delimiter.
    #[error("the multipart message ends without its last delimiter `--{boundary}--`")]
    Truncated {
        /// The boundary.
        boundary: String,
    },
    /// The root part's encoding is unknown or broken.
    #[error("the root part's Content-Transfer-Encoding `{0}` cannot be read")]
    Encoding(String),
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
    /// Behind the root part: nothing more is of interest.
    Done,
}

/// How the root part's content is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Base64,
    QuotedPrintable,
}

/// The finder.
#[derive(Debug)]
pub struct RootFinder {
    /// `--boundary`.
    delimiter: Vec<u8>,
    start: Option<String>,
    place: Place,
    /// What could not be told yet.
    held: Vec<u8>,
    /// Offset of the first held byte in the message.
    offset: u64,
    encoding: Encoding,
    encoded: Vec<u8>,
    root_type: Option<String>,
    root_offset: Option<u64>,
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
        Ok(Self {
            delimiter: format!("--{boundary}").into_bytes(),
            start: media.parameter("start").map(bare_id),
            place: Place::Preamble,
            // A delimiter at the very start has no line end before it; this makes it have one.
            held: b"\r\n".to_vec(),
            offset: 0,
            encoding: Encoding::Identity,
            encoded: Vec::new(),
            root_type: None,
            root_offset: None,
        })
    }

    /// Whether the root part is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.place == Place::Done
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

    /// Reads on; root part content is appended to `root`.
    ///
    /// # Errors
    /// When the message is not what its type says, or over a limit.
    pub fn feed(&mut self, bytes: &[u8], root: &mut Vec<u8>) -> Result<(), MultipartError> {
        if self.place == Place::Done {
            return Ok(());
        }
        self.held.extend_from_slice(bytes);
        while self.step(root)? {}
        Ok(())
    }

    /// The message is over.
    ///
    /// # Errors
    /// When it ended before its root part did.
    pub fn finish(&mut self) -> Result<(), MultipartError> {
        match self.place {
            Place::Done => Ok(()),
            Place::Content { root: true } => Err(MultipartError::Truncated {
                boundary: String::from_utf8_lossy(self.delimiter.get(2..).unwrap_or_default())
                    .into(),
            }),
            _ => Err(MultipartError::NoRoot {
                start: self.start.clone(),
            }),
        }
    }

    /// Moves on by one piece; `false` when more bytes are needed.
    fn step(&mut self, root: &mut Vec<u8>) -> Result<bool, MultipartError> {
        match self.place {
            Place::Done => Ok(false),
            Place::Headers => self.headers(),
            Place::Preamble => self.content(None),
            Place::Content { root: true } => self.content(Some(root)),
            Place::Content { root: false } => self.content(None),
        }
    }

    /// Looks for the next delimiter; what lies before it belongs to the part at hand.
    fn content(&mut self, root: Option<&mut Vec<u8>>) -> Result<bool, MultipartError> {
        let found = self.find_delimiter();
        let (content, next) = match found {
            Found::Delimiter {
                content,
                next,
                last,
            } => {
                let place = if last { Place::Done } else { Place::Headers };
                let (held, is_root) = (self.take(content), root.is_some());
                if let Some(root) = root {
                    self.decode(&held, true, root)?;
                }
                self.drop_front(next - content);
                if last && !is_root {
                    return Err(MultipartError::NoRoot {
                        start: self.start.clone(),
                    });
                }
                self.place = if is_root { Place::Done } else { place };
                return Ok(self.place != Place::Done);
            }
            Found::Unsure { content } => (content, false),
            Found::Nothing { content } => (content, false),
        };
        let held = self.take(content);
        if let Some(root) = root {
            self.decode(&held, false, root)?;
        }
        Ok(next)
    }

    /// A delimiter is a line of its own: `--boundary`, then `--` if it is the last, then
    /// blanks. Some senders end lines with a bare line feed (S32).
    fn find_delimiter(&self) -> Found {
        let mut from = 0;
        while let Some(at) = self
            .held
            .get(from..)
            .and_then(|rest| memchr::memchr(b'\n', rest))
        {
            let line = from + at + 1;
            let rest = self.held.get(line..).unwrap_or_default();
            let shared = rest.len().min(self.delimiter.len());
            let begins = rest.get(..shared) == self.delimiter.get(..shared);
            if begins && rest.len() > self.delimiter.len() + 1 {
                if let Some(found) = self.delimiter_at(line) {
                    return found;
                }
            } else if begins {
                return Found::Unsure {
                    content: self.line_end(line),
                };
            }
            from = line;
        }
        // A carriage return at the end may belong to a delimiter's line end.
        let keep = usize::from(self.held.last() == Some(&b'\r'));
        Found::Nothing {
            content: self.held.len() - keep,
        }
    }

    fn delimiter_at(&self, line: usize) -> Option<Found> {
        let content = self.line_end(line);
        let after = self.held.get(line + self.delimiter.len()..)?;
        let last = after.starts_with(b"--");
        let tail = if last { after.get(2..)? } else { after };
        let Some(end) = memchr::memchr(b'\n', tail) else {
            if last {
                return Some(Found::Delimiter {
                    content,
                    next: self.held.len(),
                    last,
                });
            }
            let blank = tail.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
            return blank.then_some(Found::Unsure { content });
        };
        let blank = tail
            .get(..end)?
            .iter()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        let next = self.held.len() - tail.len() + end + 1;
        (blank || last).then_some(Found::Delimiter {
            content,
            next,
            last,
        })
    }

    /// Where the line end before this line begins: it belongs to the delimiter.
    fn line_end(&self, line: usize) -> usize {
        let feed = line.saturating_sub(1);
        if feed > 0 && self.held.get(feed - 1) == Some(&b'\r') {
            feed - 1
        } else {
            feed
        }
    }

    fn headers(&mut self) -> Result<bool, MultipartError> {
        let Some((length, next)) = headers_end(&self.held) else {
            if self.held.len() > PART_HEADERS_MAX {
                return Err(MultipartError::Headers {
                    offset: self.offset,
                });
            }
            return Ok(false);
        };
        if length > PART_HEADERS_MAX {
            return Err(MultipartError::Headers {
                offset: self.offset,
            });
        }
        let head =
            String::from_utf8_lossy(self.held.get(..length).unwrap_or_default()).into_owned();
        let header = |name: &str| header_of(&head, name);
        let is_root = match &self.start {
            None => true,
            Some(start) => header("content-id").is_some_and(|id| bare_id(&id) == *start),
        };
        // The line end before the content stays held, so that a delimiter right behind the
        // headers is found; it is no content.
        self.drop_front(next);
        if is_root {
            self.root_type = header("content-type");
            self.encoding = encoding_of(header("content-transfer-encoding"))?;
            // The line end put in front of the message is no byte of it.
            self.root_offset = Some(self.offset.saturating_sub(2));
        }
        self.place = Place::Content { root: is_root };
        Ok(true)
    }

    fn decode(
        &mut self,
        bytes: &[u8],
        last: bool,
        root: &mut Vec<u8>,
    ) -> Result<(), MultipartError> {
        match self.encoding {
            Encoding::Identity => root.extend_from_slice(bytes),
            Encoding::Base64 => {
                let letters = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
                self.encoded.extend(letters);
                let whole = if last {
                    self.encoded.len()
                } else {
                    self.encoded.len() / 4 * 4
                };
                let group: Vec<u8> = self.encoded.drain(..whole).collect();
                base64(&group, root).ok_or_else(|| MultipartError::Encoding("base64".into()))?;
            }
            Encoding::QuotedPrintable => {
                self.encoded.extend_from_slice(bytes);
                let whole = if last {
                    self.encoded.len()
                } else {
                    self.encoded.len().saturating_sub(3)
                };
                let used = quoted_printable(&self.encoded, whole, root)
                    .ok_or_else(|| MultipartError::Encoding("quoted-printable".into()))?;
                self.encoded.drain(..used);
            }
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.held.split_off(length.min(self.held.len()));
        let taken = std::mem::replace(&mut self.held, rest);
        self.offset += taken.len() as u64;
        taken
    }

    fn drop_front(&mut self, length: usize) {
        self.take(length);
    }
}

enum Found {
    Delimiter {
        content: usize,
        next: usize,
        last: bool,
    },
    /// A delimiter may begin behind `content`.
    Unsure {
        content: usize,
    },
    Nothing {
        content: usize,
    },
}

/// Length of the headers, and where the content begins, behind the empty line.
fn headers_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut line = 0;
    loop {
        let feed = line + memchr::memchr(b'\n', bytes.get(line..)?)?;
        if bytes
            .get(line..feed)
            .is_some_and(|text| text.is_empty() || text == b"\r")
        {
            return Some((line, feed + 1));
        }
        line = feed + 1;
    }
}

fn header_of(head: &str, wanted: &str) -> Option<String> {
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

fn encoding_of(header: Option<String>) -> Result<Encoding, MultipartError> {
    let name = header.unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        "" | "7bit" | "8bit" | "binary" => Ok(Encoding::Identity),
        "base64" => Ok(Encoding::Base64),
        "quoted-printable" => Ok(Encoding::QuotedPrintable),
        _ => Err(MultipartError::Encoding(name)),
    }
}

fn base64(letters: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (mut bits, mut count) = (0_u32, 0_u32);
    for letter in letters.iter().take_while(|letter| **letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xFF).ok()?);
        }
    }
    Some(())
}

/// Decodes up to `whole` bytes; an escape that begins before that is taken with it.
fn quoted_printable(bytes: &[u8], whole: usize, out: &mut Vec<u8>) -> Option<usize> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut at = 0;
    while at < whole {
        let rest = bytes.get(at..)?;
        at += match rest {
            [b'=', b'\r', b'\n', ..] => 3,
            [b'=', b'\n', ..] => 2,
            [b'=', high, low, ..] => {
                out.push(digit(high)? * 16 + digit(low)?);
                3
            }
            [b'=', ..] => return None,
            [byte, ..] => {
                out.push(*byte);
                1
            }
            [] => break,
        };
    }
    Some(at)
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
    fn what_is_wrong_is_said() {
        let kind = "multipart/related; boundary=x";
        assert_eq!(
            run("multipart/related", "", 1).unwrap_err(),
            MultipartError::Boundary
        );
        let truncated = MultipartError::Truncated {
            boundary: "x".into(),
        };
        assert_eq!(every_cut(kind, "--x\r\n\r\n<a>cut"), Err(truncated));
        assert_eq!(
            every_cut(kind, "no parts"),
            Err(MultipartError::NoRoot { start: None })
        );
        let missing = MultipartError::NoRoot {
            start: Some("root".into()),
        };
        assert_eq!(every_cut(KIND, "--b=1\r\n\r\nz\r\n--b=1--"), Err(missing));
        let long = format!("--x\r\nA: {}\r\n\r\n", "y".repeat(PART_HEADERS_MAX));
        assert!(matches!(
            run(kind, &long, 100),
            Err(MultipartError::Headers { .. })
        ));
    }
}
