//! What is spoken: versions, protocols above, cryptography below.

use std::sync::Arc;

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
