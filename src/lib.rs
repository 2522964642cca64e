//! `soap-router`: a content-based router in front of SOAP services.
//!
//! The rooms, in the order in which a message and a configuration pass through them:
//!
//! | room | reason to be |
//! |---|---|
//! | [`front`] | accepts connections, speaks HTTP, knows no SOAP |
//! | [`exchange`] | the road of one message: read, decide, send, answer |
//! | [`snapshot`] | the compiled configuration that one exchange uses from start to end |
//! | [`filter`] | many filters as one set, decided while the message is read |
//! | [`routing`] | which endpoints, in which order |
//! | [`xpath`] | expressions, all of a table in one pass |
//! | [`soap`] | the envelope: what it says of itself, faults in its dialect |
//! | [`xml`] | bytes to namespaced events, under limits |
//! | [`upstream`] | the living endpoints: their servers, who is well, who is next; one message to one of them |
//! | [`naming`] | names to addresses |
//! | [`http1`] | HTTP/1.1 on one connection, on either side |
//! | [`admission`] | who may enter, how many at a time, and how fast |
//! | [`fields`] | heads: fields as they were read, and the lines before them |
//! | [`net`] | bodies that are bounded, relayed, sent again |
//! | [`config`] | what the user wrote, with the place of everything |
//! | [`diag`] | mistakes as data, and their faces |
//! | [`reload`] | changed files to a new configuration, or the old one kept |
//! | [`admin`] | look at the running router and nudge it |
//! | [`telemetry`] | counters and logs |
//! | [`app`] | puts the rooms together and runs them |
//! | [`cli`] | one file a verb |
//!
//! `docs/architecture.md` has the floors and walls, `docs/life-of-a-message.md` the road in
//! prose. A program that embeds the router starts at [`cli::run`] or [`app::Router`].
#![forbid(unsafe_code)]

pub mod admin;
pub mod admission;
pub mod app;
pub mod cli;
pub mod config;
pub mod diag;
pub mod exchange;
pub mod fields;
pub mod filter;
pub mod front;
pub mod http1;
pub mod naming;
pub mod net;
pub mod reload;
pub mod routing;
pub mod snapshot;
pub mod soap;
pub mod telemetry;
pub mod upstream;
pub mod xml;
pub mod xpath;
