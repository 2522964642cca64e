//! What the HTTP head says about an envelope: media type, charset, action.
//!
//! Pure text in, values out; which of HTTP action and `wsa:Action` counts is decided in
//! [`Facts`](super::Facts). Rules H1–H25 of the bridging rules.

use super::version::Version;

/// The kind of body that a `Content-Type` announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// One envelope, in the version that the type names (`application/xml` names none).
    Envelope(Option<Version>),
    /// MTOM/XOP or SOAP with Attachments.
    Multipart,
}

/// A `Content-Type` as far as routing needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// What the body is.
    pub kind: MediaKind,
    /// `charset`, lower case.
    pub charset: Option<String>,
    /// `action` of SOAP 1.2 (RFC 3902), not decoded.
    pub action: Option<String>,
    /// `boundary`, `start`, `start-info` and `type` of a multipart body.
    pub parameters: Vec<(String, String)>,
}

/// Why a `Content-Type` cannot carry a SOAP message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// No header at all.
    #[error(
        "the request has no Content-Type; expected text/xml (SOAP 1.1), application/soap+xml (SOAP 1.2) or multipart/related"
    )]
    Missing,
    /// Another type.
    #[error(
        "Content-Type `{0}` carries no SOAP; expected text/xml (SOAP 1.1), application/soap+xml (SOAP 1.2) or multipart/related"
    )]
    NotSoap(String),
    /// Two headers, or one parameter with two values (RFC 9110 §5.3).
    #[error("Content-Type is given twice with different values; send one")]
    Ambiguous,
}

impl MediaType {
    /// Reads a `Content-Type` value.
    ///
    /// # Errors
    /// When the type is none that SOAP travels in, or a parameter is given twice.
    pub fn parse(value: &str) -> Result<Self, MediaError> {
        let (essence, rest) = value.split_once(';').unwrap_or((value, ""));
        let essence = essence.trim();
        let kind = kind_of(essence)
            .ok_or_else(|| MediaError::NotSoap(essence.chars().take(100).collect()))?;
        let parameters = parameters(rest)?;
        let find = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        Ok(Self {
            kind,
            charset: find("charset").map(|value| value.to_ascii_lowercase()),
            action: find("action").filter(|value| !value.is_empty()),
            parameters,
        })
    }

    /// The version that the type names; of a multipart type, that of its root part.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self.kind {
            MediaKind::Envelope(version) => version,
            MediaKind::Multipart => self.root_info().and_then(|root| root.version()),
        }
    }

    /// The action that the type states: its parameter, or that of a multipart type's
    /// `start-info`, which comes first (rule S21).
    #[must_use]
    pub fn stated_action(&self) -> Option<String> {
        self.stated_actions().next()
    }

    /// All that it states, in that order.
    pub(super) fn stated_actions(&self) -> impl Iterator<Item = String> {
        let inner = match self.kind {
            MediaKind::Envelope(_) => None,
            MediaKind::Multipart => self.root_info().and_then(|root| root.action),
        };
        inner.into_iter().chain(self.action.clone())
    }

    /// What `start-info` (or, as the MTOM text spells it, `startinfo`) or, without attachments'
    /// packaging, `type` says of the root part (rules S19, S20, S30).
    fn root_info(&self) -> Option<Self> {
        let info = self
            .parameter("start-info")
            .or_else(|| self.parameter("startinfo"));
        let info = info.or_else(|| self.parameter("type"))?;
        Self::parse(info)
            .ok()
            .filter(|root| root.kind != MediaKind::Multipart)
    }

    /// A multipart parameter by its lower-case name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

fn kind_of(essence: &str) -> Option<MediaKind> {
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    if is("text/xml") {
        Some(MediaKind::Envelope(Some(Version::Soap11)))
    } else if is("application/soap+xml") {
        Some(MediaKind::Envelope(Some(Version::Soap12)))
    } else if is("application/xml") {
        Some(MediaKind::Envelope(None))
    } else if is("multipart/related") {
        Some(MediaKind::Multipart)
    } else {
        None
    }
}

