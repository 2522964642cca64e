//! Certificates, keys and authorities, from the bytes of files.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificate::CertificateFacts;
use super::protocol::provider;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// Not PEM, or PEM of something else.
    #[error("the file holds no certificate (`-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    /// PEM around something that is no certificate.
    #[error("certificate number {number} in the file cannot be read: {why}")]
    BadCertificate {
        /// Counted from 1.
        number: usize,
        /// In the library's words.
        why: String,
    },
    /// Not PEM, or PEM of something else.
    #[error("the file holds no private key (`-----BEGIN PRIVATE KEY-----`)")]
    NoKey,
    /// Of a kind that is not supported, or broken.
    #[error("the key cannot be used: {0}")]
    BadKey(String),
    /// Certificate and key are not a pair.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// No list of revoked certificates.
    #[error("no list of revoked certificates: {0}")]
    BadRevocations(String),
    /// Settings that cannot be together.
    #[error("{0}")]
    Settings(String),
}

/// A certificate chain with its key, ready to be shown.
#[derive(Debug, Clone)]
pub struct Chain {
    pub(super) key: Arc<CertifiedKey>,
    /// Of the certificate that is shown first.
    pub facts: CertificateFacts,
    pub(super) digest: u64,
}

/// SHA-256 of a certificate, which names it and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(der: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        Self(digest.as_ref().try_into().unwrap_or_default())
    }

    /// Reads 64 hexadecimal digits, with or without colons between the bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            let plain = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = plain.then(|| u8::from_str_radix(pair, 16).ok())??;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Authorities that certificates are verified against.
#[derive(Debug, Clone)]
pub struct Roots {
    pub(super) store: Arc<RootCertStore>,
    /// What they signed and take back; nobody looks whether they did where there is no list.
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
    /// What is known of each of them.
    pub facts: Vec<CertificateFacts>,
    pub(super) digest: u64,
}

impl Chain {
    /// Reads the chain; its key is read by [`Chain::with_key`].
    ///
    /// # Errors
    /// When there is no certificate in it.
    pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
        let mut found = Vec::new();
        for (at, one) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let bad = |why: String| MaterialError::BadCertificate {
                number: at + 1,
                why,
            };
            let der = one.map_err(|error| bad(error.to_string()))?;
            if CertificateFacts::read(&der).is_none() {
                return Err(bad("it is not X.509".to_owned()));
            }
            found.push(der);
        }
        if found.is_empty() {
            return Err(MaterialError::NoCertificate);
        }
        Ok(found)
    }

    /// Joins a chain and its key.
    ///
    /// # Errors
    /// When the key cannot be read or belongs to another certificate.
    pub fn with_key(
        certificates: Vec<CertificateDer<'static>>,
        pem: &[u8],
    ) -> Result<Self, MaterialError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| MaterialError::NoKey)?;
        let facts = certificates
            .first()
            .and_then(|first| CertificateFacts::read(first))
            .ok_or(MaterialError::NoCertificate)?;
        let mut digest = DefaultHasher::new();
        certificates
            .iter()
            .for_each(|one| one.as_ref().hash(&mut digest));
        der.secret_der().hash(&mut digest);
        let key =
            CertifiedKey::from_der(certificates, der, &provider()).map_err(
                |error| match error {
                    rustls::Error::InconsistentKeys(_) => MaterialError::Mismatch,
                    other => MaterialError::BadKey(other.to_string()),
                },
            )?;
        Ok(Self {
            key: Arc::new(key),
            facts,
            digest: digest.finish(),
        })
    }
}

impl Roots {
    /// Reads authorities from a file.
    ///
    /// # Errors
    /// When there is none in it, or one that cannot be read.
    pub fn read(pem: &[u8]) -> Result<Self, MaterialError> {
        let certificates = Chain::certificates(pem)?;
        let mut store = RootCertStore::empty();
        let mut facts = Vec::new();
        let mut digest = DefaultHasher::new();
        for (at, one) in certificates.into_iter().enumerate() {
            one.as_ref().hash(&mut digest);
            facts.extend(CertificateFacts::read(&one));
            store
                .add(one)
                .map_err(|error| MaterialError::BadCertificate {
                    number: at + 1,
                    why: error.to_string(),
                })?;
        }
        Ok(Self {
            store: Arc::new(store),
            revoked: Vec::new(),
            facts,
            digest: digest.finish(),
        })
    }

    /// The same, with lists of what they take back.
    ///
    /// # Errors
    /// When there is none in the file, or something else.
    pub fn but(mut self, pem: &[u8]) -> Result<Self, MaterialError> {
        let mut digest = DefaultHasher::new();
        self.digest.hash(&mut digest);
        for one in CertificateRevocationListDer::pem_slice_iter(pem) {
            let list = one.map_err(|error| MaterialError::BadRevocations(error.to_string()))?;
            list.as_ref().hash(&mut digest);
            self.revoked.push(list);
        }
        if self.revoked.is_empty() {
            let why = "the file holds none (`-----BEGIN X509 CRL-----`)".to_owned();
            return Err(MaterialError::BadRevocations(why));
        }
        self.digest = digest.finish();
        Ok(self)
    }

    /// The system's own; what cannot be used of them is left out, as everybody does.
    #[must_use]
    pub fn system(certificates: &[Vec<u8>]) -> Self {
        let mut store = RootCertStore::empty();
        let mut digest = DefaultHasher::new();
        certificates.hash(&mut digest);
        let all = certificates
            .iter()
            .map(|der| CertificateDer::from(der.clone()));
        store.add_parsable_certificates(all);
        Self {
            store: Arc::new(store),
            revoked: Vec::new(),
            facts: Vec::new(),
            digest: digest.finish(),
        }
    }

    /// Whether there is nobody to be believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }
}
