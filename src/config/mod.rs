//! What the user wrote: `config/router.yaml` and `filters/*.yaml`, typed, with the place of everything.
//!
//! [`load`] reads all files and finds all mistakes at once; nothing is compiled here: XPath, regular
//! expressions and certificates are carried as written, with places for those who compile them.
//! `written.rs` says what reading is, `shape.rs` derives it for structs, words and kinds; the schema comes
//! from the same lines.
//!
//! **Invariant:** only `load.rs` and `files.rs` touch the disk, only `yaml.rs` knows the YAML parser, and no input makes
//! this room panic (`tests/it/golden_check.rs`).

mod address;
mod admission;
mod amounts;
mod check;
mod endpoint;
mod fields;
mod files;
mod filter;
mod forms;
mod inside;
mod limits;
mod load;
mod loaded;
mod named_files;
mod names;
mod network;
mod node;
mod request;
mod router;
mod rules;
mod schema;
mod servers;
mod service;
mod shape;
mod suggest;
mod table;
mod target;
mod tls;
mod values;
mod written;
mod yaml;

pub use address::{AbsoluteUri, EndpointUrl, RedirectTarget};
pub use admission::{Admission, Rate, RateBy};
pub use amounts::{Size, SizeOrNone, Time};
pub use endpoint::{
    Addressing, Bridge, Carried, Dropped, Endpoint, Failover, FailoverOn, FaultBlame, HttpVersion,
    OnSigned, Resend, SoapVersion,
};
pub use files::Files;
pub use filter::{
    ClientCertificate, Custom, EnvelopeVersion, Filter, FilterRef, HeaderTest, HttpHeader,
};
pub use forms::{AddressMatch, Percent, RoundRobin, StickyOn};
pub use inside::inside;
pub use limits::{LIMITS, LimitInfo, Limits, LimitsInForce, ServiceLimits};
pub use load::load;
pub use loaded::{Config, Loaded, TableText, Watch, read, to_yaml};
pub use names::{Named, Namespaces};
pub use network::{Bind, Network};
pub use request::{HeaderName, HostPattern, OperationName, RoutePath, ServicePath};
pub use router::{
    AccessFormat, AccessLog, Admin, BackupList, Forwarded, Listener, ProxyProtocol, Reload, Router,
};
pub use rules::{
    Condition, ErrorPages, HeaderEdits, HeaderValues, Redirect, RedirectStatus, Replacement,
    Rewrite, Route,
};
pub use schema::{router_schema, table_schema};
pub use servers::{
    Affinity, AffinityCookie, Balance, CookieName, CookieText, Dns, Expect, Factor, HashOn, OnLost,
    OperationTimes, Probe, ProbeMethod, ProbePath, RetryBudget, SameSite, Server, ServerAddress,
    StatusRanges, Suspend,
};
pub use service::{
    OnOverflow, Pattern, RouteOn, SenderFaultStatus, Service, SeveralMatches, TableRef, Verify,
};
pub use table::{Backups, Entry, Table};
pub use target::{EndpointHost, OverridePath};
pub use tls::{CertificatePair, ClientAuth, EndpointTls, ListenerTls, TlsVerify, TlsVersion};
pub use values::{Anything, Empty, FormatVersion, OneOrMany, Share};
pub use written::Spanned;
