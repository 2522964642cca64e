//! TLS of a listener.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::{CipherSuite, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::CertificateFacts;
use super::failure::{HandshakeError, offer};
use super::material::{Chain, MaterialError, Roots};
use super::names::ByName;
use super::protocol::{ALPN_HTTP1, ALPN_HTTP2, OldestVersion, provider, provider_with};

/// Whether a caller is asked for a certificate.
#[derive(Debug, Clone)]
pub enum AskCertificate {
    /// No.
    Never,
    /// Yes, and it is served without one too.
    Request(Roots),
    /// Yes, and without one there is no connection.
    Require(Roots),
}

/// What a listener needs to speak TLS.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    expected: String,
    digest: u64,
    /// The certificates that it shows.
    pub shown: Arc<[CertificateFacts]>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy)]
pub struct Spoken<'a> {
    /// The oldest version.
    pub oldest: OldestVersion,
    /// The cipher suites, by their registered names; all that there are if empty.
    pub suites: &'a [String],
    /// HTTP/2, beside HTTP/1.1.
    pub http2: bool,
}

/// What a handshake came to.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, by its registered name.
    pub cipher: String,
    /// The cipher suites that the caller offered, by their registered names, colons between.
    pub offered: String,
    /// The host that the caller named.
    pub host: Option<String>,
    /// Whether HTTP/2 was agreed on.
    pub http2: bool,
    /// The certificate that the caller showed, verified.
    pub certificate: Option<CertificateFacts>,
}

impl ServerTls {
    /// Puts a listener's TLS together.
    ///
    /// # Errors
    /// When authorities for client certificates are empty or versions contradict.
    pub fn new(
        first: &Chain,
        more: &[Chain],
        ask: AskCertificate,
        spoken: Spoken<'_>,
    ) -> Result<Self, MaterialError> {
        let Spoken {
            oldest,
            suites,
            http2,
        } = spoken;
        let settings = |error: rustls::Error| MaterialError::Settings(error.to_string());
        let builder = ServerConfig::builder_with_provider(provider_with(suites))
            .with_protocol_versions(oldest.versions())
            .map_err(settings)?;
        let mut digest = DefaultHasher::new();
        (oldest, http2, suites).hash(&mut digest);
        let verifier = |roots: Roots| {
            WebPkiClientVerifier::builder_with_provider(roots.store, provider())
                .with_crls(roots.revoked)
        };
        let built = |error: rustls::server::VerifierBuilderError| {
            MaterialError::Settings(error.to_string())
        };
        let (builder, asks) = match ask {
            AskCertificate::Never => (builder.with_no_client_auth(), ""),
            AskCertificate::Request(roots) => {
                ("request", roots.digest).hash(&mut digest);
                let verifier = verifier(roots).allow_unauthenticated().build();
                (
                    builder.with_client_cert_verifier(verifier.map_err(built)?),
                    ", a client certificate of `client_ca`, or none",
                )
            }
            AskCertificate::Require(roots) => {
                ("require", roots.digest).hash(&mut digest);
                let verifier = verifier(roots).build();
                (
                    builder.with_client_cert_verifier(verifier.map_err(built)?),
                    ", a client certificate of `client_ca`",
                )
            }
        };
        std::iter::once(first)
            .chain(more)
            .for_each(|chain| chain.digest.hash(&mut digest));
        let mut config = builder.with_cert_resolver(Arc::new(ByName::new(first, more)));
        config.alpn_protocols = if http2 {
            vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()]
        } else {
            vec![ALPN_HTTP1.to_vec()]
        };
        // Without state on the server: a session may be resumed on any worker. A reload makes
        // new keys, so nobody resumes what new authorities would refuse.
        if let Ok(ticketer) = rustls::crypto::ring::Ticketer::new() {
            config.ticketer = ticketer;
        }
        let shown = std::iter::once(first)
            .chain(more)
            .map(|chain| chain.facts.clone())
            .collect();
        let protocols = if http2 { "h2 http/1.1" } else { "http/1.1" };
        let suites = match suites {
            [] => "cipher suites with AES-GCM or ChaCha20 and forward secrecy".to_owned(),
            some => format!("cipher suites {}", some.join(" ")),
        };
        Ok(Self {
            config: Arc::new(config),
            expected: format!("{}, {suites}, protocols {protocols}{asks}", oldest.words()),
            digest: digest.finish(),
            shown,
        })
    }

    /// Does the handshake.
    ///
    /// # Errors
    /// [`HandshakeError`] says what was offered and what was expected.
    pub async fn accept<S>(&self, stream: S) -> Result<(TlsStream<S>, Session), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = |error, offered| HandshakeError::new(error, offered, self.expected.clone());
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream)
            .await
            .map_err(|error| failed(error, String::new()))?;
        let (offered, suites, host) = {
            let hello = hello.client_hello();
            let suites = hello.cipher_suites().iter();
            let suites: Vec<&str> = suites.filter_map(CipherSuite::as_str).collect();
            let host = hello.server_name().map(str::to_owned);
            (offer(&hello), suites.join(":"), host)
        };
        let stream = hello
            .into_stream(Arc::clone(&self.config))
            .await
            .map_err(|error| failed(error, offered))?;
        let (_, connection) = stream.get_ref();
        let session = Session {
            version: connection
                .protocol_version()
                .and_then(|version| version.as_str())
                .unwrap_or_default(),
            cipher: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str().map(str::to_owned))
                .unwrap_or_default(),
            offered: suites,
            host,
            http2: connection.alpn_protocol() == Some(ALPN_HTTP2),
            certificate: connection
                .peer_certificates()
                .and_then(|chain| CertificateFacts::read(chain.first()?)),
        };
        Ok((stream, session))
    }
}

/// Equal inputs make equal listeners: a reload that brings the same files changes nothing.
impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for ServerTls {}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerTls({:016x})", self.digest)
    }
}
