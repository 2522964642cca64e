//! Rewrites at work: what holds for a request and its answer, and what is changed for it.
//!
//! Conditions and values see what the caller sent, not what other rewrites made of it.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Uri};
use regex::Regex;

use super::arrival::{self, Origin};
use super::forwarded;
use super::outbound::Outbound;
use super::record::Record;
use crate::fields::{
    AUTHORIZATION, COOKIE, FORWARDED_FOR, Fields, Name, RequestParts, ResponseParts, as_text,
};
use crate::snapshot::{Edits, Part, Replacement, Rewrite, Rewrites, Template, Variable};

/// The rewrites of one exchange, and what they look at.
#[derive(Debug)]
pub(super) struct Rewriter {
    rules: Rewrites,
    asked: Asked,
}

/// What was asked; kept because the answer's rewrites may look at it.
#[derive(Debug)]
struct Asked {
    method: Method,
    uri: Uri,
    host: String,
    headers: Fields,
    origin: Arc<Origin>,
    place: Arc<str>,
    soap: Option<&'static str>,
    action: Option<String>,
    operation: Option<String>,
    message_id: Option<String>,
    to: Option<String>,
    /// The endpoint: the one that was chosen, then the one that answered.
    target: Option<Arc<str>>,
    exchange: String,
}

/// What the groups of each condition found.
type Captures = Vec<Vec<String>>;

impl Rewriter {
    /// For a request, if there is anything to rewrite.
    pub(super) fn begin(
        rules: &Rewrites,
        head: &RequestParts,
        record: &Record,
    ) -> Option<Box<Self>> {
        if rules.is_empty() {
            return None;
        }
        let asked = Asked {
            method: head.method.clone(),
            uri: head.uri.clone(),
            host: arrival::host(head).to_owned(),
            headers: head.headers.clone(),
            origin: Arc::clone(&record.origin),
            place: record.name().unwrap_or_default().into(),
            soap: record.soap.map(crate::soap::Version::as_str),
            action: record.action.clone(),
            operation: record.operation.clone(),
            message_id: record.message_id.clone(),
            to: record.to.clone(),
            target: record.endpoints.first().cloned(),
            exchange: record.id.to_string(),
        };
        Some(Box::new(Self {
            rules: Arc::clone(rules),
            asked,
        }))
    }

    /// The path by which the place is to be looked for again, if one of the rewrites wants that.
    pub(super) fn rerouted(&self) -> Option<String> {
        let mut wanted = self.rules.iter().filter(|rule| rule.reroute);
        wanted.find_map(|rule| {
            let captures = self.holds(rule, None)?;
            let path = rule.path.as_ref()?;
            Some(self.text(path, &captures, None))
        })
    }

    /// Changes the request.
    pub(super) fn request(&self, outbound: &mut Outbound<'_>) {
        for rule in self.rules.iter() {
            if rule.when.iter().any(|one| one.variable.is_of_answer()) {
                continue;
            }
            let Some(captures) = self.holds(rule, None) else {
                continue;
            };
            // What was found by its new path keeps it already.
            if let Some(path) = rule.path.as_ref().filter(|_| !rule.reroute) {
                outbound.rewrite_path(self.text(path, &captures, None));
            }
            if let Some(query) = &rule.query {
                outbound.rewrite_query(self.text(query, &captures, None));
            }
            self.edit(&rule.request, &captures, None, outbound.headers_mut());
        }
        outbound.settle_host();
    }

    /// Changes the answer of an endpoint.
    pub(super) fn response(&mut self, head: &mut ResponseParts, from: Option<&Arc<str>>) {
        self.asked.target = from.cloned();
        for rule in self.rules.iter() {
            if rule.response.is_empty() {
                continue;
            }
            let Some(captures) = self.holds(rule, Some(head)) else {
                continue;
            };
            let mut headers = head.headers.clone();
            self.edit(&rule.response, &captures, Some(head), &mut headers);
            head.headers = headers;
        }
    }

