//! An endpoint as it is written: where it is, what it speaks, how long it may take, when it has failed.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::address::EndpointUrl;
use super::amounts::Time;
use super::names::Namespaces;
use super::node::{Kind, Node, shorten};
use super::schema::Book;
use super::servers::{Affinity, Balance, OperationTimes, Probe, RetryBudget, Server, Suspend};
use super::shape::{words, written};
use super::suggest;
use super::target::{EndpointHost, OverridePath};
use super::tls::EndpointTls;
use super::values::OneOrMany;
use super::written::{Reader, Spanned, Written};
use crate::diag::Diagnostic;

written! {
    /// A destination.
    pub struct Endpoint as "an endpoint" {
        /// Where it is: `http://host:port/path`.
        pub url: Spanned<EndpointUrl>,
        /// The servers behind it; if left out, the one of its `url`.
        pub servers: Option<OneOrMany<Server>> = None,
        /// Which of several servers is next.
        pub balance: Balance = Balance::RoundRobin,
        /// What binds callers to one server.
        pub affinity: Option<Affinity> = None,
        /// Prefixes of the XPaths in this endpoint, beside the predefined ones.
        pub namespaces: Namespaces = Namespaces::default(),
        /// How servers are asked whether they are well; not at all if left out.
        pub probe: Option<Probe> = None,
        /// When a server that fails is left alone for a while; never if left out.
        pub suspend: Option<Suspend> = None,
        /// If fewer servers than this are well, the others are asked too; with 0 a message then gets a fault.
        pub min_servers: u32 [0..=10_000] = 0,
        /// How long a server that gets nothing new may take to finish what it has.
        pub drain: Time [1000..=3_600_000] = Time::secs(30),
        /// Whether a server that its probe finds unhealthy is drained: what it still has is then broken off in the end.
        pub drain_unhealthy: bool = true,
        /// Most servers that one message is sent to, while the ones before failed.
        pub tries: u32 [1..=100] = 3,
        /// How many messages may be sent again; within an endpoint a fifth if left out, along a backup list all.
        pub retry_budget: Option<RetryBudget> = None,
        /// Most requests at a time to all servers together; no bound if left out.
        pub max_requests: Option<u32> [1..=1_000_000] = None,
        /// Most messages that wait while all places are taken; more get the fault `Overloaded` at once.
        pub max_queue: u32 [0..=1_000_000] = 100,
        /// How long a message may wait for a place.
        pub queue_timeout: Time [1..=3_600_000] = Time::secs(5),
        /// The SOAP version it wants; as the message came if left out.
        pub soap: SoapVersion = SoapVersion::Keep,
        /// The WS-Addressing version it wants; as the message came if left out.
        pub addressing: Addressing = Addressing::Keep,
        /// How long one attempt may take in all, from connecting to the last byte of the answer; left out: as long as
        /// the other timeouts let it.
        pub timeout: Option<Time> [1..=86_400_000] = None,
        /// How long connecting may take, name resolution and TLS included.
        pub connect_timeout: Time [1..=3_600_000] = Time::secs(5),
        /// How long the head of the answer may take while nothing of the request moves; left out: as `timeout`, or 60 s.
        pub response_timeout: Option<Time> [1..=86_400_000] = None,
        /// Time without a byte of a body, either way, before the attempt is broken off.
        pub idle_timeout: Time [1..=86_400_000] = Time::secs(60),
        /// Operations that may take longer, or less long, than the others; the first that fits counts.
        pub operations: Vec<Spanned<OperationTimes>> = Vec::new(),
        /// Unused connections to one server kept by each worker.
        pub max_idle: u32 [0..=100_000] = 64,
        /// How long an unused connection is kept: less than the 5 s after which common servers close theirs.
        pub idle_connection_timeout: Time [0..=86_400_000] = Time::secs(4),
        /// What happens to a signed message that would have to be bridged; `fault` if left out.
        pub on_signed: Option<Spanned<OnSigned>> = None,
        /// How messages are brought into the endpoint's versions, beyond what `soap` and `addressing` say.
        pub bridge: Bridge = Bridge::default(),
        /// When it has failed and a backup is tried.
        pub failover: Failover = Failover::default(),
        /// Whether a message may be sent again that may have been delivered. Left out: to another server of this
        /// endpoint `if_not_delivered`, along a declared backup list `always`.
        pub resend: Option<Spanned<Resend>> = None,
        /// What is spoken with it: HTTP/2 over TLS as agreed on there (ALPN), without TLS from the first byte on.
        pub http: HttpVersion = HttpVersion::V11,
        /// HTTP/2: requests at a time on one connection, of which each worker has its own; fewer if the endpoint says so.
        pub http2_streams: u32 [1..=10_000] = 100,
        /// Trust and client certificate, for `https://`.
        pub tls: Option<Spanned<EndpointTls>> = None,
        /// A Unix socket to connect to instead of the URL's host and port.
        pub socket: Option<Spanned<PathBuf>> = None,
        /// The address of this machine that connections and probes come from; the system's choice if left out.
        pub source_address: Option<Spanned<IpAddr>> = None,
        /// What goes into the `Host` field: `endpoint` (the URL's), `caller` (what the caller asked for), `server` (that
        /// of the server that is chosen, which is also the name that TLS asks for), or a name.
        pub host: EndpointHost = EndpointHost::Endpoint,
        /// What stands for the beginning of the path that matched; the rest of it is kept.
        pub override_path: Option<Spanned<OverridePath>> = None,
    }
}

