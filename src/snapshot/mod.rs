//! The compiled configuration: one immutable value that an exchange uses from start to end.
//!
//! [`compile`] is the only way from what was written to what runs; `serve`, `check`, `reload`
//! and `explain` all take it. [`Live`] holds the one in force.

mod bridge;
mod changes;
mod circles;
mod compile;
mod endpoints;
mod live;
mod mode;
mod model;
mod place;
mod rewrite;
mod routes;
mod specs;
mod tls;

pub use changes::changes;
pub use compile::compile;
pub use live::{Active, Live};
pub use mode::{Mode, ModeKind};
pub use model::{
    AccessLog, Admin, Bind, CertificateExpiry, Endpoint, Http2, Limits, Listener, OnOverflow,
    Operation, OperationIs, Place, Resend, Route, RouteId, RouteOn, RouteTo, Service, ServiceId,
    Snapshot, ValueOf,
};
pub use place::{PathPattern, RoutePath, host_name};
pub use rewrite::{
    Condition, Door, Edits, Forwarded, Page, Part, Redirect, Replacement, Rewrite, Rewrites,
    Target, Template, Variable, override_path,
};
