//! The servers of an endpoint as they are written: where they are, who is next, who is well, who is bound to whom.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::amounts::{Time, serialize_as_written};
use super::endpoint::FailoverOn;
use super::node::{Kind, Node};
use super::request::{HeaderName, OperationName};
use super::schema::Book;
use super::shape::{kinds, words, written};
use super::values::{OneOrMany, Share};
use super::written::{Leaf, Reader, Spanned, Written};

/// Where a server is: a name or an IP address, and its port if that is not the endpoint's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// The host name or IP address; an IPv6 address without its brackets.
    pub host: String,
    /// The port; that of the endpoint's `url` if left out.
    pub port: Option<u16>,
}

/// A server: only its address, or with more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Server {
    /// Where it is.
    pub address: Spanned<ServerAddress>,
    /// Its part of the messages.
    pub weight: u32,
    /// Most requests at a time.
    pub max_requests: Option<u32>,
}

written! {
    /// One server of an endpoint.
    pub(super) struct ServerKeys as "a server" {
        /// Host, and port unless it is that of the endpoint's `url`: `10.0.0.1:9101`, `app.internal`, `[::1]:9101`.
        pub(super) address: Spanned<ServerAddress>,
        /// Its part of the messages, against the weights of the other servers.
        pub(super) weight: u32 [1..=256] = 1,
        /// Most requests at a time, all workers together; no bound if left out.
        pub(super) max_requests: Option<u32> [1..=1_000_000] = None,
    }
}

/// Who is next.
#[derive(Debug, Clone, PartialEq)]
pub enum Balance {
    /// Each in its turn.
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastRequests,
    /// The less busy of two drawn at random.
    Random,
    /// The same one for the same value.
    Hash(HashOn),
}

kinds! {
    /// The value whose hash says which server a message goes to.
    pub enum HashOn as "hash" {
        /// The value of this field of the HTTP request's head.
        Header = "header": Spanned<HeaderName>,
        /// The value of this cookie.
        Cookie = "cookie": Spanned<String>,
        /// The string value of this XPath; the message is then read whole.
        XPath = "xpath": Spanned<String>,
    }
}

written! {
    /// When a server that fails is left alone, and for how long.
    pub struct Suspend as "suspend" {
        /// Failures in a row that suspend it.
        pub after: u32 [1..=1000] = 3,
        /// How long it is left alone at first.
        pub initial: Time [10..=86_400_000] = Time::secs(30),
        /// How much longer each time that it fails again.
        pub factor: Factor = Factor(2.0),
        /// How long at most.
        pub maximum: Time [10..=86_400_000] = Time::secs(300),
        /// Part of the time, in percent, by which it is drawn shorter or longer.
        pub jitter: Share = Share(10.0),
        /// The failures that count: words, HTTP statuses from 500, `fault: receiver`. What the caller did wrong never does.
        pub on: Vec<Spanned<FailoverOn>> = default_suspend(),
    }
}

written! {
    /// How servers are asked whether they are well.
    pub struct Probe as "probe" {
        /// Path and query.
        pub path: Spanned<ProbePath> = Spanned::new(ProbePath("/".to_owned()), crate::diag::Span::default()),
        /// The method; POST if there is a `body`.
        pub method: Option<Spanned<ProbeMethod>> = None,
        /// The `Host` field, and the name that TLS asks for; those of the endpoint if left out.
        pub host: Option<Spanned<String>> = None,
        /// Another port than the server's own.
        pub port: Option<u16> [1..=65535] = None,
        /// What is sent: an envelope, say.
        pub body: Option<Spanned<String>> = None,
        /// The body's media type; that of its SOAP version if left out.
        pub content_type: Option<Spanned<String>> = None,
        /// The SOAP action of the body.
        pub action: Option<Spanned<String>> = None,
        /// From the start of one probe to the start of the next.
        pub interval: Time [50..=86_400_000] = Time::secs(30),
        /// How long one may take in all.
        pub timeout: Time [10..=86_400_000] = Time::secs(30),
        /// Good answers in a row that make a server healthy.
        pub healthy: u32 [1..=20] = 1,
        /// Failures in a row that make it unhealthy.
        pub unhealthy: u32 [1..=20] = 3,
        /// Part of the interval, in percent, by which it is drawn shorter or longer.
        pub jitter: Share = Share(10.0),
        /// Whether a server counts as healthy until its first answer; else it gets nothing before.
        pub assume_healthy: bool = false,
        /// What a good answer is.
        pub expect: Expect = Expect::default(),
    }
}

