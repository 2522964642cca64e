//! TLS as it is written: certificates of listeners, trust in endpoints.
//!
//! Only paths and words: what is in the files is looked at by those who compile them.

use std::path::PathBuf;

use super::shape::{words, written};
use super::written::Spanned;

written! {
    /// TLS of a listener.
    pub struct ListenerTls as "tls" {
        /// The certificate chain, PEM, relative to this file; also for callers that name no host.
        pub cert: Spanned<PathBuf>,
        /// Its private key, PEM, relative to this file.
        pub key: Spanned<PathBuf>,
        /// More certificates: a caller that names a host gets the one that is made out to it.
        pub certificates: Vec<CertificatePair> = Vec::new(),
        /// The authorities that client certificates are verified against, PEM; without it none is asked for.
        pub client_ca: Option<Spanned<PathBuf>> = None,
        /// Which client certificates were revoked, PEM: a list of each authority that signs any. Only with `client_ca`.
        pub client_crl: Option<Spanned<PathBuf>> = None,
        /// Whether a caller without a certificate is let in; only with `client_ca`.
        pub client_auth: Option<Spanned<ClientAuth>> = None,
        /// The oldest version that is spoken.
        pub min_version: TlsVersion = TlsVersion::V12,
        /// The cipher suites that are spoken, by their registered names; if left out all that are good today.
        pub cipher_suites: Vec<Spanned<String>> = Vec::new(),
    }
}

written! {
    /// A certificate and its key.
    pub struct CertificatePair as "a certificate" {
        /// The certificate chain, PEM, relative to this file.
        pub cert: Spanned<PathBuf>,
        /// Its private key, PEM, relative to this file.
        pub key: Spanned<PathBuf>,
    }
}

written! {
    /// TLS to an endpoint.
    pub struct EndpointTls as "tls" {
        /// The authorities that the endpoint's certificate is verified against, PEM, instead of the system's.
        pub ca: Option<Spanned<PathBuf>> = None,
        /// The certificate chain that the router shows, PEM.
        pub cert: Option<Spanned<PathBuf>> = None,
        /// Its private key, PEM.
        pub key: Option<Spanned<PathBuf>> = None,
        /// The name that is asked for and that the certificate must be made out to; the URL's host if left out.
        pub server_name: Option<Spanned<String>> = None,
        /// The SHA-256 fingerprints of certificates, in hexadecimal: the endpoint must show one of them, whoever
        /// signed it, to whatever name and until when.
        pub pins: Vec<Spanned<String>> = Vec::new(),
        /// Whether the endpoint's certificate is verified.
        pub verify: Spanned<TlsVerify> = Spanned::new(TlsVerify::Full, crate::diag::Span::default()),
        /// The oldest version that is spoken.
        pub min_version: TlsVersion = TlsVersion::V12,
    }
}

words! {
    /// Whether a caller without a certificate is let in.
    pub enum ClientAuth as "a way to ask for client certificates" {
        /// Without a certificate there is no connection.
        Require = "require",
        /// A certificate is asked for; without one the connection is served all the same.
        Request = "request",
    }
}

words! {
    /// A version of TLS.
    pub enum TlsVersion as "a TLS version" {
        /// TLS 1.2.
        V12 = "1.2",
        /// TLS 1.3.
        V13 = "1.3",
    }
}

words! {
    /// Whether the endpoint's certificate is verified.
    pub enum TlsVerify as "a way to verify certificates" {
        /// Chain, validity and name.
        Full = "full",
        /// Chain and validity, whatever name it is made out to.
        Chain = "chain",
        /// Not at all: whoever answers there is believed.
        None = "none",
    }
}
