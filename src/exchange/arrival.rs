//! A request as it enters the road, and what its head says.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smallvec::SmallVec;

use super::error::Error;
use super::forwarded;
use crate::fields::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, FORWARDED_FOR, FORWARDED_PROTO, Fields, HOST,
    RequestParts, SOAP_ACTION, as_text,
};
use crate::filter::Certificate;
use crate::net::Incoming;
use crate::net::tls::Session;
use crate::snapshot::Door;
use crate::soap::{ActionError, MediaError, MediaType, Version, soap_action};

/// One request with where it came in.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// Request line and headers.
    pub head: Box<RequestParts>,
    /// Its body, unread.
    pub body: Incoming,
    /// The connection it came on.
    pub origin: &'a Arc<Origin>,
}

/// Where a connection comes from and which door it took.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The caller.
    pub peer: SocketAddr,
    /// What endpoints are told of it, where nothing else is known: `X-Forwarded-For` and
    /// `X-Forwarded-Proto`.
    pub forwarded: Fields,
    /// What its listener adds and whom it believes.
    pub door: Arc<Door>,
    /// The port that it arrived at.
    pub port: u16,
    /// Whether it speaks HTTP/2.
    pub http2: bool,
    /// What TLS came to, where it was used.
    pub session: Option<Arc<Session>>,
    /// The certificate that the caller showed, verified.
    pub certificate: Option<Arc<Certificate>>,
}

/// What the head of a SOAP request says.
#[derive(Debug, Clone)]
pub struct HeadFacts {
    /// The media type, or why it is none of SOAP's.
    pub media: Result<Arc<MediaType>, MediaError>,
    /// The action of `SOAPAction` or of the `action` parameter.
    pub action: Option<Arc<str>>,
    /// What is not quite as it should be.
    pub slips: SmallVec<[Slip; 2]>,
}

/// A slip of old clients that is let pass unless the service is strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// `SOAPAction` without quotes (H14).
    UnquotedAction,
    /// `SOAPAction` in single quotes (H15).
    SingleQuotedAction,
    /// `action` without quotes, with a character that needs them (H22).
    UnquotedParameter,
    /// The media type of one version with the envelope of the other (H5).
    MediaType,
    /// HTTP states another action than `wsa:Action` (H30).
    OtherAction,
}

impl Slip {
    /// Its `kind` in the metric `soap_router_tolerated_deviations`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnquotedAction => "soapaction-unquoted",
            Self::SingleQuotedAction => "soapaction-single-quoted",
            Self::UnquotedParameter => "action-parameter-unquoted",
            Self::MediaType => "media-type-of-other-version",
            Self::OtherAction => "action-differs",
        }
    }

    /// What a strict service tells the caller.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnquotedAction | Self::SingleQuotedAction => {
                "the value of SOAPAction must stand in double quotes"
            }
            Self::UnquotedParameter => {
                "the `action` parameter of Content-Type must stand in double quotes"
            }
            Self::MediaType => "Content-Type names another version of SOAP than the envelope",
            Self::OtherAction => {
                "SOAPAction or the `action` parameter differs from wsa:Action \
                 (wsa:InvalidAddressingHeader, wsa:ActionMismatch)"
            }
        }
    }
}

impl Arrival<'_> {
    /// Who asks.
    pub(super) fn client(&self) -> IpAddr {
        forwarded::client(self.origin, &self.head.headers)
    }
}

impl Origin {
    /// A plain connection of this caller.
    #[must_use]
    pub fn new(listener: Arc<str>, peer: SocketAddr) -> Self {
        Self {
            listener,
            peer,
            forwarded: told(peer, "http"),
            door: Arc::default(),
            port: 0,
            http2: false,
            session: None,
            certificate: None,
        }
    }

    /// The version of HTTP, as variables name it.
    pub(super) const fn http_version(&self) -> &'static str {
        if self.http2 { "HTTP/2.0" } else { "HTTP/1.1" }
    }

    /// Another caller than the connection's other end, as a balancer says.
    pub fn on_behalf_of(&mut self, caller: SocketAddr) {
        let (door, port) = (Arc::clone(&self.door), self.port);
        *self = Self::new(Arc::clone(&self.listener), caller);
        (self.door, self.port) = (door, port);
    }

    /// Notes what the handshake came to.
    pub fn secure(&mut self, session: Session) {
        self.certificate = session.certificate.as_ref().map(|shown| {
            Arc::new(Certificate {
                subject: shown.subject.clone(),
                issuer: shown.issuer.clone(),
                names: shown.names.clone(),
            })
        });
        self.session = Some(Arc::new(session));
        self.forwarded = told(self.peer, self.scheme());
    }

    pub(super) const fn scheme(&self) -> &'static str {
        if self.session.is_some() {
            "https"
        } else {
            "http"
        }
    }
}