    fn holds(&self, rule: &Rewrite, answer: Option<&ResponseParts>) -> Option<Captures> {
        let mut all = Captures::with_capacity(rule.when.len());
        for condition in &rule.when {
            let value = self.value(&condition.variable, answer);
            all.push(found(&condition.matches, condition.negate, &value)?);
        }
        Some(all)
    }

    fn edit(
        &self,
        edits: &Edits,
        captures: &Captures,
        answer: Option<&ResponseParts>,
        headers: &mut Fields,
    ) {
        for name in &edits.remove {
            headers.remove(name);
        }
        for replacement in &edits.replace {
            self.replace(replacement, captures, answer, headers);
        }
        for (name, template) in &edits.set {
            let text = self.text(template, captures, answer);
            if text.is_empty() || !headers.insert(name, text.as_bytes()) {
                headers.remove(name);
            }
        }
        for (name, template) in &edits.add {
            let text = self.text(template, captures, answer);
            if !text.is_empty() {
                headers.append(name, text.as_bytes());
            }
        }
    }

    fn replace(
        &self,
        replacement: &Replacement,
        captures: &Captures,
        answer: Option<&ResponseParts>,
        headers: &mut Fields,
    ) {
        let name = &replacement.name;
        let before: Vec<Vec<u8>> = headers.get_all(name).map(<[u8]>::to_vec).collect();
        headers.remove(name);
        for value in before {
            let text = String::from_utf8_lossy(&value);
            let Some(found) = found(&replacement.matches, replacement.negate, &text) else {
                headers.append(name, value.as_slice());
                continue;
            };
            let mut captures = captures.clone();
            captures.push(found);
            let text = self.text(&replacement.value, &captures, answer);
            // What could not be a value leaves the field as it was.
            if !text.is_empty() && !headers.append(name, text.as_bytes()) {
                headers.append(name, value.as_slice());
            }
        }
    }

