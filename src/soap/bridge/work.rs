//! One message's head, decided: does it change, into what, and what will its answer need?
//!
//! Puts together what the files beside know of blocks, addressing, faults and signatures.

use std::sync::Arc;

use super::addressing::{self, Headers};
use super::blocks::{self, Block};
use super::doc::{Doc, NodeId};
use super::error::{BridgeError, cannot, structure};
use super::fault_read::{self, Found};
use super::loss::{Loss, Losses};
use super::names::{class, envelope_prefix, local, of_version};
use super::patch::Patch;
use super::plan::{Arriving, Context, Dialect, FaultKind, OnSigned, Outcome, Plan, Target};
use super::shape::Shape;
use super::signed;
use crate::soap::addressing::Addressing;
use crate::soap::version::Version;

/// Which way the message goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Direction<'a> {
    Request(&'a Arriving),
    Reply(&'a Arc<Context>),
}

/// What was decided.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) outcome: Outcome,
    /// What the rest needs, if the message changes.
    pub(super) tail: Tail,
}

/// What must be known to change the rest of the message while it passes.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub(super) from: Version,
    pub(super) to: Version,
    /// Our prefix for the envelope, as a slot of its family.
    pub(super) slot: u8,
    /// `encodingStyle` that stood outside, for each child of Body (E23).
    pub(super) style: Option<String>,
    pub(super) drop_trailers: bool,
    /// Signatures may break.
    pub(super) breaks_signatures: bool,
}

impl Default for Tail {
    /// Of a message that does not change.
    fn default() -> Self {
        Self {
            from: Version::Soap11,
            to: Version::Soap11,
            slot: 0,
            style: None,
            drop_trailers: false,
            breaks_signatures: false,
        }
    }
}

/// The work at hand.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) shape: &'a Shape,
    pub(super) plan: &'a Plan,
    pub(super) direction: Direction<'a>,
    pub(super) from: Dialect,
    pub(super) to: Dialect,
    pub(super) blocks: Vec<Block>,
    pub(super) headers: Headers,
    /// Our prefix for the envelope's new namespace.
    pub(super) prefix: &'static str,
    pub(super) slot: u8,
    /// Our prefix for addressing.
    pub(super) wsa: &'static str,
    pub(super) patch: Patch,
    /// Header blocks that are new.
    pub(super) added: String,
    pub(super) losses: Losses,
    pub(super) context: Context,
}

/// Decides what becomes of a message whose head is read; the changes to what is held are written
/// into `patch`.
pub(super) fn decide(
    shape: &Shape,
    patch: &mut Patch,
    plan: &Plan,
    direction: Direction<'_>,
) -> Result<Decided, BridgeError> {
    let mut work = Work::new(shape, plan, direction)?;
    work.patch = std::mem::take(patch);
    let found = shape
        .fault()
        .map(|id| fault_read::read(&shape.doc, id, work.from.soap));
    let drops = work.process_blocks()?;
    let changes = work.from != work.to || drops || work.rewrites_to();
    if !changes {
        *patch = std::mem::take(&mut work.patch);
        return Ok(work.unchanged(found.as_ref(), None));
    }
    if let Some(why) = signed::breaks(shape) {
        match plan.on_signed {
            OnSigned::Fault => return cannot(why),
            OnSigned::ForwardUnchanged => return Ok(work.unchanged(found.as_ref(), Some(why))),
            OnSigned::BridgeAnyway => {}
        }
    }
    let tail = work.change(found.as_ref())?;
    *patch = std::mem::take(&mut work.patch);
    let outcome = work.outcome(found.as_ref());
    Ok(Decided { outcome, tail })
}

