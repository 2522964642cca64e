//! Reads an envelope far enough to know what it says of itself.
//!
//! Rides on the scanner's pass as an observer of the first levels: checks the envelope's
//! structure, collects [`Facts`], and pauses the pass where something new is certain, so that
//! the filters can be asked. Keeps no bytes but the values it collects.
//!
//! **Invariant:** the facts are the same however the input was cut into chunks.

use super::addressing::Addressing;
use super::facts::{Facts, QName};
use super::version::{SOAP11, SOAP12, Version};
use crate::xml::{EndTag, Flow, Observer, Tag, Want};

/// Longest addressing value kept, bytes (`header_value`): addresses of 2,048 characters must
/// work (SOAP 1.2 Part 1 §6); beyond 64 KiB it is no address.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// How much of the envelope is behind us. Later stages are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing read.
    Start,
    /// The Envelope's start tag: the version is known.
    Envelope,
    /// Body's start tag: the header is complete, so action and `To` are known.
    Body,
    /// Body's first child, or its end: the operation is known.
    Operation,
    /// Body's end tag.
    AfterBody,
}

/// What is wrong with an envelope's structure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not an envelope of a known version.
    #[error("the document element is `{found}`, which is no envelope of SOAP 1.1 or 1.2")]
    Version {
        /// `{namespace}local` as found.
        found: String,
    },
    /// An envelope, but not put together as its version says.
    #[error("{what} (at byte {offset})")]
    Structure {
        /// What was expected and found.
        what: String,
        /// Where.
        offset: u64,
    },
    /// An addressing header longer than anything real.
    #[error(
        "a WS-Addressing header is longer than {VALUE_BYTES_MAX} bytes (limit `header_value`, at byte {offset})"
    )]
    Value {
        /// Where it began.
        offset: u64,
    },
}

/// What an expanded name is to [`Head`], for a set that it reads along with (`xpath::Landmarks`): 1 if it
/// means nothing; 2 to 9 for addressing headers, by version and field; 10 if an attribute of this name says
/// for whom a header is meant.
#[must_use]
pub fn class_of(namespace: &str, local: &str) -> u8 {
    let first = match Addressing::from_namespace(namespace) {
        Some(Addressing::August2004) => 2,
        Some(Addressing::V10) => 6,
        None => {
            let names_receiver = matches!((namespace, local), (SOAP11, "actor") | (SOAP12, "role"));
            return if names_receiver { 10 } else { 1 };
        }
    };
    first
        + match local {
            "Action" => 0,
            "To" => 1,
            "MessageID" => 2,
            _ => 3,
        }
}

/// The version and the field of an addressing header's class.
const fn addressing_of(class: u8) -> Option<(Addressing, Option<Field>)> {
    let version = match class {
        2..=5 => Addressing::August2004,
        6..=9 => Addressing::V10,
        _ => return None,
    };
    let field = match (class - 2) % 4 {
        0 => Some(Field::Action),
        1 => Some(Field::To),
        2 => Some(Field::MessageId),
        _ => None,
    };
    Some((version, field))
}

/// Which value the text now coming belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Action,
    To,
    MessageId,
}

/// The observer.
#[derive(Debug)]
pub struct Head {
    facts: Facts,
    stage: Stage,
    pauses_from: Stage,
    error: Option<HeadError>,
    seen_header: bool,
    in_header: bool,
    field: Option<Field>,
    value: String,
    offset: u64,
}

impl Head {
    /// Nothing read; `http_action` is what HTTP states.
    #[must_use]
    pub fn new(http_action: Option<&str>) -> Self {
        Self {
            facts: Facts {
                http_action: http_action.map(str::to_owned),
                ..Facts::default()
            },
            stage: Stage::Start,
            pauses_from: Stage::Start,
            error: None,
            seen_header: false,
            in_header: false,
            field: None,
            value: String::new(),
            offset: 0,
        }
    }

    /// The pass is paused at this stage and at those behind it, as far as [`Stage::Operation`], where
    /// it always is: from there on less is observed.
    pub fn pause_from(&mut self, stage: Stage) {
        self.pauses_from = stage.min(Stage::Operation);
    }

