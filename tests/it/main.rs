//! What the router does, seen through the doors that a user uses: real sockets, the real
//! program, the files on disk. One module a subject; the harness stands in `tests/support/`.
#![allow(unreachable_pub, reason = "a test program offers nothing to anybody")]
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time"
)]

#[path = "../support/mod.rs"]
mod support;

/// Who may enter, how many, how fast.
mod admission;
/// The files that are shipped.
mod config_files;
/// The front: routes, redirects, rewrites, forwarding.
mod front;
/// Golden pairs: broken configurations and what is said of them.
mod golden_check;

/// The admin interface.
mod admin;
/// Broken and hostile messages.
mod bad_input;
/// Bad HTTP and endless messages.
mod bad_wire;
/// Bridging: golden cases, and what holds for every message.
mod bridge;
/// Bridging on the road: requests, answers, faults.
mod bridge_road;
/// The SOAP 1.2 test collection, as far as a router can be held to it.
mod bridge_w3c;
/// Everything that endpoints do wrong, under load.
mod chaos;
/// Connections and what streams through them.
mod connections;
/// The pages under `docs/`.
mod docs;
/// Servers that get nothing new, and callers that are bound to one.
mod draining;
/// Which servers are well.
mod endpoint_health;
/// `explain`, and that it says what `serve` does.
mod explain;
/// Backup lists: what counts as a failure, and what does not.
mod failover;
/// Faults made by the router.
mod faults;
/// Fields of messages, beside the map that they stand for.
mod fields;
/// HTTP, byte by byte.
mod http;
/// Our own HTTP/1, beside hyper's.
mod http1;
/// HTTP/2 in front.
mod http2;
/// HTTP/2 to endpoints.
mod http2_endpoint;
/// Every limit of the configuration.
mod limits;
/// Multipart messages: found by their root part, passed on to the byte.
mod multipart;
/// Which service or route a request finds.
mod places;
/// Endpoints of several servers.
mod pools;
/// The session of the README.
mod readme;
/// Hot reload.
mod reload;
/// What is held for another attempt.
mod replay;
/// The road: which service, how early, one-way to many, filters that count or are brought along.
mod road;
/// Golden cases: which message goes where, through every door.
mod route;
/// What the samples tell to try.
mod samples;
/// The life of the process.
mod serve;
/// Slow readers and writers.
mod slow_peers;
/// Every mode at once, for a while.
mod soak;
/// Messages that flow before they are whole.
mod streaming;
/// How long endpoints may take.
mod timeouts;
/// TLS on both sides.
mod tls;
/// Whoever breaks off, wherever.
mod truncation;
/// Reloads and deaths while traffic flows.
mod under_load;
/// The verbs.
mod verbs;
/// WebSocket, passed through.
mod websocket;
