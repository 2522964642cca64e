//! Texts with ports that everybody would like to have, for ports that are free.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const BEFORE: &str = "127.0.0.1:";
/// Ports that the system gives to nobody who asks for any: those chosen here are free until they are used,
/// although other tests open sockets all the time.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// Exchanges the ports behind `127.0.0.1:`, the same for the same.
#[derive(Debug, Default)]
pub struct FreePorts {
    ports: HashMap<String, String>,
}

impl FreePorts {
    /// The text with free ports in it.
    pub fn exchange(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(BEFORE) {
            let (before, after) = rest.split_at(at + BEFORE.len());
            let digits = after
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(after.len());
            out.push_str(before);
            out.push_str(&self.free(&after[..digits]));
            rest = &after[digits..];
        }
        out + rest
    }

    fn free(&mut self, port: &str) -> String {
        // A pattern such as `127.0.0.1:*` is left as it is.
        if port.is_empty() {
            return String::new();
        }
        let free = self.ports.entry(port.to_owned());
        free.or_insert_with(|| next().to_string()).clone()
    }
}

/// A port that nobody in this process was given before, and that nobody uses.
fn next() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Processes that test at the same time begin at different places.
    let begin = std::process::id().wrapping_mul(37);
    let begin = u16::try_from(begin % u32::from(COUNT)).unwrap();
    loop {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(given < COUNT, "no port is free");
        let port = FIRST + (begin + given) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