    /// What is known.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How far it was read.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Offset of the event that brought the stage about.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// What is wrong, once something is. The pass was stopped there.
    #[must_use]
    pub const fn error(&self) -> Option<&HeadError> {
        self.error.as_ref()
    }

    /// The document is over.
    ///
    /// # Errors
    /// When it had no Body.
    pub fn finish(&mut self, offset: u64) -> Result<(), HeadError> {
        if self.stage < Stage::AfterBody && self.error.is_none() {
            self.wrong("the Envelope has no Body", offset);
        }
        self.error.clone().map_or(Ok(()), Err)
    }

    fn advance(&mut self, stage: Stage, offset: u64) -> Flow {
        self.stage = stage;
        self.offset = offset;
        if stage < self.pauses_from {
            Flow::Continue
        } else {
            Flow::Stop
        }
    }

    fn wrong(&mut self, what: &str, offset: u64) -> Flow {
        self.error = Some(HeadError::Structure {
            what: what.to_owned(),
            offset,
        });
        Flow::Stop
    }

    fn envelope(&mut self, tag: &Tag<'_>) -> Flow {
        match Version::from_namespace(tag.namespace()) {
            Some(version) if tag.local() == b"Envelope" => {
                self.facts.version = Some(version);
                self.advance(Stage::Envelope, tag.end())
            }
            _ => {
                let name = tag.name();
                let found = QName {
                    namespace: name.namespace.into(),
                    local: name.local.into(),
                };
                self.error = Some(HeadError::Version {
                    found: found.to_string(),
                });
                Flow::Stop
            }
        }
    }

    /// Header, then Body; SOAP 1.1 lets qualified elements follow (S11 §4.1), 1.2 nothing
    /// (Part 1 §5.1).
    fn child_of_envelope(&mut self, tag: &Tag<'_>, version: Version) -> Flow {
        let own = tag.namespace() == version.namespace();
        match tag.local() {
            b"Header" if own && self.seen_header => {
                self.wrong("the Envelope has a second Header", tag.start())
            }
            b"Header" if own && self.stage == Stage::Envelope => {
                self.seen_header = true;
                self.in_header = true;
                Flow::Continue
            }
            b"Header" if own => self.wrong("Header comes after Body", tag.start()),
            b"Body" if own && self.stage == Stage::Envelope => {
                self.in_header = false;
                self.advance(Stage::Body, tag.end())
            }
            b"Body" if own => self.wrong("the Envelope has a second Body", tag.start()),
            _ if self.stage == Stage::AfterBody
                && version == Version::Soap11
                && !tag.namespace().is_empty() =>
            {
                Flow::Continue
            }
            _ => {
                let local = tag.name().local;
                let what = format!("`{local}` stands where Header or Body is expected");
                self.wrong(&what, tag.start())
            }
        }
    }

    /// Addressing headers count when they are meant for the last receiver: no actor or role,
    /// or the ultimate receiver's. The first of a name counts.
    fn header_block(&mut self, tag: &Tag<'_>, version: Version) {
        self.facts.for_next |= is_for_next(tag, version);
        if Addressing::from_namespace(tag.namespace()).is_some() && !is_for_others(tag, version) {
            let name = tag.name();
            self.addressing_header(class_of(name.namespace, name.local));
        }
    }

    fn addressing_header(&mut self, class: u8) {
        let Some((addressing, field)) = addressing_of(class) else {
            return;
        };
        let facts = &mut self.facts;
        if facts.addressing.is_some_and(|known| known != addressing) {
            return;
        }
        facts.addressing = Some(addressing);
        self.field = field.filter(|field| match field {
            Field::Action => facts.wsa_action.is_none(),
            Field::To => facts.to.is_none(),
            Field::MessageId => facts.message_id.is_none(),
        });
        self.value.clear();
    }

    fn addressing_value(&mut self, text: &str) {
        self.value.push_str(text);
        if self.value.len() > VALUE_BYTES_MAX && self.error.is_none() {
            self.error = Some(HeadError::Value {
                offset: self.offset,
            });
        }
    }

