//! Metric names, and how to read each number.
//!
//! Base units, `_total` for counters as the Prometheus conventions ask; the text format adds
//! `_total`, `_bucket`, `_sum` and `_count` itself.

/// What stands in front of every name.
pub const PREFIX: &str = "soap_router";

/// Exchanges ended, by `service`, `soap` version and `outcome`: `reply` (an endpoint's answer),
/// `endpoint_fault` (an endpoint's SOAP fault, which is an answer), `router_fault`, `accepted`
/// (one-way), `passed` (not SOAP, handed to the default endpoint), `refused` (not SOAP, plain
/// status), `aborted` (the caller went away).
pub const EXCHANGES: &str = "exchanges";
/// Faults made by the router, by `service` and `reason`. Rises above zero are worth a look.
pub const FAULTS: &str = "faults";
/// Seconds from the arrival of a request's head to the last byte of its answer, by `service`.
pub const EXCHANGE_SECONDS: &str = "exchange_duration_seconds";
/// Exchanges being worked on now, by `service`.
pub const IN_FLIGHT: &str = "exchanges_in_flight";
/// Table entries that won, by `service`, `entry` and `endpoint`.
pub const ENTRIES: &str = "entry_matches";
/// Attempts to get a message to an endpoint, by `endpoint` and `outcome` (`ok` or the failure).
pub const ATTEMPTS: &str = "endpoint_attempts";
/// Seconds from the start of an attempt to the endpoint's response head, by `endpoint`.
pub const ATTEMPT_SECONDS: &str = "endpoint_response_seconds";
/// Servers of an endpoint, by `endpoint` and `state` (`up`, `trial`, `suspended`, `unprobed`,
/// `unhealthy`, `draining`, `disabled`, `leaving`). Alert on endpoints without `up`.
pub const SERVERS: &str = "endpoint_servers";
/// 1 while a server gets messages, by `endpoint` and `server`.
pub const SERVER_UP: &str = "server_up";
/// Requests in flight to a server, by `endpoint` and `server`.
pub const SERVER_IN_FLIGHT: &str = "server_requests_in_flight";
/// Requests sent to a server, by `endpoint` and `server`.
pub const SERVER_REQUESTS: &str = "server_requests";
/// How often a server was suspended, by `endpoint` and `server`.
pub const SERVER_SUSPENSIONS: &str = "server_suspensions";
/// Probes, by `endpoint`, `server` and `result` (`ok`, `failed`).
pub const PROBES: &str = "server_probes";
/// Seconds that a probe took, by `endpoint` and `server`.
pub const PROBE_SECONDS: &str = "server_probe_duration_seconds";
/// Messages that wait for a place at an endpoint, by `endpoint`.
pub const WAITING: &str = "endpoint_queue_length";
/// Messages that were to be sent again, by `endpoint` and `result`: `sent`, or `refused` by the
/// retry budget. Much of the latter says that an outage is not multiplied.
pub const RESENDS: &str = "endpoint_resends";
/// Look-ups of names, by `result` (`ok`, `failed`). While they fail the last address is kept.
pub const LOOKUPS: &str = "dns_lookups";
/// Body bytes received from callers, by `service`.
pub const REQUEST_BYTES: &str = "request_bytes";
/// Body bytes sent to callers, by `service`.
pub const RESPONSE_BYTES: &str = "response_bytes";
/// Body bytes read before the decision was made, by `service`.
pub const DECIDED_BYTES: &str = "decided_after_bytes";
/// Body bytes held in memory for the decision, by `service`.
pub const HELD_BYTES: &str = "held_bytes";
/// Body bytes that went through a temporary file (`on_overflow: spool`), by `service`.
pub const SPOOLED_BYTES: &str = "spooled_bytes";
/// Messages that outgrew `replay_buffer`, by `service` and `action`: `commit`, `spool`,
/// `refuse`.
pub const OVERFLOWS: &str = "replay_overflows";
/// Bytes of messages held in memory now, for sending or for another attempt.
pub const REPLAY_HELD: &str = "replay_held_bytes";
/// Temporary files of messages now (`on_overflow: spool`).
pub const SPOOL_FILES: &str = "spool_files";
/// Tasks of all workers now: connections, and what outlives its exchange.
pub const TASKS: &str = "tasks";
/// Messages by `service` and `mode`: `headers` (body never looked at), `streaming` (decided
/// before the end), `buffered` (read whole before the decision).
pub const MODES: &str = "messages";
/// Messages brought into other versions, by `endpoint`, `direction` (`request`, `reply`), and the
/// versions `from` which and `to` which.
pub const BRIDGED: &str = "bridged_messages";
/// What bridged messages could not keep, by `endpoint` and `loss` (docs/bridging.md names them).
pub const BRIDGE_LOSSES: &str = "bridge_losses";
/// Connections open now, by `side` (`caller`, `endpoint`).
pub const CONNECTIONS: &str = "connections_open";
/// Connections opened, by `side`.
pub const CONNECTIONS_OPENED: &str = "connections_opened";
/// TLS handshakes with callers by `listener` and `result`: `ok` or `failed`. What fails is in the
/// log, with what was offered and what was expected.
pub const TLS_HANDSHAKES: &str = "tls_handshakes";
/// Unix time at which a certificate that the router shows expires, by `side` (`listener`,
/// `endpoint`), `name` of it, and `subject`.
pub const TLS_EXPIRY: &str = "tls_certificate_expiry_timestamp_seconds";
/// 1 when the last reload succeeded, 0 when the running configuration is older than the files.
pub const RELOAD_OK: &str = "config_last_reload_successful";
/// Unix time of the last successful load.
pub const RELOAD_TIME: &str = "config_last_reload_success_timestamp_seconds";
/// Reloads by `result` (`ok`, `refused`).
pub const RELOADS: &str = "config_reloads";
/// Access log lines dropped because the writer could not keep up.
pub const ACCESS_DROPPED: &str = "access_log_lines_dropped";
/// Tolerated deviations, by `service` and `kind`: what was accepted although it is not as the
/// specifications say (a media type that contradicts the envelope, a missing action, ...).
pub const TOLERATED: &str = "tolerated_deviations";
/// Always 1; the label `version` is the running version.
pub const BUILD_INFO: &str = "build_info";
