//! Bridging of multipart messages (MTOM/XOP, SOAP with Attachments): the root part through a
//! [`Bridge`], its headers and the outer type to match, every other byte as it came (bridging rules
//! S19 to S30).

use std::sync::Arc;

use super::error::BridgeError;
use super::http::{HttpHead, field};
use super::plan::{Arriving, Context, Outcome, Plan, Within};
use super::stream::Bridge;
use crate::soap::media::MediaType;
use crate::soap::multipart::{FIRST_LINE_END, Pieces, RootFinder, header_of};
use crate::soap::version::Version;

/// The media type of a root part with XOP references.
const XOP: &str = "application/xop+xml";

/// A multipart message under way.
#[derive(Debug)]
pub struct Package {
    finder: RootFinder,
    media: MediaType,
    pieces: Parts,
}

/// What is made of the pieces.
#[derive(Debug)]
struct Parts {
    plan: Arc<Plan>,
    way: Way,
    within: Within,
    bridge: Option<Bridge>,
    /// What came, until it is decided whether the message changes.
    raw: Vec<u8>,
    /// What stands before the root part's headers.
    before: Vec<u8>,
    headers: Vec<u8>,
    /// The root part's content, not yet bridged.
    root: Vec<u8>,
    /// Ready to leave.
    out: Vec<u8>,
    /// Line ends that stand in front of no message.
    extra: usize,
    begun: bool,
    over: bool,
    /// The actions that the media types state, the outer one's first.
    actions: Vec<String>,
    error: Option<BridgeError>,
}

#[derive(Debug)]
enum Way {
    Request(Arriving),
    Reply(Arc<Context>),
}

impl Package {
    /// For a request of this type.
    ///
    /// # Errors
    /// When the type names no boundary.
    pub fn request(
        plan: Arc<Plan>,
        arriving: Arriving,
        media: MediaType,
    ) -> Result<Self, BridgeError> {
        Self::new(plan, Way::Request(arriving), media)
    }

    /// For an answer of this type.
    ///
    /// # Errors
    /// When the type names no boundary.
    pub fn reply(
        plan: Arc<Plan>,
        context: Arc<Context>,
        media: MediaType,
    ) -> Result<Self, BridgeError> {
        Self::new(plan, Way::Reply(context), media)
    }

    fn new(plan: Arc<Plan>, way: Way, media: MediaType) -> Result<Self, BridgeError> {
        let finder = RootFinder::new(&media)?.to_end();
        let within = match &way {
            Way::Request(arriving) => arriving.within,
            Way::Reply(context) => context.within,
        };
        let pieces = Parts {
            within: within.unwrap_or(plan.within),
            plan,
            way,
            bridge: None,
            raw: Vec::new(),
            before: Vec::new(),
            headers: Vec::new(),
            root: Vec::new(),
            out: Vec::new(),
            extra: FIRST_LINE_END.len(),
            begun: false,
            over: false,
            actions: media.stated_actions().collect(),
            error: None,
        };
        Ok(Self {
            finder,
            media,
            pieces,
        })
    }

    /// What became of the root part's head, once it was read.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.pieces.bridge.as_ref()?.outcome()
    }

    /// Whether what still comes leaves as it comes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.outcome().is_some_and(|outcome| !outcome.changed)
    }

    /// Takes the next bytes; what is certain is appended to `out`.
    ///
    /// # Errors
    /// As [`Bridge::feed`], and when the parts are none.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BridgeError> {
        if self.passes() {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        if self.outcome().is_none() {
            self.pieces.raw.extend_from_slice(bytes);
        }
        self.finder.take_apart(bytes, &mut self.pieces)?;
        self.pieces.settle()?;
        self.pieces.hand_on(out)
    }

    /// The message is over.
    ///
    /// # Errors
    /// When it ended before its last delimiter, or its root part too early.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BridgeError> {
        if self.passes() {
            return Ok(());
        }
        self.finder.finish_apart(&mut self.pieces)?;
        // The line feed that ended the last delimiter is none of the message.
        if self.pieces.out.last() == Some(&b'\n') {
            self.pieces.out.pop();
        }
        self.pieces.settle()?;
        self.pieces.hand_on(out)
    }

    /// The fields that go with the message; `action` is what an answer stated.
    #[must_use]
    pub fn head(&self, outcome: &Outcome, action: Option<&str>) -> HttpHead {
        let is_reply = matches!(self.pieces.way, Way::Reply(_));
        let plain = if is_reply {
            outcome.reply_head(action)
        } else {
            outcome.request_head()
        };
        let action = if is_reply { action } else { outcome.action() };
        HttpHead {
            content_type: self.outer_type(outcome.to.soap, action),
            soap_action: plain.soap_action,
        }
    }

    /// S19 to S21: the version's type stands in `start-info`, or, without XOP, in `type`.
    fn outer_type(&self, to: Version, action: Option<&str>) -> String {
        let inner = typed(to, action);
        let is_xop = self
            .media
            .parameter("type")
            .is_some_and(|kind| kind.eq_ignore_ascii_case(XOP));
        let mut out = "multipart/related".to_owned();
        let mut add = |name: &str, value: &str| {
            out.push_str(&format!("; {name}=\"{}\"", quoted(value)));
        };
        let mut told = false;
        for (name, value) in &self.media.parameters {
            match name.as_str() {
                "type" if is_xop => add("type", XOP),
                "type" => add("type", to.media_type()),
                "start-info" | "startinfo" => {
                    add("start-info", &inner);
                    told = true;
                }
                "action" => {}
                other => add(other, value),
            }
        }
        if is_xop && !told {
            add("start-info", &inner);
        }
        out
    }
}

