//! The message in the versions that an endpoint speaks, and its answer in the caller's.
//!
//! Reads a body until its head is decided, which is before anything is sent; the rest is changed
//! while it passes. How it is changed, `soap` knows.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::arrival;
use super::deliver::Answer;
use super::judge::Failure;
use crate::fields::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, Fields, Names,
    ResponseParts, SOAP_ACTION,
};
use crate::net::{Body, Change, ChangeError, Changed, Incoming};
use crate::snapshot::Limits;
use crate::soap::{
    Addressing, Arriving, BridgeError, Carrier, Context, Facts, HttpHead, Losses, MediaType,
    Outcome, Plan, Target, Version, Within,
};
use crate::telemetry::EndpointMeter;
use crate::upstream::{Reply, SendError};

/// What bridging must know of the caller's message beside its bytes.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    version: Option<Version>,
    addressing: Option<Addressing>,
    message_id: Option<String>,
    for_next: bool,
    /// What HTTP states, or else the envelope.
    action: Option<String>,
    http_action: Option<String>,
    /// Whether the facts are those of the whole header.
    head_known: bool,
    media: MediaType,
    languages: Option<String>,
    within: Within,
    one_way: bool,
    unique: u128,
}

/// A request ready to be sent to an endpoint.
pub(super) struct Prepared {
    pub(super) body: Body,
    /// What the answer needs, and whether the request was changed.
    pub(super) trip: There,
    /// The fields to write over the caller's.
    head: Option<HttpHead>,
}

/// How the message went, for the way back.
#[derive(Debug)]
pub(super) struct There {
    context: Arc<Context>,
    pub(super) outcome: Option<Outcome>,
}

impl Caller {
    pub(super) fn new(
        headers: &Fields,
        facts: &Facts,
        head_known: bool,
        media: &MediaType,
        limits: &Limits,
        one_way: bool,
        unique: u128,
    ) -> Self {
        let languages = headers.text(ACCEPT_LANGUAGE);
        Self {
            version: facts.version,
            addressing: facts.addressing,
            message_id: facts.message_id.clone(),
            for_next: facts.for_next,
            action: facts.wsa_action.clone(),
            http_action: facts.http_action.clone(),
            head_known,
            media: media.clone(),
            languages: languages.map(str::to_owned),
            within: Within {
                fault_max: usize::try_from(limits.fault_bytes).unwrap_or(usize::MAX),
                xml: limits.xml,
            },
            one_way,
            unique,
        }
    }

    /// Whether the message may have to change for this endpoint. Known to be the same versions, it
    /// is not even looked at.
    fn may_change(&self, plan: &Plan) -> bool {
        let same_soap = plan.soap.is_none_or(|wanted| self.version == Some(wanted));
        let same_addressing = match plan.addressing {
            Target::Keep => true,
            Target::None => self.addressing.is_none(),
            Target::To(wanted) => self.addressing == Some(wanted),
        };
        let processed = !plan.transparent_headers && (self.for_next || !plan.roles.is_empty());
        !(self.head_known && same_soap && same_addressing && !processed && plan.to.is_none())
    }

    /// What the answer needs when the request was not looked at.
    fn context(&self) -> Context {
        Context {
            message_id: self.message_id.clone(),
            action: self.action.clone().or_else(|| self.http_action.clone()),
            one_way: self.one_way,
            languages: self.languages.clone(),
            within: Some(self.within),
            ..Context::of(self.version.unwrap_or(Version::Soap11), self.addressing)
        }
    }

    fn arriving(&self) -> Arriving {
        Arriving {
            charset: self.media.charset.clone(),
            action: self.http_action.clone(),
            one_way: self.one_way,
            languages: self.languages.clone(),
            within: Some(self.within),
            unique: self.unique,
        }
    }

