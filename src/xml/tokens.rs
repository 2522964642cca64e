//! One token: which kind it is, and the kinds that are neither tag nor text.
//!
//! Comments, CDATA sections, the XML declaration, and the refusal of DTDs and processing instructions.

use super::chars;
use super::error::{Error, ErrorKind};
use super::scanner::{Mode, Place, Scanner, Step};
use super::sink::Sink;

/// Longest XML declaration: it has three short pseudo-attributes.
const DECLARATION_BYTES_MAX: usize = 1 << 10;

impl Scanner {
    #[inline]
    pub(super) fn token<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        match self.mode {
            Mode::Markup if self.skip.is_some() => self.pass_over(buf, at),
            Mode::Markup if buf.get(at) == Some(&b'<') => self.markup(buf, at, sink),
            Mode::Markup => self.text(buf, at, sink),
            Mode::Comment => self.comment(buf, at, sink),
            Mode::Cdata => self.cdata(buf, at, sink),
        }
    }

    #[inline]
    pub(super) fn markup<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        match buf.get(at + 1) {
            None => Ok(Step::Incomplete(at)),
            Some(b'/') => self.end_tag(buf, at, sink),
            Some(b'!') => self.declaration(buf, at),
            Some(b'?') => self.question(buf, at),
            Some(_) => self.start_tag(buf, at, sink),
        }
    }

    pub(super) fn at_markup(&self) -> bool {
        self.mode == Mode::Markup
    }

    /// `<!`: a comment, a CDATA section, or what is refused.
    pub(super) fn declaration(&mut self, buf: &[u8], at: usize) -> Result<Step, Box<Error>> {
        let rest = buf.get(at..).unwrap_or(&[]);
        if rest.starts_with(b"<!--") {
            self.mode = Mode::Comment;
            return Ok(Step::Next(at + 4));
        }
        if rest.starts_with(b"<![CDATA[") {
            if self.place != Place::Content {
                return Err(self.malformed("a CDATA section stands outside the root element", at));
            }
            self.mode = Mode::Cdata;
            return Ok(Step::Next(at + 9));
        }
        if rest.starts_with(b"<!DOCTYPE") {
            return Err(self.error(ErrorKind::Doctype, at));
        }
        let known: [&[u8]; 3] = [b"<!--", b"<![CDATA[", b"<!DOCTYPE"];
        if known.iter().any(|whole| whole.starts_with(rest)) {
            return Ok(Step::Incomplete(at));
        }
        Err(self.malformed(
            "after `<!` a comment (`<!--`) or `<![CDATA[` is expected",
            at,
        ))
    }

    fn comment<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let ready = self.ready(buf).get(at..).unwrap_or(&[]);
        let Some(found) = memchr::memmem::find(ready, b"--") else {
            let held = usize::from(ready.ends_with(b"-")).max(usize::from(ready.ends_with(b"\r")));
            let piece = ready.get(..ready.len() - held).unwrap_or(&[]);
            self.tell_comment(piece, false, sink);
            return Ok(Step::Incomplete(at + piece.len()));
        };
        match ready.get(found + 2) {
            None => {
                // A carriage return before the hyphens is whole: what follows it is known.
                self.tell_comment(ready.get(..found).unwrap_or(&[]), false, sink);
                Ok(Step::Incomplete(at + found))
            }
            Some(b'>') => {
                self.tell_comment(ready.get(..found).unwrap_or(&[]), true, sink);
                self.mode = Mode::Markup;
                Ok(Step::Next(at + found + 3))
            }
            Some(_) => Err(self.malformed("`--` stands inside a comment", at + found)),
        }
    }

    fn tell_comment<S: Sink>(&self, piece: &[u8], last: bool, sink: &mut S) {
        if self.skip.is_some() || self.place != Place::Content && piece.is_empty() && !last {
            return;
        }
        let mut rest = std::str::from_utf8(piece).unwrap_or("");
        while let Some(found) = memchr::memchr(b'\r', rest.as_bytes()) {
            sink.comment(rest.get(..found).unwrap_or(""), false);
            sink.comment("\n", false);
            rest = rest.get(found + 1..).unwrap_or("");
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
        if last || !rest.is_empty() {
            sink.comment(rest, last);
        }
    }

    fn cdata<S: Sink>(&mut self, buf: &[u8], at: usize, sink: &mut S) -> Result<Step, Box<Error>> {
        let ready = self.ready(buf).get(at..).unwrap_or(&[]);
        let wanted = self.skip.is_none() && sink.wants_text();
        let Some(found) = memchr::memmem::find(ready, b"]]>") else {
            let held = if ready.ends_with(b"]]") {
                2
            } else {
                usize::from(ready.ends_with(b"]"))
            }
            .max(usize::from(ready.ends_with(b"\r")));
            let piece = ready.get(..ready.len() - held).unwrap_or(&[]);
            if wanted {
                super::text::tell_lines(piece, sink);
            }
            return Ok(Step::Incomplete(at + piece.len()));
        };
        if wanted {
            super::text::tell_lines(ready.get(..found).unwrap_or(&[]), sink);
        }
        self.mode = Mode::Markup;
        Ok(Step::Next(at + found + 3))
    }

    /// `<?`: the XML declaration at the very start, otherwise a processing instruction.
    pub(super) fn question(&mut self, buf: &[u8], at: usize) -> Result<Step, Box<Error>> {
        // Only what is checked: a wrong byte inside comes before what the declaration says.
        let rest = self.ready(buf).get(at..).unwrap_or(&[]);
        let known = &self.input.plain_declaration;
        if !known.is_empty()
            && rest.starts_with(known)
            && self.place == Place::Prolog
            && self.base + at as u64 == self.start_offset()
        {
            return Ok(Step::Next(at + known.len()));
        }
        let target = rest.get(..6.min(rest.len())).unwrap_or(&[]);
        let is_declaration = target.len() == 6 && target.starts_with(b"<?xml") && {
            target.last().is_some_and(|&b| chars::is_space(b))
        };
        if !is_declaration {
            if b"<?xml".starts_with(target) {
                return Ok(Step::Incomplete(at));
            }
            return Err(self.error(ErrorKind::ProcessingInstruction, at));
        }
        if self.place != Place::Prolog || self.base + at as u64 != self.start_offset() {
            return Err(self.malformed("the XML declaration must stand at the very start", at));
        }
        let bounded = rest
            .get(..DECLARATION_BYTES_MAX.min(rest.len()))
            .unwrap_or(&[]);
        let Some(end) = memchr::memmem::find(bounded, b"?>") else {
            if bounded.len() < DECLARATION_BYTES_MAX {
                return Ok(Step::Incomplete(at));
            }
            return Err(self.malformed("the XML declaration is not closed by `?>`", at));
        };
        let declaration = bounded.get(5..end).unwrap_or(&[]);
        let inside = std::str::from_utf8(declaration).unwrap_or("");
        match xml_declaration(inside) {
            Err(what) => Err(self.malformed(what, at)),
            Ok(label) => {
                let next = at + end + 2;
                let step = match label {
                    Some(label) => self.declared_encoding(label, at, next)?,
                    None => Step::Next(next),
                };
                let is_plain = label.is_none_or(|label| label.eq_ignore_ascii_case("utf-8"));
                if is_plain && step == Step::Next(next) {
                    // The same again needs no reading: UTF-8 may be declared whatever the transport said.
                    let whole = bounded.get(..end + 2).unwrap_or(&[]);
                    self.input.plain_declaration.clear();
                    self.input.plain_declaration.extend_from_slice(whole);
                }
                Ok(step)
            }
        }
    }

    pub(super) fn start_offset(&self) -> u64 {
        if self.input.mark == 3 {
            3
        } else {
            self.input.mark
        }
    }
}

