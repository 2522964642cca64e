//! What a certificate says: subject, issuer, names, validity.

use std::fmt::Write as _;

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};

/// The facts of one certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Subject, as RFC 4514 text.
    pub subject: String,
    /// Issuer, as RFC 4514 text.
    pub issuer: String,
    /// Alternative names: DNS names, addresses, e-mail addresses, URIs.
    pub names: Vec<String>,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// First second of its validity, Unix time.
    pub not_before: i64,
    /// Last second of its validity, Unix time.
    pub not_after: i64,
    /// Both in words.
    pub from: String,
    /// Both in words.
    pub until: String,
    /// The certificate itself.
    pub der: Vec<u8>,
}

impl CertificateFacts {
    /// Reads a certificate; `None` if it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let names = parsed
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|names| {
                names
                    .value
                    .general_names
                    .iter()
                    .filter_map(general_name)
                    .collect()
            })
            .unwrap_or_default();
        let validity = parsed.validity();
        Some(Self {
            subject: rfc4514(parsed.subject()),
            issuer: rfc4514(parsed.issuer()),
            names,
            serial: hex(parsed.raw_serial()),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            from: validity.not_before.to_string(),
            until: validity.not_after.to_string(),
            der: der.to_owned(),
        })
    }

    /// SHA-1 of the certificate, hexadecimal: how other gateways and Windows name certificates.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der);
        hex(digest.as_ref())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => match bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            _ => {
                let sixteen: [u8; 16] = (*bytes).try_into().ok()?;
                Some(std::net::Ipv6Addr::from(sixteen).to_string())
            }
        },
        _ => None,
    }
}

/// Short names of attribute types (RFC 4514 §3, and the two that certificates of partners often
/// carry besides).
const ATTRIBUTES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("2.5.4.5", "serialNumber"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// A name as RFC 4514 writes it: the last part first, commas without blanks.
fn rfc4514(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let values: Vec<String> = part
                .iter()
                .map(|one| {
                    let oid = one.attr_type().to_id_string();
                    let short = ATTRIBUTES.iter().find(|(known, _)| *known == oid);
                    let kind = short.map_or(oid.as_str(), |(_, short)| short);
                    let value = one.as_str().map_or_else(
                        |_| String::from_utf8_lossy(one.as_slice()).into_owned(),
                        str::to_owned,
                    );
                    format!("{kind}={}", escape(&value))
                })
                .collect();
            values.join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// RFC 4514 §2.4.
fn escape(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        let special = matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (at == 0 && matches!(character, '#' | ' '))
            || (at == last && character == ' ');
        if special {
            out.push('\\');
        }
        if character == '\0' {
            out.push_str("\\00");
        } else {
            out.push(character);
        }
    }
    out
}
