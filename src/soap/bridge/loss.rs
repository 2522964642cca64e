//! What a bridge cannot keep (bridging rules §8), each with its name in metrics, logs and `explain`.

use serde::Serialize;

/// Something that the other version cannot say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "each name says what is lost; docs/bridging.md explains them"
)]
pub enum Loss {
    Relay,
    NoneRole,
    NextHeaders,
    UnqualifiedHeaders,
    UnqualifiedAttributes,
    EncodingStyleList,
    EncodingStylePlace,
    Trailers,
    ReasonTexts,
    FaultValue,
    Subcodes,
    FaultRole,
    FaultCode,
    NotUnderstood,
    Upgrade,
    ReferenceProperties,
    EndpointMetadata,
    NoneAddress,
    RelationshipType,
    ReferenceMark,
    AddressingDetail,
    AddressesInBody,
    BodySignature,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Relay,
        Self::NoneRole,
        Self::NextHeaders,
        Self::UnqualifiedHeaders,
        Self::UnqualifiedAttributes,
        Self::EncodingStyleList,
        Self::EncodingStylePlace,
        Self::Trailers,
        Self::ReasonTexts,
        Self::FaultValue,
        Self::Subcodes,
        Self::FaultRole,
        Self::FaultCode,
        Self::NotUnderstood,
        Self::Upgrade,
        Self::ReferenceProperties,
        Self::EndpointMetadata,
        Self::NoneAddress,
        Self::RelationshipType,
        Self::ReferenceMark,
        Self::AddressingDetail,
        Self::AddressesInBody,
        Self::BodySignature,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::NoneRole => "none-role",
            Self::NextHeaders => "next-headers",
            Self::UnqualifiedHeaders => "unqualified-headers",
            Self::UnqualifiedAttributes => "unqualified-attributes",
            Self::EncodingStyleList => "encoding-style-list",
            Self::EncodingStylePlace => "encoding-style-place",
            Self::Trailers => "trailers",
            Self::ReasonTexts => "reason-texts",
            Self::FaultValue => "fault-value",
            Self::Subcodes => "subcodes",
            Self::FaultRole => "fault-role",
            Self::FaultCode => "fault-code",
            Self::NotUnderstood => "not-understood",
            Self::Upgrade => "upgrade",
            Self::ReferenceProperties => "reference-properties",
            Self::EndpointMetadata => "endpoint-metadata",
            Self::NoneAddress => "none-address",
            Self::RelationshipType => "relationship-type",
            Self::ReferenceMark => "reference-mark",
            Self::AddressingDetail => "addressing-detail",
            Self::AddressesInBody => "addresses-in-body",
            Self::BodySignature => "body-signature",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses(u32);

impl Losses {
    /// Adds one.
    pub const fn add(&mut self, loss: Loss) {
        self.0 |= loss.bit();
    }

    /// Adds those of another set.
    pub const fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Those that are not in another set.
    #[must_use]
    pub const fn beyond(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Loss> {
        Loss::ALL
            .into_iter()
            .filter(move |loss| self.0 & loss.bit() != 0)
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn contains(self, loss: Loss) -> bool {
        self.0 & loss.bit() != 0
    }
}

impl Serialize for Losses {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Loss::name))
    }
}
