//! What HTTP must say of a bridged message (bridging rules §1 and 5.3).

use std::borrow::Cow;

use super::plan::{FaultKind, Outcome};
use crate::soap::version::Version;

/// Header fields that go with a bridged message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHead {
    /// `Content-Type`.
    pub content_type: String,
    /// `SOAPAction`, quoted; requests of SOAP 1.1 only (H24, H26, H29).
    pub soap_action: Option<String>,
}

impl Outcome {
    /// The fields of a request.
    #[must_use]
    pub fn request_head(&self) -> HttpHead {
        let action = self.action();
        match self.to.soap {
            Version::Soap11 => HttpHead {
                content_type: "text/xml; charset=utf-8".into(),
                soap_action: Some(["\"", &field(action.unwrap_or("")), "\""].concat()),
            },
            Version::Soap12 => HttpHead {
                content_type: content_type12(action),
                soap_action: None,
            },
        }
    }

    /// The fields of an answer; `action` is the parameter that the endpoint's answer had (H29).
    #[must_use]
    pub fn reply_head(&self, action: Option<&str>) -> HttpHead {
        HttpHead {
            content_type: match self.to.soap {
                Version::Soap11 => "text/xml; charset=utf-8".into(),
                Version::Soap12 => content_type12(action),
            },
            soap_action: None,
        }
    }

    /// The status of an answer that came with this one (H36 to H41); `sender_fault` is what a
    /// SOAP 1.2 fault of the sender's gets.
    #[must_use]
    pub const fn status(&self, status: u16, sender_fault: u16) -> u16 {
        match (self.fault, self.to.soap) {
            (Some(FaultKind::Sender), Version::Soap12) => sender_fault,
            (Some(_), _) => 500,
            (None, Version::Soap11) if status == 202 => 200,
            (None, _) => status,
        }
    }
}

/// H27: an absolute URI only, in quotes.
fn content_type12(action: Option<&str>) -> String {
    let plain = "application/soap+xml; charset=utf-8";
    match action.filter(|action| super::convert::is_absolute(action)) {
        Some(action) => [plain, "; action=\"", &field(action), "\""].concat(),
        None => plain.to_owned(),
    }
}

/// An action as it may stand between quotes in a header field (H21, H28).
pub(super) fn field(action: &str) -> Cow<'_, str> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if action.bytes().all(plain) {
        return Cow::Borrowed(action);
    }
    let mut out = String::with_capacity(action.len());
    for byte in action.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Cow::Owned(out)
}
