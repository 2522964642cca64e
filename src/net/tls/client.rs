//! TLS to an endpoint.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::HandshakeError;
use super::material::{Chain, Fingerprint, MaterialError, Roots};
use super::protocol::{ALPN_HTTP1, ALPN_HTTP2, OldestVersion, provider};
use super::verifier::{Rule, Verifier};

/// Whether an endpoint's certificate is verified.
#[derive(Debug, Clone)]
pub enum Verify {
    /// Against these authorities, with its name and its validity.
    Full(Roots),
    /// The same, whatever name it is made out to.
    Chain(Roots),
    /// It is one of these, whoever signed it and until when.
    Pinned(Vec<Fingerprint>),
    /// Not at all.
    Nothing,
}

/// Whom an endpoint's connection trusts, and what it shows.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Whether the endpoint's certificate is verified.
    pub verify: Verify,
    /// The certificate to show where the endpoint asks for one.
    pub own: Option<Chain>,
    /// The name to ask for and to verify, instead of the host's.
    pub name: Option<String>,
    /// The oldest version that is spoken.
    pub oldest: OldestVersion,
    /// Whether HTTP/2 is to be spoken.
    pub http2: bool,
}

/// What an endpoint's connections need to speak TLS.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: Option<String>,
    http2: bool,
    expected: String,
    digest: u64,
}

impl ClientTls {
    /// Puts an endpoint's TLS together.
    ///
    /// # Errors
    /// When its own certificate cannot be used.
    pub fn new(trust: Trust) -> Result<Self, MaterialError> {
        let settings = |error: rustls::Error| MaterialError::Settings(error.to_string());
        let mut digest = DefaultHasher::new();
        (trust.oldest, trust.http2, &trust.name).hash(&mut digest);
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(trust.oldest.versions())
            .map_err(settings)?;
        let builder = match trust.verify {
            Verify::Full(roots) => {
                roots.digest.hash(&mut digest);
                builder.with_root_certificates(roots.store)
            }
            Verify::Chain(roots) => {
                ("chain", roots.digest).hash(&mut digest);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots.store, provider());
                let verifier = verifier.build();
                let verifier =
                    verifier.map_err(|error| MaterialError::Settings(error.to_string()))?;
                by(builder, Rule::Chain(verifier))
            }
            Verify::Pinned(pins) => {
                pins.hash(&mut digest);
                by(builder, Rule::These(pins))
            }
            Verify::Nothing => by(builder, Rule::Any),
        };
        let mut config = match trust.own {
            None => builder.with_no_client_auth(),
            Some(chain) => {
                chain.digest.hash(&mut digest);
                builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
                    chain.key,
                )))
            }
        };
        config.alpn_protocols = if trust.http2 {
            vec![ALPN_HTTP2.to_vec()]
        } else {
            vec![ALPN_HTTP1.to_vec()]
        };
        Ok(Self {
            config: Arc::new(config),
            expected: format!(
                "{}, cipher suites with AES-GCM or ChaCha20 and forward secrecy",
                trust.oldest.words()
            ),
            name: trust.name,
            http2: trust.http2,
            digest: digest.finish(),
        })
    }

    /// Does the handshake with `host`, which is the name asked for unless another one was set;
    /// `instead` goes before both.
    /// An address is no name: none is sent (RFC 6066 §3), and the certificate must be made out
    /// to the address.
    ///
    /// # Errors
    /// [`HandshakeError`] says what was expected.
    pub async fn connect<S>(
        &self,
        host: &str,
        instead: Option<&str>,
        stream: S,
    ) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = instead.or(self.name.as_deref()).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| HandshakeError::plain("the host is no name for a certificate"))?;
        let stream = TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await
            .map_err(|error| {
                HandshakeError::new(error, format!("host `{host}`"), self.expected.clone())
            })?;
        let (_, connection) = stream.get_ref();
        if self.http2 && connection.alpn_protocol() != Some(ALPN_HTTP2) {
            return Err(HandshakeError::plain(
                "the endpoint does not speak HTTP/2 (ALPN), which `http: \"2\"` asks for",
            ));
        }
        Ok(stream)
    }

    /// Whether a name to ask for was set (`server_name`).
    #[must_use]
    pub const fn has_name(&self) -> bool {
        self.name.is_some()
    }

    /// The same for connections that may be shared: equal settings, equal identity.
    #[must_use]
    pub const fn identity(&self) -> u64 {
        self.digest
    }
}

fn by(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    rule: Rule,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let provider = provider();
    let verifier = Arc::new(Verifier { rule, provider });
    builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for ClientTls {}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientTls({:016x})", self.digest)
    }
}
