//! The rest of a message, changed while it passes: no byte of it is held but a tag that is cut.
//!
//! Every tag is read and checked, since what leaves must be well-formed to its last byte; what is
//! changed are the two end tags and `encodingStyle` (rules E28, E34), what is dropped are comments
//! outside Envelope (E10) and, where that is asked for, trailers (E30).

use smallvec::SmallVec;

use super::doc::{escape, place};
use super::envelope::style_value;
use super::error::{BridgeError, structure};
use super::loss::{Loss, Losses};
use super::names::{
    attribute_class, class, classify, envelope_prefix, envelope_slot, local, of_version,
};
use super::out::Out;
use super::raw;
use super::shape::{Reached, Shape};
use super::signed::{is_inclusive, is_method};
use super::work::Tail;
use crate::soap::version::Version;
use crate::xml::{EndTag, Flow, Part, Records, Sink, Tag, Taken};

/// Namespaces whose elements are looked at wherever they stand.
const WATCHED: u64 = class::ENVELOPE | class::DSIG;

/// A change at a place of the document: these bytes go, that text comes.
#[derive(Debug)]
struct Edit {
    start: u64,
    end: u64,
    with: With,
}

/// What is put in.
#[derive(Debug)]
enum With {
    Nothing,
    /// An end tag: prefix and name.
    EndTag(&'static str, &'static str),
    Text(String),
}

impl With {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::EndTag(prefix, name) => {
                for piece in ["</", prefix, ":", name, ">"] {
                    out.extend_from_slice(piece.as_bytes());
                }
            }
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

/// The rest under way.
#[derive(Debug, Default)]
pub(super) struct Rest {
    tail: Tail,
    prefix: &'static str,
    /// `encodingStyle` of the namespace that came.
    style_class: u64,
    changes_envelope: bool,
    /// Depth of the innermost quoted envelope's element.
    quoted: u32,
    /// Elements that declare prefixes of our family, with the prefix's place in it.
    redeclared: SmallVec<[(u32, u8); 4]>,
    /// Family members that the held part declares.
    taken: super::names::Taken,
    /// Whether text would stand directly in Envelope.
    outside: bool,
    /// Deepest level at which even a tag without attributes is looked at.
    looks_to: u16,
    /// Whether an end tag may end something that is remembered.
    watches: bool,
    body_over: bool,
    /// Where the trailer that is left out begins.
    trailer: Option<u64>,
    edits: Vec<Edit>,
    pub(super) error: Option<BridgeError>,
    /// What could not be kept.
    pub(super) losses: Losses,
    /// Behind the Envelope's end tag.
    root_end: Option<u64>,
    last_offset: u64,
    // What was read and not yet passed on.
    pending: Vec<u8>,
    spare: Vec<u8>,
    /// Offset of the first byte not yet passed on.
    base: u64,
    epilog: Epilog,
}

/// Where the head ends and the rest begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Border {
    /// Bytes of the head.
    base: u64,
    body_over: bool,
    /// The first child of Body was a quoted envelope, and is still open.
    in_quoted: bool,
    taken: super::names::Taken,
}

impl Border {
    /// Behind the head that was read.
    pub(super) fn of(head: &Shape) -> Self {
        let last = head.children.last().and_then(|id| head.doc.node(*id));
        Self {
            base: head.doc.bytes.len() as u64,
            body_over: head.reached == Reached::BodyEnd,
            in_quoted: last.is_some_and(|node| node.quoted && !node.empty),
            taken: head.taken,
        }
    }
}

/// Takes comments out of what follows the Envelope (and of what stands before it): nothing but
/// white space and comments is there, the scanner sees to that.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Epilog {
    /// Bytes of the comment seen, and hyphens at its end.
    inside: Option<(u64, u8)>,
}

impl Epilog {
    /// Appends what is no comment.
    pub(super) fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            self.inside = match self.inside {
                None if byte == b'<' => Some((1, 0)),
                None => {
                    out.push(byte);
                    None
                }
                Some((seen, hyphens)) if byte == b'>' && seen > 5 && hyphens >= 2 => None,
                // `<!--` itself is no end.
                Some((seen, hyphens)) => {
                    let hyphens = if byte == b'-' && seen >= 4 {
                        hyphens.saturating_add(1)
                    } else {
                        0
                    };
                    Some((seen + 1, hyphens))
                }
            };
        }
    }
}

