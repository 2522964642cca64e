//! A service as it is written: where it listens, which table decides, and how.

use serde::Serialize;
use serde_json::{Value, json};

use super::admission::Admission;
use super::amounts::{Size, Time};
use super::limits::ServiceLimits;
use super::node::{Kind, Node};
use super::request::{HostPattern, ServicePath};
use super::rules::Rewrite;
use super::schema::Book;
use super::shape::{words, written};
use super::table::{Entry, Table};
use super::values::OneOrMany;
use super::written::{Reader, Spanned, Written};

written! {
    /// A virtual SOAP service: host and path on listeners, one filter table, one message pattern.
    pub struct Service as "a service" {
        /// The path: exact (`/orders`), or with everything below it (`/orders/*`).
        pub path: Spanned<ServicePath>,
        /// The hosts it answers to, exact or with `*` and `?`; every host if left out.
        pub hosts: Option<OneOrMany<Spanned<HostPattern>>> = None,
        /// The listeners it is reached on; all if left out.
        pub listeners: Option<OneOrMany<Spanned<String>>> = None,
        /// Whether upper and lower case of the path are the same, as servers of .NET have it.
        pub ignore_case: bool = false,
        /// Which of several hosts with `*` and `?` counts where more than one fits: 1 before 2, those without a
        /// priority last, the longer first. Equal for all services and routes of one host.
        pub priority: Option<Spanned<u32>> [1..=20_000] = None,
        /// The filter table: its name, or the table itself.
        pub table: TableRef,
        /// Whether callers wait for an answer.
        pub pattern: Pattern = Pattern::RequestReply,
        /// How much of a message may be read to decide.
        pub route_on: RouteOn = RouteOn::Auto,
        /// What several matches of one priority mean, for request-reply.
        pub several_matches: Option<Spanned<SeveralMatches>> = None,
        /// Where requests go that are not SOAP (a GET, `?wsdl`); without it they get 405.
        pub default_endpoint: Option<Spanned<String>> = None,
        /// Limits of this service.
        pub limits: ServiceLimits = ServiceLimits::default(),
        /// Whether every rule of the protocols is insisted on, or common slips of old clients are let pass.
        pub strict: bool = false,
        /// HTTP status of bridged SOAP 1.2 faults that blame the sender: 400 as SOAP 1.2 has it, or 500 for clients
        /// that do not read the body of a 400, as those of WCF and CXF.
        pub sender_fault_status: SenderFaultStatus = SenderFaultStatus::S400,
        /// Whether what lies behind the deciding byte is checked too.
        pub verify: Verify = Verify::None,
        /// Bytes kept to send a message again to a backup; left out: as `limits.replay_buffer`.
        pub replay_buffer: Option<Spanned<Size>> [0..=1 << 30] = None,
        /// What happens to a message that outgrows the replay buffer.
        pub on_overflow: OnOverflow = OnOverflow::Commit,
        /// How long an exchange may take in all, backups included; no bound but the endpoints' if left out.
        pub timeout: Option<Time> [1..=86_400_000] = None,
        /// What is changed on the way.
        pub rewrites: Vec<Spanned<Rewrite>> = Vec::new(),
        /// Who may enter, how many at a time, and how fast.
        pub admission: Option<Spanned<Admission>> = None,
    }
}

/// A filter table by its name, or written where it is used.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TableRef {
    /// The stem of a file in the filters folder.
    Named(Spanned<String>),
    /// A table of this service alone.
    Inline(Box<Spanned<Table>>),
}

words! {
    /// Whether callers wait for an answer.
    pub enum Pattern as "a message pattern" {
        /// One message, one endpoint, one answer.
        RequestReply = "request-reply",
        /// Accepted at once with 202, sent to every match of the winning priority.
        OneWay = "one-way",
    }
}

words! {
    /// How much of a message may be read to decide.
    pub enum RouteOn as "a part to route on" {
        /// The body only if a filter needs it.
        Auto = "auto",
        /// Never more than the headers; a filter that needs the body is a mistake.
        Headers = "headers",
        /// The body may always be read.
        Body = "body",
    }
}

words! {
    /// What several matches of one priority mean.
    pub enum SeveralMatches as "a way to take several matches" {
        /// The fault `SeveralFiltersMatched`, as in WCF.
        Fault = "fault",
        /// The first entry in the table wins.
        First = "first",
    }
}

words! {
    /// The status of a fault that blames the sender.
    pub enum SenderFaultStatus as "a status for faults of the sender" {
        /// As SOAP 1.2 says.
        S400 = "400",
        /// As WCF does.
        S500 = "500",
    }
}

words! {
    /// Whether what lies behind the deciding byte is checked.
    pub enum Verify as "a way to verify" {
        /// It is passed on as it is.
        None = "none",
        /// It is scanned to the end, and the exchange broken off if it is not well-formed.
        Full = "full",
    }
}

words! {
    /// What happens to a message that outgrows the replay buffer.
    pub enum OnOverflow as "a way to take an overflow" {
        /// It goes to the endpoint it is being sent to; failover is no longer possible.
        Commit = "commit",
        /// The fault `MessageTooLarge`.
        Refuse = "refuse",
        /// It is kept in a file.
        Spool = "spool",
    }
}

impl Service {
    /// What several matches mean here: `fault` unless written otherwise.
    pub fn several_matches(&self) -> SeveralMatches {
        self.several_matches
            .as_ref()
            .map_or(SeveralMatches::Fault, |written| written.value)
    }
}

/// A name, a whole table, or only its entries.
impl Written for TableRef {
    const NOUN: &'static str = "a table";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => Spanned::read(node, reader).map(|table| Self::Inline(Box::new(table))),
            Kind::List(_) => {
                let entries = Vec::<Spanned<Entry>>::read(node, reader)?;
                let table = Table::of_entries(entries);
                Some(Self::Inline(Box::new(Spanned::new(table, node.span))))
            }
            Kind::Scalar { .. } if node.text().is_none() => {
                reader.wrong_type(node, "the name of a table, or a table", "orders");
                None
            }
            Kind::Scalar { .. } => Spanned::read(node, reader).map(Self::Named),
        }
    }

    fn schema(book: &mut Book) -> Value {
        let (table, entry) = (Table::schema(book), Entry::schema(book));
        json!({ "anyOf": [{ "type": "string" }, table, { "type": "array", "items": entry }] })
    }
}
