//! What the integration tests are written with: services that answer as told, a router as a
//! process of its own, callers that see every byte.
//!
//! Everything talks over real sockets on loopback, on ports that the system chooses. Nothing
//! here sleeps for something: [`until`] waits for a condition and fails at a deadline.
//! Plain threads and `std::net` on purpose: what is tested is the router's HTTP, so the tests
//! must not see the world through the same library.

pub mod client;
pub mod http2;
pub mod messages;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod reading;
pub mod router;
pub mod samples;
pub mod service;
pub mod tls;
pub mod wire;

use std::thread;
use std::time::{Duration, Instant};

pub use client::{Answer, Client};
pub use messages::Message;
pub use process::{Ran, soap_router};
pub use router::{Builder, Running, router};
pub use service::{Gate, Reply, Service, held, refusing, service, unanswering};
pub use wire::{Framing, Wire};

/// Longest wait for anything that must happen: generous, since machines are shared, and only
/// ever used up by a failing test.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until there is something, and gives it.
///
/// # Panics
/// When it does not come in time.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// The project's folder.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