impl Rest {
    /// What follows the head.
    pub(super) fn begin(&mut self, tail: Tail, head: Border) {
        let changes_envelope = tail.from != tail.to;
        let Border {
            base,
            body_over,
            in_quoted,
            taken,
        } = head;
        let (edits, pending, spare) = (
            std::mem::take(&mut self.edits),
            std::mem::take(&mut self.pending),
            std::mem::take(&mut self.spare),
        );
        *self = Self {
            prefix: envelope_prefix(tail.slot),
            style_class: of_version(tail.from) | const { local("encodingStyle") },
            changes_envelope,
            quoted: if in_quoted { 3 } else { 0 },
            redeclared: SmallVec::new(),
            taken: taken.with_envelope(tail.slot),
            outside: body_over,
            looks_to: if changes_envelope && tail.style.is_some() {
                3
            } else {
                2
            },
            watches: in_quoted,
            tail,
            body_over,
            trailer: None,
            edits,
            error: None,
            losses: Losses::default(),
            root_end: None,
            last_offset: base,
            pending,
            spare,
            base,
            epilog: Epilog::default(),
        };
    }

    /// Forgets everything but the room that it took.
    pub(super) fn clear(&mut self) {
        self.edits.clear();
        self.pending.clear();
        self.spare.clear();
        self.error = None;
    }

    /// Passes on what is certain of these bytes, which the scanner has read but for the last
    /// `held` of them.
    pub(super) fn pass(&mut self, bytes: &[u8], held: usize, out: &mut dyn Out) {
        let begun = self.base + self.pending.len() as u64;
        let upto = (begun + bytes.len() as u64).saturating_sub(held as u64);
        let pending = std::mem::take(&mut self.pending);
        let window = Window {
            first: &pending,
            second: bytes,
            base: self.base,
        };
        let edits = std::mem::take(&mut self.edits);
        for edit in &edits {
            self.copy(&window, edit.start, out);
            edit.with.write(out.text());
            self.base = self.base.max(edit.end);
        }
        let until = self.trailer.map_or(upto, |trailer| trailer.min(upto));
        self.copy(&window, until, out);
        self.base = self.base.max(upto);
        let mut kept = std::mem::take(&mut self.spare);
        kept.clear();
        window.each(self.base, u64::MAX, |piece| kept.extend_from_slice(piece));
        (self.pending, self.spare) = (kept, pending);
        self.edits = edits;
        self.edits.clear();
    }

    fn copy(&mut self, window: &Window<'_>, until: u64, out: &mut dyn Out) {
        let root_end = self
            .root_end
            .filter(|_| self.drops_comments())
            .unwrap_or(u64::MAX);
        window.each(self.base, until.min(root_end), |piece| {
            out.pass(piece);
        });
        let epilog = &mut self.epilog;
        window.each(self.base.max(root_end), until, |piece| {
            epilog.pass(piece, out.text());
        });
        self.base = self.base.max(until);
    }

    /// E10: in SOAP 1.2 there are none outside Envelope.
    fn drops_comments(&self) -> bool {
        self.tail.to == Version::Soap12 || self.changes_envelope
    }

    fn edit(&mut self, start: u64, end: u64, with: With) {
        self.edits.push(Edit { start, end, with });
    }

    fn fail(&mut self, what: impl Into<String>, at: u64) -> Flow {
        if self.error.is_none() {
            self.error = Some(structure(what, place(at)));
        }
        Flow::Stop
    }

    /// Elements after Body: S11 §4.1 allows qualified ones, SOAP 1.2 none.
    fn after_body(&mut self, tag: &Tag<'_>) -> Flow {
        let name = tag.name();
        if self.tail.from == Version::Soap12 || name.namespace.is_empty() {
            let what = format!("`{}` stands after Body", tag.qualified());
            return self.fail(what, tag.start());
        }
        if name.namespace == self.tail.from.namespace() {
            let what = format!("a second `{}` stands after Body", tag.qualified());
            return self.fail(what, tag.start());
        }
        if self.changes_envelope && self.tail.to == Version::Soap12 {
            if !self.tail.drop_trailers {
                let what = format!(
                    "`{}` stands after Body, which SOAP 1.2 does not allow",
                    tag.qualified()
                );
                self.error = Some(BridgeError::Cannot(what));
                return Flow::Stop;
            }
            self.losses.add(Loss::Trailers);
            self.trailer = self.trailer.or_else(|| Some(tag.start()));
        }
        Flow::Continue
    }

