//! Handshakes with callers, and how long certificates are good.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::names;

type Labels = Vec<(&'static str, String)>;

/// The numbers of TLS.
#[derive(Debug)]
pub struct TlsMeter {
    handshakes: Family<Labels, Counter>,
    expiry: Family<Labels, Gauge>,
}

impl TlsMeter {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let meter = Self {
            handshakes: Family::default(),
            expiry: Family::default(),
        };
        registry.register(
            names::TLS_HANDSHAKES,
            "TLS handshakes with callers",
            meter.handshakes.clone(),
        );
        registry.register(
            names::TLS_EXPIRY,
            "Unix time at which a certificate expires",
            meter.expiry.clone(),
        );
        meter
    }

    /// Counts a handshake of a listener: `ok` or `failed`.
    pub fn handshake(&self, listener: &str, result: &str) {
        let labels = vec![
            ("listener", listener.to_owned()),
            ("result", result.to_owned()),
        ];
        self.handshakes.get_or_create(&labels).inc();
    }

    /// The certificates that are shown from now on: side, name, subject, expiry.
    pub fn certificates<'a>(&self, shown: impl Iterator<Item = (&'a str, &'a str, &'a str, i64)>) {
        self.expiry.clear();
        for (side, name, subject, not_after) in shown {
            let labels = vec![
                ("side", side.to_owned()),
                ("name", name.to_owned()),
                ("subject", subject.to_owned()),
            ];
            self.expiry.get_or_create(&labels).set(not_after);
        }
    }
}
