//! Many filters as one set, and the probe that decides them while a message is read.
//!
//! [`Set`] is compiled once and shared; [`Probe`] is one message's run over it: the scanner,
//! the XPath engine and the envelope's facts in a single pass. Serving, `explain` and `test`
//! all go through the same probe.

mod address;
mod custom;
mod environment;
mod error;
mod leaf;
mod probe;
mod set;
mod spec;
mod state;
mod trial;
mod value;

pub use address::{Address, AddressPattern};
pub use custom::{CustomError, MessageFilter, MessageView, Registry};
pub use environment::{PREDEFINED_PREFIXES, SOAP_PREFIX, environment};
pub use error::ReadError;
pub use probe::{Arrival, Considered, Probe};
pub use set::{Reading, Row, Set};
pub use spec::{Certificate, CertificateTest, HeaderTest, Spec, Sticky, TextTest};
pub use trial::{SyntaxError, TrialOutcome, XPathTrial};
pub use value::{Around, MessageValue};
