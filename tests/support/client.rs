//! A caller: one connection to the router, and what comes back on it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::messages::Message;
use super::tls;
use super::wire::{Framing, Head, Wire, chunked};

/// A caller's connection, kept open from one request to the next.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    /// What it calls the router in `Host`.
    pub host: String,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub head: Head,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Client {
    /// Connects.
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        Self {
            wire: Wire::new(stream),
            host: address.to_string(),
        }
    }

    /// Speaks TLS on a connection.
    pub fn secured(address: SocketAddr, config: &Arc<rustls::ClientConfig>, name: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        Self {
            wire: Wire::secured(stream, |stream| tls::connect(config, stream, name)),
            host: address.to_string(),
        }
    }

    /// The connection, for what is not an ordinary request.
    pub const fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Posts a message with its length announced.
    #[track_caller]
    pub fn post(&mut self, path: &str, message: &Message) -> Answer {
        self.try_post(path, message).expect("an answer")
    }

    /// The same, where the connection may end instead.
    pub fn try_post(&mut self, path: &str, message: &Message) -> io::Result<Answer> {
        self.wire.write(self.whole(path, message))?;
        self.answer("POST")
    }

    /// The same without waiting for the answer.
    #[track_caller]
    pub fn send(&mut self, path: &str, message: &Message) {
        self.wire.write(self.whole(path, message)).unwrap();
    }

    /// Posts a message in chunks of `size` bytes.
    #[track_caller]
    pub fn post_chunked(&mut self, path: &str, message: &Message, size: usize) -> Answer {
        let head = self.head(path, message, "Transfer-Encoding: chunked");
        let body = chunked(&message.body, size);
        self.wire.write([head.as_bytes(), &body].concat()).unwrap();
        self.answer("POST").expect("an answer")
    }

    /// A request without a body.
    #[track_caller]
    pub fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.wire.write(head).unwrap();
        self.answer(method).expect("an answer")
    }

    /// The same with GET.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    /// Reads the answer to a request that was written by hand.
    pub fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let head = self.wire.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let framing = head.framing(Some(method));
        let body = self.wire.body(framing)?;
        Ok(Answer {
            head,
            framing,
            body,
            trailers: self.wire.trailers(),
        })
    }

    /// This message with its head.
    pub fn whole(&self, path: &str, message: &Message) -> Vec<u8> {
        let head = self.head_with_length(path, message);
        [head.as_bytes(), &message.body].concat()
    }

    /// A request head for this message that announces its length.
    pub fn head_with_length(&self, path: &str, message: &Message) -> String {
        let length = format!("Content-Length: {}", message.body.len());
        self.head(path, message, &length)
    }

    /// A request head for this message.
    pub fn head(&self, path: &str, message: &Message, framing: &str) -> String {
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in &message.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(framing);
        head.push_str("\r\n\r\n");
        head
    }
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The service that answered, by the name it gives itself.
    #[track_caller]
    pub fn by(&self) -> String {
        self.between("<by>", "</by>").unwrap_or_else(|| {
            panic!(
                "no service answered this:\n{}{}",
                self.head.raw,
                self.text()
            )
        })
    }

    /// Why the router answered with a fault of its own, if it did.
    pub fn fault(&self) -> Option<String> {
        self.head.get("x-soap-router-fault").map(str::to_owned)
    }

    /// The exchange id in the router's fault.
    #[track_caller]
    pub fn exchange(&self) -> String {
        self.between("<r:exchange>", "</r:exchange>")
            .expect("an exchange id")
    }

    /// The text between two marks.
    pub fn between(&self, start: &str, end: &str) -> Option<String> {
        let text = self.text();
        let inner = text.split_once(start)?.1.split_once(end)?.0;
        Some(inner.to_owned())
    }

    /// The service that answered or the reason of the router's fault.
    #[track_caller]
    pub fn outcome(&self) -> String {
        self.fault().unwrap_or_else(|| self.by())
    }
}
