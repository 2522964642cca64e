//! What the scanner tells, and to whom.
//!
//! [`Sink`] is the whole stream, for the engine; [`Observer`] is its shallow part, for a room that
//! wants to read along in the same pass. **Invariant:** nothing here keeps bytes.

use std::ops::Range;

use super::likeness::Likeness;
use super::scope::{NameRef, Scopes, Span};

/// What a sink wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Pass over the content of the element just started; its end is still told.
    Skip,
    /// Return from `feed` now; scanning can go on from this place.
    Stop,
}

/// Receives every event of the document.
pub trait Sink {
    /// A number of the sink's choice for an expanded name; asked once per name and scope, then remembered.
    fn symbol(&mut self, namespace: &str, local: &str) -> u64;
    /// What an expanded name is to whoever reads along: 0 if that is not known, 1 if it means nothing.
    /// Asked as often.
    fn class(&mut self, namespace: &str, local: &str) -> u8 {
        let _ = (namespace, local);
        0
    }
    /// A start tag, its attributes resolved. An empty element is told as a start and an end.
    fn start(&mut self, tag: &Tag<'_>) -> Flow;
    /// Whether text is of interest now; when not, it is only checked.
    fn wants_text(&self) -> bool;
    /// A piece of text, references replaced and line ends normalised. Pieces of one text node follow
    /// each other without another event between.
    fn text(&mut self, text: &str);
    /// The same as [`Sink::text`], for bytes that are known to be UTF-8: for sinks that do not mind.
    fn text_bytes(&mut self, text: &[u8]) {
        self.text(std::str::from_utf8(text).unwrap_or(""));
    }
    /// A piece of a comment; `last` ends it. Also told when empty.
    fn comment(&mut self, text: &str, last: bool);
    /// An end tag. `Skip` means the same as `Continue`.
    fn end(&mut self, tag: &EndTag<'_>) -> Flow;
    /// Whether a tag with attributes must be shown, given the bits that their numbers have together:
    /// for sinks whose numbers are made of bits. When not, it may be taken by its own number alone.
    #[inline(always)]
    fn minds_attributes(&self, bits: u64) -> bool {
        let _ = bits;
        false
    }
    /// Takes an element by its number alone, if nothing else of its tag matters. After [`Taken::Not`],
    /// nothing has happened, and `start` follows with the whole tag. The note beside the number
    /// is the sink's to write; it comes back with the name until that is forgotten, and begins as 0.
    fn start_known(
        &mut self,
        known: (u64, &mut u64),
        attributes: Records<'_>,
        depth: u32,
        end: u64,
    ) -> Taken {
        let _ = (known, attributes, depth, end);
        Taken::Not
    }
    /// Takes an element that contains nothing but this text, which is UTF-8, from its start to its end
    /// tag. After [`Taken::Not`], nothing has happened, and both are told for themselves.
    fn leaf_known(&mut self, known: (u64, &mut u64), depth: u32, text: &[u8], end: u64) -> Taken {
        let _ = (known, depth, text, end);
        Taken::Not
    }
    /// Takes the end of an element inside the root by its depth alone. After [`Taken::Not`],
    /// nothing has happened, and `end` follows.
    fn end_known(&mut self, depth: u32, end: u64) -> Taken {
        let _ = (depth, end);
        Taken::Not
    }

    /// Whether what comes may be taken by trace: markup that stood there before, of which the sink is
    /// told only what [`Sink::part`] says that it wants. The following are for such sinks.
    #[inline(always)]
    fn traces(&self) -> bool {
        false
    }
    /// What the notes are of; when it changes, those given before mean nothing any more.
    fn epoch(&self) -> u64 {
        0
    }
    /// Depth of the deepest element of which the sink must be shown the content.
    fn floor(&self) -> u16 {
        1
    }
    /// The sink's note on an element with this symbol and class in the open element of that depth, and
    /// what it wants of it, which is always the same; nothing if its tag must be shown.
    fn part(&mut self, outer: u32, (symbol, class): (u64, u8)) -> Option<(u64, Part)> {
        let _ = (outer, symbol, class);
        None
    }
    /// The element with this note has these values.
    fn values(&mut self, note: u64, values: Records<'_>, end: u64) -> Opening {
        let _ = (note, values, end);
        Opening::Frame
    }
    /// The element with this note starts, which has nothing but text.
    fn starts(&mut self, note: u64, depth: u32, end: u64) -> Opening {
        let _ = (note, depth, end);
        Opening::Frame
    }
    /// The element with this note had this text and ended; it was not put on the stack.
    fn leaf(&mut self, note: u64, depth: u32, text: &[u8], end: u64) -> Taken {
        let _ = (note, depth, text, end);
        Taken::Not
    }
    /// What the value of the attribute with this symbol, or the text, of the element with this note must meet to
    /// mean anything; nothing if that cannot be told by the value alone.
    fn tests_of(&self, note: u64, symbol: Option<u64>) -> Option<Tests> {
        let _ = (note, symbol);
        None
    }
    /// Whether a value meets these tests. When not, the sink need not be told of it.
    fn meets(&self, tests: Tests, value: &[u8]) -> bool {
        let _ = (tests, value);
        true
    }
    /// What values that meet these tests look like.
    fn likeness(&self, tests: Tests) -> Likeness {
        let _ = tests;
        Likeness::ANY
    }
    /// The element with this note is open, of which nothing was told yet.
    fn push(&mut self, note: u64, depth: u32) {
        let _ = (note, depth);
    }
    /// The innermost element that was pushed has these values: the rest of what its start means.
    fn opened(&mut self, values: Records<'_>, end: u64) -> Taken {
        let _ = (values, end);
        Taken::Continue
    }
    /// Of the innermost element that was pushed the start is told already; its text is read.
    fn unread(&mut self) {}
    /// Ends the elements deeper than `depth`, if nothing comes of that; else nothing has happened.
    fn pops(&mut self, depth: u32) -> bool {
        let _ = depth;
        false
    }
    /// Whether nothing would come of the end of the innermost element, which has this depth.
    fn ends_quietly(&self, depth: u32) -> bool {
        let _ = depth;
        false
    }
}

/// What a sink wants of an element that is taken by trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part(u8);

impl Part {
    /// Nothing.
    pub const QUIET: Self = Self(0);
    /// The values of its attributes.
    pub const VALUES: Self = Self(1);
    /// To be told of its start, on the stack.
    pub const FRAME: Self = Self(2);
    /// That its content is passed over.
    pub const DEAD: Self = Self(4);
    /// Its text.
    pub const TEXT: Self = Self(8);
    /// If it has nothing but text, to be told of its start and of its text, on no stack: beside
    /// [`Part::FRAME`], for others.
    pub const LEAF: Self = Self(16);

    /// This and that.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same without [`Part::DEAD`]: of an element without elements.
    pub const fn living(self) -> Self {
        Self(self.0 & !Self::DEAD.0)
    }

    /// The same of an element with nothing but text.
    pub(super) const fn of_leaf(self) -> Self {
        match self.leaf() {
            true => Self(self.0 & !(Self::FRAME.0 | Self::DEAD.0) | Self::TEXT.0),
            false => self,
        }
    }

    #[inline(always)]
    pub(super) const fn is_quiet(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    pub(crate) const fn values(self) -> bool {
        self.0 & Self::VALUES.0 != 0
    }

    #[inline(always)]
    pub(crate) const fn frame(self) -> bool {
        self.0 & Self::FRAME.0 != 0
    }

    #[inline(always)]
    pub(super) const fn dead(self) -> bool {
        self.0 & Self::DEAD.0 != 0
    }

    #[inline(always)]
    pub(super) const fn text(self) -> bool {
        self.0 & Self::TEXT.0 != 0
    }

    #[inline(always)]
    pub(super) const fn leaf(self) -> bool {
        self.0 & Self::LEAF.0 != 0
    }

    /// The first or the other: what is to be told of a start is the values or, for listeners, that it is there.
    #[inline(always)]
    pub(super) const fn values_or_leaf(self) -> bool {
        self.0 & (Self::VALUES.0 | Self::LEAF.0) != 0
    }
}

/// Tests on a value, by numbers of the sink's choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tests(pub(crate) Option<u32>, pub(crate) Option<u32>);

impl Tests {
    /// Whether there are none, which no value meets.
    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self.0.is_none()
    }
}

/// What came of an element's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Nothing.
    Nothing,
    /// The sink must be told of its start after all.
    Frame,
    /// As [`Flow::Stop`].
    Stop,
}

/// Attributes that were read and stand as they are.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    pub(super) tag: &'a [u8],
    pub(super) records: &'a [Record],
}