    /// What would become of the message, without sending it.
    ///
    /// # Errors
    /// When it cannot be bridged.
    pub(super) fn trial(
        &self,
        plan: &Arc<Plan>,
        message: &[u8],
    ) -> Result<(Outcome, HttpHead), BridgeError> {
        let bridge = Carrier::request(Arc::clone(plan), self.arriving(), &self.media)?;
        whole(bridge, Bytes::copy_from_slice(message)).map(|(_, outcome, head)| (outcome, head))
    }

    /// The request in the endpoint's versions.
    ///
    /// # Errors
    /// When it cannot be, or its body breaks off.
    ///
    /// What the rest of the message loses while it passes is told to `losing`.
    pub(super) async fn prepare(
        &self,
        plan: &Arc<Plan>,
        body: Body,
        losing: Losing,
    ) -> Result<Prepared, Failure> {
        if !self.may_change(plan) {
            let trip = There {
                context: Arc::new(self.context()),
                outcome: None,
            };
            return Ok(Prepared {
                body,
                trip,
                head: None,
            });
        }
        let bridge = Carrier::request(Arc::clone(plan), self.arriving(), &self.media)
            .map_err(Failure::bridge)?;
        let (body, outcome, head) = match body {
            Body::Full(bytes) => whole(bridge, bytes).map_err(Failure::bridge)?,
            Body::Replay(reader) => streaming(bridge, reader, losing).await?,
            other => return Err(Failure::router(&format!("{other:?} cannot be bridged"))),
        };
        Ok(Prepared {
            body,
            head: outcome.changed.then_some(head),
            trip: There {
                context: Arc::clone(&outcome.context),
                outcome: Some(outcome),
            },
        })
    }
}

impl Prepared {
    /// Writes the fields that go with the changed message.
    pub(super) fn dress(&self, headers: &mut Fields) {
        let Some(head) = &self.head else { return };
        headers.insert(CONTENT_TYPE, head.content_type.as_str());
        // What comes back must be read, to be bridged back (H12).
        headers.remove_any(Names::of(&[CONTENT_LENGTH, ACCEPT_ENCODING]));
        let action = head.soap_action.as_deref();
        if !action.is_some_and(|action| headers.insert(SOAP_ACTION, action)) {
            headers.remove(SOAP_ACTION);
        }
        self.accept(headers);
    }

    /// H53.
    fn accept(&self, headers: &mut Fields) {
        let Some(outcome) = &self.trip.outcome else {
            return;
        };
        let (from, to) = (outcome.from.soap.media_type(), outcome.to.soap.media_type());
        if let Some(new) = headers.text(ACCEPT).map(|text| text.replace(from, to)) {
            headers.insert(ACCEPT, new.as_str());
        }
    }
}

/// A body ready to be sent, what became of it, and the fields that go with it.
type Made = (Body, Outcome, HttpHead);

/// A message that is at hand.
fn whole(mut bridge: Carrier, bytes: Bytes) -> Result<Made, BridgeError> {
    let mut out = Vec::with_capacity(3);
    bridge.share(&bytes, &mut out)?;
    finish(&mut bridge, &mut out)?;
    let outcome = outcome(&bridge)?;
    let body = if outcome.changed {
        Body::from(out)
    } else {
        Body::Full(bytes)
    };
    let head = bridge.request_head(&outcome);
    Ok((body, outcome, head))
}

fn finish(bridge: &mut Carrier, out: &mut Vec<Bytes>) -> Result<(), BridgeError> {
    let mut last = Vec::new();
    bridge.finish(&mut last)?;
    if !last.is_empty() {
        out.push(last.into());
    }
    Ok(())
}