written! {
    /// What a good answer to a probe is: all of it.
    pub struct Expect as "expect" {
        /// The statuses: `200-399,403`.
        pub status: Spanned<StatusRanges> = Spanned::new(StatusRanges(vec![(200, 399)]), crate::diag::Span::default()),
        /// A text of at most 4090 characters that the first 64 KiB of the body hold.
        pub text: Option<Spanned<String>> = None,
        /// An XPath that is true of the body.
        pub xpath: Option<Spanned<String>> = None,
    }
}

written! {
    /// What binds callers to a server.
    pub struct Affinity as "affinity" {
        /// A cookie of the router's own.
        pub cookie: Option<AffinityCookie> = None,
        /// The value of this field of the HTTP request's head.
        pub header: Option<Spanned<HeaderName>> = None,
        /// The string value of this XPath; the message is then read whole.
        pub xpath: Option<Spanned<String>> = None,
        /// What happens to a caller whose server is lost.
        pub on_lost: OnLost = OnLost::Redistribute,
    }
}

written! {
    /// The cookie that binds callers.
    pub struct AffinityCookie as "cookie" {
        /// Its name.
        pub name: Spanned<CookieName> = Spanned::new(CookieName("SoapRouterAffinity".to_owned()), crate::diag::Span::default()),
        /// Its `Path`.
        pub path: Spanned<CookieText> = Spanned::new(CookieText("/".to_owned()), crate::diag::Span::default()),
        /// Its `Domain`.
        pub domain: Option<Spanned<CookieText>> = None,
        /// Its `Max-Age`; until the caller ends if left out.
        pub max_age: Option<Time> [1000..=31_536_000_000] = None,
        /// Whether it is only sent over TLS.
        pub secure: bool = false,
        /// Whether scripts cannot read it.
        pub http_only: bool = true,
        /// Its `SameSite`.
        pub same_site: Option<SameSite> = None,
        /// Whether a second one, its name with `CORS` behind, is set for requests from other sites.
        pub cors: bool = false,
        /// Whether it is kept from the endpoint.
        pub strip: bool = true,
        /// A file whose content makes the value unguessable; equal on all routers that share callers.
        pub secret_file: Option<Spanned<std::path::PathBuf>> = None,
    }
}

words! {
    /// What happens to a caller whose server is lost.
    pub enum OnLost as "a way to take a lost server" {
        /// It gets another server.
        Redistribute = "redistribute",
        /// It gets a fault with status 503.
        Fault = "fault",
    }
}

words! {
    /// Which sites a cookie is sent from.
    pub enum SameSite as "a SameSite attribute" {
        /// Its own only.
        Strict = "strict",
        /// Its own, and where a link leads to it.
        Lax = "lax",
        /// Any; needs `secure`.
        None = "none",
    }
}

words! {
    /// The method of a probe.
    pub enum ProbeMethod as "the method of a probe" {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
    }
}

written! {
    /// How many messages may be sent again, so that an outage is not multiplied.
    pub struct RetryBudget as "retry_budget" {
        /// Resendings for each hundred messages.
        pub percent: u32 [0..=100] = 20,
        /// Resendings a second that are allowed in any case.
        pub per_second: u32 [0..=100_000] = 10,
    }
}

written! {
    /// How names are resolved.
    pub struct Dns as "dns" {
        /// Servers to ask instead of the system's, IP address and port; they must agree with one another.
        pub servers: Option<OneOrMany<Spanned<std::net::SocketAddr>>> = None,
        /// The shortest time that an answer is taken to hold.
        pub min_ttl: Time [100..=86_400_000] = Time::secs(1),
        /// The longest time that an answer is taken to hold.
        pub max_ttl: Time [1000..=86_400_000] = Time::secs(3600),
        /// How long one server may take to answer.
        pub timeout: Time [10..=60_000] = Time::secs(2),
    }
}

