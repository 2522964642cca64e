//! Messages to send: a body with the fields that a caller of its SOAP version puts before it.

use std::fs;
use std::path::Path;

use super::root;

pub const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";
pub const WSA10: &str = "http://www.w3.org/2005/08/addressing";

/// A body and the header fields that go with it.
#[derive(Debug, Clone)]
pub struct Message {
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// A body without any field.
    pub fn bare(body: impl Into<Vec<u8>>) -> Self {
        Self {
            fields: Vec::new(),
            body: body.into(),
        }
    }

    /// The same with another field; one of the name that is there already is replaced.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without this field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// A file under `fixtures/`, with the media type that its envelope asks for.
    pub fn fixture(path: &str) -> Self {
        Self::file(&root().join("fixtures").join(path))
    }

    /// A file, with the media type that its envelope asks for.
    pub fn file(path: &Path) -> Self {
        let body = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let kind = media_type_of(&body);
        Self::bare(body).with("Content-Type", kind)
    }
}

/// What a caller would send a message with these bytes as.
pub fn media_type_of(body: &[u8]) -> &'static str {
    let soap12 = super::wire::find(body, SOAP12.as_bytes()).is_some();
    if soap12 {
        "application/soap+xml; charset=utf-8"
    } else {
        "text/xml; charset=utf-8"
    }
}

/// An envelope of SOAP 1.1 with what stands in its Header and Body.
pub fn soap11(header: &str, body: &str) -> Message {
    Message::bare(envelope(SOAP11, header, body))
        .with("Content-Type", "text/xml; charset=utf-8")
        .with("SOAPAction", "\"urn:example:orders/Place\"")
}

/// An envelope of SOAP 1.2 with what stands in its Header and Body.
pub fn soap12(header: &str, body: &str) -> Message {
    Message::bare(envelope(SOAP12, header, body)).with(
        "Content-Type",
        "application/soap+xml; charset=utf-8; action=\"urn:example:orders/Place\"",
    )
}

/// An ordinary order, SOAP 1.1.
pub fn order() -> Message {
    soap11(
        "",
        "<o:Place xmlns:o=\"urn:example:orders\"><o:Item>A-1</o:Item></o:Place>",
    )
}

/// An ordinary order, SOAP 1.2.
pub fn order12() -> Message {
    soap12(
        "",
        "<o:Place xmlns:o=\"urn:example:orders\"><o:Item>A-1</o:Item></o:Place>",
    )
}

/// An order whose envelope has at least so many bytes, with the operation at its front.
pub fn long_order(bytes: usize) -> Message {
    let filling = "x".repeat(bytes);
    soap11(
        "",
        &format!("<o:Place xmlns:o=\"urn:example:orders\"><o:Note>{filling}</o:Note></o:Place>"),
    )
}

fn envelope(namespace: &str, header: &str, body: &str) -> String {
    let header = if header.is_empty() {
        String::new()
    } else {
        format!("<e:Header>{header}</e:Header>")
    };
    format!("<e:Envelope xmlns:e=\"{namespace}\">{header}<e:Body>{body}</e:Body></e:Envelope>")
}
