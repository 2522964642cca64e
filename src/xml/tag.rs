//! Start and end tags: syntax, attributes, namespaces, and the stack of open elements.

use smallvec::SmallVec;

use super::chars;
use super::error::{Error, ErrorKind};
use super::find;
use super::key::NameKey;
use super::names::kind_of;
use super::remembered::What;
use super::scanner::{Frame, Place, Scanner, Step, span};
use super::scope::{NameRef, ScopeId, Span, XML_NAMESPACE, XMLNS_NAMESPACE};
use super::sink::{EndTag, Flow, Record, Sink, Tag};

/// Up to this many attributes each pair is compared; beyond, names are sorted.
const PAIRWISE_MAX: usize = 12;

/// A start tag whose syntax has been read.
pub(super) struct Read {
    pub(super) name_end: usize,
    /// Index of `>`.
    pub(super) close: usize,
    pub(super) empty: bool,
    pub(super) declares: bool,
}

impl Scanner {
    #[inline]
    pub(super) fn start_tag<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        if self.place == Place::Epilog {
            return Err(self.malformed("a second element stands after the root element", at));
        }
        if self.remembered.waits_at(self.frames.len())
            && let Some((_, read, opened)) = self.read_remembered(buf, at)
        {
            if read.close >= self.checked {
                self.check(buf, read.close + 1);
            }
            if read.close < self.checked {
                return self.enter_element(buf, at, &read, opened, sink);
            }
        }
        let longest = self.limits.tag_bytes_max as usize;
        let bounded = buf.get(..(at + longest).min(buf.len())).unwrap_or(buf);
        let Some(read) = self.read_start(bounded, at)? else {
            if buf.len() - at >= longest {
                return Err(self.limit("tag_bytes_max", self.limits.tag_bytes_max, at));
            }
            return Ok(Step::Incomplete(at));
        };
        if read.close >= self.checked {
            self.check(buf, read.close + 1);
            if read.close >= self.checked {
                return Ok(Step::Incomplete(at));
            }
        }
        self.open_element(buf, at, &read, sink)
    }

    /// What reading the tag at `at` would give, if one that is remembered stands there; and its number.
    #[inline(always)]
    pub(super) fn read_remembered(
        &mut self,
        buf: &[u8],
        at: usize,
    ) -> Option<(usize, Read, (NameRef, NameKey, ScopeId))> {
        let (depth, outer) = (self.frames.len(), self.scope());
        let (number, known) = self.remembered.find(buf, at, depth, outer)?;
        self.records.clone_from(&known.records);
        self.values.clear();
        Some((number, known.read(at), (known.name, known.key, known.scope)))
    }

    /// Reads the syntax up to `>`; nothing when the bytes end before.
    #[inline]
    fn read_start(&mut self, buf: &[u8], at: usize) -> Result<Option<Read>, Box<Error>> {
        self.records.clear();
        self.values.clear();
        let name_end = find::name_end(buf, at + 1);
        if name_end - at > self.limits.name_bytes_max as usize + 1 {
            return Err(self.limit("name_bytes_max", self.limits.name_bytes_max, at));
        }
        let plain = Read {
            name_end,
            close: name_end,
            empty: false,
            declares: false,
        };
        match (buf.get(name_end), buf.get(name_end + 1)) {
            (None, _) | (Some(b'/'), None) => Ok(None),
            (Some(b'>'), _) => Ok(Some(plain)),
            (Some(b'/'), Some(b'>')) => Ok(Some(Read {
                close: name_end + 1,
                empty: true,
                ..plain
            })),
            _ => self.read_attributes(buf, at, name_end),
        }
    }

    fn read_attributes(
        &mut self,
        buf: &[u8],
        tag: usize,
        name_end: usize,
    ) -> Result<Option<Read>, Box<Error>> {
        let mut at = name_end;
        let mut declares = false;
        loop {
            let before = at;
            at = skip_space(buf, at);
            let plain = Read {
                name_end,
                close: at,
                empty: false,
                declares,
            };
            match (buf.get(at), buf.get(at + 1)) {
                (None, _) | (Some(b'/'), None) => return Ok(None),
                (Some(b'>'), _) => return Ok(Some(plain)),
                (Some(b'/'), Some(b'>')) => {
                    return Ok(Some(Read {
                        close: at + 1,
                        empty: true,
                        ..plain
                    }));
                }
                (Some(b'/'), Some(_)) => {
                    return Err(self.malformed("`/` in a tag must be followed by `>`", at));
                }
                _ if before == at => {
                    return Err(self.malformed("white space is expected between attributes", at));
                }
                _ => {}
            }
            let start = at;
            let end = find::name_end(buf, at);
            if end - at > self.limits.name_bytes_max as usize {
                return Err(self.limit("name_bytes_max", self.limits.name_bytes_max, at));
            }
            at = skip_space(buf, end);
            match buf.get(at) {
                None => return Ok(None),
                Some(b'=') if end > start => {}
                Some(_) => {
                    return Err(self.malformed("an attribute has the form `name=\"value\"`", start));
                }
            }
            at = skip_space(buf, at + 1);
            let quote = match buf.get(at) {
                None => return Ok(None),
                Some(&quote @ (b'"' | b'\'')) => quote,
                Some(_) => {
                    return Err(self.malformed("an attribute's value must stand in quotes", at));
                }
            };
            let Some((value, decoded, close)) = self.read_value(buf, tag, at + 1, quote)? else {
                return Ok(None);
            };
            let name = buf.get(start..end).unwrap_or(&[]);
            let declaration =
                name.starts_with(b"xmlns") && matches!(name.get(5), None | Some(b':'));
            declares |= declaration;
            let record = Record {
                name: span(tag, start, end),
                value,
                decoded,
                declaration,
                resolved: NameRef::default(),
            };
            self.records.push(record);
            if self.records.len() > self.limits.attributes_max as usize {
                return Err(self.limit("attributes_max", self.limits.attributes_max, start));
            }
            at = close + 1;
        }
    }

    /// A value up to its quote: where its normalised form stands, and the quote's index.
    fn read_value(
        &mut self,
        buf: &[u8],
        tag: usize,
        start: usize,
        quote: u8,
    ) -> Result<Option<(Span, bool, usize)>, Box<Error>> {
        let longest = self.limits.attribute_bytes_max as usize;
        let first = self.values.len();
        let (mut at, mut from, mut decoded) = (start, start, false);
        loop {
            at = find::value_stop(buf, at, quote);
            if at - start > longest {
                return Err(self.limit(
                    "attribute_bytes_max",
                    self.limits.attribute_bytes_max,
                    start,
                ));
            }
            match buf.get(at) {
                None => return Ok(None),
                Some(&byte) if byte == quote => break,
                Some(b'<') => {
                    return Err(
                        self.malformed("`<` stands in an attribute's value; write `&lt;`", at)
                    );
                }
                Some(b'&') => {
                    let rest = buf.get(at..).unwrap_or(&[]);
                    let Some((taken, c)) = self.reference(rest, at, false)? else {
                        return Ok(None);
                    };
                    self.values
                        .extend_from_slice(buf.get(from..at).unwrap_or(&[]));
                    self.values
                        .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    at += taken;
                }
                // XML 1.0 §3.3.3: white space becomes a space, after line ends were normalised.
                Some(&byte) if chars::is_space(byte) => {
                    self.values
                        .extend_from_slice(buf.get(from..at).unwrap_or(&[]));
                    if byte == b'\r' && at + 1 == buf.len() {
                        return Ok(None);
                    }
                    at += if byte == b'\r' && buf.get(at + 1) == Some(&b'\n') {
                        2
                    } else {
                        1
                    };
                    self.values.push(b' ');
                }
                // A control character: the check of the block refuses it.
                Some(_) => {
                    at += 1;
                    continue;
                }
            }
            decoded = true;
            from = at;
        }
        if !decoded {
            return Ok(Some((span(tag, start, at), false, at)));
        }
        self.values
            .extend_from_slice(buf.get(from..at).unwrap_or(&[]));
        Ok(Some((span(0, first, self.values.len()), true, at)))
    }

    #[inline]
    fn open_element<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        read: &Read,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let tag = buf.get(at..=read.close).unwrap_or(&[]);
        let outer = self.scope();
        let scope = if read.declares {
            self.declare(tag, outer, at)?
        } else {
            outer
        };
        let raw = tag.get(1..read.name_end - at).unwrap_or(&[]);
        let key = NameKey::at(buf, at + 1, raw.len());
        let name = self.resolve(scope, key, raw, false, at, sink)?;
        if !self.records.is_empty() {
            self.resolve_attributes(buf, tag, scope, at, sink)?;
        }
        if read.declares && self.values.is_empty() && self.scopes.lasts(scope) {
            let what = What {
                name,
                key,
                scope,
                records: &self.records,
            };
            self.remembered
                .keep(tag, self.frames.len(), outer, (read, at), what);
        }
        self.enter_element(buf, at, read, (name, key, scope), sink)
    }

    /// The meaning of a qualified name, remembered or found out.
    fn resolve<S: Sink>(
        &mut self,
        scope: ScopeId,
        key: NameKey,
        raw: &[u8],
        attribute: bool,
        at: usize,
        sink: &mut S,
    ) -> Result<NameRef, Box<Error>> {
        let kind = kind_of(self.scopes.serial(scope), attribute);
        if let Some(name) = self.known.known(kind, key, raw) {
            return Ok(name);
        }
        let name = self
            .scopes
            .resolve(scope, raw, attribute, sink)
            .map_err(|kind| self.error(kind, at))?;
        self.known.keep(kind, key, raw, name);
        Ok(name)
    }

    /// Opens an element whose tag is read, checked and resolved.
    #[inline(always)]
    pub(super) fn enter_element<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        read: &Read,
        (name, key, scope): (NameRef, NameKey, ScopeId),
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        if self.frames.len() >= self.limits.depth_max as usize {
            return Err(self.limit("depth_max", self.limits.depth_max, at));
        }
        let tag = buf.get(at..=read.close).unwrap_or(&[]);
        self.place = Place::Content;
        let start = self.base + at as u64;
        let end = self.base + read.close as u64 + 1;
        self.told = end;
        self.frames.push(Frame {
            key,
            name_start: self.names.len() as u32,
            scope,
            serial: self.scopes.serial(scope),
            symbol: name.symbol,
            class: name.class,
            element: 0,
            declares: read.declares,
        });
        if !key.is_whole() {
            self.names
                .extend_from_slice(tag.get(1..read.name_end - at).unwrap_or(&[]));
        }
        let depth = self.frames.len() as u32;
        let told = Tag {
            raw: Span {
                start: 1,
                end: (read.name_end - at) as u32,
            },
            name,
            tag,
            values: &self.values,
            records: &self.records,
            scopes: &self.scopes,
            depth,
            start,
            end,
            empty: read.empty,
            declares: read.declares,
        };
        let flow = sink.start(&told);
        let next = read.close + 1;
        if read.empty {
            let closed = self.close_element(end, end, sink);
            return Ok(if flow == Flow::Stop || closed == Flow::Stop {
                Step::Stop(next)
            } else {
                Step::Next(next)
            });
        }
        match flow {
            Flow::Continue => Ok(Step::Next(next)),
            Flow::Skip => {
                self.skip = Some(0);
                Ok(Step::Next(next))
            }
            Flow::Stop => Ok(Step::Stop(next)),
        }
    }

    /// The scope of the innermost open element.
    pub(super) fn scope(&self) -> ScopeId {
        self.frames.last().map_or(0, |frame| frame.scope)
    }

    /// Checks the declarations of a tag and enters their scope.
    fn declare(&mut self, tag: &[u8], outer: ScopeId, at: usize) -> Result<ScopeId, Box<Error>> {
        let mut declared: SmallVec<[(&str, &str); 16]> = SmallVec::new();
        for record in self.records.iter().filter(|record| record.declaration) {
            let name = text_of(tag, record.name);
            let value = text_of(
                if record.decoded { &self.values } else { tag },
                record.value,
            );
            let prefix = name.strip_prefix("xmlns:").unwrap_or("");
            check_declaration(name, prefix, value).map_err(|kind| self.error(kind, at))?;
            if declared.iter().any(|&(known, _)| known == prefix) {
                return Err(self.malformed(format!("the attribute `{name}` stands twice"), at));
            }
            declared.push((prefix, value));
        }
        if declared.len() > self.limits.namespaces_max as usize {
            return Err(self.limit("namespaces_max", self.limits.namespaces_max, at));
        }
        Ok(self.scopes.enter(outer, &declared))
    }

    fn resolve_attributes<S: Sink>(
        &mut self,
        buf: &[u8],
        tag: &[u8],
        scope: ScopeId,
        at: usize,
        sink: &mut S,
    ) -> Result<(), Box<Error>> {
        let mut others = 0;
        for index in 0..self.records.len() {
            let Some(record) = self.records.get(index).copied().filter(|r| !r.declaration) else {
                continue;
            };
            others += 1;
            let raw = bytes_of(tag, record.name);
            let key = NameKey::at(buf, at + record.name.start as usize, raw.len());
            let resolved = self.resolve(scope, key, raw, true, at, sink)?;
            if let Some(record) = self.records.get_mut(index) {
                record.resolved = resolved;
            }
        }
        if others > 1
            && let Some(name) = self.repeated(tag)
        {
            let name = chars::clip(&name);
            return Err(self.malformed(
                format!("the attribute `{name}` stands twice in one tag"),
                at,
            ));
        }
        Ok(())
    }

    /// An attribute whose expanded name occurs twice.
    pub(super) fn repeated(&self, tag: &[u8]) -> Option<String> {
        let key = |record: &Record| {
            let raw = text_of(tag, record.name);
            let local = raw.split_once(':').map_or(raw, |(_, local)| local);
            (local, self.scopes.text(record.resolved.namespace))
        };
        let attributes = || self.records.iter().filter(|record| !record.declaration);
        if self.records.len() <= PAIRWISE_MAX {
            // Without prefix there is no namespace, with one there is: mixed pairs cannot be equal.
            let same = |a: &Record, b: &Record| match (a.resolved.prefix_len, b.resolved.prefix_len)
            {
                (0, 0) => bytes_of(tag, a.name) == bytes_of(tag, b.name),
                (0, _) | (_, 0) => false,
                _ => key(a) == key(b),
            };
            let twice = attributes().enumerate().find(|(index, record)| {
                attributes().take(*index).any(|before| same(before, record))
            });
            return twice.map(|(_, record)| text_of(tag, record.name).to_owned());
        }
        let mut sorted: SmallVec<[(&str, &str, Span); 64]> = attributes()
            .map(|record| (key(record).0, key(record).1, record.name))
            .collect();
        sorted.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let pair = sorted
            .windows(2)
            .find(|pair| matches!(pair, [a, b] if a.0 == b.0 && a.1 == b.1))?;
        pair.last().map(|found| text_of(tag, found.2).to_owned())
    }

    #[inline]
    pub(super) fn end_tag<S: Sink>(
        &mut self,
        buf: &[u8],
        at: usize,
        sink: &mut S,
    ) -> Result<Step, Box<Error>> {
        let open = self
            .frames
            .last()
            .map_or_else(NameKey::default, |frame| frame.key);
        let length = open.length as usize;
        let close = at + 2 + length;
        let fits = length > 0
            && buf.get(close) == Some(&b'>')
            && NameKey::at(buf, at + 2, length) == open
            && (open.is_whole() || buf.get(at + 2..close) == Some(self.long_name()));
        let close = if fits {
            close
        } else {
            match self.end_tag_slow(buf, at)? {
                Some(close) => close,
                None => return Ok(Step::Incomplete(at)),
            }
        };
        if close >= self.checked {
            self.check(buf, close + 1);
            if close >= self.checked {
                return Ok(Step::Incomplete(at));
            }
        }
        let (start, end) = (self.base + at as u64, self.base + close as u64 + 1);
        self.told = end;
        let flow = self.close_element(start, end, sink);
        Ok(if flow == Flow::Stop {
            Step::Stop(close + 1)
        } else {
            Step::Next(close + 1)
        })
    }

    /// White space before `>`, another name than expected, or an end that has not come yet.
    #[cold]
    fn end_tag_slow(&mut self, buf: &[u8], at: usize) -> Result<Option<usize>, Box<Error>> {
        let longest = self.limits.tag_bytes_max as usize;
        let bounded = buf.get(..(at + longest).min(buf.len())).unwrap_or(buf);
        let Some(close) =
            memchr::memchr(b'>', bounded.get(at..).unwrap_or(&[])).map(|found| at + found)
        else {
            if buf.len() - at >= longest {
                return Err(self.limit("tag_bytes_max", self.limits.tag_bytes_max, at));
            }
            return Ok(None);
        };
        // A wrong byte inside is told before the name is compared: a cut might have met it alone.
        self.check(buf, close + 1);
        if close >= self.checked {
            return Ok(None);
        }
        let written = buf.get(at + 2..close).unwrap_or(&[]);
        let name = written.trim_ascii_end();
        let shown = chars::clip(&String::from_utf8_lossy(name));
        let Some(frame) = self.frames.last() else {
            return Err(self.malformed(format!("the end tag `</{shown}>` closes nothing"), at));
        };
        let held = frame.key.bytes();
        let open = self.name_of(frame, &held);
        // `trim_ascii_end` also takes form feeds, which no tag may contain; the block check refuses them.
        if name != open {
            let open = chars::clip(&String::from_utf8_lossy(open));
            return Err(self.malformed(
                format!("the end tag `</{shown}>` does not match `<{open}>`"),
                at,
            ));
        }
        Ok(Some(close))
    }

    /// The name of the innermost open element, given the bytes that its key holds.
    #[inline]
    fn name_of<'n>(&'n self, frame: &Frame, held: &'n [u8; 16]) -> &'n [u8] {
        if frame.key.is_whole() {
            held.get(..frame.key.length as usize).unwrap_or(&[])
        } else {
            self.names.get(frame.name_start as usize..).unwrap_or(&[])
        }
    }

    /// The innermost open element's name when its key does not hold it whole.
    pub(super) fn long_name(&self) -> &[u8] {
        let frame = self.frames.last();
        frame
            .and_then(|frame| self.names.get(frame.name_start as usize..))
            .unwrap_or(&[])
    }

    #[inline]
    pub(super) fn close_element<S: Sink>(&mut self, start: u64, end: u64, sink: &mut S) -> Flow {
        let depth = self.frames.len() as u32;
        let Some(frame) = self.frames.pop() else {
            return Flow::Continue;
        };
        let held = frame.key.bytes();
        let told = EndTag {
            raw: self.name_of(&frame, &held),
            depth,
            start,
            end,
        };
        let flow = sink.end(&told);
        if !frame.key.is_whole() {
            self.names.truncate(frame.name_start as usize);
        }
        if frame.declares {
            self.scopes.leave(frame.scope);
        }
        if self.frames.is_empty() {
            self.place = Place::Epilog;
        }
        flow
    }
}