    fn end_of_block(&mut self) {
        let Some(field) = self.field.take() else {
            return;
        };
        let value = self.value.trim();
        if value.is_empty() {
            return;
        }
        let value = Some(value.to_owned());
        match field {
            Field::Action => self.facts.wsa_action = value,
            Field::To => self.facts.to = value,
            Field::MessageId => self.facts.message_id = value,
        }
    }
}

fn is_for_others(tag: &Tag<'_>, version: Version) -> bool {
    let attribute = match version {
        Version::Soap11 => "actor",
        Version::Soap12 => "role",
    };
    tag.has_attributes()
        && tag.attributes().any(|found| {
            found.name.is(version.namespace(), attribute)
                && !found.value.is_empty()
                && found.value.strip_prefix(SOAP12) != Some("/role/ultimateReceiver")
        })
}

/// S11 §4.2.2; SOAP 1.2 Part 1 §2.2.
fn is_for_next(tag: &Tag<'_>, version: Version) -> bool {
    let (attribute, next) = match version {
        Version::Soap11 => ("actor", "http://schemas.xmlsoap.org/soap/actor/next"),
        Version::Soap12 => ("role", "http://www.w3.org/2003/05/soap-envelope/role/next"),
    };
    tag.has_attributes()
        && tag.attributes().any(|found| {
            found.value.trim() == next && found.name.is(version.namespace(), attribute)
        })
}

impl Observer for Head {
    /// One more than the header blocks' depth: what stands below the deepest level may be passed
    /// over, their text included. Behind the operation only the Envelope's children count; that stage
    /// always stops the pass, so the next one begins with this.
    fn depth_max(&self) -> u32 {
        match self.stage {
            Stage::Operation | Stage::AfterBody => 2,
            _ => 4,
        }
    }

    fn told_to(&self) -> u32 {
        match self.stage {
            // What is wrong already stops at the next tag, whichever that is.
            _ if self.error.is_some() => u32::MAX,
            Stage::Start => 4,
            // All of a header block whose value is being taken.
            Stage::Envelope if self.field.is_some() => 4,
            Stage::Body => 3,
            Stage::Envelope | Stage::Operation | Stage::AfterBody => 2,
        }
    }

    fn wants(&self, depth: u32, class: u8) -> Want {
        match (depth, class) {
            (3, 1) | (4, _) => Want::Nothing,
            (3, 2..=9) if self.in_header => Want::Text,
            _ => Want::Tag,
        }
    }

    fn leaf(&mut self, class: u8, text: &str) -> Flow {
        self.addressing_header(class);
        if self.field.is_some() {
            self.addressing_value(text);
        }
        self.end_of_block();
        match self.error {
            Some(_) => Flow::Stop,
            None => Flow::Continue,
        }
    }

    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        let Some(version) = self.facts.version else {
            return self.envelope(tag);
        };
        match tag.depth() {
            2 => self.child_of_envelope(tag, version),
            3 if self.in_header => {
                self.header_block(tag, version);
                Flow::Continue
            }
            3 if self.stage == Stage::Body => {
                let name = tag.name();
                self.facts.operation = Some(QName {
                    namespace: name.namespace.into(),
                    local: name.local.into(),
                });
                self.advance(Stage::Operation, tag.end())
            }
            _ => Flow::Continue,
        }
    }

    fn text(&mut self, depth: u32, text: &str) {
        if depth == 3 && self.field.is_some() {
            self.addressing_value(text);
        } else if (depth == 1 || (depth == 2 && self.in_header))
            && self.error.is_none()
            && !text
                .bytes()
                .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        {
            let place = if depth == 1 { "Envelope" } else { "Header" };
            self.wrong(&format!("text stands directly in {place}"), self.offset);
        }
    }

    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        match tag.depth {
            3 if self.in_header => self.end_of_block(),
            2 if self.in_header => self.in_header = false,
            2 if self.stage >= Stage::Body => return self.advance(Stage::AfterBody, tag.end),
            1 if self.stage < Stage::Body && self.error.is_none() => {
                return self.wrong("the Envelope has no Body", tag.end);
            }
            _ => {}
        }
        if self.error.is_some() {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }
}