/// What endpoints are told of a caller.
fn told(peer: SocketAddr, scheme: &str) -> Fields {
    let mut forwarded = Fields::new();
    forwarded.insert(FORWARDED_FOR, peer.ip().to_string().as_str());
    forwarded.insert(FORWARDED_PROTO, scheme);
    forwarded
}

/// `Host`, or the authority of an absolute request target.
pub(super) fn host(head: &RequestParts) -> &str {
    head.uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| head.headers.text(HOST))
        .unwrap_or("")
}

/// SOAP 1.2's own type (RFC 3902).
const SOAP12_TYPE: &[u8] = b"application/soap+xml";

/// The URL that the caller used, as far as it can be told.
pub(super) fn request_url(head: &RequestParts, origin: &Origin) -> String {
    let path = head
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let (scheme, host) = (origin.scheme(), host(head));
    let mut url = String::with_capacity(scheme.len() + host.len() + path.len() + 3);
    for piece in [scheme, "://", host, path] {
        url.push_str(piece);
    }
    url
}

/// The version that the caller seems to speak, for faults before its envelope was read.
pub(super) fn likely_version(headers: &Fields) -> Version {
    let media = headers.get(CONTENT_TYPE).unwrap_or_default();
    let begins = |with: &[u8]| {
        let beginning = media.get(..with.len());
        beginning.is_some_and(|part| part.eq_ignore_ascii_case(with))
    };
    // In a multipart type the version stands in `start-info` or `type`.
    let soap12 = !begins(b"text/xml")
        && media
            .windows(SOAP12_TYPE.len())
            .any(|part| part.eq_ignore_ascii_case(SOAP12_TYPE));
    if soap12 {
        Version::Soap12
    } else {
        Version::Soap11
    }
}

impl HeadFacts {
    /// Reads the head.
    ///
    /// # Errors
    /// When two headers contradict each other, so that nobody could say what was meant.
    pub(super) fn read(headers: &Fields) -> Result<Arc<Self>, Error> {
        let said = [CONTENT_TYPE, SOAP_ACTION].map(|name| headers.only(name));
        if let [Ok(media), Ok(action)] = said
            && let Some(known) = remembered([media, action])
        {
            return Ok(known);
        }
        let read = Arc::new(Self::read_anew(headers)?);
        if let [Ok(media), Ok(action)] = said {
            remember([media, action], &read);
        }
        Ok(read)
    }

    fn read_anew(headers: &Fields) -> Result<Self, Error> {
        let media = media_type(headers).map(Arc::new);
        let parameter = media.as_ref().ok().and_then(|media| media.stated_action());
        let header = header_action(headers)?;
        let soap12 = media
            .as_ref()
            .is_ok_and(|media| media.version() == Some(Version::Soap12));
        // A 1.2 message may carry a stray SOAPAction, which counts only without a parameter
        // (H24); a 1.1 message has no parameter.
        let action = if soap12 {
            parameter.or(header)
        } else {
            header.or(parameter)
        };
        let slips = slips(headers);
        Ok(Self {
            media,
            action: action.map(Arc::from),
            slips,
        })
    }
}

/// `Content-Type` and `SOAPAction`, and what they say.
type Remembered = ([Option<Box<[u8]>>; 2], Arc<HeadFacts>);

thread_local! {
    /// Callers send the same heads again and again. What is met moves forward, what is new replaces
    /// the last.
    static LAST_HEADS: RefCell<Vec<Remembered>> = const { RefCell::new(Vec::new()) };
}

fn remembered(said: [Option<&[u8]>; 2]) -> Option<Arc<HeadFacts>> {
    LAST_HEADS.with_borrow_mut(|known| {
        let at = known
            .iter()
            .position(|(own, _)| own.each_ref().map(Option::as_deref) == said)?;
        if at > 0 {
            known.swap(at, at - 1);
        }
        let (_, facts) = known.get(at.saturating_sub(1))?;
        Some(Arc::clone(facts))
    })
}

