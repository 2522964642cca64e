//! Texts with ports that everybody would like to have, for ports that are free.

use std::collections::HashMap;
use std::net::TcpListener;

const BEFORE: &str = "127.0.0.1:";

/// Exchanges the ports behind `127.0.0.1:`, the same for the same.
#[derive(Debug, Default)]
pub struct FreePorts {
    /// Held until all are chosen, so that none is given twice.
    held: Vec<TcpListener>,
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
        let held = &mut self.held;
        let free = self.ports.entry(port.to_owned()).or_insert_with(|| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = socket.local_addr().unwrap().port().to_string();
            held.push(socket);
            port
        });
        free.clone()
    }
}
