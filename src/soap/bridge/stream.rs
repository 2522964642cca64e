//! A message on its way through a bridge: its head is held until it is decided, the rest passes.

use std::sync::Arc;

use bytes::Bytes;

use super::error::BridgeError;
use super::heads::Bridged;
use super::intake::{Intake, Utf8, encoding_value};
use super::out::{Out, Sharing};
use super::patch::Patch;
use super::plan::{Arriving, Context, Outcome, Plan};
use super::rest::{Border, Epilog};
use super::shape::{Reached, Shape};
use super::tools::Tools;
use super::work::{self, Decided, Direction, Tail};
use crate::soap::version::Version;
use crate::xml::Fed;

/// Says to the scanner that its symbols are [`super::names::classify`]'s.
const SYMBOLS: u64 = 0x6272_6964_6765;
/// Most bytes that are held of any message, whatever its limits: places in them are kept in 32 bits.
const HELD_BYTES_MAX: usize = 1 << 30;

/// One message's bridge: fed its bytes in chunks of any size, it gives those of the other version.
///
/// Holds the head (up to [`Plan::header_max`]), or a whole fault (up to [`Within::fault_max`](super::plan::Within::fault_max)), and
/// later no more than a tag that was cut. After an error nothing it gave may pass for a message.
///
/// ```
/// use std::sync::Arc;
/// use soap_router::soap::{Arriving, Bridge, Plan, Version};
///
/// let plan = Plan { soap: Some(Version::Soap12), ..Plan::default() };
/// let message = r#"<a:Envelope xmlns:a="http://schemas.xmlsoap.org/soap/envelope/"><a:Body/></a:Envelope>"#;
/// let mut bridge = Bridge::request(Arc::new(plan), Arriving::default())?;
/// let mut out = Vec::new();
/// bridge.feed(message.as_bytes(), &mut out)?;
/// bridge.finish(&mut out)?;
/// assert!(bridge.outcome().is_some_and(|outcome| outcome.changed));
/// assert!(out.starts_with(b"<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\""));
/// # Ok::<(), soap_router::soap::BridgeError>(())
/// ```
#[derive(Debug)]
pub struct Bridge {
    intake: Intake,
    passage: Passage,
}

/// The message in UTF-8 on its way.
#[derive(Debug)]
struct Passage {
    plan: Arc<Plan>,
    way: Way,
    fault_max: usize,
    /// Given back as soon as nothing is left to read.
    tools: Option<Box<Tools>>,
    stage: Stage,
    /// What came, while the head is open and its bytes are changed by decoding.
    raw: Vec<u8>,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Way {
    Request(Arriving),
    Reply(Arc<Context>),
}

impl Way {
    const fn direction(&self) -> Direction<'_> {
        match self {
            Self::Request(arriving) => Direction::Request(arriving),
            Self::Reply(context) => Direction::Reply(context),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The head is read.
    Head,
    /// The rest is changed while it passes.
    Rest,
    /// Everything leaves as it comes.
    Pass,
}

impl Bridge {
    /// For a request on its way to the endpoint of this plan.
    ///
    /// # Errors
    /// When the scanner cannot begin.
    pub fn request(plan: Arc<Plan>, arriving: Arriving) -> Result<Self, BridgeError> {
        let charset = arriving.charset.clone();
        Self::new(plan, Way::Request(arriving), charset)
    }

    /// For the answer to a request, back into the caller's versions; `context` is what the request
    /// came to ([`Outcome::context`]).
    ///
    /// # Errors
    /// When the scanner cannot begin.
    pub fn reply(
        plan: Arc<Plan>,
        context: Arc<Context>,
        charset: Option<String>,
    ) -> Result<Self, BridgeError> {
        Self::new(plan, Way::Reply(context), charset)
    }

    fn new(plan: Arc<Plan>, way: Way, charset: Option<String>) -> Result<Self, BridgeError> {
        let within = match &way {
            Way::Request(arriving) => arriving.within,
            Way::Reply(context) => context.within,
        };
        let within = within.unwrap_or(plan.within);
        // An endpoint's requests are alike, and so are its answers.
        let kind = Arc::as_ptr(&plan).addr() | usize::from(matches!(way, Way::Reply(_)));
        let mut tools = Tools::take(kind);
        tools.scanner.begin(&within.xml, Some("utf-8"), SYMBOLS)?;
        Ok(Self {
            intake: Intake::new(charset),
            passage: Passage {
                plan,
                way,
                fault_max: within.fault_max.min(HELD_BYTES_MAX),
                tools: Some(tools),
                stage: Stage::Head,
                raw: Vec::new(),
                outcome: None,
            },
        })
    }

    /// What became of the head, once it was read.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.passage.outcome.as_ref()
    }

    /// Whether what still comes leaves as it comes.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self.passage.stage, Stage::Pass)
    }