impl<'a> Records<'a> {
    /// Whether there are none.
    #[inline(always)]
    pub(crate) fn is_empty(self) -> bool {
        self.records.is_empty()
    }

    /// Symbol and value of each, which is UTF-8.
    #[inline(always)]
    pub(crate) fn all(self) -> impl Iterator<Item = (u64, &'a [u8])> {
        self.records.iter().map(move |record| {
            let value = record.value.start as usize..record.value.end as usize;
            (record.resolved.symbol, self.tag.get(value).unwrap_or(&[]))
        })
    }
}

/// How a sink took a tag it was not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// As [`Flow::Continue`].
    Continue,
    /// As [`Flow::Skip`].
    Skip,
    /// As [`Flow::Stop`].
    Stop,
    /// Not at all: it must be shown.
    Not,
}

/// Reads along at shallow depth.
///
/// Names are expanded, values are normalised. Every method may stop the pass.
pub trait Observer {
    /// Deepest element that is told about; the root has depth 1. Content below costs nothing.
    fn depth_max(&self) -> u32 {
        4
    }
    /// Depth of the deepest element whose tags must be told now whatever their class; of white space in an
    /// element of that depth nothing is told. Deeper ones are told as [`Observer::wants`] says.
    fn told_to(&self) -> u32 {
        self.depth_max().saturating_add(1)
    }
    /// What is wanted of an element of this class, deeper than [`Observer::told_to`] but not than
    /// [`Observer::depth_max`], that has no attribute of a class: always the same for its place.
    fn wants(&self, depth: u32, class: u8) -> Want {
        let _ = (depth, class);
        Want::Tag
    }
    /// An element of this class with nothing but this text, of which [`Want::Text`] is wanted.
    fn leaf(&mut self, class: u8, text: &str) -> Flow {
        let _ = (class, text);
        Flow::Continue
    }
    /// A start tag at `tag.depth() <= depth_max()`.
    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        let _ = tag;
        Flow::Continue
    }
    /// Text directly in an element of that depth, in pieces.
    fn text(&mut self, depth: u32, text: &str) {
        let _ = (depth, text);
    }
    /// The end of such an element.
    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        let _ = tag;
        Flow::Continue
    }
}

