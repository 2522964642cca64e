//! TLS of listeners and endpoints, from the files that were read.

use std::path::PathBuf;

use super::model::CertificateExpiry;
use crate::config::{self, Files, Spanned};
use crate::diag::{Diagnostic, Report, Span};
use crate::net;
use crate::net::tls::{
    AskCertificate, CertificateFacts, Chain, ClientTls, Fingerprint, MaterialError, OldestVersion,
    Roots, ServerTls, Spoken, Trust, Verify,
};

/// A certificate that ends sooner than this is warned of: time enough to get another one.
const EXPIRES_SOON: i64 = 30 * 86_400;

/// Compiles TLS and tells what is wrong with the files.
pub(super) struct TlsCompiler<'a> {
    pub(super) files: &'a Files,
    pub(super) report: &'a mut Report,
    pub(super) shown: &'a mut Vec<CertificateExpiry>,
}

impl TlsCompiler<'_> {
    /// A listener's.
    pub(super) fn listener(
        &mut self,
        name: &str,
        written: &Spanned<config::ListenerTls>,
        http2: bool,
    ) -> Option<ServerTls> {
        let tls = &written.value;
        let first = self.chain(&tls.cert, &tls.key);
        let mut more = Vec::with_capacity(tls.certificates.len());
        for pair in &tls.certificates {
            more.push(self.chain(&pair.cert, &pair.key));
        }
        let ask = match (&tls.client_ca, &tls.client_auth) {
            (Some(ca), ask) => {
                let roots = self.roots(ca)?;
                let roots = match &tls.client_crl {
                    Some(crl) => {
                        let pem = self.files.get(&crl.value)?;
                        self.told(crl.span, roots.but(pem))?
                    }
                    None => roots,
                };
                match ask.as_ref().map(|ask| ask.value) {
                    Some(config::ClientAuth::Request) => AskCertificate::Request(roots),
                    None | Some(config::ClientAuth::Require) => AskCertificate::Require(roots),
                }
            }
            (None, _) => AskCertificate::Never,
        };
        let (asks, crl) = (tls.client_auth.as_ref(), tls.client_crl.as_ref());
        let alone = asks.map(|ask| ("client_auth", ask.span));
        let alone = alone
            .into_iter()
            .chain(crl.map(|crl| ("client_crl", crl.span)));
        for (key, span) in alone.filter(|_| tls.client_ca.is_none()) {
            let text = format!("`{key}` has no effect without `client_ca`");
            let told = Diagnostic::warning("no-effect", text, span);
            self.report
                .push(told.hint("name the authorities of the callers' certificates"));
        }
        let (first, more) = (first?, more.into_iter().collect::<Option<Vec<_>>>()?);
        for chain in std::iter::once(&first).chain(&more) {
            self.note("listener", name, &chain.facts);
        }
        let suites = self.suites(&tls.cipher_suites);
        let spoken = Spoken {
            oldest: oldest(tls.min_version),
            suites: &suites,
            http2,
        };
        self.told(written.span, ServerTls::new(&first, &more, ask, spoken))
    }

    fn suites(&mut self, written: &[Spanned<String>]) -> Vec<String> {
        let known: Vec<String> = net::tls::cipher_suites().collect();
        for name in written.iter().filter(|name| !known.contains(&name.value)) {
            let text = format!("`{}` is not a cipher suite that is spoken here", name.value);
            let told = Diagnostic::error("unknown-word", text, name.span);
            let told = told.allowed(known.iter().map(String::as_str));
            self.report.push(told.hint(
                "those with CBC or without forward secrecy are not spoken; names are as registered with IANA",
            ));
        }
        written.iter().map(|name| name.value.clone()).collect()
    }

    /// An endpoint's.
    pub(super) fn endpoint(
        &mut self,
        name: &str,
        written: &config::Endpoint,
        http2: bool,
    ) -> Option<ClientTls> {
        if !written.url.value.tls {
            if let Some(tls) = &written.tls {
                let text = format!("`tls` of endpoint `{name}` has no effect");
                let told = Diagnostic::warning("no-effect", text, tls.span)
                    .other(written.url.span, "this URL is not `https://`");
                self.report
                    .push(told.hint("write `https://`, or remove `tls`"));
            }
            return None;
        }
        let tls = written.tls.as_ref().map(|tls| &tls.value);
        let span = written
            .tls
            .as_ref()
            .map_or(written.url.span, |tls| tls.span);
        let verify = self.verify(written, tls)?;
        let own = match tls.map(|tls| (&tls.cert, &tls.key)) {
            None | Some((None, None)) => None,
            Some((Some(cert), Some(key))) => {
                let chain = self.chain(cert, key)?;
                self.note("endpoint", name, &chain.facts);
                Some(chain)
            }
            Some((Some(_), None) | (None, Some(_))) => {
                let text = format!("`tls` of endpoint `{name}` has only one of `cert` and `key`");
                let told = Diagnostic::error("conflicting-keys", text, span);
                self.report
                    .push(told.hint("a client certificate needs both"));
                return None;
            }
        };
        let trust = Trust {
            verify,
            own,
            name: tls
                .and_then(|tls| tls.server_name.as_ref())
                .map(|name| name.value.clone()),
            oldest: oldest(tls.map_or(config::TlsVersion::V12, |tls| tls.min_version)),
            http2,
        };
        self.told(span, ClientTls::new(trust))
    }

    fn verify(
        &mut self,
        written: &config::Endpoint,
        tls: Option<&config::EndpointTls>,
    ) -> Option<Verify> {
        if let Some(tls) = tls
            && let Some(pin) = tls.pins.first()
        {
            return self.pinned(tls, pin.span);
        }
        if let Some(tls) = tls
            && tls.verify.value == config::TlsVerify::None
        {
            let text = "the endpoint's certificate is not verified";
            let told = Diagnostic::warning("tls-not-verified", text, tls.verify.span)
                .label("whoever answers there is believed");
            let told = told.hint(
                "name the endpoint's authority with `ca`; a self-signed certificate is its own",
            );
            self.report.push(told);
            return Some(Verify::Nothing);
        }
        let verify = match tls.map(|tls| tls.verify.value) {
            Some(config::TlsVerify::Chain) => Verify::Chain,
            _ => Verify::Full,
        };
        if let Some(ca) = tls.and_then(|tls| tls.ca.as_ref()) {
            return self.roots(ca).map(verify);
        }
        let roots = Roots::system(&self.files.system_roots);
        // Without a clock nobody looked at the system either.
        if roots.is_empty() && !self.files.read_at.is_zero() {
            let text = "the system has no trusted authorities, so no certificate can be verified";
            let told = Diagnostic::error("bad-certificate", text, written.url.span);
            self.report.push(told.hint(
                "install the system's certificates (`ca-certificates`), or name the endpoint's authority with `tls: { ca: ... }`",
            ));
            return None;
        }
        Some(verify(roots))
    }

    /// By the certificates themselves.
    fn pinned(&mut self, tls: &config::EndpointTls, span: Span) -> Option<Verify> {
        if tls.ca.is_some() || tls.verify.value != config::TlsVerify::Full {
            let text = "`pins` say which certificates are believed, and so does `ca` or `verify`";
            let told = Diagnostic::error("conflicting-keys", text, span);
            self.report.push(told.hint("keep `pins`, or the others"));
            return None;
        }
        let mut pins = Vec::with_capacity(tls.pins.len());
        for pin in &tls.pins {
            let Some(fingerprint) = Fingerprint::parse(&pin.value) else {
                let text = format!("`{}` is not the fingerprint of a certificate", pin.value);
                let told = Diagnostic::error("bad-certificate", text, pin.span);
                let told = told.label("64 hexadecimal digits, with or without colons");
                self.report.push(
                    told.hint("`openssl x509 -noout -fingerprint -sha256 -in FILE` prints it"),
                );
                return None;
            };
            pins.push(fingerprint);
        }
        Some(Verify::Pinned(pins))
    }

    fn chain(&mut self, cert: &Spanned<PathBuf>, key: &Spanned<PathBuf>) -> Option<Chain> {
        // What could not be read was told when it was tried.
        let (chain, key_pem) = (self.files.get(&cert.value), self.files.get(&key.value));
        let chain = chain.and_then(|pem| self.told(cert.span, Chain::certificates(pem)))?;
        let chain = self.told(key.span, Chain::with_key(chain, key_pem?))?;
        self.expiry(cert, &chain.facts);
        Some(chain)
    }

    fn roots(&mut self, ca: &Spanned<PathBuf>) -> Option<Roots> {
        let pem = self.files.get(&ca.value)?;
        let roots = self.told(ca.span, Roots::read(pem))?;
        for one in &roots.facts {
            self.expiry(ca, one);
        }
        Some(roots)
    }

    fn told<T>(&mut self, span: Span, made: Result<T, MaterialError>) -> Option<T> {
        let error = match made {
            Ok(made) => return Some(made),
            Err(error) => error,
        };
        let rule = match &error {
            MaterialError::NoKey | MaterialError::BadKey(_) | MaterialError::Mismatch => "bad-key",
            _ => "bad-certificate",
        };
        let told = match rule {
            "bad-key" => Diagnostic::error("bad-key", error.to_string(), span)
                .hint("PEM, PKCS #8 or as OpenSSL writes it, without a passphrase"),
            _ => Diagnostic::error("bad-certificate", error.to_string(), span)
                .hint("PEM, the certificate itself first and its issuers behind it"),
        };
        self.report.push(told);
        None
    }

    fn expiry(&mut self, path: &Spanned<PathBuf>, facts: &CertificateFacts) {
        let now = i64::try_from(self.files.read_at.as_secs()).unwrap_or(i64::MAX);
        if now == 0 || facts.not_after >= now.saturating_add(EXPIRES_SOON) {
            return;
        }
        let when = if facts.not_after < now {
            "expired"
        } else {
            "expires"
        };
        let text = format!(
            "the certificate of `{}` {when} on {}",
            facts.subject, facts.until
        );
        let told = Diagnostic::warning("certificate-expires", text, path.span);
        self.report
            .push(told.hint("put a new one in the same file: it is taken up without a restart"));
    }

    fn note(&mut self, side: &'static str, name: &str, facts: &CertificateFacts) {
        self.shown.push(CertificateExpiry {
            side,
            name: name.to_owned(),
            subject: facts.subject.clone(),
            not_after: facts.not_after,
        });
    }
}

const fn oldest(written: config::TlsVersion) -> OldestVersion {
    match written {
        config::TlsVersion::V12 => OldestVersion::Tls12,
        config::TlsVersion::V13 => OldestVersion::Tls13,
    }
}
