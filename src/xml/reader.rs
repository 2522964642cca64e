//! A pull face over `quick-xml` for documents that are at hand whole.
//!
//! For configuration-time work (WSDL, imports) and as the oracle the scanner is tested against.
//! Same limits and errors as the scanner; adjacent text, references and CDATA come as one text.

use quick_xml::events::{BytesStart, Event as Raw};
use quick_xml::name::{QName, ResolveResult};
use quick_xml::reader::NsReader;

use super::chars;
use super::error::{Error, ErrorKind};
use super::limits::Limits;

/// One event; everything in it is owned and normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A start tag; an empty element is a start and an end.
    Start {
        /// Prefix or `""`, local name, namespace or `""`.
        name: (String, String, String),
        /// Attributes without declarations: name as above, and value.
        attributes: Vec<((String, String, String), String)>,
    },
    /// A whole text node.
    Text(String),
    /// A comment.
    Comment(String),
    /// The end of the innermost element.
    End,
}

/// Reads events from text.
pub struct Reader<'a> {
    inner: NsReader<&'a [u8]>,
    text: &'a str,
    limits: Limits,
    depth: u32,
    seen_root: bool,
    pending: Option<Event>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// A reader over a whole document in UTF-8.
    pub fn new(text: &'a str, limits: &Limits) -> Self {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let mut inner = NsReader::from_str(text);
        let config = inner.config_mut();
        config.enable_all_checks(true);
        config.expand_empty_elements = true;
        Self {
            inner,
            text,
            limits: *limits,
            depth: 0,
            seen_root: false,
            pending: None,
        }
    }

    /// The next event, or nothing at the end of a complete document.
    ///
    /// # Errors
    /// When the document is not well-formed, is refused, or passes a limit.
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        if let Some(event) = self.pending.take() {
            return Ok(Some(event));
        }
        let mut text: Option<String> = None;
        loop {
            let at = self.offset();
            let event = match self.inner.read_event() {
                Ok(event) => event,
                Err(error) => return Err(not_well_formed(&error, at)),
            };
            let next = match event {
                Raw::Text(piece) => {
                    text.get_or_insert_default()
                        .push_str(&self.plain(&piece.xml10_content(), at)?);
                    continue;
                }
                Raw::CData(piece) if self.depth > 0 => {
                    text.get_or_insert_default()
                        .push_str(&piece.xml10_content());
                    continue;
                }
                Raw::GeneralRef(reference) => {
                    text.get_or_insert_default()
                        .push_str(&resolve(&reference, at)?);
                    continue;
                }
                Raw::CData(_) => {
                    return Err(wrong("a CDATA section stands outside the root element", at));
                }
                Raw::Decl(_) if at == 0 => continue,
                Raw::Decl(_) => {
                    return Err(wrong(
                        "the XML declaration must stand at the very start",
                        at,
                    ));
                }
                Raw::PI(_) => return Err(Error::new(ErrorKind::ProcessingInstruction, at)),
                Raw::DocType(_) => return Err(Error::new(ErrorKind::Doctype, at)),
                Raw::Comment(comment) => Some(Event::Comment(comment.xml10_content().into_owned())),
                Raw::Start(tag) | Raw::Empty(tag) => {
                    let tag = tag.into_owned();
                    Some(self.start(&tag, at)?)
                }
                Raw::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    Some(Event::End)
                }
                Raw::Eof if self.depth > 0 || !self.seen_root => {
                    return Err(Error::new(ErrorKind::Truncated, at));
                }
                Raw::Eof => None,
            };
            return self.after_text(text, next, at);
        }
    }

    fn after_text(
        &mut self,
        text: Option<String>,
        next: Option<Event>,
        at: u64,
    ) -> Result<Option<Event>, Error> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(next);
        };
        let opened_root = self.depth == 1 && matches!(next, Some(Event::Start { .. }));
        let closed_root = self.depth == 0 && matches!(next, Some(Event::End));
        let inside = (self.depth > 0 && !opened_root) || closed_root;
        if inside {
            self.pending = next;
            return Ok(Some(Event::Text(text)));
        }
        if text.bytes().all(chars::is_space) {
            return Ok(next);
        }
        Err(wrong("text stands outside the root element", at))
    }

    /// Offset of the next byte to be read.
    pub fn offset(&self) -> u64 {
        self.inner.buffer_position()
    }

    fn plain(&self, text: &str, at: u64) -> Result<String, Error> {
        if text.contains("]]>") {
            return Err(wrong("`]]>` stands in text", at));
        }
        self.good_chars(text, at).map(|()| text.to_owned())
    }

    fn good_chars(&self, text: &str, at: u64) -> Result<(), Error> {
        if text.chars().all(chars::is_char) {
            Ok(())
        } else {
            Err(wrong("a character is not allowed in XML", at))
        }
    }

    fn start(&mut self, tag: &BytesStart<'static>, at: u64) -> Result<Event, Error> {
        if self.depth == 0 && self.seen_root {
            return Err(wrong("a second element stands after the root element", at));
        }
        if self.depth >= self.limits.depth_max {
            return Err(limit("depth_max", self.limits.depth_max, at));
        }
        self.depth += 1;
        self.seen_root = true;
        let name = self.name(tag.name(), true, at)?;
        let mut attributes: Vec<((String, String, String), String)> = Vec::new();
        for (count, attribute) in tag.attributes().enumerate() {
            let attribute = attribute.map_err(|error| not_well_formed(&error, at))?;
            if count >= self.limits.attributes_max as usize {
                return Err(limit("attributes_max", self.limits.attributes_max, at));
            }
            if attribute.value.len() > self.limits.attribute_bytes_max as usize {
                return Err(limit(
                    "attribute_bytes_max",
                    self.limits.attribute_bytes_max,
                    at,
                ));
            }
            if attribute.value.contains('<') {
                return Err(wrong("`<` stands in an attribute's value", at));
            }
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Explicit1_0)
                .map_err(|error| not_well_formed(&error, at))?;
            self.good_chars(&value, at)?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let name = self.name(attribute.key, false, at)?;
            if attributes
                .iter()
                .any(|(known, _)| known.1 == name.1 && known.2 == name.2)
            {
                return Err(wrong("an attribute stands twice in one tag", at));
            }
            attributes.push((name, value.into_owned()));
        }
        Ok(Event::Start { name, attributes })
    }

    fn name(
        &self,
        name: QName<'_>,
        element: bool,
        at: u64,
    ) -> Result<(String, String, String), Error> {
        let resolver = self.inner.resolver();
        let (resolved, _) = if element {
            resolver.resolve_element(name)
        } else {
            resolver.resolve_attribute(name)
        };
        let namespace = match resolved {
            ResolveResult::Bound(namespace) => namespace.0.to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(prefix) => {
                let what = format!("the prefix `{}` is not declared", chars::clip(&prefix));
                return Err(Error::new(ErrorKind::Namespace(what), at));
            }
        };
        let (prefix, local) = chars::split_qname(name.0)
            .map_err(|what| Error::new(ErrorKind::NotWellFormed(what), at))?;
        Ok((prefix.to_owned(), local.to_owned(), namespace))
    }

    /// The whole text that is read.
    pub fn text(&self) -> &'a str {
        self.text
    }
}

fn resolve(reference: &quick_xml::events::BytesRef<'_>, at: u64) -> Result<String, Error> {
    let found = reference
        .resolve_char_ref()
        .map_err(|error| not_well_formed(&error, at))?;
    let c = match (found, reference.as_ref()) {
        (Some(c), _) if chars::is_char(c) => c,
        (None, "lt") => '<',
        (None, "gt") => '>',
        (None, "amp") => '&',
        (None, "quot") => '"',
        (None, "apos") => '\'',
        (_, name) => {
            return Err(wrong(
                &format!("the reference `&{};` is unknown", chars::clip(name)),
                at,
            ));
        }
    };
    Ok(c.to_string())
}

fn not_well_formed(error: &dyn std::fmt::Display, at: u64) -> Error {
    Error::new(ErrorKind::NotWellFormed(error.to_string()), at)
}

fn wrong(what: &str, at: u64) -> Error {
    Error::new(ErrorKind::NotWellFormed(what.to_owned()), at)
}

fn limit(name: &'static str, max: u32, at: u64) -> Error {
    Error::new(
        ErrorKind::Limit {
            name,
            max: u64::from(max),
        },
        at,
    )
}
