//! Rewrites and redirects, compiled: what a value is made of, and what must hold for it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use ipnet::IpNet;
use regex::Regex;

/// What is changed on the way, in order.
pub type Rewrites = Arc<[Rewrite]>;

/// One change.
#[derive(Debug)]
pub struct Rewrite {
    /// All of these must hold.
    pub when: Vec<Condition>,
    /// Another path.
    pub path: Option<Template>,
    /// Another query.
    pub query: Option<Template>,
    /// Whether the place is looked for again with the new path.
    pub reroute: bool,
    /// Fields of the request.
    pub request: Edits,
    /// Fields of the answer.
    pub response: Edits,
}

/// Something that must hold.
#[derive(Debug)]
pub struct Condition {
    /// Of what.
    pub variable: Variable,
    /// What must be found in it.
    pub matches: Regex,
    /// Or must not.
    pub negate: bool,
}

/// Fields set, added, removed.
#[derive(Debug, Default)]
pub struct Edits {
    /// In place of all of the name; nothing where the value is empty.
    pub set: Vec<(HeaderName, Template)>,
    /// Besides those that are there.
    pub add: Vec<(HeaderName, Template)>,
    /// Taken out.
    pub remove: Vec<HeaderName>,
    /// In place of those of a name whose value fits.
    pub replace: Vec<Replacement>,
}

/// Another value for those fields of a name whose value fits.
#[derive(Debug)]
pub struct Replacement {
    /// Of which name.
    pub name: HeaderName,
    /// What must be found in its value.
    pub matches: Regex,
    /// Or must not.
    pub negate: bool,
    /// The new value; what was found stands behind what the conditions found.
    pub value: Template,
}

/// What `{matched_1}` in a replacement's value is called: the groups of its own expression.
pub(super) const MATCHED: &str = "matched";

impl Edits {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
            && self.add.is_empty()
            && self.remove.is_empty()
            && self.replace.is_empty()
    }
}

/// Text with variables.
#[derive(Debug, Clone)]
pub struct Template(pub Vec<Part>);

/// A piece of a [`Template`].
#[derive(Debug, Clone)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// What the request or the answer says.
    Variable(Variable),
    /// What a condition's expression found: which condition, which of its groups.
    Capture(usize, usize),
}

/// Something that a request or an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "docs/rewrites.md tells each by the name that is written"
)]
pub enum Variable {
    RequestHeader(HeaderName),
    ResponseHeader(HeaderName),
    Cookie(String),
    ClientIp,
    ClientPort,
    ForwardedFor,
    Host,
    Method,
    HttpVersion,
    Path,
    Query,
    Uri,
    Scheme,
    ServerPort,
    TlsEnabled,
    TlsProtocol,
    TlsCipher,
    TlsCiphersOffered,
    ClientUser,
    Certificate,
    CertificateSubject,
    CertificateIssuer,
    CertificateSerial,
    CertificateFingerprint,
    CertificateStart,
    CertificateEnd,
    CertificateVerification,
    Status,
    ReceivedBytes,
    Action,
    SoapVersion,
    Operation,
    MessageId,
    To,
    Target,
    Place,
    Listener,
    Exchange,
}

/// Variables by the name that is written.
const NAMES: [(&str, Variable); 40] = [
    ("client_ip", Variable::ClientIp),
    ("client_port", Variable::ClientPort),
    ("add_x_forwarded_for_proxy", Variable::ForwardedFor),
    ("host", Variable::Host),
    ("http_method", Variable::Method),
    ("http_version", Variable::HttpVersion),
    ("uri_path", Variable::Path),
    ("query_string", Variable::Query),
    ("request_query", Variable::Query),
    ("request_uri", Variable::Uri),
    ("request_scheme", Variable::Scheme),
    ("server_port", Variable::ServerPort),
    ("ssl_enabled", Variable::TlsEnabled),
    ("ssl_connection_protocol", Variable::TlsProtocol),
    ("ciphers_used", Variable::TlsCipher),
    ("ciphers_supported", Variable::TlsCiphersOffered),
    ("client_user", Variable::ClientUser),
    ("client_certificate", Variable::Certificate),
    ("client_certificate_subject", Variable::CertificateSubject),
    ("client_certificate_issuer", Variable::CertificateIssuer),
    ("client_certificate_serial", Variable::CertificateSerial),
    (
        "client_certificate_fingerprint",
        Variable::CertificateFingerprint,
    ),
    ("client_certificate_start_date", Variable::CertificateStart),
    ("client_certificate_end_date", Variable::CertificateEnd),
    (
        "client_certificate_verification",
        Variable::CertificateVerification,
    ),
    ("http_status", Variable::Status),
    ("received_bytes", Variable::ReceivedBytes),
    ("soap_action", Variable::Action),
    ("soap_version", Variable::SoapVersion),
    ("operation", Variable::Operation),
    ("wsa_message_id", Variable::MessageId),
    ("wsa_to", Variable::To),
    ("endpoint", Variable::Target),
    ("target", Variable::Target),
    ("service", Variable::Place),
    ("route", Variable::Place),
    ("listener", Variable::Listener),
    ("exchange", Variable::Exchange),
    ("trace_id", Variable::Exchange),
    ("uri", Variable::Uri),
];