/// Splits `; a=b; c="d;e"`; an unquoted value runs to the next `;` (H22: real clients leave
/// the quotes of `action` away).
fn parameters(mut rest: &str) -> Result<Vec<(String, String)>, MediaError> {
    let mut found: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let Some((name, after)) = rest.split_once('=') else {
            return Ok(found);
        };
        let (value, remaining) = parameter_value(after);
        let name = name.trim().to_ascii_lowercase();
        match found.iter().find(|(known, _)| *known == name) {
            Some((_, known)) if *known != value => return Err(MediaError::Ambiguous),
            Some(_) => {}
            None => found.push((name, value)),
        }
        rest = remaining;
    }
}

fn parameter_value(text: &str) -> (String, &str) {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// The action that a `SOAPAction` header states: quotes removed, empty means none
/// (S11 §6.1.1; rules H13–H18).
///
/// # Errors
/// When the value is a list or contains control characters (H20, H21).
pub fn soap_action(value: &str) -> Result<Option<String>, ActionError> {
    let value = value.trim();
    if value.chars().any(char::is_control) {
        return Err(ActionError::Control);
    }
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value);
    if value.starts_with('"') && inner.contains('"') {
        return Err(ActionError::List);
    }
    Ok((!inner.is_empty()).then(|| inner.to_owned()))
}

/// Why the HTTP headers state no usable action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// Several actions in one header.
    #[error("SOAPAction holds a list; send exactly one action")]
    List,
    /// Two headers with different values.
    #[error("SOAPAction is sent twice with different values; send it once")]
    Twice,
    /// Control characters.
    #[error("SOAPAction contains control characters")]
    Control,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let cases = [
            ("text/xml", Some(Version::Soap11), None, None),
            (
                "TEXT/XML; Charset=UTF-8",
                Some(Version::Soap11),
                Some("utf-8"),
                None,
            ),
            (
                "application/soap+xml;charset=\"utf-8\";action=\"urn:a;b\"",
                Some(Version::Soap12),
                Some("utf-8"),
                Some("urn:a;b"),
            ),
            (
                "application/soap+xml; action=urn:x/y",
                Some(Version::Soap12),
                None,
                Some("urn:x/y"),
            ),
            (
                "application/soap+xml; action=\"a\\\"b\"",
                Some(Version::Soap12),
                None,
                Some("a\"b"),
            ),
            (
                "application/soap+xml; action=\"\"",
                Some(Version::Soap12),
                None,
                None,
            ),
        ];
        for (value, version, charset, action) in cases {
            let media = MediaType::parse(value).unwrap();
            assert_eq!(media.kind, MediaKind::Envelope(version), "{value}");
            assert_eq!(media.charset.as_deref(), charset, "{value}");
            assert_eq!(media.action.as_deref(), action, "{value}");
        }
        assert!(matches!(
            MediaType::parse("audio/mpeg"),
            Err(MediaError::NotSoap(_))
        ));
        assert_eq!(
            MediaType::parse("text/xml; charset=a; charset=b"),
            Err(MediaError::Ambiguous)
        );
        assert_eq!(
            MediaType::parse("multipart/related; start=\"<a>\"; boundary=x")
                .unwrap()
                .parameter("start"),
            Some("<a>")
        );
    }

    #[test]
    fn soap_actions() {
        let cases = [
            ("\"urn:x\"", Ok(Some("urn:x"))),
            ("urn:x", Ok(Some("urn:x"))),
            ("'urn:x'", Ok(Some("urn:x"))),
            ("\"\"", Ok(None)),
            ("", Ok(None)),
            ("\"a\", \"b\"", Err(ActionError::List)),
            ("\"a\u{1}\"", Err(ActionError::Control)),
        ];
        for (value, expected) in cases {
            assert_eq!(
                soap_action(value),
                expected.map(|action: Option<&str>| action.map(str::to_owned)),
                "{value}"
            );
        }
    }
}
