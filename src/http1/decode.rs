//! Bodies off the wire: what belongs to a message and what is its framing (RFC 9112 §7).

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::error::Malformed;
use super::framing::Framing;
use super::head::{Limits, read_trailers};

/// Longest line that begins a chunk. Sizes have at most sixteen digits; the rest are extensions,
/// which nobody uses.
const SIZE_LINE_MAX: usize = 1024;
/// Most bytes of such lines beyond what sizes need, in one body: a body must not be mostly
/// framing.
const EXTENSIONS_MAX: usize = 16 * 1024;
/// Fields behind the last chunk.
const TRAILERS: Limits = Limits {
    bytes_max: 16 * 1024,
    fields_max: 64,
};

/// Reads one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    extensions: usize,
    scanned: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    Size,
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

/// What the input held.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Some of the body.
    Data(Bytes),
    /// Fields behind it; it is over.
    Trailers(HeaderMap),
    /// It is over.
    End,
    /// Nothing more.
    More,
}

impl Decoder {
    /// For a body in this framing.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Self {
            state,
            extensions: 0,
            scanned: 0,
        }
    }

    /// Whether the body was read to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes still to come, where that is known.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        match self.state {
            State::Length(rest) => Some(rest),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Bytes that will certainly come: how much to read at a time.
    #[must_use]
    pub(super) fn wanted(&self) -> usize {
        match self.state {
            State::Length(rest) | State::Chunk(rest) => usize::try_from(rest).unwrap_or(usize::MAX),
            State::UntilClose => usize::MAX,
            _ => 0,
        }
    }

    /// Takes the next of the body off the input.
    ///
    /// # Errors
    /// When that is no body.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, Malformed> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                State::Length(rest) | State::Chunk(rest) => {
                    let Some(data) = take(input, rest) else {
                        return Ok(Decoded::More);
                    };
                    self.state = match (self.state, rest - data.len() as u64) {
                        (State::Length(_), 0) => State::Done,
                        (State::Length(_), rest) => State::Length(rest),
                        (_, 0) => State::ChunkEnd,
                        (_, rest) => State::Chunk(rest),
                    };
                    return Ok(Decoded::Data(data));
                }
                State::UntilClose => {
                    return Ok(take(input, u64::MAX).map_or(Decoded::More, Decoded::Data));
                }
                State::Size => match self.size(input)? {
                    None => return Ok(Decoded::More),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Chunk(size),
                },
                State::ChunkEnd => {
                    if !b"\r\n".starts_with(input.get(..2).unwrap_or(input)) {
                        return Err(Malformed::ChunkEnd);
                    }
                    if input.len() < 2 {
                        return Ok(Decoded::More);
                    }
                    let _ = input.split_to(2);
                    self.state = State::Size;
                }
                State::Trailers => {
                    let Some(trailers) = read_trailers(input, &mut self.scanned, TRAILERS)? else {
                        return Ok(Decoded::More);
                    };
                    self.state = State::Done;
                    return Ok(if trailers.is_empty() {
                        Decoded::End
                    } else {
                        Decoded::Trailers(trailers)
                    });
                }
            }
        }
    }

    /// The connection has ended: says whether that ends the body, too.
    pub fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    fn size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, Malformed> {
        let window = input
            .get(..input.len().min(SIZE_LINE_MAX))
            .unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', window) else {
            // What is no size from its beginning on is not waited for.
            let begins = input.first().is_none_or(u8::is_ascii_hexdigit);
            if !begins || window.len() == SIZE_LINE_MAX {
                return Err(Malformed::ChunkSize);
            }
            return Ok(None);
        };
        let line = input.split_to(end + 1);
        let line = line.strip_suffix(b"\r\n").ok_or(Malformed::ChunkSize)?;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (digits, rest) = line.split_at(digits);
        self.extensions += rest.len();
        if self.extensions > EXTENSIONS_MAX {
            return Err(Malformed::ChunkExtensions);
        }
        if !is_extension(rest) || digits.is_empty() || digits.len() > 15 {
            return Err(Malformed::ChunkSize);
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map_or(0, u64::from);
        Ok(Some(
            digits.iter().fold(0, |sum, byte| sum << 4 | digit(byte)),
        ))
    }
}

/// Blanks, which some servers pad sizes with, then nothing or `;` and visible characters.
fn is_extension(rest: &[u8]) -> bool {
    let visible = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7F);
    let behind = rest.trim_ascii_start();
    rest.iter().all(visible) && (behind.is_empty() || behind.starts_with(b";"))
}

fn take(input: &mut BytesMut, most: u64) -> Option<Bytes> {
    let bytes = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    if bytes == 0 {
        return None;
    }
    Some(if bytes == input.len() {
        std::mem::take(input).freeze()
    } else {
        input.split_to(bytes).freeze()
    })
}
