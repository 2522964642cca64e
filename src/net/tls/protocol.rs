//! What is spoken: versions, protocols above, cryptography below.

use std::sync::Arc;

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OldestVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl OldestVersion {
    pub(super) fn versions(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        static BOTH: [&rustls::SupportedProtocolVersion; 2] =
            [&rustls::version::TLS13, &rustls::version::TLS12];
        match self {
            Self::Tls12 => &BOTH,
            Self::Tls13 => BOTH.get(..1).unwrap_or(&BOTH),
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS 1.2 or 1.3",
            Self::Tls13 => "TLS 1.3",
        }
    }
}

/// The name of HTTP/2 in ALPN (RFC 9113 §3.2).
pub(super) const ALPN_HTTP2: &[u8] = b"h2";
/// The name of HTTP/1.1 in ALPN (RFC 7301 §6).
pub(super) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// The cryptography below.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The names of the cipher suites that are spoken, as they are registered.
pub fn cipher_suites() -> impl Iterator<Item = String> {
    let all = provider().cipher_suites.clone();
    all.into_iter().filter_map(|suite| suite_name(&suite))
}

/// The library has its own names for those of TLS 1.3.
fn suite_name(suite: &SupportedCipherSuite) -> Option<String> {
    Some(suite.suite().as_str()?.replace("TLS13_", "TLS_"))
}

/// The cryptography below, with no other cipher suites than these; with all if these are none.
pub(super) fn provider_with(suites: &[String]) -> Arc<CryptoProvider> {
    if suites.is_empty() {
        return provider();
    }
    let mut own = rustls::crypto::ring::default_provider();
    own.cipher_suites
        .retain(|suite| suite_name(suite).is_some_and(|name| suites.contains(&name)));
    Arc::new(own)
}