/// What an observer wants of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    Nothing,
    /// Its text, if it has nothing else; then neither its start nor its end is told.
    Text,
    /// To be told of its start, its text and its end.
    Tag,
}

/// An observer that looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Observer for Nobody {
    fn depth_max(&self) -> u32 {
        0
    }
}

/// A sink that looks at nothing: what the scanner checks by itself is what is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unconcerned;

impl Sink for Unconcerned {
    fn symbol(&mut self, _namespace: &str, _local: &str) -> u64 {
        0
    }

    fn start(&mut self, _tag: &Tag<'_>) -> Flow {
        Flow::Continue
    }

    fn wants_text(&self) -> bool {
        false
    }

    fn text(&mut self, _text: &str) {}

    fn comment(&mut self, _text: &str, _last: bool) {}

    fn end(&mut self, _tag: &EndTag<'_>) -> Flow {
        Flow::Continue
    }

    fn start_known(&mut self, _: (u64, &mut u64), _: Records<'_>, _depth: u32, _: u64) -> Taken {
        Taken::Continue
    }

    fn leaf_known(&mut self, _: (u64, &mut u64), _depth: u32, _text: &[u8], _: u64) -> Taken {
        Taken::Continue
    }

    fn end_known(&mut self, _depth: u32, _end: u64) -> Taken {
        Taken::Continue
    }