written! {
    /// How messages are brought into an endpoint's versions.
    pub struct Bridge as "bridge" {
        /// The endpoint's logical address: WS-Addressing `To` always says it. Left out, `To` stays as it is, and
        /// where it is missing and needed it is the endpoint's URL.
        pub to: Option<Spanned<String>> = None,
        /// The action of messages that state none, where the endpoint wants WS-Addressing.
        pub default_action: Option<Spanned<String>> = None,
        /// Roles that the router plays beside `next`: header blocks for them are not forwarded.
        pub roles: Vec<Spanned<String>> = Vec::new(),
        /// Whether header blocks for `next` are forwarded, as a transport proxy does; otherwise the router is a SOAP
        /// node, which forwards only relayable ones and refuses mandatory ones.
        pub transparent_headers: bool = false,
        /// Whether header blocks for the role `none` go to SOAP 1.1, with that URI as actor; otherwise they are left out.
        pub keep_none_headers: bool = false,
        /// Elements after Body, which SOAP 1.2 does not allow.
        pub trailers: Dropped = Dropped::Fault,
        /// Header blocks without a namespace, which SOAP 1.2 does not allow.
        pub unqualified_headers: Dropped = Dropped::Fault,
        /// Bodies that carry addresses of one version of WS-Addressing (reliable messaging, coordination,
        /// eventing, discovery, metadata exchange), where the other version is due.
        pub addresses_in_body: Carried = Carried::Fault,
    }
}

words! {
    /// What happens to a part that the endpoint's version does not allow.
    pub enum Dropped as "a way to take what is not allowed" {
        /// The fault `CannotBridge`.
        Fault = "fault",
        /// It is left out.
        Drop = "drop",
    }
}

words! {
    /// What happens to a part that a bridge cannot bring into the endpoint's version.
    pub enum Carried as "a way to take what cannot be bridged" {
        /// The fault `CannotBridge`.
        Fault = "fault",
        /// It is sent as it is.
        Forward = "forward",
    }
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            to: None,
            default_action: None,
            roles: Vec::new(),
            transparent_headers: false,
            keep_none_headers: false,
            trailers: Dropped::Fault,
            unqualified_headers: Dropped::Fault,
            addresses_in_body: Carried::Fault,
        }
    }
}

written! {
    /// When a backup is tried.
    pub struct Failover as "failover" {
        /// The failures that count: words, HTTP statuses, `fault: receiver`.
        pub on: Vec<Spanned<FailoverOn>> = default_failover(),
    }
}

/// A failure after which the next endpoint is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailoverOn {
    /// The connection was refused or the host is unreachable.
    Connect,
    /// The name has no address.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke before an answer.
    Reset,
    /// A timeout passed.
    Timeout,
    /// The answer is not SOAP where SOAP is due.
    NotSoap,
    /// No server may be asked: all are suspended, unhealthy or taken out.
    Down,
    /// All places are taken, and the queue is full or took too long.
    Busy,
    /// This HTTP status.
    Status(u16),
    /// A SOAP fault of this blame.
    Fault(FaultBlame),
}

words! {
    /// Who a SOAP fault blames.
    pub enum FaultBlame as "a class of faults" {
        /// The service: `Server` in SOAP 1.1, `Receiver` in 1.2.
        Receiver = "receiver",
    }
}