/// Variables that other gateways have and that cannot be known here, with the reason.
const UNKNOWABLE: [(&str, &str); 2] = [
    (
        "client_tcp_rtt",
        "only the kernel knows how long the way to the caller is, and no safe call asks it",
    ),
    (
        "sent_bytes",
        "the head of an answer leaves before its length is known; the access log has `response_bytes`",
    ),
];

impl Variable {
    /// The variable of this name; server variables with or without `var_` in front.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let header = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
        if let Some(name) = name.strip_prefix("http_req_") {
            return header(name).map(Self::RequestHeader);
        }
        if let Some(name) = name.strip_prefix("http_resp_") {
            return header(name).map(Self::ResponseHeader);
        }
        let name = name.strip_prefix("var_").unwrap_or(name);
        if let Some(cookie) = name.strip_prefix("cookie_") {
            return Some(Self::Cookie(cookie.to_owned()));
        }
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, variable)| variable.clone())
    }

    /// The names that there are, for "did you mean".
    pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// Why there is no variable of this name, where others have one.
    pub(super) fn unknowable(name: &str) -> Option<&'static str> {
        let name = name.strip_prefix("var_").unwrap_or(name);
        let known = UNKNOWABLE.iter().find(|(known, _)| *known == name);
        known.map(|(_, why)| *why)
    }

    /// Whether it is known only when the endpoint has answered.
    #[must_use]
    pub const fn is_of_answer(&self) -> bool {
        matches!(self, Self::ResponseHeader(_) | Self::Status)
    }
}

impl Template {
    /// Reads a text with `{variables}`; `{{` and `}}` stand for braces. `conditions` are the
    /// variables of the conditions, as they are written: `{NAME_1}` is what the first group of
    /// the condition over `NAME` found.
    ///
    /// # Errors
    /// What is wrong, and with which name.
    pub fn parse(text: &str, conditions: &[&str]) -> Result<Self, (String, Option<String>)> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(rest.get(..at).unwrap_or_default());
            let tail = rest.get(at..).unwrap_or_default();
            if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                plain.push_str(tail.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let inner = tail.strip_prefix('{').ok_or_else(|| {
                (
                    "a `}` without its `{`; write `}}` for the brace itself".to_owned(),
                    None,
                )
            })?;
            let (name, after) = inner.split_once('}').ok_or_else(|| {
                (
                    "a `{` without its `}`; write `{{` for the brace itself".to_owned(),
                    None,
                )
            })?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part(name, conditions)?);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }
}

fn part(name: &str, conditions: &[&str]) -> Result<Part, (String, Option<String>)> {
    let capture = name.rsplit_once('_').and_then(|(variable, group)| {
        let condition = conditions.iter().position(|known| *known == variable)?;
        Some(Part::Capture(condition, group.parse().ok()?))
    });
    capture
        .or_else(|| Variable::named(name).map(Part::Variable))
        .ok_or_else(|| (format!("no variable `{name}`"), Some(name.to_owned())))
}

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// Where to.
    pub target: Target,
    /// Whether the path goes along.
    pub path: bool,
    /// Whether the query goes along.
    pub query: bool,
}

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A URL of somebody else, or a path of the same host.
    Url(String),
    /// The same host, where another listener is.
    Listener {
        /// Its name.
        name: Arc<str>,
        /// `http` or `https`.
        scheme: &'static str,
        /// Its port; 0 where the system chose it.
        port: u16,
    },
}