impl Pieces for Parts {
    fn other(&mut self, bytes: &[u8]) {
        let skipped = self.extra.min(bytes.len());
        self.extra -= skipped;
        let bytes = bytes.get(skipped..).unwrap_or_default();
        if !self.begun {
            self.before.extend_from_slice(bytes);
            return;
        }
        self.bridge_root();
        if self.is_decided() {
            self.out.extend_from_slice(bytes);
        } else {
            // The empty line between the headers and the content.
            self.headers.extend_from_slice(bytes);
        }
    }

    fn root_headers(&mut self, bytes: &[u8]) {
        self.begun = true;
        self.headers.extend_from_slice(bytes);
        let begun = self.begin();
        self.keep(begun.map(Some));
    }

    fn root(&mut self) -> &mut Vec<u8> {
        &mut self.root
    }

    fn root_end(&mut self) {
        self.bridge_root();
        let Some(mut bridge) = self.bridge.take() else {
            return;
        };
        let mut out = std::mem::take(&mut self.out);
        let finished = bridge.finish(&mut out);
        self.bridge = Some(bridge);
        self.out = out;
        self.write_headers();
        self.over = true;
        self.keep(finished.map(|()| None));
    }
}

impl Parts {
    fn is_decided(&self) -> bool {
        self.bridge
            .as_ref()
            .is_some_and(|bridge| bridge.outcome().is_some())
    }