/// A message that still arrives: read until its head is decided.
async fn streaming(
    mut bridge: Carrier,
    mut reader: crate::net::ReplayReader,
    losing: Losing,
) -> Result<Made, Failure> {
    let mut out = Vec::new();
    while bridge.outcome().is_none() {
        match reader.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    bridge.share(&data, &mut out).map_err(Failure::bridge)?;
                }
            }
            Some(Err(error)) => return Err(Failure::send(SendError::Caller(error))),
            None => {
                finish(&mut bridge, &mut out).map_err(Failure::bridge)?;
                let outcome = outcome(&bridge).map_err(Failure::bridge)?;
                let head = bridge.request_head(&outcome);
                return Ok((out.into(), outcome, head));
            }
        }
    }
    let outcome = outcome(&bridge).map_err(Failure::bridge)?;
    let head = bridge.request_head(&outcome);
    let passing = Passing::new(bridge, outcome.losses, losing);
    let changed = Changed::new(out, reader, Box::new(passing));
    Ok((Body::Changed(Box::new(changed)), outcome, head))
}

fn outcome(bridge: &Carrier) -> Result<Outcome, BridgeError> {
    let found = bridge.outcome().cloned();
    found.ok_or_else(|| BridgeError::Cannot("its head was not read".into()))
}

/// Takes what a message loses behind its head.
pub(super) type Losing = Option<Arc<EndpointMeter>>;

/// A bridge whose head is decided.
struct Passing {
    bridge: Carrier,
    /// What is counted already.
    counted: Losses,
    losing: Losing,
}

impl Passing {
    const fn new(bridge: Carrier, counted: Losses, losing: Losing) -> Self {
        Self {
            bridge,
            counted,
            losing,
        }
    }
}

impl Change for Passing {
    fn next(&mut self, bytes: &Bytes, out: &mut Vec<Bytes>) -> Result<(), ChangeError> {
        let passed = self.bridge.share(bytes, out);
        passed.map_err(|error| Arc::new(error) as ChangeError)
    }

    fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), ChangeError> {
        finish(&mut self.bridge, out).map_err(|error| Arc::new(error) as ChangeError)?;
        if let (Some(meter), Some(outcome)) = (&self.losing, self.bridge.outcome()) {
            for loss in outcome.losses.beyond(self.counted).iter() {
                meter.lost(loss.name());
            }
        }
        Ok(())
    }

    fn passes(&self) -> bool {
        self.bridge.passes()
    }
}

/// How answers are bridged back.
#[derive(Debug, Clone)]
pub(super) struct Back {
    /// Longest silence of the endpoint.
    pub(super) idle: Duration,
    /// Status of a SOAP 1.2 fault that blames the sender (H36).
    pub(super) sender_fault: u16,
    /// Takes what the answer loses behind its head.
    pub(super) losing: Losing,
}

impl There {
    /// The answer in the caller's versions; untouched where the request was and its media type is
    /// the caller's.
    ///
    /// # Errors
    /// When it is no SOAP, or cannot be expressed.
    pub(super) async fn back(
        &self,
        plan: &Arc<Plan>,
        answer: Answer,
        settings: Back,
    ) -> Result<(Answer, Option<Outcome>), Failure> {
        let (head, body, blames_receiver) = match answer {
            Answer::Stream(reply) => {
                let Reply { head, body, first } = reply;
                (head, Source::Stream { first, body }, false)
            }
            Answer::Whole {
                head,
                body,
                blames_receiver,
            } => (head, Source::Whole(body), blames_receiver),
            other => return Ok((other, None)),
        };
        let media = media_of(&head.headers);
        let Some(media) = media.filter(|media| self.needs_back(media)) else {
            return Ok((body.untouched(head, blames_receiver), None));
        };
        if let Some(coding) = arrival::coding(&head.headers) {
            let why =
                format!("Content-Encoding `{coding}` cannot be looked into, to bridge the answer");
            return Err(Failure::reply(
                "not-soap".into(),
                why,
                head.status,
                &head.headers,
            ));
        }
        let status = head.status;
        let failed = |error: BridgeError| Failure::back(&error, status);
        let bridge = Carrier::reply(Arc::clone(plan), Arc::clone(&self.context), &media);
        let mut bridge = bridge.map_err(failed)?;
        let mut out = Vec::new();
        let rest = body
            .until_decided(&mut bridge, &mut out, settings.idle, status)
            .await?;
        let outcome = outcome(&bridge).map_err(failed)?;
        let mut head = head;
        let fields = bridge.reply_head(&outcome, media.stated_action().as_deref());
        dress_back(&mut head, &outcome, &fields, settings.sender_fault);
        let answer = match rest {
            None => Answer::Whole {
                head,
                body: joined(out),
                blames_receiver,
            },
            Some(inner) => Answer::Changed {
                head,
                first: out,
                inner,
                change: Box::new(Passing::new(bridge, outcome.losses, settings.losing)),
            },
        };
        Ok((answer, Some(outcome)))
    }

