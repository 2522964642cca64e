//! Brings a message to UTF-8 without a byte order mark, chunk by chunk (bridging rules H8 to H10).
//!
//! First match decides: byte order mark, the charset that HTTP states, how the bytes begin, the XML
//! declaration, UTF-8. A message that is UTF-8 is passed on without a copy. Holds at most the XML
//! declaration.
//!
//! **Invariant:** what stands before a wrong byte comes out before that is told, so that the verdict
//! is the same however the input was cut: a message may be decided, and need no decoding any more,
//! before its wrong byte.

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::error::BridgeError;
use crate::xml::{Error, ErrorKind};

/// Longest XML declaration that is looked into, as long as the scanner's.
const DECLARATION_MAX: usize = 1 << 10;

/// Bytes that are UTF-8.
pub(super) struct Utf8<'b> {
    pub(super) bytes: &'b [u8],
    /// They, or those before them, were other ones when they came.
    pub(super) changed: bool,
    /// What is wrong with those that follow them.
    pub(super) wrong: Option<BridgeError>,
}

enum Form {
    Utf8,
    /// UTF-16 in either order, windows-1252.
    Table(Box<Decoder>),
    Latin1,
    Ascii,
}

/// The intake.
pub(super) struct Intake {
    charset: Option<String>,
    /// The first bytes, until they decide.
    first: Vec<u8>,
    form: Option<Form>,
    /// Whether bytes are changed on the way.
    changes: bool,
    decoded: Vec<u8>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake")
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}

impl Intake {
    pub(super) const fn new(charset: Option<String>) -> Self {
        Self {
            charset,
            first: Vec::new(),
            form: None,
            changes: false,
            decoded: Vec::new(),
        }
    }

    /// The next bytes in UTF-8; nothing while the encoding is open.
    ///
    /// # Errors
    /// When the encoding is none that is read. A wrong byte is told beside those before it.
    pub(super) fn feed<'b>(&'b mut self, bytes: &'b [u8]) -> Result<Option<Utf8<'b>>, BridgeError> {
        if self.form.is_none() {
            if !self.first.is_empty() || !is_enough(bytes) {
                self.first.extend_from_slice(bytes);
                return if is_enough(&self.first) {
                    self.begin().map(Some)
                } else {
                    Ok(None)
                };
            }
            let (form, mark) = choose(bytes, self.charset.as_deref())?;
            self.changes = mark > 0 || !matches!(form, Form::Utf8);
            self.form = Some(form);
            return Ok(Some(
                self.next(bytes.get(mark..).unwrap_or_default(), false),
            ));
        }
        Ok(Some(self.next(bytes, false)))
    }

    /// The message is over: what is left of it.
    ///
    /// # Errors
    /// As [`Intake::feed`].
    pub(super) fn finish(&mut self) -> Result<Utf8<'_>, BridgeError> {
        if self.form.is_none() {
            return self.begin();
        }
        Ok(self.next(&[], true))
    }

    fn next<'b>(&'b mut self, bytes: &'b [u8], last: bool) -> Utf8<'b> {
        let changed = self.changes;
        let form = match &mut self.form {
            // The usual case: nothing is held, nothing copied.
            None | Some(Form::Utf8) => {
                return Utf8 {
                    bytes,
                    changed,
                    wrong: None,
                };
            }
            Some(form) => form,
        };
        self.decoded.clear();
        let wrong = decode(form, bytes, last, &mut self.decoded).err();
        Utf8 {
            bytes: &self.decoded,
            changed,
            wrong,
        }
    }

    fn begin(&mut self) -> Result<Utf8<'_>, BridgeError> {
        let (mut form, mark) = choose(&self.first, self.charset.as_deref())?;
        self.changes = mark > 0 || !matches!(form, Form::Utf8);
        let first = std::mem::take(&mut self.first);
        self.decoded.clear();
        let wrong = decode(
            &mut form,
            first.get(mark..).unwrap_or_default(),
            false,
            &mut self.decoded,
        );
        self.form = Some(form);
        Ok(Utf8 {
            bytes: &self.decoded,
            changed: self.changes,
            wrong: wrong.err(),
        })
    }
}

/// Whether the first bytes decide: four of them, or all of a declaration.
fn is_enough(first: &[u8]) -> bool {
    let declares = first.starts_with(b"<?xml") || b"<?xml".starts_with(first);
    let whole = || memchr::memmem::find(first, b"?>").is_some() || first.len() >= DECLARATION_MAX;
    first.len() >= 4 && (!declares || whole())
}

