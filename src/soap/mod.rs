//! The envelope: what it says of itself, and faults in the caller's dialect.
//!
//! Reads along with the scanner of [`crate::xml`]; knows nothing of filters, endpoints or HTTP
//! connections.

mod addressing;
mod bridge;
mod facts;
mod fault;
mod head;
mod media;
mod multipart;
mod read_fault;
mod transfer;
mod version;

pub use addressing::{Addressing, WSA04, WSA10};
pub use bridge::{
    Arriving, Bridge, BridgeError, Carrier, Context, Dialect, FAULT_BYTES_MAX, FaultKind,
    HEADER_BYTES_MAX, HttpHead, Loss, Losses, OnSigned, Outcome, Package, Plan, Reference, Target,
    Within,
};
pub use facts::{Facts, QName};
pub(crate) use fault::push_escaped;
pub use fault::{Code, FAULT_NAMESPACE, Fault, ROUTER_NODE, Reason};
pub use head::{Head, HeadError, Stage, class_of};
pub use media::{ActionError, MediaError, MediaKind, MediaType, soap_action};
pub use multipart::{MultipartError, RootFinder};
pub use read_fault::{FaultClass, read_fault};
pub use version::{SOAP11, SOAP12, Version};
