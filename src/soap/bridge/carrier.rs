//! A message through its bridge, whatever it is packed in.

use std::sync::Arc;

use bytes::Bytes;

use super::error::BridgeError;
use super::http::HttpHead;
use super::package::Package;
use super::plan::{Arriving, Context, Outcome, Plan};
use super::stream::Bridge;
use crate::soap::media::{MediaKind, MediaType};

/// A bridge for a body of some media type.
#[derive(Debug)]
pub enum Carrier {
    /// The envelope alone.
    Plain(Box<Bridge>),
    /// With attachments.
    Package(Box<Package>),
}

impl Carrier {
    /// For a request of this type.
    ///
    /// # Errors
    /// As [`Bridge::request`].
    pub fn request(
        plan: Arc<Plan>,
        arriving: Arriving,
        media: &MediaType,
    ) -> Result<Self, BridgeError> {
        match media.kind {
            MediaKind::Envelope(_) => {
                Bridge::request(plan, arriving).map(|b| Self::Plain(Box::new(b)))
            }
            MediaKind::Multipart => {
                Package::request(plan, arriving, media.clone()).map(|p| Self::Package(Box::new(p)))
            }
        }
    }

    /// For an answer of this type.
    ///
    /// # Errors
    /// As [`Bridge::reply`].
    pub fn reply(
        plan: Arc<Plan>,
        context: Arc<Context>,
        media: &MediaType,
    ) -> Result<Self, BridgeError> {
        match media.kind {
            MediaKind::Envelope(_) => Bridge::reply(plan, context, media.charset.clone())
                .map(|bridge| Self::Plain(Box::new(bridge))),
            MediaKind::Multipart => {
                Package::reply(plan, context, media.clone()).map(|p| Self::Package(Box::new(p)))
            }
        }
    }

    /// What became of the head, once it was read.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Plain(bridge) => bridge.outcome(),
            Self::Package(package) => package.outcome(),
        }
    }

    /// Whether what still comes leaves as it comes.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Plain(bridge) => bridge.passes(),
            Self::Package(package) => package.passes(),
        }
    }

    /// Takes the next bytes; what is certain is appended to `out`.
    ///
    /// # Errors
    /// As [`Bridge::feed`].
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BridgeError> {
        match self {
            Self::Plain(bridge) => bridge.feed(bytes, out),
            Self::Package(package) => package.feed(bytes, out),
        }
    }

    /// As [`Carrier::feed`]; long runs that do not change are not copied but shared.
    ///
    /// # Errors
    /// As there.
    pub fn share(&mut self, bytes: &Bytes, out: &mut Vec<Bytes>) -> Result<(), BridgeError> {
        match self {
            Self::Plain(bridge) => bridge.share(bytes, out),
            Self::Package(package) => {
                let mut text = Vec::with_capacity(bytes.len() + 1024);
                package.feed(bytes, &mut text)?;
                if !text.is_empty() {
                    out.push(text.into());
                }
                Ok(())
            }
        }
    }

    /// The message is over.
    ///
    /// # Errors
    /// As [`Bridge::finish`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BridgeError> {
        match self {
            Self::Plain(bridge) => bridge.finish(out),
            Self::Package(package) => package.finish(out),
        }
    }

    /// The fields that go with the request.
    #[must_use]
    pub fn request_head(&self, outcome: &Outcome) -> HttpHead {
        match self {
            Self::Plain(_) => outcome.request_head(),
            Self::Package(package) => package.head(outcome, None),
        }
    }

    /// The fields that go with the answer; `action` is what the endpoint's stated.
    #[must_use]
    pub fn reply_head(&self, outcome: &Outcome, action: Option<&str>) -> HttpHead {
        match self {
            Self::Plain(_) => outcome.reply_head(action),
            Self::Package(package) => package.head(outcome, action),
        }
    }
}
