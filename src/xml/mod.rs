//! Bytes to namespaced events, under limits.
//!
//! [`Scanner`] is fed chunks of any size and tells a [`Sink`] what it reads; [`Observer`] is the
//! shallow face for a room that reads along in somebody else's pass (`xpath::Run` takes one).
//! What is told has been checked as strictly as XML 1.0 and Namespaces ask; DTDs and processing
//! instructions are refused. Every refusal is an [`Error`] whose text its sender can act on.
//!
//! [`Reader`] is a pull face over `quick-xml` for documents that are at hand whole (WSDL, imports),
//! with the same limits and errors; it is also what the scanner is tested against.
//!
//! **Invariant:** `quick_xml` is named in this room only; no clock, file or socket here; no panic on any input.
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod bookmark;
mod chars;
mod compare;
mod content;
mod decode;
mod error;
mod find;
mod input;
mod key;
mod likeness;
mod limits;
mod lists;
mod markup;
mod names;
mod opening;
mod quiet;
mod reader;
mod record;
mod remembered;
mod retrace;
mod ring;
mod room;
mod scanner;
mod scope;
mod sink;
mod skip;
mod tag;
mod text;
mod tokens;
mod trace;
mod window;

pub use bookmark::Bookmark;
pub use chars::{is_name_char, is_name_start, is_nc_name};
pub use error::{Error, ErrorKind};
pub use likeness::Likeness;
pub use limits::Limits;
pub use reader::{Event, Reader};
pub use scanner::{Fed, Scanner};
pub use scope::XML_NAMESPACE;
pub use sink::{
    Attribute, EndTag, Flow, Name, Nobody, Observer, Opening, Part, Records, Sink, Tag, Taken,
    Tests, Unconcerned, Want,
};