    fn translate(&mut self, tag: &Tag<'_>) {
        let depth = tag.depth();
        if is_method(tag.symbol()) {
            self.watch_signature(tag);
        }
        if tag.declares() {
            for (prefix, _) in tag.declarations() {
                if let Some(slot) = envelope_slot(prefix) {
                    self.redeclared.push((depth, slot));
                    self.watches = true;
                }
            }
        }
        if self.quoted == 0
            && tag.symbol() & class::ENVELOPE != 0
            && !(depth == 3 && tag.symbol() & !0xFF == const { local("Fault") })
        {
            self.quoted = depth;
            self.watches = true;
        }
        if self.quoted != 0 {
            return;
        }
        match tag
            .place_of(self.style_class)
            .and_then(|place| Some((place, tag.attribute(place)?)))
        {
            Some((place, found)) => {
                let outer = depth > 3 || self.tail.style.is_some();
                let written = style_value(found.value.trim(), self.tail.to, outer);
                if self.tail.to == Version::Soap12
                    && found.value.split_whitespace().nth(1).is_some()
                {
                    self.losses.add(Loss::EncodingStyleList);
                }
                let written = written.map(str::to_owned);
                self.restyle(tag, Some(place), written);
            }
            None if depth == 3 => {
                let style = self.tail.style.clone();
                if style.is_some() {
                    self.restyle(tag, None, style);
                }
            }
            None => {}
        }
    }

    /// S4, S8: a signature inside Body that renders every namespace in scope renders ours too.
    fn watch_signature(&mut self, tag: &Tag<'_>) {
        let mut attributes = tag.attributes();
        let algorithm = attributes.find(|found| found.name.is("", "Algorithm"));
        if !algorithm.is_some_and(|found| is_inclusive(found.value)) {
            return;
        }
        if self.tail.breaks_signatures {
            self.losses.add(Loss::BodySignature);
            return;
        }
        let what = "a signature inside its Body covers the namespaces declared around it \
                    (inclusive canonicalisation), and the change would break it";
        self.error = self
            .error
            .take()
            .or_else(|| Some(BridgeError::Cannot(what.into())));
    }

    /// Writes an `encodingStyle` in the new namespace, in the place of the old one.
    fn restyle(&mut self, tag: &Tag<'_>, old: Option<usize>, value: Option<String>) {
        let start = tag.start();
        let bytes = tag.bytes();
        let parts = raw::parse(bytes, 0);
        let name_of = |place: usize| {
            tag.attribute(place)
                .map(|found| (found.name.prefix, found.name.local))
        };
        let mut goes: SmallVec<[(usize, usize); 2]> = SmallVec::new();
        for attribute in &parts.attributes {
            let written = bytes.get(attribute.name()).unwrap_or_default();
            let (prefix, local) = super::doc::split(std::str::from_utf8(written).unwrap_or(""));
            let is_old = old.and_then(name_of) == Some((prefix, local));
            if is_old || self.is_new_style(tag, prefix, local) {
                goes.push((attribute.whole().start, attribute.whole().end));
            }
        }
        let insert = value.map(|value| self.written(&value));
        if let Some(text) = insert {
            let at = start + parts.name.end as u64;
            self.edit(at, at, With::Text(text));
        }
        for (from, to) in goes {
            self.edit(start + from as u64, start + to as u64, With::Nothing);
        }
    }

    /// Whether an attribute is `encodingStyle` of the new version already (E20): it would be there twice.
    fn is_new_style(&self, tag: &Tag<'_>, prefix: &str, name: &str) -> bool {
        name == "encodingStyle"
            && tag.attributes().any(|found| {
                found.name.prefix == prefix
                    && found.name.is(self.tail.to.namespace(), "encodingStyle")
            })
    }

    /// The attribute, with a declaration where our prefix means something else by now.
    fn written(&self, value: &str) -> String {
        let value = escape(value);
        let hidden = self
            .redeclared
            .iter()
            .any(|(_, slot)| *slot == self.tail.slot);
        if !hidden {
            return format!(" {}:encodingStyle=\"{value}\"", self.prefix);
        }
        let mut taken = self.taken;
        for (_, slot) in &self.redeclared {
            taken = taken.with_envelope(*slot);
        }
        let prefix = taken
            .free_envelope()
            .map_or("encoding-style", envelope_prefix);
        let namespace = self.tail.to.namespace();
        format!(" xmlns:{prefix}=\"{namespace}\" {prefix}:encodingStyle=\"{value}\"")
    }
}

impl Sink for Rest {
    fn symbol(&mut self, namespace: &str, name: &str) -> u64 {
        classify(namespace, name)
    }

