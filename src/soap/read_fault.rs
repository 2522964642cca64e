//! Is this answer a fault, and whose?
//!
//! Reads a whole answer with the scanner; used only where a status leaves it open.

use super::version::Version;
use crate::xml::{EndTag, Flow, Limits, Scanner, Sink, Tag};

/// Whose doing a fault says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    /// `Client` / `Sender`, the protocol codes, and codes of one's own.
    Sender,
    /// `Server` / `Receiver`.
    Receiver,
}

/// Follows the path to the fault code.
#[derive(Debug, Default)]
struct CodeReader {
    version: Option<Version>,
    in_body: bool,
    in_fault: bool,
    in_code: bool,
    wants: bool,
    code: Option<String>,
}

/// The class of the fault in this envelope; `None` when it holds none: Body has no `Fault` of
/// the envelope's namespace as its first child (SOAP 1.2 Part 1 §5.4; BP R1107).
#[must_use]
pub fn read_fault(bytes: &[u8]) -> Option<FaultClass> {
    let mut scanner = Scanner::new();
    let mut reader = CodeReader::default();
    scanner.begin(&Limits::default(), None, 0).ok()?;
    scanner.feed(bytes, &mut reader).ok()?;
    if !reader.in_fault {
        return None;
    }
    let code = reader.code.unwrap_or_default();
    let local = code.trim().rsplit(':').next().unwrap_or_default();
    // `Server.Timeout` is a kind of `Server` (S11 §4.4.1).
    match local.split('.').next() {
        Some("Server" | "Receiver") => Some(FaultClass::Receiver),
        _ => Some(FaultClass::Sender),
    }
}

impl Sink for CodeReader {
    fn symbol(&mut self, _namespace: &str, _local: &str) -> u64 {
        0
    }

    fn start(&mut self, tag: &Tag<'_>) -> Flow {
        let name = tag.name();
        let own = self
            .version
            .is_some_and(|version| version.namespace() == name.namespace);
        match (tag.depth(), name.local) {
            (1, "Envelope") => self.version = Version::from_namespace(name.namespace),
            (2, "Body") if own => self.in_body = true,
            (3, "Fault") if own && self.in_body => self.in_fault = true,
            // Whatever else stands first in Body: no fault.
            (3, _) if self.in_body => return Flow::Stop,
            (4, "faultcode") if self.in_fault => self.wants = self.code.is_none(),
            (4, "Code") if self.in_fault && own => self.in_code = true,
            (5, "Value") if self.in_code => self.wants = self.code.is_none(),
            _ => {}
        }
        Flow::Continue
    }

    fn wants_text(&self) -> bool {
        self.wants
    }

    fn text(&mut self, text: &str) {
        if self.wants {
            self.code.get_or_insert_default().push_str(text);
        }
    }

    fn comment(&mut self, _text: &str, _last: bool) {}

    fn end(&mut self, tag: &EndTag<'_>) -> Flow {
        match tag.depth {
            5 => self.wants = false,
            4 => {
                self.wants = false;
                self.in_code = false;
            }
            3 if self.in_fault => return Flow::Stop,
            _ => {}
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let soap11 = |code: &str| {
            format!(
                "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><e:Fault>\
                 <faultcode>{code}</faultcode><faultstring>x</faultstring></e:Fault></e:Body></e:Envelope>"
            )
        };
        let soap12 = "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body><e:Fault>\
             <e:Code><e:Value>e:Receiver</e:Value><e:Subcode><e:Value>e:Sender</e:Value></e:Subcode></e:Code>\
             </e:Fault></e:Body></e:Envelope>";
        let cases = [
            (soap11("e:Server"), Some(FaultClass::Receiver)),
            (soap11("e:Server.Busy"), Some(FaultClass::Receiver)),
            (soap11("Client"), Some(FaultClass::Sender)),
            (soap11(""), Some(FaultClass::Sender)),
            (soap12.to_owned(), Some(FaultClass::Receiver)),
            (soap11("e:Server").replace("e:Fault", "e:Other"), None),
            ("<html/>".to_owned(), None),
            ("not xml".to_owned(), None),
        ];
        for (message, expected) in cases {
            assert_eq!(read_fault(message.as_bytes()), expected, "{message}");
        }
    }
}
