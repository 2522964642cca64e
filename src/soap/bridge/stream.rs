//! A message on its way through a bridge: its head is held until it is decided, the rest passes.

use std::cell::RefCell;
use std::sync::Arc;

use super::error::BridgeError;
use super::intake::{Intake, Utf8, encoding_value};
use super::loss::Loss;
use super::names::of_version;
use super::patch::Patch;
use super::plan::{Arriving, Context, Outcome, Plan};
use super::rest::{Epilog, Rest};
use super::shape::{Reached, Shape};
use super::work::{self, Direction};
use crate::soap::version::Version;
use crate::xml::{Fed, Scanner};

/// Says to the scanner that its symbols are [`super::names::classify`]'s.
const SYMBOLS: u64 = 0x6272_6964_6765;
/// Scanners kept for the next messages of a thread: making one costs more than reading 10 KiB.
const SPARE_MAX: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Scanner>> = const { RefCell::new(Vec::new()) };
}

/// One message's bridge: fed its bytes in chunks of any size, it gives those of the other version.
///
/// Holds the head (up to [`Plan::header_max`]), or a whole fault (up to [`Plan::fault_max`]), and
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
    scanner: Option<Scanner>,
    state: State,
    /// What came, while the head is open and its bytes are changed by decoding.
    raw: Vec<u8>,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Way {
    Request(Arriving),
    Reply(Box<Context>),
}

#[derive(Debug)]
enum State {
    Head(Box<Shape>),
    Rest(Box<Rest>),
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

    /// For the answer to a request, back into the caller's versions.
    ///
    /// # Errors
    /// When the scanner cannot begin.
    pub fn reply(
        plan: Arc<Plan>,
        context: Context,
        charset: Option<String>,
    ) -> Result<Self, BridgeError> {
        Self::new(plan, Way::Reply(Box::new(context)), charset)
    }