    fn keep(&mut self, done: Result<Option<Bridge>, BridgeError>) {
        match done {
            Ok(Some(bridge)) => self.bridge = Some(bridge),
            Ok(None) => {}
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }

    /// The root part's own charset and action count (RFC 2387 §3; S21).
    fn begin(&mut self) -> Result<Bridge, BridgeError> {
        let head = String::from_utf8_lossy(&self.headers);
        let kind = header_of(&head, "content-type").unwrap_or_default();
        let parameters = kind
            .split_once(';')
            .map_or("", |(_, parameters)| parameters);
        let media = MediaType::parse(&format!("text/xml;{parameters}")).ok();
        let charset = media.as_ref().and_then(|media| media.charset.clone());
        let inner = media
            .as_ref()
            .and_then(|media| MediaType::parse(media.parameter("type")?).ok()?.action);
        let own = media.as_ref().and_then(|media| media.action.clone());
        self.actions.extend([inner, own].into_iter().flatten());
        match &self.way {
            Way::Reply(context) => {
                Bridge::reply(Arc::clone(&self.plan), Arc::clone(context), charset)
            }
            Way::Request(arriving) => {
                let stated = || self.actions.first().cloned();
                let arriving = Arriving {
                    charset,
                    action: arriving.action.clone().or_else(stated),
                    ..arriving.clone()
                };
                Bridge::request(Arc::clone(&self.plan), arriving)
            }
        }
    }

    /// Brings what came of the root part through the bridge.
    fn bridge_root(&mut self) {
        if self.root.is_empty() || self.over {
            return;
        }
        let Some(mut bridge) = self.bridge.take() else {
            return;
        };
        let root = std::mem::take(&mut self.root);
        let mut out = std::mem::take(&mut self.out);
        let fed = bridge.feed(&root, &mut out);
        self.out = out;
        self.bridge = Some(bridge);
        self.root = root;
        self.root.clear();
        self.write_headers();
        self.keep(fed.map(|()| None));
    }

    /// Once the head is decided, what stands before the content can be written.
    fn write_headers(&mut self) {
        let Some(outcome) = self.bridge.as_ref().and_then(Bridge::outcome) else {
            return;
        };
        if self.headers.is_empty() {
            return;
        }
        if outcome.changed
            && let Some((first, other)) = differing(&self.actions)
        {
            let what = format!("its media types state two actions, `{first}` and `{other}`");
            self.error = self.error.take().or(Some(BridgeError::Cannot(what)));
        }
        let content = std::mem::take(&mut self.out);
        let mut out = std::mem::take(&mut self.before);
        let headers = std::mem::take(&mut self.headers);
        let action = match self.way {
            Way::Request(_) => outcome.action().map(str::to_owned),
            Way::Reply(_) => None,
        };
        out.extend(rewritten(&headers, outcome.to.soap, action.as_deref()));
        out.extend(content);
        self.out = out;
    }

    /// What is held before it is decided has a bound.
    fn settle(&mut self) -> Result<(), BridgeError> {
        self.bridge_root();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let max = self.within.fault_max;
        if !self.is_decided() && self.raw.len() > max {
            let what = "what comes before the root part's head is decided";
            return Err(BridgeError::Limit {
                what,
                name: "fault_bytes",
                max,
            });
        }
        Ok(())
    }

    fn hand_on(&mut self, out: &mut Vec<u8>) -> Result<(), BridgeError> {
        let Some(outcome) = self.bridge.as_ref().and_then(Bridge::outcome) else {
            return Ok(());
        };
        let raw = std::mem::take(&mut self.raw);
        if outcome.changed {
            out.append(&mut self.out);
        } else {
            out.extend(raw);
        }
        Ok(())
    }
}

/// Two of the actions that are not the same (S21).
fn differing(actions: &[String]) -> Option<(&str, &str)> {
    let first = actions.first()?;
    let other = actions.iter().find(|other| *other != first)?;
    Some((first, other))
}

/// The root part's headers with another `Content-Type`, and without an encoding that is undone.
fn rewritten(headers: &[u8], to: Version, action: Option<&str>) -> Vec<u8> {
    let text = String::from_utf8_lossy(headers);
    let mut out = String::new();
    let mut replaced = false;
    for line in text.split_inclusive('\n') {
        let folded = line.starts_with([' ', '\t']);
        if folded && replaced {
            continue;
        }
        replaced = false;
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let end = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
        let is = |wanted: &str| name.trim().eq_ignore_ascii_case(wanted);
        let encoded = |value: &str| {
            let value = value.trim();
            value.eq_ignore_ascii_case("base64") || value.eq_ignore_ascii_case("quoted-printable")
        };
        if is("content-type") {
            replaced = true;
            let is_xop = value
                .trim()
                .get(..XOP.len())
                .is_some_and(|kind| kind.eq_ignore_ascii_case(XOP));
            out.push_str(&format!("{name}: {}{end}", root_type(is_xop, to, action)));
        } else if is("content-transfer-encoding") && encoded(value) {
            replaced = true;
            out.push_str(&format!("{name}: 8bit{end}"));
        } else {
            out.push_str(line);
        }
    }
    out.into_bytes()
}

fn root_type(is_xop: bool, to: Version, action: Option<&str>) -> String {
    if is_xop {
        return format!(
            "{XOP}; charset=utf-8; type=\"{}\"",
            quoted(&typed(to, action))
        );
    }
    let action =
        action.filter(|action| to == Version::Soap12 && super::convert::is_absolute(action));
    let action = action.map_or_else(String::new, |action| {
        format!("; action=\"{}\"", field(action))
    });
    format!("{}; charset=utf-8{action}", to.media_type())
}

/// The version's type, with the action that SOAP 1.2 states in it (S21, BP 2.0).
fn typed(to: Version, action: Option<&str>) -> String {
    match action.filter(|action| to == Version::Soap12 && super::convert::is_absolute(action)) {
        Some(action) => format!("{}; action=\"{}\"", to.media_type(), field(action)),
        None => to.media_type().to_owned(),
    }
}

fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}