    fn traces(&self) -> bool {
        true
    }

    fn part(&mut self, _outer: u32, _name: (u64, u8)) -> Option<(u64, Part)> {
        Some((0, Part::QUIET))
    }

    fn pops(&mut self, _depth: u32) -> bool {
        true
    }

    fn ends_quietly(&self, _depth: u32) -> bool {
        true
    }
}

/// An expanded name as written in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The prefix, or `""`.
    pub prefix: &'a str,
    /// The part after the colon.
    pub local: &'a str,
    /// The namespace, or `""` for none.
    pub namespace: &'a str,
}

impl Name<'_> {
    /// Whether the expanded name is this one.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.local == local && self.namespace == namespace
    }
}

/// A start tag.
#[derive(Clone, Copy)]
pub struct Tag<'a> {
    pub(super) raw: Span,
    pub(super) name: NameRef,
    pub(super) tag: &'a [u8],
    pub(super) values: &'a [u8],
    pub(super) records: &'a [Record],
    pub(super) scopes: &'a Scopes,
    pub(super) depth: u32,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) empty: bool,
    pub(super) declares: bool,
}

/// An end tag, or the end of an empty element.
#[derive(Debug, Clone, Copy)]
pub struct EndTag<'a> {
    pub(super) raw: &'a [u8],
    /// The element's depth; the root has 1.
    pub depth: u32,
    /// Offset of the tag's `<`; for an empty element its own tag's end.
    pub start: u64,
    /// Offset behind its `>`.
    pub end: u64,
}

impl<'a> EndTag<'a> {
    /// The element's name as written.
    pub fn qualified(&self) -> &'a str {
        std::str::from_utf8(self.raw).unwrap_or("")
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Its expanded name; an attribute without prefix has no namespace.
    pub name: Name<'a>,
    /// The sink's number for the name.
    pub symbol: u64,
    /// The normalised value.
    pub value: &'a str,
}

/// Where an attribute stands, within its tag.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Record {
    pub(super) name: Span,
    pub(super) value: Span,
    pub(super) decoded: bool,
    pub(super) declaration: bool,
    pub(super) resolved: NameRef,
}

