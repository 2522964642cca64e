//! Certificates of endpoints that are believed by another rule than the usual one.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::material::Fingerprint;

/// Which certificates are believed; the handshake's signatures must be right in any case.
#[derive(Debug)]
pub(super) enum Rule {
    /// Every one (`verify: none`).
    Any,
    /// Those whose chain ends in an authority, whatever name they are made out to
    /// (`verify: chain`).
    Chain(Arc<WebPkiServerVerifier>),
    /// These (`pins`), whoever signed them and until when.
    These(Vec<Fingerprint>),
}

/// Verifies by a [`Rule`].
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) rule: Rule,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        match &self.rule {
            Rule::Any => {}
            Rule::These(pins) => {
                let shown = Fingerprint::of(end_entity);
                if !pins.contains(&shown) {
                    let text = format!("the certificate is none of `pins`: its SHA-256 is {shown}");
                    return Err(Error::General(text));
                }
            }
            // The name is looked at when everything else was found right.
            Rule::Chain(verifier) => match verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ) {
                Ok(_)
                | Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) =>
                    {}
                Err(error) => return Err(error),
            },
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
