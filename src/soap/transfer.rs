//! Content-Transfer-Encoding of a multipart message's root part (RFC 2045 §6).
//!
//! **Invariant:** the same bytes come out however the input was cut into pieces; nothing is held
//! but a few bits.

/// Takes one part's content out of its encoding.
#[derive(Debug, Default)]
pub(super) enum Decoder {
    /// `7bit`, `8bit`, `binary`, or nothing said.
    #[default]
    Identity,
    Base64(Base64),
    QuotedPrintable(Line),
}

/// The content, or the name, of this encoding cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

/// A group of four letters under way.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    bits: u32,
    letters: u8,
    /// Behind the padding nothing may come.
    padded: bool,
}

/// Where in a line of quoted-printable the decoder is.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Line {
    #[default]
    Text,
    /// Behind `=`.
    Escape,
    /// Behind the first digit of an escape.
    High(u8),
    /// Behind `=` and blanks: the line goes on in the next.
    Break,
}

impl Decoder {
    /// For the encoding of this name.
    pub(super) fn new(name: &str) -> Result<Self, Broken> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "" | "7bit" | "8bit" | "binary" => Ok(Self::Identity),
            "base64" => Ok(Self::Base64(Base64::default())),
            "quoted-printable" => Ok(Self::QuotedPrintable(Line::Text)),
            _ => Err(Broken(name)),
        }
    }

    pub(super) const fn is_identity(&self) -> bool {
        matches!(self, Self::Identity)
    }

    /// The next bytes, decoded behind `out`.
    pub(super) fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        match self {
            Self::Identity => {
                out.extend_from_slice(bytes);
                Some(())
            }
            Self::Base64(group) => {
                let mut letters = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
                letters.try_for_each(|letter| group.take(*letter, out))
            }
            Self::QuotedPrintable(line) => bytes.iter().try_for_each(|byte| line.take(*byte, out)),
        }
        .ok_or_else(|| self.broken())
    }

    /// The content is over. A base64 group may lack its padding, which some senders leave away;
    /// one letter alone is a truncated group.
    pub(super) fn end(&self) -> Result<(), Broken> {
        match self {
            Self::Base64(group) if group.letters == 1 => Err(self.broken()),
            Self::QuotedPrintable(Line::High(_)) => Err(self.broken()),
            _ => Ok(()),
        }
    }

    fn broken(&self) -> Broken {
        Broken(
            match self {
                Self::Identity => "binary",
                Self::Base64(_) => "base64",
                Self::QuotedPrintable(_) => "quoted-printable",
            }
            .to_owned(),
        )
    }
}

impl Base64 {
    fn take(&mut self, letter: u8, out: &mut Vec<u8>) -> Option<()> {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => return self.pad(),
            _ => return None,
        };
        if self.padded {
            return None;
        }
        self.bits = (self.bits << 6) | u32::from(value);
        self.letters = (self.letters + 1) % 4;
        // Each letter but the first completes a byte.
        let left = match self.letters {
            1 => return Some(()),
            2 => 4,
            3 => 2,
            _ => 0,
        };
        out.push(u8::try_from(self.bits >> left & 0xFF).ok()?);
        Some(())
    }

    /// Padding stands where a group has two or three letters.
    fn pad(&mut self) -> Option<()> {
        let fits = self.padded || self.letters > 1;
        self.padded = true;
        self.letters = 0;
        fits.then_some(())
    }
}

impl Line {
    fn take(&mut self, byte: u8, out: &mut Vec<u8>) -> Option<()> {
        let digit = || u8::try_from(char::from(byte).to_digit(16)?).ok();
        *self = match (*self, byte) {
            (Self::Text, b'=') => Self::Escape,
            (Self::Text, _) => {
                out.push(byte);
                Self::Text
            }
            (Self::Escape | Self::Break, b'\n') => Self::Text,
            (Self::Escape | Self::Break, b' ' | b'\t' | b'\r') => Self::Break,
            (Self::Break, _) => return None,
            (Self::Escape, _) => Self::High(digit()?),
            (Self::High(high), _) => {
                out.push(high * 16 + digit()?);
                Self::Text
            }
        };
        Some(())
    }
}