fn choose(first: &[u8], charset: Option<&str>) -> Result<(Form, usize), BridgeError> {
    let stated = charset.map(label).transpose()?;
    let wide = matches!(stated, Some(Label::Wide | Label::WideLe | Label::WideBe));
    let (form, mark) = match first {
        [0xEF, 0xBB, 0xBF, ..] if wide => {
            return wrong("the byte order mark is UTF-8's, the charset is not");
        }
        [0xEF, 0xBB, 0xBF, ..] => (Form::Utf8, 3),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] if stated.is_some() && !wide => {
            return wrong("the byte order mark is UTF-16's, the charset is not");
        }
        [0xFF, 0xFE, ..] => (table(UTF_16LE), 2),
        [0xFE, 0xFF, ..] => (table(UTF_16BE), 2),
        _ => (unmarked(first, stated)?, 0),
    };
    Ok((form, mark))
}

fn unmarked(first: &[u8], stated: Option<Label>) -> Result<Form, BridgeError> {
    Ok(match (stated, first) {
        (Some(Label::WideLe), _) | (None | Some(Label::Wide), [b'<', 0, ..]) => table(UTF_16LE),
        (Some(Label::WideBe), _) | (None | Some(Label::Wide), [0, b'<', ..]) => table(UTF_16BE),
        (Some(Label::Wide), _) => {
            return wrong("declared as UTF-16, but it does not begin as UTF-16 does");
        }
        (Some(other), _) => form_of(other),
        (None, _) => match declared(first) {
            Some(name) => match label(&name)? {
                Label::Wide | Label::WideLe | Label::WideBe => {
                    return wrong("the XML declaration says UTF-16, but the bytes are not");
                }
                other => form_of(other),
            },
            None => Form::Utf8,
        },
    })
}

enum Label {
    Utf8,
    Wide,
    WideLe,
    WideBe,
    Latin1,
    Windows1252,
    Ascii,
}

fn form_of(label: Label) -> Form {
    match label {
        Label::Latin1 => Form::Latin1,
        Label::Ascii => Form::Ascii,
        Label::Windows1252 => table(WINDOWS_1252),
        Label::Utf8 | Label::Wide | Label::WideLe | Label::WideBe => Form::Utf8,
    }
}

/// The charsets that are read (H8, H9), the same as `xml`'s.
fn label(name: &str) -> Result<Label, BridgeError> {
    let name = name.trim().trim_matches(['"', '\'']);
    let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    Ok(match () {
        () if is(&["utf-8", "utf8"]) => Label::Utf8,
        () if is(&["utf-16", "utf16"]) => Label::Wide,
        () if is(&["utf-16le"]) => Label::WideLe,
        () if is(&["utf-16be"]) => Label::WideBe,
        () if is(&["iso-8859-1", "latin1", "iso_8859-1", "l1"]) => Label::Latin1,
        () if is(&["windows-1252", "cp1252"]) => Label::Windows1252,
        () if is(&["us-ascii", "ascii"]) => Label::Ascii,
        () => {
            let shown: String = name.chars().take(40).collect();
            return wrong(format!(
                "`{shown}` is not supported; send UTF-8, UTF-16, ISO-8859-1, windows-1252 or US-ASCII"
            ));
        }
    })
}

/// The encoding that the XML declaration names; more than its longest form is not looked into,
/// however much is at hand.
fn declared(first: &[u8]) -> Option<String> {
    let first = first.get(..DECLARATION_MAX).unwrap_or(first);
    let first = first.strip_prefix(b"<?xml")?;
    let end = memchr::memmem::find(first, b"?>")?;
    let text = std::str::from_utf8(first.get(..end)?).ok()?;
    let (value, _) = encoding_value(text)?;
    Some(text.get(value)?.to_owned())
}

/// Where in an XML declaration the encoding's name stands, and the whole pseudo-attribute.
pub(super) fn encoding_value(
    text: &str,
) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let start = text.find("encoding")?;
    let equals = start + text.get(start..)?.find('=')?;
    let quoted = equals + text.get(equals..)?.find(['"', '\''])?;
    let quote = text.get(quoted..)?.chars().next()?;
    let value = quoted + 1;
    let length = text.get(value..)?.find(quote)?;
    Some((value..value + length, start..value + length + 1))
}

fn table(encoding: &'static encoding_rs::Encoding) -> Form {
    Form::Table(Box::new(encoding.new_decoder_without_bom_handling()))
}

