//! TLS on both sides: what certificates and keys are good for, who is shown which, who is believed.
//!
//! Takes the bytes of files and gives [`ServerTls`] and [`ClientTls`], which make streams of
//! streams; what is wrong with a file is told in words, and so is why a handshake failed: what
//! was offered, and what was expected.
//!
//! **Invariant:** nobody else names the TLS library.

mod certificate;
mod client;
mod failure;
mod material;
mod names;
mod protocol;
mod server;
mod verifier;

pub use certificate::CertificateFacts;
pub use client::{ClientTls, Trust, Verify};
pub use failure::HandshakeError;
pub use material::{Chain, Fingerprint, MaterialError, Roots};
pub use protocol::{OldestVersion, cipher_suites};
pub use server::{AskCertificate, ServerTls, Session, Spoken};
pub use tokio_rustls::client::TlsStream as ClientStream;
pub use tokio_rustls::server::TlsStream as ServerStream;