impl<'a> Tag<'a> {
    /// The expanded name.
    pub fn name(&self) -> Name<'a> {
        expand(self.scopes, self.qualified(), self.name)
    }

    /// The namespace of the name.
    #[inline]
    pub(crate) fn namespace(&self) -> &'a str {
        self.scopes.text(self.name.namespace)
    }

    /// The name without its prefix, for who only compares it: it need not be read as text then.
    #[inline]
    pub(crate) fn local(&self) -> &'a [u8] {
        let prefix = match self.name.prefix_len {
            0 => 0,
            length => usize::from(length) + 1,
        };
        let local = self.raw.start as usize + prefix..self.raw.end as usize;
        self.tag.get(local).unwrap_or(&[])
    }

    /// The name as written.
    pub fn qualified(&self) -> &'a str {
        str_of(self.tag, self.raw)
    }

    /// The tag as written, from `<` to `>`.
    pub fn bytes(&self) -> &'a [u8] {
        self.tag
    }

    /// The sink's number for the name.
    #[inline]
    pub fn symbol(&self) -> u64 {
        self.name.symbol
    }

    /// The attributes without namespace declarations, in the order written.
    #[inline]
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let tag = *self;
        self.records
            .iter()
            .filter(|r| !r.declaration)
            .map(move |record| Attribute {
                name: expand(tag.scopes, str_of(tag.tag, record.name), record.resolved),
                symbol: record.resolved.symbol,
                value: tag.value(record),
            })
    }

    /// Symbol of each attribute, and the place by which the rest of it is asked for.
    #[inline]
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (u64, usize)> + use<'a> {
        let all = self.records.iter().zip(0..);
        all.filter(|(record, _)| !record.declaration)
            .map(|(record, place)| (record.resolved.symbol, place))
    }

    /// The value, which is UTF-8, of the attribute at a place that [`Tag::symbols`] gave.
    #[inline]
    pub(crate) fn value_at(&self, place: usize) -> &'a [u8] {
        let of = |record: &Record| {
            let bytes = if record.decoded {
                self.values
            } else {
                self.tag
            };
            bytes.get(record.value.start as usize..record.value.end as usize)
        };
        self.records.get(place).and_then(of).unwrap_or(&[])
    }

    /// Where in [`Tag::bytes`] the name of each attribute stands, with the sink's number for it;
    /// declarations, which have none, among them.
    #[inline]
    pub(crate) fn written(&self) -> impl Iterator<Item = (Range<usize>, Option<u64>)> + use<'a> {
        self.records.iter().map(|record| {
            let name = record.name.start as usize..record.name.end as usize;
            (
                name,
                (!record.declaration).then_some(record.resolved.symbol),
            )
        })
    }

    /// Whether the tag has neither attributes nor declarations.
    #[inline]
    pub(crate) fn is_bare(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether the tag has namespace declarations.
    #[inline]
    pub(crate) fn declares(&self) -> bool {
        self.declares
    }

    /// Whether an attribute has this symbol, with the place of the first one.
    #[inline]
    pub(crate) fn place_of(&self, symbol: u64) -> Option<usize> {
        let found = |r: &Record| !r.declaration && r.resolved.symbol == symbol;
        self.records.iter().position(found)
    }

    /// The attribute at a place that [`Tag::symbols`] gave.
    pub(crate) fn attribute(&self, place: usize) -> Option<Attribute<'a>> {
        let record = self.records.get(place)?;
        Some(Attribute {
            name: expand(self.scopes, str_of(self.tag, record.name), record.resolved),
            symbol: record.resolved.symbol,
            value: self.value(record),
        })
    }

    /// The namespace declarations: prefix (`""` for the default) and namespace.
    pub fn declarations(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let tag = *self;
        self.records
            .iter()
            .filter(|r| r.declaration)
            .map(move |record| {
                let name = str_of(tag.tag, record.name);
                (name.strip_prefix("xmlns:").unwrap_or(""), tag.value(record))
            })
    }

    /// Whether the tag has attributes other than namespace declarations.
    #[inline]
    pub fn has_attributes(&self) -> bool {
        !self.records.is_empty() && (!self.declares || self.records.iter().any(|r| !r.declaration))
    }

    /// The element's depth; the root has 1.
    #[inline]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Offset of `<`.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Offset behind `>`.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether the tag is `<a/>`; its end is told next.
    pub fn is_empty_element(&self) -> bool {
        self.empty
    }

    fn value(&self, record: &Record) -> &'a str {
        str_of(
            if record.decoded {
                self.values
            } else {
                self.tag
            },
            record.value,
        )
    }
}

impl std::fmt::Debug for Tag<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tag")
            .field("name", &self.name())
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

fn expand<'a>(scopes: &'a Scopes, raw: &'a str, name: NameRef) -> Name<'a> {
    let (prefix, local) = match name.prefix_len {
        0 => ("", raw),
        length => (
            raw.get(..usize::from(length)).unwrap_or(""),
            raw.get(usize::from(length) + 1..).unwrap_or(""),
        ),
    };
    Name {
        prefix,
        local,
        namespace: scopes.text(name.namespace),
    }
}

/// A span of bytes that the scanner has checked to be UTF-8.
#[inline]
fn str_of(bytes: &[u8], span: Span) -> &str {
    bytes
        .get(span.start as usize..span.end as usize)
        .and_then(|b| std::str::from_utf8(b).ok())
        .unwrap_or("")
}