words! {
    /// A version of HTTP.
    pub enum HttpVersion as "an HTTP version" {
        /// HTTP/1.1.
        V11 = "1.1",
        /// HTTP/2.
        V2 = "2",
    }
}

words! {
    /// The SOAP version that an endpoint wants.
    pub enum SoapVersion as "a SOAP version" {
        /// As the message came.
        Keep = "keep",
        /// SOAP 1.1.
        V11 = "1.1",
        /// SOAP 1.2.
        V12 = "1.2",
    }
}

words! {
    /// The WS-Addressing version that an endpoint wants.
    pub enum Addressing as "an addressing version" {
        /// As the message came.
        Keep = "keep",
        /// No addressing headers.
        None = "none",
        /// The submission of August 2004.
        August2004 = "2004/08",
        /// WS-Addressing 1.0.
        V10 = "1.0",
    }
}

words! {
    /// What happens to a signed message that would have to be bridged, which breaks the signature.
    pub enum OnSigned as "a way to take signed messages" {
        /// The fault `CannotBridge`.
        Fault = "fault",
        /// It is sent as it came.
        ForwardUnchanged = "forward_unchanged",
        /// It is bridged; the endpoint must not check the signature.
        BridgeAnyway = "bridge_anyway",
    }
}

words! {
    /// Whether a message may be sent again.
    pub enum Resend as "a resend policy" {
        /// Only if it cannot have been delivered.
        IfNotDelivered = "if_not_delivered",
        /// Also after a timeout, as WCF does; it may then be delivered twice.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

const FAILOVER_WORDS: &[(&str, FailoverOn)] = &[
    ("connect", FailoverOn::Connect),
    ("dns", FailoverOn::Dns),
    ("tls", FailoverOn::Tls),
    ("reset", FailoverOn::Reset),
    ("timeout", FailoverOn::Timeout),
    ("not-soap", FailoverOn::NotSoap),
    ("down", FailoverOn::Down),
    ("busy", FailoverOn::Busy),
];

/// What WCF fails over on, as far as HTTP shows it.
const FAILOVER_STATUSES: [u16; 4] = [404, 502, 503, 504];

fn default_failover() -> Vec<Spanned<FailoverOn>> {
    let words = FAILOVER_WORDS.iter().map(|(_, on)| *on);
    let all = words.chain(FAILOVER_STATUSES.map(FailoverOn::Status));
    all.map(|on| Spanned::new(on, crate::diag::Span::default()))
        .collect()
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            on: default_failover(),
        }
    }
}

impl Written for FailoverOn {
    const NOUN: &'static str = "a failure";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Kind::Map(entries) = &node.kind {
            if let [(key, value)] = entries.as_slice()
                && key.text == "fault"
            {
                return FaultBlame::read(value, reader).map(Self::Fault);
            }
            reader.wrong_type(node, "a failure", "fault: receiver");
            return None;
        }
        let Some(text) = node.text() else {
            reader.wrong_type(node, "a failure", "timeout");
            return None;
        };
        let word = FAILOVER_WORDS
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, on)| *on);
        let status = || {
            text.parse()
                .ok()
                .filter(|status| (300..=599).contains(status))
                .map(Self::Status)
        };
        let found = word.or_else(status);
        if found.is_none() {
            let words = FAILOVER_WORDS.iter().map(|(word, _)| *word);
            let message = format!("`{}` is not a failure{}", shorten(text), reader.place());
            let told = Diagnostic::error("unknown-word", message, node.span);
            let told = told.allowed(words.clone().chain(["300 to 599", "fault: receiver"]));
            reader.tell(told.hint_if(suggest::did_you_mean(text, words)));
        }
        found
    }

    fn schema(_: &mut Book) -> Value {
        let words: Vec<_> = FAILOVER_WORDS.iter().map(|(word, _)| *word).collect();
        let fault = json!({
            "type": "object", "required": ["fault"], "additionalProperties": false,
            "properties": { "fault": { "enum": FaultBlame::WORDS } },
        });
        json!({ "anyOf": [{ "enum": words }, { "type": "integer", "minimum": 300, "maximum": 599 }, fault] })
    }
}

impl Serialize for FailoverOn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Status(status) => serializer.serialize_u16(*status),
            Self::Fault(blame) => serializer.collect_map([("fault", blame)]),
            word => {
                let found = FAILOVER_WORDS.iter().find(|(_, on)| on == word);
                serializer.serialize_str(found.map_or("", |(text, _)| text))
            }
        }
    }
}