fn remember(said: [Option<&[u8]>; 2], facts: &Arc<HeadFacts>) {
    let length = |value: Option<&[u8]>| value.map_or(0, <[u8]>::len);
    if said.map(length).into_iter().sum::<usize>() > REMEMBERED_HEAD_BYTES_MAX {
        return;
    }
    let own = said.map(|value| value.map(Box::from));
    LAST_HEADS.with_borrow_mut(|known| {
        known.truncate(REMEMBERED_HEADS_MAX - 1);
        known.push((own, Arc::clone(facts)));
    });
}

fn slips(headers: &Fields) -> SmallVec<[Slip; 2]> {
    let mut slips = SmallVec::new();
    let action = headers.text(SOAP_ACTION).unwrap_or_default().trim();
    if action.starts_with('\'') {
        slips.push(Slip::SingleQuotedAction);
    } else if !action.is_empty() && !action.starts_with('"') {
        slips.push(Slip::UnquotedAction);
    }
    if headers.text(CONTENT_TYPE).is_some_and(has_bare_action) {
        slips.push(Slip::UnquotedParameter);
    }
    slips
}

/// An `action` parameter that is no token, without quotes (RFC 2045 §5.1).
fn has_bare_action(media: &str) -> bool {
    let mut parameters = media
        .split(';')
        .skip(1)
        .filter_map(|one| one.split_once('='));
    parameters.any(|(name, value)| {
        let value = value.trim();
        name.trim().eq_ignore_ascii_case("action")
            && !value.starts_with('"')
            && value.contains([':', '/'])
    })
}

fn media_type(headers: &Fields) -> Result<MediaType, MediaError> {
    let mut values = headers.get_all(CONTENT_TYPE);
    let first = values.next().ok_or(MediaError::Missing)?;
    if values.any(|other| other != first) {
        return Err(MediaError::Ambiguous);
    }
    MediaType::parse(&String::from_utf8_lossy(first))
}

/// What an answer's `Content-Type` says. Most answers of a worker say the same, so what was read last
/// is remembered.
pub(super) fn with_media<R>(
    value: &[u8],
    look: impl FnOnce(&Result<MediaType, MediaError>) -> R,
) -> R {
    LAST_MEDIA.with_borrow_mut(|known| {
        if let Some((_, read)) = known.iter().find(|(known, _)| **known == *value) {
            return look(read);
        }
        let read = MediaType::parse(&String::from_utf8_lossy(value));
        let result = look(&read);
        if value.len() <= REMEMBERED_BYTES_MAX {
            known.truncate(REMEMBERED_MAX - 1);
            known.insert(0, (value.into(), read));
        }
        result
    })
}

thread_local! {
    static LAST_MEDIA: RefCell<Vec<(Box<[u8]>, Result<MediaType, MediaError>)>> =
        const { RefCell::new(Vec::new()) };
}

/// Heads remembered: operations of the services in front of which a worker stands.
const REMEMBERED_HEADS_MAX: usize = 16;
/// Longest `Content-Type` and `SOAPAction` remembered.
const REMEMBERED_HEAD_BYTES_MAX: usize = 512;
/// Types of answers remembered, in a few spellings.
const REMEMBERED_MAX: usize = 4;
/// Longest type remembered; those of multipart messages are made up for each.
const REMEMBERED_BYTES_MAX: usize = 64;

fn header_action(headers: &Fields) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(SOAP_ACTION);
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.any(|other| other != first) {
        return Err(ActionError::Twice.into());
    }
    Ok(soap_action(&String::from_utf8_lossy(first))?)
}

/// `Content-Length`.
pub(super) fn content_length(headers: &Fields) -> Option<u64> {
    headers.text(CONTENT_LENGTH)?.parse().ok()
}

/// The coding that hides the envelope, if there is one.
pub(super) fn coding(headers: &Fields) -> Option<String> {
    let value = as_text(headers.get(CONTENT_ENCODING)?)
        .unwrap_or("?")
        .trim();
    (!value.is_empty() && !value.eq_ignore_ascii_case("identity")).then(|| value.to_owned())
}
