//! Which certificate a caller is shown: the one made out to the host that it names (SNI).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::material::Chain;

/// Certificates by the names that they are made out to.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `*.example.com` under `example.com`; stands for one label (RFC 6125 §6.4.3).
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// For callers that name no host, or one that nobody knows.
    first: Arc<CertifiedKey>,
}

impl ByName {
    /// The first of two certificates with one name wins.
    pub(super) fn new(first: &Chain, more: &[Chain]) -> Self {
        let mut all = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            first: Arc::clone(&first.key),
        };
        for chain in std::iter::once(first).chain(more) {
            for name in &chain.facts.names {
                let name = name.to_ascii_lowercase();
                let (names, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut all.wildcard, rest.to_owned()),
                    None => (&mut all.exact, name),
                };
                names.entry(name).or_insert_with(|| Arc::clone(&chain.key));
            }
        }
        all
    }

    fn of(&self, host: &str) -> &Arc<CertifiedKey> {
        let host = host.to_ascii_lowercase();
        let above = host.split_once('.').map(|(_, above)| above);
        self.exact
            .get(&host)
            .or_else(|| self.wildcard.get(above?))
            .unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            hello
                .server_name()
                .map_or(&self.first, |host| self.of(host)),
        ))
    }
}