/// Reads the pseudo-attributes of XML 1.0 §2.8; the answer is the encoding's label.
fn xml_declaration(mut rest: &str) -> Result<Option<&str>, String> {
    let mut encoding = None;
    let mut expected: &[&str] = &["version", "encoding", "standalone"];
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if trimmed.is_empty() {
            break;
        }
        if trimmed.len() == rest.len() {
            return Err("white space is expected in the XML declaration".into());
        }
        let (name, value, after) = pseudo_attribute(trimmed).ok_or_else(|| {
            "the XML declaration has the form `<?xml version=\"1.0\" encoding=\"...\"?>`".to_owned()
        })?;
        let Some(place) = expected.iter().position(|&known| known == name) else {
            return Err(format!(
                "`{}` is not expected here in the XML declaration",
                chars::clip(name)
            ));
        };
        if expected.first() == Some(&"version") && place != 0 {
            return Err("the XML declaration begins with `version`".into());
        }
        expected = expected.get(place + 1..).unwrap_or(&[]);
        match name {
            "version" if value != "1.0" => {
                return Err(format!(
                    "XML version `{}` is not supported, `1.0` is",
                    chars::clip(value)
                ));
            }
            "encoding" if !is_encoding_name(value) => {
                return Err(format!(
                    "`{}` is not the name of an encoding",
                    chars::clip(value)
                ));
            }
            "encoding" => encoding = Some(value),
            "standalone" if value != "yes" && value != "no" => {
                return Err("`standalone` is `yes` or `no`".into());
            }
            _ => {}
        }
        rest = after;
    }
    if expected.first() == Some(&"version") {
        return Err("the XML declaration lacks `version`".into());
    }
    Ok(encoding)
}

fn pseudo_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let spaces = [' ', '\t', '\r', '\n'];
    let (name, rest) = text.split_once('=')?;
    let rest = rest.trim_start_matches(spaces);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (value, after) = rest.get(1..)?.split_once(quote)?;
    Some((name.trim_end_matches(spaces), value, after))
}

fn is_encoding_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}