impl<'a> Work<'a> {
    fn new(
        shape: &'a Shape,
        plan: &'a Plan,
        direction: Direction<'a>,
    ) -> Result<Self, BridgeError> {
        let doc = &shape.doc;
        let soap = shape.version.unwrap_or(Version::Soap11);
        if soap == Version::Soap12 {
            strict_structure(shape)?;
        }
        let blocks = match shape.header {
            Some(header) => blocks::read(doc, header, soap, &plan.roles)?,
            None => Vec::new(),
        };
        let (to_soap, target) = match direction {
            Direction::Request(_) => (plan.soap.unwrap_or(soap), plan.addressing),
            Direction::Reply(context) => (context.soap, back(plan.addressing, context.addressing)),
        };
        let used = addressing::used(&blocks);
        let from = match used {
            addressing::Used::Both if target != Target::Keep => {
                return cannot("it has headers of both versions of WS-Addressing");
            }
            addressing::Used::Both | addressing::Used::One(Addressing::V10) => {
                Some(Addressing::V10)
            }
            addressing::Used::One(other) => Some(other),
            addressing::Used::None => None,
        };
        let to = match target {
            Target::Keep => from,
            Target::None => None,
            Target::To(version) => Some(version),
        };
        let headers = Headers::find(doc, &blocks, from);
        if from != to
            && let Some(name) = headers.repeated
        {
            return cannot(format!(
                "it has two `{name}` headers (wsa:InvalidCardinality)"
            ));
        }
        let mut work = Self {
            shape,
            plan,
            direction,
            from: Dialect {
                soap,
                addressing: from,
            },
            to: Dialect {
                soap: to_soap,
                addressing: to,
            },
            context: addressing::context(doc, soap, from, &headers, direction),
            blocks,
            headers,
            prefix: "",
            slot: 0,
            wsa: "",
            patch: Patch::default(),
            added: String::new(),
            losses: Losses::default(),
        };
        work.context.action = work.context.action.take().or_else(|| {
            let fallback = plan.default_action.as_deref().map(str::to_owned);
            fallback.filter(|_| matches!(direction, Direction::Request(_)))
        });
        Ok(work)
    }

    pub(super) const fn doc(&self) -> &'a Doc {
        &self.shape.doc
    }

    pub(super) const fn is_reply(&self) -> bool {
        matches!(self.direction, Direction::Reply(_))
    }

    /// Whether the envelope's version changes.
    pub(super) fn changes_envelope(&self) -> bool {
        self.from.soap != self.to.soap
    }

    /// Whether addressing changes.
    pub(super) fn changes_addressing(&self) -> bool {
        self.from.addressing != self.to.addressing
    }

    /// The endpoint's logical address, where `To` says another.
    fn rewrites_to(&self) -> bool {
        let (Some(to), false) = (&self.plan.to, self.is_reply()) else {
            return false;
        };
        let current = self.headers.to.map(|id| self.doc().text(id));
        self.to.addressing.is_some() && current.as_deref().map(str::trim) != Some(to)
    }

    /// Blocks for this node are processed in requests; answers are not ours to judge.
    fn process_blocks(&mut self) -> Result<bool, BridgeError> {
        if self.plan.transparent_headers || self.is_reply() {
            return Ok(false);
        }
        let any = blocks::process(&self.shape.doc, &mut self.blocks)?;
        if any {
            self.losses.add(Loss::NextHeaders);
        }
        Ok(any)
    }

    fn unchanged(self, found: Option<&Found>, why: Option<&'static str>) -> Decided {
        let tail = self.tail(None);
        let mut outcome = self.outcome(found);
        outcome.changed = false;
        outcome.to = outcome.from;
        outcome.losses = Losses::default();
        outcome.unchanged_because = why;
        Decided { outcome, tail }
    }

    /// Writes all changes; gives what the rest needs to be changed.
    fn change(&mut self, found: Option<&Found>) -> Result<Tail, BridgeError> {
        let free = "it declares every prefix that a bridge could take";
        let taken = self.shape.taken;
        self.slot = taken
            .free_envelope()
            .ok_or_else(|| BridgeError::Cannot(free.into()))?;
        self.prefix = envelope_prefix(self.slot);
        self.wsa = taken
            .free_addressing()
            .ok_or_else(|| BridgeError::Cannot(free.into()))?;
        let mut style = None;
        if self.changes_envelope() {
            style = self.envelope()?;
        }
        self.address(found)?;
        if let Some(found) = found {
            self.fault(found, style.as_deref());
        }
        self.insert_added();
        for block in &self.blocks {
            if block.dropped
                && let Some(node) = self.shape.doc.node(block.id)
            {
                self.patch.remove(node.start..node.end);
            }
        }
        self.patch.sort();
        Ok(self.tail(style))
    }

    fn outcome(self, found: Option<&Found>) -> Outcome {
        let fault = found.map(|found| {
            let code = self.code(found);
            if code.is_sender() {
                FaultKind::Sender
            } else {
                FaultKind::Other
            }
        });
        Outcome {
            changed: true,
            from: self.from,
            to: self.to,
            fault,
            losses: self.losses,
            unchanged_because: None,
            context: match self.direction {
                Direction::Request(_) => Arc::new(self.context),
                Direction::Reply(context) => Arc::clone(context),
            },
        }
    }

    fn tail(&self, style: Option<String>) -> Tail {
        Tail {
            from: self.from.soap,
            to: self.to.soap,
            slot: self.slot,
            style,
            drop_trailers: self.plan.drop_trailers,
            breaks_signatures: self.plan.on_signed == OnSigned::BridgeAnyway,
        }
    }

    /// Puts new blocks first into the header, which is made where there is none. No white space
    /// is added (E39).
    fn insert_added(&mut self) {
        if self.added.is_empty() {
            return;
        }
        let doc = self.doc();
        let added = std::mem::take(&mut self.added);
        let Some(header) = self.shape.header else {
            let name = self.header_name(doc.name(0).0);
            let at = self
                .shape
                .body
                .and_then(|id| doc.node(id))
                .map_or(0, |node| node.start);
            self.patch
                .insert(at, ["<", &name, ">", &added, "</", &name, ">"]);
            return;
        };
        let Some(node) = doc.node(header) else { return };
        if node.empty {
            let name = self.header_name(doc.name(header).0);
            self.patch.replace(
                doc.close(header)..node.open_end,
                [">", &added, "</", &name, ">"],
            );
        } else {
            self.patch.insert(node.open_end, [&added]);
        }
    }

    /// `Header` with our prefix, or with that of the message.
    fn header_name(&self, prefix: &str) -> String {
        match (self.changes_envelope(), prefix) {
            (true, _) => format!("{}:Header", self.prefix),
            (false, "") => "Header".to_owned(),
            (false, prefix) => format!("{prefix}:Header"),
        }
    }

    /// Takes a node and all that is in it out.
    pub(super) fn remove(&mut self, id: NodeId) {
        if let Some(node) = self.shape.doc.node(id) {
            self.patch.remove(node.start..node.end);
        }
    }
}