    /// Takes the next bytes; what is certain is appended to `out`.
    ///
    /// # Errors
    /// When the message is not what SOAP allows, over a limit, or cannot be expressed.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BridgeError> {
        self.feed_into(bytes, out)
    }

    /// As [`Bridge::feed`]; long runs that do not change are not copied but shared.
    ///
    /// # Errors
    /// As there.
    pub fn share(&mut self, bytes: &Bytes, out: &mut Vec<Bytes>) -> Result<(), BridgeError> {
        self.feed_into(bytes, &mut Sharing::new(bytes, out))
    }

    fn feed_into(&mut self, bytes: &[u8], out: &mut dyn Out) -> Result<(), BridgeError> {
        if self.passes() {
            out.pass(bytes);
            return Ok(());
        }
        match self.intake.feed(bytes)? {
            Some(utf8) => self.passage.take(utf8, bytes, out),
            None => {
                self.passage.raw.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// The message is over.
    ///
    /// # Errors
    /// When it ended too early.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BridgeError> {
        if self.passes() {
            return Ok(());
        }
        let last = self.intake.finish()?;
        self.passage.take(last, &[], out)?;
        self.passage.finish(out)
    }
}

impl Passage {
    /// Takes what came of `came`. What is wrong behind it does not matter to a message that is
    /// found to pass as it is: nobody would have looked there had it come later.
    fn take(&mut self, utf8: Utf8<'_>, came: &[u8], out: &mut dyn Out) -> Result<(), BridgeError> {
        if !utf8.changed {
            self.raw.clear();
        } else if self.stage == Stage::Head {
            self.raw.extend_from_slice(came);
        }
        match self.stage {
            Stage::Pass => {}
            Stage::Rest => self.rest(utf8.bytes, out)?,
            Stage::Head => self.head(utf8.bytes, out)?,
        }
        match utf8.wrong {
            Some(wrong) if self.stage != Stage::Pass => Err(wrong),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, out: &mut dyn Out) -> Result<(), BridgeError> {
        let Some(tools) = self.tools.as_deref_mut() else {
            return Ok(());
        };
        let (finished, error) = match self.stage {
            Stage::Pass => return Ok(()),
            Stage::Head => {
                let finished = tools.scanner.finish(&mut tools.shape);
                (finished, tools.shape.error.take())
            }
            Stage::Rest => {
                let finished = tools.scanner.finish(&mut tools.rest);
                tools.rest.pass(&[], 0, out);
                (finished, tools.rest.error.take())
            }
        };
        error.map_or_else(|| finished.map_err(BridgeError::from), Err)
    }

    fn head(&mut self, utf8: &[u8], out: &mut dyn Out) -> Result<(), BridgeError> {
        if let Some(length) = self.known_head(utf8, out) {
            return self.rest(utf8.get(length..).unwrap_or_default(), out);
        }
        let Some(tools) = self.tools.as_deref_mut() else {
            return Ok(());
        };
        let (scanner, shape) = (&mut tools.scanner, &mut tools.shape);
        let fed = scanner.feed(utf8, shape);
        if let Some(error) = shape.error.take() {
            return Err(error);
        }
        let taken = match fed? {
            Fed::More => utf8.len(),
            Fed::Stopped(taken) => taken,
        };
        let (read, rest) = utf8.split_at_checked(taken).unwrap_or((utf8, &[]));
        shape.doc.bytes.extend_from_slice(read);
        check_limits(shape, self.plan.header_max, self.fault_max)?;
        if shape.reached == Reached::Nothing {
            return Ok(());
        }
        let direction = self.way.direction();
        let Decided { outcome, tail } =
            work::decide(shape, &mut tools.patch, &self.plan, direction)?;
        let changed = outcome.changed;
        self.outcome = Some(outcome);
        if !changed {
            self.let_pass(rest, out);
            return Ok(());
        }
        let border = Border::of(shape);
        let text = out.text();
        let before = text.len();
        write_head(shape, &tools.patch, &tail, text);
        let written = text.get(before..).unwrap_or_default();
        tools.rest.begin(tail.clone(), border);
        if self.raw.is_empty() {
            self.keep_head(written, tail, border);
        }
        self.raw = Vec::new();
        self.stage = Stage::Rest;
        self.rest(rest, out)
    }

    /// Bridges the head with which a message begins if it was bridged before; its length.
    fn known_head(&mut self, utf8: &[u8], out: &mut dyn Out) -> Option<usize> {
        let tools = self.tools.as_deref_mut()?;
        if !tools.shape.doc.bytes.is_empty() || !self.raw.is_empty() {
            return None;
        }
        let (head, length) = tools.heads.find(&self.plan, self.way.direction(), utf8)?;
        if !tools.scanner.resume(&head.mark) {
            // It has forgotten what all of them were read with.
            tools.heads.clear();
            return None;
        }
        out.text().extend_from_slice(&head.written);
        self.outcome = Some(head.outcome.clone());
        tools.rest.begin(head.tail.clone(), head.border);
        self.stage = Stage::Rest;
        Some(length)
    }

    /// Keeps the head that was read, if another message may have the same and become the same.
    fn keep_head(&mut self, written: &[u8], tail: Tail, border: Border) {
        let (Some(tools), Some(outcome)) = (self.tools.as_deref_mut(), &self.outcome) else {
            return;
        };
        let bytes = &tools.shape.doc.bytes;
        let lasting = outcome.context.made_id.is_none();
        if lasting
            && tools.heads.wants(&self.plan, bytes.len())
            && let Some(mark) = tools.scanner.bookmark(&mut tools.rest)
        {
            let bridged = Bridged {
                written: written.to_vec(),
                outcome: outcome.clone(),
                tail,
                border,
                mark,
            };
            tools.heads.keep(bytes, self.way.direction(), bridged);
        }
    }

    /// The message does not change: what was held leaves as it came.
    fn let_pass(&mut self, rest: &[u8], out: &mut dyn Out) {
        self.stage = Stage::Pass;
        let Some(tools) = self.tools.take() else {
            return;
        };
        if self.raw.is_empty() {
            out.pass(&tools.shape.doc.bytes);
            out.pass(rest);
        } else {
            out.pass(&std::mem::take(&mut self.raw));
        }
        tools.give_back();
    }

    fn rest(&mut self, utf8: &[u8], out: &mut dyn Out) -> Result<(), BridgeError> {
        let Some(tools) = self.tools.as_deref_mut() else {
            return Ok(());
        };
        let (scanner, rest) = (&mut tools.scanner, &mut tools.rest);
        let fed = scanner.feed(utf8, rest);
        if let Some(error) = rest.error.take() {
            return Err(error);
        }
        fed?;
        rest.pass(utf8, scanner.held(), out);
        if let Some(outcome) = &mut self.outcome {
            outcome.losses.join(rest.losses);
        }
        Ok(())
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if let Some(tools) = self.tools.take() {
            tools.give_back();
        }
    }
}

fn check_limits(shape: &Shape, header_max: usize, fault_max: usize) -> Result<(), BridgeError> {
    let held = shape.doc.bytes.len();
    let header_max = header_max.min(HELD_BYTES_MAX);
    let beside = shape.children.len() > 1;
    if shape.is_fault() || beside {
        let (name, max) = ("fault_bytes", fault_max);
        return if held > max {
            Err(limit("the fault", name, max))
        } else {
            Ok(())
        };
    }
    if held > header_max {
        let what = "everything up to the first child of Body";
        return Err(limit(what, "bridge_head", header_max));
    }
    Ok(())
}

const fn limit(what: &'static str, name: &'static str, max: usize) -> BridgeError {
    BridgeError::Limit { what, name, max }
}

/// What stands before Envelope, and everything held from there, changed.
fn write_head(shape: &Shape, patch: &Patch, tail: &Tail, out: &mut Vec<u8>) {
    let bytes = &shape.doc.bytes;
    let start = shape.doc.node(0).map_or(0, |node| node.start);
    let prolog = shape.doc.slice(0..start);
    let declaration = match prolog.find("?>") {
        Some(end) if prolog.starts_with("<?xml") => end + 2,
        _ => 0,
    };
    let (declared, before) = prolog.split_at_checked(declaration).unwrap_or((prolog, ""));
    match encoding_value(declared) {
        Some((value, _)) if !declared.get(value.clone()).is_some_and(is_utf8) => {
            out.extend_from_slice(declared.get(..value.start).unwrap_or("").as_bytes());
            out.extend_from_slice(b"UTF-8");
            out.extend_from_slice(declared.get(value.end..).unwrap_or("").as_bytes());
        }
        _ => out.extend_from_slice(declared.as_bytes()),
    }
    if tail.to == tail.from && tail.to == Version::Soap11 {
        out.extend_from_slice(before.as_bytes());
    } else {
        Epilog::default().pass(before.as_bytes(), out);
    }
    patch.apply(bytes, start..bytes.len(), out);
}

fn is_utf8(name: &str) -> bool {
    name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::bridge::plan::Within;
    use crate::xml::Limits;

    /// Whether the head of a message was known.
    fn knows(plan: &Arc<Plan>, depth_max: u32) -> bool {
        let within = Within {
            xml: Limits {
                depth_max,
                ..Limits::default()
            },
            ..Within::default()
        };
        let arriving = Arriving {
            within: Some(within),
            ..Arriving::default()
        };
        let message = r#"<a:Envelope xmlns:a="http://schemas.xmlsoap.org/soap/envelope/"><a:Body><b/></a:Body></a:Envelope>"#;
        let mut bridge = Bridge::request(Arc::clone(plan), arriving).unwrap();
        bridge.feed(message.as_bytes(), &mut Vec::new()).unwrap();
        let tools = bridge.passage.tools.as_ref().unwrap();
        tools.shape.doc.bytes.is_empty()
    }

    #[test]
    fn a_head_is_known_the_second_time_and_again_after_the_scanner_has_forgotten_it() {
        let plan = Arc::new(Plan {
            soap: Some(Version::Soap12),
            ..Plan::default()
        });
        // Under other limits a scanner forgets everything.
        let known = [50, 50, 60, 60, 50, 50, 50].map(|depth_max| knows(&plan, depth_max));
        assert_eq!(known, [false, true, false, true, false, true, true]);
    }
}