    fn new(plan: Arc<Plan>, way: Way, charset: Option<String>) -> Result<Self, BridgeError> {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        let mut scanner = spare.unwrap_or_default();
        scanner.begin(&plan.xml, Some("utf-8"), SYMBOLS)?;
        Ok(Self {
            intake: Intake::new(charset),
            passage: Passage {
                plan,
                way,
                scanner: Some(scanner),
                state: State::Head(Box::new(Shape::new())),
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
        self.passage.passes()
    }

    /// Takes the next bytes; what is certain is appended to `out`.
    ///
    /// # Errors
    /// When the message is not what SOAP allows, over a limit, or cannot be expressed.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BridgeError> {
        if self.passes() {
            out.extend_from_slice(bytes);
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
    const fn passes(&self) -> bool {
        matches!(self.state, State::Pass)
    }

    /// Takes what came of `came`. What is wrong behind it does not matter to a message that is
    /// found to pass as it is: nobody would have looked there had it come later.
    fn take(&mut self, utf8: Utf8<'_>, came: &[u8], out: &mut Vec<u8>) -> Result<(), BridgeError> {
        if !utf8.changed {
            self.raw.clear();
        } else if matches!(self.state, State::Head(_)) {
            self.raw.extend_from_slice(came);
        }
        match &mut self.state {
            State::Pass => {}
            State::Rest(_) => self.rest(utf8.bytes, out)?,
            State::Head(_) => self.head(utf8.bytes, out)?,
        }
        match utf8.wrong {
            Some(wrong) if !self.passes() => Err(wrong),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BridgeError> {
        let Some(mut scanner) = self.scanner.take() else {
            return Ok(());
        };
        let finished = match &mut self.state {
            State::Head(shape) => {
                let finished = scanner.finish(&mut **shape);
                shape
                    .error
                    .take()
                    .map_or(Ok(()), Err)
                    .and_then(|()| finished.map_err(BridgeError::from))
            }
            State::Rest(rest) => {
                let finished = scanner.finish(&mut **rest);
                rest.pass(&[], 0, out);
                rest.error
                    .take()
                    .map_or(Ok(()), Err)
                    .and_then(|()| finished.map_err(BridgeError::from))
            }
            State::Pass => Ok(()),
        };
        self.scanner = Some(scanner);
        finished
    }

    fn head(&mut self, utf8: &[u8], out: &mut Vec<u8>) -> Result<(), BridgeError> {
        let (State::Head(shape), Some(scanner)) = (&mut self.state, &mut self.scanner) else {
            return Ok(());
        };
        let fed = scanner.feed(utf8, &mut **shape);
        if let Some(error) = shape.error.take() {
            return Err(error);
        }
        let taken = match fed? {
            Fed::More => utf8.len(),
            Fed::Stopped(taken) => taken,
        };
        let (read, rest) = utf8.split_at_checked(taken).unwrap_or((utf8, &[]));
        shape.doc.bytes.extend_from_slice(read);
        check_limits(shape, &self.plan)?;
        if shape.reached == Reached::Nothing {
            return Ok(());
        }
        let State::Head(shape) = std::mem::replace(&mut self.state, State::Pass) else {
            return Ok(());
        };
        self.decide(&shape, rest, out)
    }

    fn decide(&mut self, shape: &Shape, rest: &[u8], out: &mut Vec<u8>) -> Result<(), BridgeError> {
        let direction = match &self.way {
            Way::Request(arriving) => Direction::Request(arriving),
            Way::Reply(context) => Direction::Reply(context),
        };
        let decided = work::decide(shape, &self.plan, direction)?;
        let changed = decided.outcome.changed;
        self.outcome = Some(decided.outcome);
        if !changed {
            self.let_pass(shape, rest, out);
            return Ok(());
        }
        self.raw = Vec::new();
        write_head(
            shape,
            &decided.patch,
            decided.tail.to,
            decided.tail.from,
            out,
        );
        let over = shape.reached == Reached::BodyEnd;
        let mut state = Rest::new(decided.tail, shape.taken, shape.doc.bytes.len(), over);
        let last = shape.children.last().and_then(|id| shape.doc.node(*id));
        if last.is_some_and(|node| node.quoted && !node.empty) {
            state.begin_quoted();
        }
        self.state = State::Rest(Box::new(state));
        self.rest(rest, out)
    }

    /// The message does not change: what was held leaves as it came.
    fn let_pass(&mut self, shape: &Shape, rest: &[u8], out: &mut Vec<u8>) {
        let raw = std::mem::take(&mut self.raw);
        if raw.is_empty() {
            out.extend_from_slice(&shape.doc.bytes);
            out.extend_from_slice(rest);
        } else {
            out.extend_from_slice(&raw);
        }
    }

    fn rest(&mut self, utf8: &[u8], out: &mut Vec<u8>) -> Result<(), BridgeError> {
        let (State::Rest(rest), Some(scanner)) = (&mut self.state, &mut self.scanner) else {
            return Ok(());
        };
        let fed = scanner.feed(utf8, &mut **rest);
        if let Some(error) = rest.error.take() {
            return Err(error);
        }
        fed?;
        rest.pass(utf8, scanner.held(), out);
        if rest.dropped_trailer
            && let Some(outcome) = &mut self.outcome
        {
            outcome.losses.add(Loss::Trailers);
        }
        Ok(())
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if let Some(scanner) = self.scanner.take() {
            // The thread may be ending, and its spares gone.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < SPARE_MAX {
                    spare.push(scanner);
                }
            });
        }
    }
}

fn check_limits(shape: &Shape, plan: &Plan) -> Result<(), BridgeError> {
    let held = shape.doc.bytes.len();
    let beside = shape.children.len() > 1;
    if shape.is_fault() || beside {
        let (name, max) = ("fault_bytes", plan.fault_max);
        return if held > max {
            Err(limit("the fault", name, max))
        } else {
            Ok(())
        };
    }
    if held > plan.header_max {
        let what = "everything up to the first child of Body";
        return Err(limit(what, "bridge_head", plan.header_max));
    }
    Ok(())
}

const fn limit(what: &'static str, name: &'static str, max: usize) -> BridgeError {
    BridgeError::Limit { what, name, max }
}

/// What stands before Envelope, and everything held from there, changed.
fn write_head(shape: &Shape, patch: &Patch, to: Version, from: Version, out: &mut Vec<u8>) {
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
    if of_version(to) == of_version(from) && to == Version::Soap11 {
        out.extend_from_slice(before.as_bytes());
    } else {
        Epilog::default().pass(before.as_bytes(), out);
    }
    patch.apply(bytes, start..bytes.len(), out);
}

fn is_utf8(name: &str) -> bool {
    name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8")
}