impl Redirect {
    /// The `Location` for a request.
    #[must_use]
    pub fn location(&self, host: &str, path: &str, query: Option<&str>) -> String {
        let query = query.filter(|_| self.query);
        let (mut location, asks) = match &self.target {
            Target::Url(url) => (url.clone(), url.contains('?')),
            Target::Listener { scheme, port, .. } => {
                let default = if *scheme == "https" { 443 } else { 80 };
                let port = match *port {
                    0 => String::new(),
                    port if port == default => String::new(),
                    port => format!(":{port}"),
                };
                let path = if self.path { path } else { "/" };
                (format!("{scheme}://{host}{port}{path}"), false)
            }
        };
        if let Some(query) = query {
            location.push(if asks { '&' } else { '?' });
            location.push_str(query);
        }
        location
    }
}

/// What a listener adds to requests and whom it believes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Door {
    /// What endpoints are told of the caller.
    pub forwarded: Forwarded,
    /// Proxies whose `X-Forwarded-*` is believed.
    pub trusted: Vec<IpNet>,
    /// Whether fields are dropped whose names hold other than letters, digits and hyphens.
    pub drops_odd_names: bool,
    /// The listener's port.
    pub port: u16,
    /// The field that carries the caller's certificate.
    pub certificate_header: Option<HeaderName>,
    /// Pages by status, the router's own included.
    pub pages: HashMap<u16, Page>,
}

/// A page for callers that are no SOAP clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What it is.
    pub media: &'static str,
    /// What is in it.
    pub body: Bytes,
}

/// What endpoints are told of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwarded {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    #[default]
    Plain,
    /// As Azure Application Gateway.
    Gateway,
    /// Nothing.
    Off,
}

/// The path that an endpoint with an override is asked for (application-gateway §6): what stands
/// behind the part that the place matched, behind the override; a path that does not begin with
/// that part is kept whole.
#[must_use]
pub fn override_path(prefix: &str, over: &str, path: &str) -> String {
    let rest = match path.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => {
            path.get(prefix.len()..).unwrap_or_default()
        }
        _ => path,
    };
    format!(
        "{}/{}",
        over.trim_end_matches('/'),
        rest.trim_start_matches('/')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of application-gateway §6, row by row.
    #[test]
    fn the_nine_rows_of_the_override_table() {
        let rows = [
            ("", "/home/", "/override/home/"),
            ("", "/home/secondhome/", "/override/home/secondhome/"),
            ("/pathrule", "/pathrule/home/", "/override/home/"),
            (
                "/pathrule",
                "/pathrule/home/secondhome/",
                "/override/home/secondhome/",
            ),
            ("/pathrule", "/home/", "/override/home/"),
            (
                "/pathrule",
                "/home/secondhome/",
                "/override/home/secondhome/",
            ),
            ("/pathrule/home", "/pathrule/home/", "/override/"),
            (
                "/pathrule/home",
                "/pathrule/home/secondhome/",
                "/override/secondhome/",
            ),
            ("/pathrule/", "/pathrule/", "/override/"),
        ];
        for (prefix, path, expected) in rows {
            assert_eq!(
                override_path(prefix, "/override/", path),
                expected,
                "{prefix} {path}"
            );
        }
    }

    #[test]
    fn templates_know_variables_captures_and_braces() {
        let parts = Template::parse(
            "a{{{client_ip}}}-{http_req_X_1}{var_uri_path}",
            &["http_req_X"],
        )
        .unwrap()
        .0;
        assert!(
            matches!(parts.as_slice(), [
                Part::Text(a),
                Part::Variable(Variable::ClientIp),
                Part::Text(b),
                Part::Capture(0, 1),
                Part::Variable(Variable::Path),
            ] if a == "a{" && b == "}-"),
            "{parts:?}"
        );
        for bad in ["{", "}", "{nothing}", "{client_ip", "{}"] {
            assert!(Template::parse(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_compose_their_location() {
        let to = |target, path, query| Redirect {
            status: StatusCode::PERMANENT_REDIRECT,
            target,
            path,
            query,
        };
        let secure = |port| Target::Listener {
            name: "secure".into(),
            scheme: "https",
            port,
        };
        let url = |url: &str| Target::Url(url.to_owned());
        let cases = [
            (to(secure(443), true, true), "https://h/a/b?x=1"),
            (to(secure(8443), true, false), "https://h:8443/a/b"),
            (to(secure(443), false, true), "https://h/?x=1"),
            (to(url("https://e/n"), true, true), "https://e/n?x=1"),
            (
                to(url("https://e/n?y=2"), true, true),
                "https://e/n?y=2&x=1",
            ),
            (to(url("https://e/n"), true, false), "https://e/n"),
        ];
        for (redirect, expected) in cases {
            assert_eq!(redirect.location("h", "/a/b", Some("x=1")), expected);
        }
    }
}