/// Namespaces in XML 1.0 §3: what may be declared.
fn check_declaration(name: &str, prefix: &str, value: &str) -> Result<(), ErrorKind> {
    let wrong = |what: String| Err(ErrorKind::Namespace(what));
    if name != "xmlns" && !chars::is_nc_name(prefix) {
        return wrong(format!("`{}` declares no prefix", chars::clip(name)));
    }
    match prefix {
        "xmlns" => wrong("the prefix `xmlns` cannot be declared".into()),
        "xml" if value != XML_NAMESPACE => {
            wrong("the prefix `xml` cannot mean another namespace".into())
        }
        "xml" => Ok(()),
        _ if value == XML_NAMESPACE || value == XMLNS_NAMESPACE => wrong(format!(
            "`{}` cannot be declared as `{value}`",
            chars::clip(name)
        )),
        "" => Ok(()),
        _ if value.is_empty() => wrong(format!(
            "`{}=\"\"` undeclares a prefix, which XML 1.0 does not allow",
            chars::clip(name)
        )),
        _ => Ok(()),
    }
}

fn skip_space(buf: &[u8], mut at: usize) -> usize {
    while buf.get(at).is_some_and(|&b| chars::is_space(b)) {
        at += 1;
    }
    at
}

fn bytes_of(bytes: &[u8], span: Span) -> &[u8] {
    bytes
        .get(span.start as usize..span.end as usize)
        .unwrap_or(&[])
}

fn text_of(bytes: &[u8], span: Span) -> &str {
    std::str::from_utf8(bytes_of(bytes, span)).unwrap_or("")
}