    #[inline(always)]
    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        // Nearly every tag of a body.
        let plain = tag.symbol() & WATCHED == 0
            && (tag.is_bare() || !tag.declares() && tag.place_of(self.style_class).is_none());
        if plain && tag.depth() > u32::from(self.looks_to) {
            return Flow::Continue;
        }
        self.look(tag)
    }

    #[inline(always)]
    fn minds_attributes(&self, bits: u64) -> bool {
        bits & class::ENVELOPE != 0
    }

    #[inline(always)]
    fn start_known(
        &mut self,
        (symbol, _): (u64, &mut u64),
        _attributes: Records<'_>,
        depth: u32,
        _end: u64,
    ) -> Taken {
        self.take_known(symbol, depth)
    }

    #[inline(always)]
    fn leaf_known(
        &mut self,
        (symbol, _): (u64, &mut u64),
        depth: u32,
        _text: &[u8],
        _end: u64,
    ) -> Taken {
        self.take_known(symbol, depth)
    }

    #[inline(always)]
    fn end_known(&mut self, depth: u32, _end: u64) -> Taken {
        match self.ends_quietly(depth) {
            true => Taken::Continue,
            false => Taken::Not,
        }
    }

    fn class(&mut self, namespace: &str, name: &str) -> u8 {
        attribute_class(namespace, name)
    }

    #[inline(always)]
    fn traces(&self) -> bool {
        !self.watches && self.error.is_none()
    }

    #[inline(always)]
    fn floor(&self) -> u16 {
        self.looks_to
    }

    fn part(&mut self, _outer: u32, (symbol, _): (u64, u8)) -> Option<(u64, Part)> {
        (symbol & WATCHED == 0).then_some((0, Part::QUIET))
    }

    #[inline(always)]
    fn pops(&mut self, depth: u32) -> bool {
        self.ends_quietly(depth + 1)
    }

    #[inline(always)]
    fn ends_quietly(&self, depth: u32) -> bool {
        depth > 2 && !self.watches
    }

    #[inline(always)]
    fn wants_text(&self) -> bool {
        self.outside
    }

    fn text(&mut self, text: &str) {
        let blank = text
            .bytes()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if !blank {
            self.fail("text stands directly in Envelope", self.last_offset);
        }
    }

    fn comment(&mut self, _text: &str, _last: bool) {}

    #[inline(always)]
    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        if !self.ends_quietly(tag.depth) {
            self.leave(tag);
        }
        Flow::Continue
    }
}

impl Rest {
    /// Nearly every tag of a body: in no namespace of an envelope, declaring nothing, without an
    /// attribute that matters, and deeper than what is counted.
    #[inline(always)]
    const fn take_known(&self, symbol: u64, depth: u32) -> Taken {
        if depth > self.looks_to as u32 && symbol & WATCHED == 0 {
            Taken::Continue
        } else {
            Taken::Not
        }
    }

    fn look(&mut self, tag: &Tag<'_>) -> Flow {
        if tag.depth() <= 2 {
            self.outside = false;
            self.last_offset = tag.end();
            return self.after_body(tag);
        }
        if self.changes_envelope && !self.body_over {
            self.translate(tag);
            if self.error.is_some() {
                return Flow::Stop;
            }
        }
        Flow::Continue
    }

    fn leave(&mut self, tag: &EndTag<'_>) {
        let depth = tag.depth;
        if self.quoted == depth {
            self.quoted = 0;
        }
        while self.redeclared.last().is_some_and(|(at, _)| *at >= depth) {
            self.redeclared.pop();
        }
        self.watches = self.quoted != 0 || !self.redeclared.is_empty();
        if depth <= 2 {
            self.structural_end(tag);
        }
    }

    fn structural_end(&mut self, tag: &EndTag<'_>) {
        self.outside = true;
        self.last_offset = tag.end;
        if tag.depth == 1 {
            self.root_end = Some(tag.end);
            if self.changes_envelope {
                let with = With::EndTag(self.prefix, "Envelope");
                self.edit(tag.start, tag.end, with);
            }
        } else if self.body_over {
            if let Some(trailer) = self.trailer.take() {
                self.edit(trailer.max(self.base), tag.end, With::Nothing);
            }
        } else {
            self.body_over = true;
            if self.changes_envelope {
                self.edit(tag.start, tag.end, With::EndTag(self.prefix, "Body"));
            }
        }
    }
}

/// Two pieces of the document that follow each other.
struct Window<'b> {
    first: &'b [u8],
    second: &'b [u8],
    /// Offset of the first byte.
    base: u64,
}

impl<'b> Window<'b> {
    /// The bytes of a range, in at most two pieces.
    fn each(&self, from: u64, until: u64, mut with: impl FnMut(&'b [u8])) {
        let border = self.base + self.first.len() as u64;
        let piece = |bytes: &'b [u8], base: u64| {
            let start = place(from.saturating_sub(base)).min(bytes.len());
            let end = place(until.saturating_sub(base)).min(bytes.len());
            bytes.get(start..end).unwrap_or_default()
        };
        for found in [piece(self.first, self.base), piece(self.second, border)] {
            if !found.is_empty() {
                with(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_white_space_stays() {
        let text = "\n<!-- a - b --> <!---->\t<!--x--y-->\n";
        for cut in 1..text.len() {
            let mut epilog = Epilog::default();
            let mut out = Vec::new();
            for chunk in text.as_bytes().chunks(cut) {
                epilog.pass(chunk, &mut out);
            }
            assert_eq!(String::from_utf8(out).unwrap(), "\n \t\n");
        }
    }
}
