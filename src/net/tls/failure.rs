//! Why a handshake failed, in words for whoever has to mend it.

use std::io;

use rustls::server::ClientHello;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Cipher suites named in a message; clients offer dozens.
const SUITES_SHOWN: usize = 8;

/// A handshake that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}{}", part("offered", .offered), part("expected", .expected))]
pub struct HandshakeError {
    what: String,
    offered: String,
    expected: String,
    #[source]
    source: Option<io::Error>,
}

fn part(name: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("; {name}: {text}")
    }
}

impl HandshakeError {
    pub(super) fn new(error: io::Error, offered: String, expected: String) -> Self {
        let what = match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
        {
            Some(error) => words(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "the other side closed the connection during the handshake".to_owned()
            }
            None => error.to_string(),
        };
        Self {
            what,
            offered,
            expected,
            source: Some(error),
        }
    }

    /// A handshake that failed late, as the cause of another error.
    #[must_use]
    pub fn within(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let inner = error
                .downcast_ref::<io::Error>()
                .and_then(|error| error.get_ref()?.downcast_ref::<Error>());
            if let Some(inner @ Error::AlertReceived(_)) = inner {
                return Some(Self::plain(&words(inner)));
            }
            next = error.source();
        }
        None
    }

    pub(super) fn plain(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            offered: String::new(),
            expected: String::new(),
            source: None,
        }
    }
}

/// What a caller offers, as far as it decides whether we can speak with it.
pub(super) fn offer(hello: &ClientHello<'_>) -> String {
    let name = hello.server_name().map_or_else(
        || "no host name".to_owned(),
        |name| format!("host `{name}`"),
    );
    let protocols = hello.alpn().map(|names| {
        let names: Vec<_> = names.map(String::from_utf8_lossy).collect();
        format!(", protocols {}", names.join(" "))
    });
    let suites = hello.cipher_suites();
    let shown: Vec<String> = suites
        .iter()
        .take(SUITES_SHOWN)
        .map(|suite| format!("{suite:?}"))
        .collect();
    let more = suites.len().saturating_sub(SUITES_SHOWN);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!(
        "{name}{}, cipher suites {}{more}",
        protocols.unwrap_or_default(),
        shown.join(" ")
    )
}

fn words(error: &Error) -> String {
    match error {
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => "no TLS version in common (1.0 and 1.1 are not spoken)".to_owned(),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "no cipher suite in common (those with CBC or without forward secrecy are not spoken)"
                .to_owned()
        }
        Error::NoCertificatesPresented => "the caller showed no certificate".to_owned(),
        Error::NoApplicationProtocol => "no protocol in common (ALPN)".to_owned(),
        Error::InvalidCertificate(error) => certificate(error),
        Error::InvalidMessage(_) => format!("the other side does not speak TLS ({error})"),
        Error::AlertReceived(alert) => received(*alert),
        // What was found by a rule of our own.
        Error::General(text) => text.clone(),
        other => other.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "the certificate is not signed by an authority that is trusted here".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate has expired ({error})")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate is not valid yet ({error})")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate is made out to another name ({error})")
        }
        CertificateError::Revoked => "the certificate was revoked (`client_crl`)".to_owned(),
        CertificateError::UnknownRevocationStatus => {
            "no list in `client_crl` is of the authority that signed the certificate".to_owned()
        }
        other => format!("the certificate is refused: {other}"),
    }
}

/// The other side says why it goes.
fn received(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA => "it does not trust the authority of the certificate shown",
        AlertDescription::CertificateExpired => "it finds the certificate shown expired",
        AlertDescription::CertificateRequired => "it wants a client certificate",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it refuses the certificate shown"
        }
        AlertDescription::ProtocolVersion => "it speaks no TLS version that is spoken here",
        AlertDescription::HandshakeFailure => {
            "it found nothing in common, perhaps because it speaks only TLS 1.0 or 1.1, or CBC cipher suites"
        }
        AlertDescription::UnrecognisedName => "it does not know the host name",
        _ => return format!("the other side refused: {alert:?}"),
    };
    format!("the other side refused: {why}")
}
