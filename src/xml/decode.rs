//! Turns a message in another character encoding into UTF-8, chunk by chunk.
//!
//! Takes UTF-16 in either order and a short list of single-byte sets; keeps at most four bytes between chunks.
//! Leaves the decision which encoding it is to the scanner.

use encoding_rs::Encoding;

use super::error::ErrorKind;

/// The encodings a message may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// One byte a character: ISO-8859-1, windows-1252, US-ASCII.
    Single(Single),
}

/// The single-byte sets that are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Single {
    Latin1,
    Windows1252,
    Ascii,
}

/// The charset a label means; `Ok(None)` for plain `utf-16`, whose order its bytes must show.
pub(super) fn by_label(label: &str) -> Result<Option<Charset>, ErrorKind> {
    // Nearly every message says this, and it is asked for each.
    if label.eq_ignore_ascii_case("utf-8") {
        return Ok(Some(Charset::Utf8));
    }
    let name = label.trim().trim_matches(['"', '\'']);
    let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    Ok(Some(match () {
        () if is(&["utf-8", "utf8"]) => Charset::Utf8,
        () if is(&["utf-16", "utf16"]) => return Ok(None),
        () if is(&["utf-16le"]) => Charset::Utf16Le,
        () if is(&["utf-16be"]) => Charset::Utf16Be,
        () if is(&["iso-8859-1", "latin1", "iso_8859-1", "l1"]) => Charset::Single(Single::Latin1),
        () if is(&["windows-1252", "cp1252"]) => Charset::Single(Single::Windows1252),
        () if is(&["us-ascii", "ascii"]) => Charset::Single(Single::Ascii),
        () => {
            return Err(ErrorKind::Encoding(format!(
                "`{}` is not supported; send UTF-8, UTF-16, ISO-8859-1, windows-1252 or US-ASCII",
                super::chars::clip(label)
            )));
        }
    }))
}

/// Input bytes that one UTF-8 character stood for.
pub(super) fn source_len(charset: Charset, c: char) -> u64 {
    match charset {
        Charset::Utf8 => c.len_utf8() as u64,
        Charset::Utf16Le | Charset::Utf16Be => c.len_utf16() as u64 * 2,
        Charset::Single(_) => 1,
    }
}

/// Bytes that did not make a whole character yet.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    odd: Option<u8>,
    high: Option<u16>,
}

impl Decoder {
    /// Forgets what the last message left.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Bytes held back, for offsets.
    pub(super) fn held(&self) -> u64 {
        u64::from(self.odd.is_some()) + if self.high.is_some() { 2 } else { 0 }
    }

    /// Appends the UTF-8 of `input` to `out`; an error is the sentence, and what was good is in `out`.
    pub(super) fn decode(
        &mut self,
        charset: Charset,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorKind> {
        match charset {
            Charset::Utf8 => {
                out.extend_from_slice(input);
                Ok(())
            }
            Charset::Single(set) => single(set, input, out),
            Charset::Utf16Le => self.wide(input, u16::from_le_bytes, out),
            Charset::Utf16Be => self.wide(input, u16::from_be_bytes, out),
        }
    }

    fn wide(
        &mut self,
        input: &[u8],
        order: fn([u8; 2]) -> u16,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorKind> {
        for &byte in input {
            let Some(first) = self.odd.take() else {
                self.odd = Some(byte);
                continue;
            };
            let unit = order([first, byte]);
            let decoded = match self.high.take() {
                Some(high) => char::decode_utf16([high, unit]).next(),
                None if (0xD800..0xDC00).contains(&unit) => {
                    self.high = Some(unit);
                    continue;
                }
                None => char::decode_utf16([unit]).next(),
            };
            let Some(Ok(c)) = decoded else {
                return Err(ErrorKind::Encoding(
                    "a UTF-16 surrogate stands alone".into(),
                ));
            };
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

fn single(set: Single, input: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorKind> {
    let table: Option<&'static Encoding> = match set {
        Single::Windows1252 => Some(encoding_rs::WINDOWS_1252),
        Single::Latin1 | Single::Ascii => None,
    };
    for &byte in input {
        let c = match (set, table) {
            _ if byte < 0x80 => char::from(byte),
            (Single::Ascii, _) => {
                return Err(ErrorKind::Encoding(format!(
                    "byte 0x{byte:02X} is not US-ASCII"
                )));
            }
            (_, Some(encoding)) => {
                let (text, _) = encoding.decode_without_bom_handling(std::slice::from_ref(&byte));
                text.chars().next().unwrap_or('\u{FFFD}')
            }
            (_, None) => char::from(byte),
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_cut_anywhere() {
        let bytes: Vec<u8> = "a€😀z".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for byte in bytes {
            decoder.decode(Charset::Utf16Be, &[byte], &mut out).unwrap();
        }
        assert_eq!(out, "a€😀z".as_bytes());
    }

    #[test]
    fn lone_surrogates_are_refused() {
        let mut decoder = Decoder::default();
        assert!(
            decoder
                .decode(Charset::Utf16Le, &[0x00, 0xDC], &mut Vec::new())
                .is_err()
        );
        assert!(
            decoder
                .decode(Charset::Utf16Le, &[0x00, 0xD8, 0x41, 0x00], &mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn single_bytes() {
        let mut out = Vec::new();
        let mut decoder = Decoder::default();
        decoder
            .decode(
                Charset::Single(Single::Windows1252),
                &[0x80, b'a'],
                &mut out,
            )
            .unwrap();
        decoder
            .decode(Charset::Single(Single::Latin1), &[0xE9], &mut out)
            .unwrap();
        assert_eq!(out, "€aé".as_bytes());
        assert!(
            decoder
                .decode(Charset::Single(Single::Ascii), &[0xE9], &mut out)
                .is_err()
        );
    }
}