/// The caller's addressing is that of its answer, where the bridge looks after addressing at all.
const fn back(target: Target, caller: Option<Addressing>) -> Target {
    match (target, caller) {
        (Target::Keep, _) => Target::Keep,
        (_, Some(version)) => Target::To(version),
        (_, None) => Target::None,
    }
}

/// SOAP 1.2 Part 1 §5.1 and §5.1.1: no unqualified attributes on Envelope, Header and Body, and no
/// `encodingStyle` there (rule E3).
fn strict_structure(shape: &Shape) -> Result<(), BridgeError> {
    let doc = &shape.doc;
    for id in [Some(0), shape.header, shape.body].into_iter().flatten() {
        let place = || doc.name(id).1;
        for attribute in doc.attributes(id) {
            if attribute.class & class::UNQUALIFIED != 0 {
                let name = doc.slice(attribute.name());
                let what = format!("the attribute `{name}` of {} is in no namespace", place());
                return Err(structure(what, attribute.whole().start));
            }
            if attribute.class == const { class::SOAP12 | local("encodingStyle") } {
                let what = format!("`encodingStyle` may not stand on {} in SOAP 1.2", place());
                return Err(structure(what, attribute.whole().start));
            }
        }
    }
    let own = |id: NodeId| doc.node(id).map_or(0, |node| node.class);
    let fault = shape.fault();
    if let Some(id) = fault
        && own(id) & class::ENVELOPE == of_version(Version::Soap12)
        && let Some(found) = doc.attribute_of(id, const { class::SOAP12 | local("encodingStyle") })
    {
        let what = "`encodingStyle` may not stand on Fault in SOAP 1.2";
        return Err(structure(what, found.whole().start));
    }
    Ok(())
}