    fn text(
        &self,
        template: &Template,
        captures: &Captures,
        answer: Option<&ResponseParts>,
    ) -> String {
        let mut text = String::new();
        for part in &template.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Variable(variable) => text.push_str(&self.value(variable, answer)),
                Part::Capture(condition, group) => {
                    let found = captures
                        .get(*condition)
                        .and_then(|groups| groups.get(*group));
                    text.push_str(found.map_or("", String::as_str));
                }
            }
        }
        text
    }

    /// What a variable says; nothing where there is nothing.
    fn value(&self, variable: &Variable, answer: Option<&ResponseParts>) -> Cow<'_, str> {
        let asked = &self.asked;
        let origin = &asked.origin;
        let owned = |text: String| Cow::Owned::<str>(text);
        let stated = |text: &Option<String>| owned(text.clone().unwrap_or_default());
        match variable {
            Variable::RequestHeader(name) => owned(joined(&asked.headers, name)),
            Variable::ResponseHeader(name) => {
                owned(answer.map_or_else(String::new, |answer| joined(&answer.headers, name)))
            }
            Variable::Status => {
                owned(answer.map_or_else(String::new, |answer| answer.status.as_u16().to_string()))
            }
            Variable::Cookie(name) => owned(cookie(&asked.headers, name)),
            Variable::ClientIp => owned(forwarded::client(origin, &asked.headers).to_string()),
            Variable::ClientPort => owned(origin.peer.port().to_string()),
            Variable::ForwardedFor => {
                let list = joined(&asked.headers, FORWARDED_FOR);
                let gap = if list.is_empty() { "" } else { ", " };
                owned(format!("{list}{gap}{}", origin.peer.ip()))
            }
            Variable::Host => Cow::Borrowed(&asked.host),
            Variable::Method => Cow::Borrowed(asked.method.as_str()),
            Variable::HttpVersion => Cow::Borrowed(origin.http_version()),
            Variable::Path => Cow::Borrowed(asked.uri.path()),
            Variable::Query => Cow::Borrowed(asked.uri.query().unwrap_or_default()),
            Variable::Uri => Cow::Borrowed(
                asked
                    .uri
                    .path_and_query()
                    .map_or("/", http::uri::PathAndQuery::as_str),
            ),
            Variable::Scheme => Cow::Borrowed(origin.scheme()),
            Variable::ServerPort => owned(origin.port.to_string()),
            Variable::ReceivedBytes => {
                let length = arrival::content_length(&asked.headers);
                owned(length.map_or_else(String::new, |length| length.to_string()))
            }
            Variable::Action => stated(&asked.action),
            Variable::Operation => stated(&asked.operation),
            Variable::MessageId => stated(&asked.message_id),
            Variable::To => stated(&asked.to),
            Variable::Target => Cow::Borrowed(asked.target.as_deref().unwrap_or_default()),
            Variable::ClientUser => owned(user(&asked.headers).unwrap_or_default()),
            Variable::SoapVersion => Cow::Borrowed(asked.soap.unwrap_or_default()),
            Variable::Place => Cow::Borrowed(&asked.place),
            Variable::Listener => Cow::Borrowed(&origin.listener),
            Variable::Exchange => Cow::Borrowed(&asked.exchange),
            tls => owned(self.of_tls(tls)),
        }
    }

    fn of_tls(&self, variable: &Variable) -> String {
        let Some(session) = &self.asked.origin.session else {
            return match variable {
                Variable::TlsEnabled => "off".to_owned(),
                _ => String::new(),
            };
        };
        let shown = session.certificate.as_ref();
        let text = match variable {
            Variable::TlsEnabled => Some("on".to_owned()),
            Variable::TlsProtocol => Some(session.version.to_owned()),
            Variable::TlsCipher => Some(session.cipher.clone()),
            Variable::TlsCiphersOffered => Some(session.offered.clone()),
            Variable::CertificateVerification => {
                Some(if shown.is_some() { "SUCCESS" } else { "NONE" }.to_owned())
            }
            Variable::Certificate => shown.map(|shown| STANDARD.encode(&shown.der)),
            Variable::CertificateSubject => shown.map(|shown| shown.subject.clone()),
            Variable::CertificateIssuer => shown.map(|shown| shown.issuer.clone()),
            Variable::CertificateSerial => shown.map(|shown| shown.serial.clone()),
            Variable::CertificateFingerprint => shown.map(|shown| shown.fingerprint()),
            Variable::CertificateStart => shown.map(|shown| shown.from.clone()),
            Variable::CertificateEnd => shown.map(|shown| shown.until.clone()),
            _ => None,
        };
        text.unwrap_or_default()
    }
}

/// What the groups of an expression found in a text; `None` if it does not fit.
fn found(matches: &Regex, negate: bool, text: &str) -> Option<Vec<String>> {
    let found = matches.captures(text);
    if found.is_some() == negate {
        return None;
    }
    let groups = found.iter().flat_map(|found| found.iter());
    let text = |group: Option<regex::Match<'_>>| {
        group.map_or_else(String::new, |group| group.as_str().to_owned())
    };
    Some(groups.map(text).collect())
}

/// Who the caller says it is, by HTTP Basic (RFC 7617 §2).
fn user(headers: &Fields) -> Option<String> {
    let value = headers.text(AUTHORIZATION)?;
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let pair = STANDARD.decode(credentials.trim()).ok()?;
    let user = pair.split(|byte| *byte == b':').next()?;
    Some(String::from_utf8_lossy(user).into_owned())
}

fn joined<'n>(headers: &Fields, name: impl Name<'n>) -> String {
    let values = headers.get_all(name);
    let texts: Vec<Cow<'_, str>> = values.map(String::from_utf8_lossy).collect();
    texts.join(", ")
}

fn cookie(headers: &Fields, name: &str) -> String {
    let lists = headers.get_all(COOKIE);
    let mut pairs = lists
        .filter_map(as_text)
        .flat_map(|list| list.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(known, _)| *known == name)
        .map_or_else(String::new, |(_, value)| value.to_owned())
}