written! {
    /// Timeouts of their own for some operations of an endpoint; what is left out is as for the others.
    pub struct OperationTimes as "an operation" {
        /// The operation: the first child of Body, `{namespace}local`.
        pub operation: Option<Spanned<OperationName>> = None,
        /// Its action.
        pub action: Option<Spanned<String>> = None,
        /// How long one attempt may take in all, from connecting to the last byte of the answer.
        pub timeout: Option<Time> [1..=86_400_000] = None,
        /// How long the head of the answer may take while nothing of the request moves; left out: as `timeout` here.
        pub response_timeout: Option<Time> [1..=86_400_000] = None,
        /// Time without a byte of the answer before it is broken off.
        pub idle_timeout: Option<Time> [1..=86_400_000] = None,
    }
}

/// A factor from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Factor(pub f64);

/// Path and query of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbePath(pub String);

/// The name of a cookie: a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CookieName(pub String);

/// The value of a cookie's attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CookieText(pub String);

/// Ranges of HTTP statuses, ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRanges(pub Vec<(u16, u16)>);

/// Most characters of `expect: { text }`.
pub(super) const EXPECTED_TEXT_MAX: usize = 4090;

fn default_suspend() -> Vec<Spanned<FailoverOn>> {
    use FailoverOn as On;
    [
        On::Connect,
        On::Tls,
        On::Reset,
        On::Timeout,
        On::Status(502),
        On::Status(503),
        On::Status(504),
    ]
    .map(|on| Spanned::new(on, crate::diag::Span::default()))
    .to_vec()
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            status: Spanned::new(StatusRanges(vec![(200, 399)]), crate::diag::Span::default()),
            text: None,
            xpath: None,
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: None,
            min_ttl: Time::secs(1),
            max_ttl: Time::secs(3600),
            timeout: Time::secs(2),
        }
    }
}

impl Written for Server {
    const NOUN: &'static str = ServerKeys::NOUN;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if matches!(node.kind, Kind::Map(_)) {
            let keys = ServerKeys::read(node, reader)?;
            return Some(Self {
                address: keys.address,
                weight: keys.weight,
                max_requests: keys.max_requests,
            });
        }
        Spanned::read(node, reader).map(|address| Self {
            address,
            weight: 1,
            max_requests: None,
        })
    }

    fn schema(book: &mut Book) -> Value {
        let keys = ServerKeys::schema(book);
        json!({ "anyOf": [ServerAddress::schema(book), keys] })
    }
}

const BALANCE_WORDS: [&str; 3] = ["round_robin", "least_requests", "random"];
const BALANCES: [(&str, Balance); 3] = [
    (BALANCE_WORDS[0], Balance::RoundRobin),
    (BALANCE_WORDS[1], Balance::LeastRequests),
    (BALANCE_WORDS[2], Balance::Random),
];

impl Written for Balance {
    const NOUN: &'static str = "a way to balance";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Kind::Map(entries) = &node.kind {
            if let [(key, value)] = entries.as_slice()
                && key.text == "hash"
            {
                return HashOn::read(value, reader).map(Self::Hash);
            }
            reader.wrong_type(node, Self::NOUN, "hash: { header: X-Session }");
            return None;
        }
        let word = super::fields::word(node, reader, Self::NOUN, &BALANCE_WORDS)?;
        let found = BALANCES.iter().find(|(own, _)| *own == word);
        found.map(|(_, balance)| balance.clone())
    }

    fn schema(book: &mut Book) -> Value {
        let words = BALANCE_WORDS;
        let hash = HashOn::schema(book);
        json!({ "anyOf": [{ "enum": words }, {
            "type": "object", "required": ["hash"], "additionalProperties": false, "properties": { "hash": hash },
        }] })
    }
}

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Hash(on) => serializer.collect_map([("hash", on)]),
            word => {
                let found = BALANCES.iter().find(|(_, own)| own == word);
                serializer.serialize_str(found.map_or("", |(text, _)| text))
            }
        }
    }
}

impl Leaf for ServerAddress {
    const WHAT: &'static str = "the address of a server";
    const EXAMPLE: &'static str = "10.0.0.1:9101";
    const RULE: &'static str = "bad-address";

    fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err(
                "write host and port only: scheme and path are those of the endpoint's `url`"
                    .to_owned(),
            );
        }
        if text.matches(':').count() > 1 && !text.starts_with('[') {
            return Err("an IPv6 address stands in brackets, such as `[::1]:9101`".to_owned());
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or("the bracket `]` is missing")?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| "in brackets stands an IPv6 address")?;
                (
                    host,
                    rest.strip_prefix(':')
                        .or_else(|| (!rest.is_empty()).then_some("")),
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err("a port is 1 to 65535".to_owned()),
        };
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
        if host.is_empty() || host.len() > 253 || !host.chars().all(good) {
            return Err("expected a host name or an IP address, and a port".to_owned());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+)(:[0-9]+)?$" })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Leaf for Factor {
    const WHAT: &'static str = "a factor";
    const EXAMPLE: &'static str = "2";
    const RULE: &'static str = "bad-number";

    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse::<f64>().ok();
        let number = number.filter(|number| (1.0..=100.0).contains(number));
        number
            .map(Self)
            .ok_or_else(|| "a number from 1 to 100".to_owned())
    }

    fn leaf_schema() -> Value {
        json!({ "type": "number", "minimum": 1, "maximum": 100 })
    }
}

impl Leaf for ProbePath {
    const WHAT: &'static str = "the path of a probe";
    const EXAMPLE: &'static str = "/health";
    const RULE: &'static str = "bad-path";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            _ if !text.starts_with('/') => Err("a path begins with `/`".to_owned()),
            _ if text.contains('#') => Err("a fragment (`#...`) is never sent".to_owned()),
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err("other than ASCII stands percent-encoded in a path".to_owned())
            }
            _ => Ok(Self(text.to_owned())),
        }
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^/[^#\\s]*$" })
    }
}

impl Leaf for CookieName {
    const WHAT: &'static str = "the name of a cookie";
    const EXAMPLE: &'static str = "SoapRouterAffinity";
    const RULE: &'static str = "bad-cookie";

    fn parse(text: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if text.is_empty() || !text.chars().all(good) {
            return Err("letters, digits, `-`, `_` and `.`".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[!#$%&'*+.^_`|~A-Za-z0-9-]+$" })
    }
}

impl Leaf for CookieText {
    const WHAT: &'static str = "an attribute of a cookie";
    const EXAMPLE: &'static str = "/orders";
    const RULE: &'static str = "bad-cookie";

    fn parse(text: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_graphic() && c != ';';
        if text.is_empty() || !text.chars().all(good) {
            return Err("ASCII without blanks and `;`".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn leaf_schema() -> Value {
        json!({ "type": "string", "pattern": "^[!-:<-~]+$" })
    }
}

impl Leaf for StatusRanges {
    const WHAT: &'static str = "ranges of HTTP statuses";
    const EXAMPLE: &'static str = "200-399,403";
    const RULE: &'static str = "bad-status";

    fn parse(text: &str) -> Result<Self, String> {
        let status = |text: &str| {
            let number = text.trim().parse::<u16>().ok();
            number
                .filter(|number| (100..=599).contains(number))
                .ok_or_else(|| "a status is 100 to 599".to_owned())
        };
        let range = |text: &str| {
            let (low, high) = text.split_once('-').unwrap_or((text, text));
            let (low, high) = (status(low)?, status(high)?);
            match low <= high {
                true => Ok((low, high)),
                false => Err("the smaller status of a range comes first".to_owned()),
            }
        };
        text.split(',')
            .map(range)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn leaf_schema() -> Value {
        json!({ "type": ["string", "integer"], "pattern": "^[0-9]{3}(-[0-9]{3})?(, *[0-9]{3}(-[0-9]{3})?)*$" })
    }
}

impl fmt::Display for StatusRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (low, high)) in self.0.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            if low == high {
                write!(f, "{comma}{low}")?;
            } else {
                write!(f, "{comma}{low}-{high}")?;
            }
        }
        Ok(())
    }
}

serialize_as_written!(ServerAddress, StatusRanges);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in [
            "10.0.0.1:9101",
            "app.internal",
            "[::1]:9101",
            "[2001:db8::1]",
            "a_b:80",
        ] {
            assert_eq!(
                ServerAddress::parse(text).map(|address| address.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "", ":80", "a:", "a:0", "a:65536", "::1", "[::1", "[::1]x", "[a]:1", "http://a", "a b",
        ] {
            assert!(ServerAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn statuses_are_ranges() {
        let parsed = |text| StatusRanges::parse(text).map(|ranges| ranges.0);
        assert_eq!(parsed("200-399, 403"), Ok(vec![(200, 399), (403, 403)]));
        for text in ["", "20", "399-200", "200-", "200,,201", "600"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