    fn needs_back(&self, media: &MediaType) -> bool {
        let changed = self.outcome.as_ref().is_some_and(|outcome| outcome.changed);
        changed
            || media
                .version()
                .is_some_and(|version| version != self.context.soap)
    }
}

/// An answer's body.
enum Source {
    Whole(Bytes),
    Stream {
        first: Option<Box<http_body::Frame<Bytes>>>,
        body: Incoming,
    },
}

impl Source {
    fn untouched(self, head: Box<ResponseParts>, blames_receiver: bool) -> Answer {
        match self {
            Self::Whole(body) => Answer::Whole {
                head,
                body,
                blames_receiver,
            },
            Self::Stream { first, body } => Answer::Stream(Reply { head, body, first }),
        }
    }

    /// Reads until the head is decided; what is left to read, if it is not over.
    async fn until_decided(
        self,
        bridge: &mut Carrier,
        out: &mut Vec<Bytes>,
        idle: Duration,
        status: StatusCode,
    ) -> Result<Option<Incoming>, Failure> {
        let failed = |error: BridgeError| Failure::back(&error, status);
        let (mut first, mut body) = match self {
            Self::Whole(bytes) => {
                bridge.share(&bytes, out).map_err(failed)?;
                finish(bridge, out).map_err(failed)?;
                return Ok(None);
            }
            Self::Stream { first, body } => (first, body),
        };
        while bridge.outcome().is_none() {
            let frame = match first.take() {
                Some(frame) => Some(*frame),
                None => match timeout(idle, body.frame()).await {
                    Ok(Some(Ok(frame))) => Some(frame),
                    Ok(Some(Err(error))) => return Err(Failure::send(SendError::Reset(error))),
                    Ok(None) => None,
                    Err(_elapsed) => return Err(Failure::silent(idle, status)),
                },
            };
            let Some(frame) = frame else {
                finish(bridge, out).map_err(failed)?;
                return Ok(None);
            };
            if let Ok(data) = frame.into_data() {
                bridge.share(&data, out).map_err(failed)?;
            }
        }
        if body.is_end_stream() {
            // All of it came with its head: its length is known.
            finish(bridge, out).map_err(failed)?;
            return Ok(None);
        }
        Ok(Some(body))
    }
}

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match (pieces.pop(), pieces.is_empty()) {
        (None, _) => Bytes::new(),
        (Some(only), true) => only,
        (Some(last), false) => [pieces.concat(), last.into()].concat().into(),
    }
}

fn media_of(headers: &Fields) -> Option<MediaType> {
    MediaType::parse(headers.text(CONTENT_TYPE)?).ok()
}

fn dress_back(head: &mut ResponseParts, outcome: &Outcome, fields: &HttpHead, sender_fault: u16) {
    if !outcome.changed {
        return;
    }
    head.headers
        .insert(CONTENT_TYPE, fields.content_type.as_str());
    let names = Names::of(&[CONTENT_LENGTH, SOAP_ACTION]);
    head.headers.remove_any(names);
    let status = outcome.status(head.status.as_u16(), sender_fault);
    head.status = StatusCode::from_u16(status).unwrap_or(head.status);
}