/// Appends the UTF-8 of what is good; the error tells of what follows it.
fn decode(form: &mut Form, bytes: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), BridgeError> {
    match form {
        Form::Utf8 => out.extend_from_slice(bytes),
        Form::Ascii => {
            let good = bytes.iter().take_while(|byte| byte.is_ascii()).count();
            out.extend_from_slice(bytes.get(..good).unwrap_or_default());
            if good < bytes.len() {
                return wrong("a byte is not US-ASCII");
            }
        }
        Form::Latin1 => {
            for &byte in bytes {
                out.extend_from_slice(char::from(byte).encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Form::Table(decoder) => return by_table(decoder, bytes, last, out),
    }
    Ok(())
}

fn by_table(
    decoder: &mut Decoder,
    bytes: &[u8],
    last: bool,
    out: &mut Vec<u8>,
) -> Result<(), BridgeError> {
    let start = out.len();
    // Three bytes for each unit of UTF-16, and some for what the decoder held.
    out.resize(start + bytes.len() * 3 + 16, 0);
    let into = out.get_mut(start..).unwrap_or_default();
    let (result, _, written) = decoder.decode_to_utf8_without_replacement(bytes, into, last);
    out.truncate(start + written);
    match result {
        DecoderResult::InputEmpty => Ok(()),
        DecoderResult::OutputFull => wrong("it could not be decoded"),
        DecoderResult::Malformed(..) => wrong("a character of it is cut or stands alone"),
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, BridgeError> {
    let kind = ErrorKind::Encoding(what.into());
    Err(BridgeError::Xml(Error { kind, offset: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], charset: Option<&str>, cut: usize) -> Result<String, BridgeError> {
        let mut out = Vec::new();
        match read_into(&mut out, bytes, charset, cut) {
            None => Ok(String::from_utf8(out).unwrap()),
            Some(wrong) => Err(wrong),
        }
    }

    fn read_into(
        out: &mut Vec<u8>,
        bytes: &[u8],
        charset: Option<&str>,
        cut: usize,
    ) -> Option<BridgeError> {
        let mut intake = Intake::new(charset.map(str::to_owned));
        let mut take = |utf8: Utf8<'_>| {
            out.extend_from_slice(utf8.bytes);
            utf8.wrong
        };
        for chunk in bytes.chunks(cut) {
            let wrong = match intake.feed(chunk) {
                Ok(utf8) => utf8.and_then(&mut take),
                Err(wrong) => Some(wrong),
            };
            if wrong.is_some() {
                return wrong;
            }
        }
        intake.finish().map_or_else(Some, take)
    }

    #[test]
    fn every_form_at_every_cut() {
        let text = "<a>ä€😀</a>";
        let wide =
            |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let le = wide(u16::to_le_bytes);
        let be = [vec![0xFE, 0xFF], wide(u16::to_be_bytes)].concat();
        let marked = [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat();
        for cut in 1..40 {
            assert_eq!(read(text.as_bytes(), None, cut).unwrap(), text);
            assert_eq!(read(&marked, Some("utf-8"), cut).unwrap(), text);
            assert_eq!(read(&le, Some("utf-16"), cut).unwrap(), text);
            assert_eq!(read(&be, None, cut).unwrap(), text);
            let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE4</a>";
            assert!(read(latin, None, cut).unwrap().ends_with("<a>ä</a>"));
            assert_eq!(
                read(b"<a>\x80</a>", Some("windows-1252"), cut).unwrap(),
                "<a>€</a>"
            );
        }
        assert!(read(&be, Some("utf-8"), 7).is_err());
        assert!(read(&le[..le.len() - 1], None, 7).is_err());
        assert!(read(b"<a>", Some("utf-7"), 7).is_err());
        assert!(read(b"<", None, 1).is_ok());
    }
    #[test]
    fn what_stands_before_a_wrong_byte_comes_out_first() {
        let wide = |order: fn(u16) -> [u8; 2]| {
            let units = [0x3C, 0x61, 0x3E, 0xDC00, 0x3C];
            units.into_iter().flat_map(order).collect::<Vec<u8>>()
        };
        let inputs: [(&[u8], Option<&str>); 4] = [
            (&wide(u16::to_le_bytes), None),
            (&wide(u16::to_be_bytes), Some("utf-16be")),
            (b"<a>\xE4</a>", Some("us-ascii")),
            (b"<a>\xE4\xE4", Some("ascii")),
        ];
        for (bytes, charset) in inputs {
            for cut in 1..=bytes.len() {
                let mut out = Vec::new();
                assert!(read_into(&mut out, bytes, charset, cut).is_some());
                assert_eq!(out, b"<a>", "{charset:?} cut by {cut}");
            }
        }
    }

    #[test]
    fn a_declaration_too_long_to_be_one_is_not_looked_into() {
        for spaces in [0, 900, 1000, 2000] {
            let space = " ".repeat(spaces);
            let text = format!("<?xml version='1.0'{space} encoding='ISO-8859-1'?><a>");
            let bytes = [text.as_bytes(), b"\xE4"].concat();
            let looked_into = text.find("?>").unwrap() + 2 <= DECLARATION_MAX;
            for cut in [1, 3, 17, 1023, 1024, 1025, bytes.len()] {
                let mut out = Vec::new();
                assert!(read_into(&mut out, &bytes, None, cut).is_none());
                let is_decoded = out.ends_with("ä".as_bytes());
                assert_eq!(is_decoded, looked_into, "{spaces} spaces cut by {cut}");
            }
        }
    }
}
