//! HTTP/1 as bytes: reads heads and bodies off a socket and keeps them as they came.
//!
//! Strict where the router must be right (framing), silent about everything else. Not an HTTP
//! library: no connection rules, no validation of fields.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use super::PATIENCE;

/// A start line with its fields, as they were spelled.
#[derive(Debug, Clone)]
pub struct Head {
    /// Every byte up to and with the empty line.
    pub raw: String,
    /// The first line.
    pub start: String,
    /// Names as spelled, values trimmed.
    pub fields: Vec<(String, String)>,
}

/// How a body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Ends with the connection.
    Close,
}

/// One side of a connection.
pub struct Wire {
    stream: TcpStream,
    /// TLS over the stream, where it is spoken.
    tls: Option<Box<dyn Secured>>,
    ahead: Vec<u8>,
    /// Fields behind the last chunk of the body that was read last.
    trailers: Vec<(String, String)>,
}

/// TLS over a stream, of either side.
pub trait Secured: io::Read + io::Write + Send {}

impl<T: io::Read + io::Write + Send> Secured for T {}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl Head {
    fn parse(raw: String) -> Self {
        let mut lines = raw.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .take_while(|line| !line.is_empty())
            .filter_map(field)
            .collect();
        Self { raw, start, fields }
    }

    /// The value of a field, however its name is spelled.
    pub fn get(&self, name: &str) -> Option<&str> {
        let own = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .find(own)
            .map(|(_, value)| value.as_str())
    }

    /// How the field's name is spelled, if it is there.
    pub fn spelling(&self, name: &str) -> Option<&str> {
        let own = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .find(own)
            .map(|(known, _)| known.as_str())
    }

    /// The status of a status line.
    pub fn status(&self) -> u16 {
        let code = self.start.split(' ').nth(1).unwrap_or_default();
        code.parse()
            .unwrap_or_else(|_| panic!("no status in `{}`", self.start))
    }

    /// The method of a request line.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// How the body is framed that follows; `answers` is the method of the request that this
    /// answers, if it is an answer.
    pub fn framing(&self, answers: Option<&str>) -> Framing {
        if let Some(method) = answers {
            let status = self.status();
            if method == "HEAD" || status / 100 == 1 || status == 204 || status == 304 {
                return Framing::None;
            }
        }
        if self
            .get("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return Framing::Chunked;
        }
        match self.get("content-length").map(str::parse) {
            Some(Ok(length)) => Framing::Length(length),
            Some(Err(_)) => panic!("Content-Length is no number: {}", self.raw),
            None if answers.is_some() => Framing::Close,
            None => Framing::None,
        }
    }
}

impl Wire {
    /// Takes a connection over; reading gives up after [`PATIENCE`].
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            tls: None,
            ahead: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// The same under TLS; `secure` is given a second handle of the stream.
    pub fn secured<S: Secured + 'static>(
        stream: TcpStream,
        secure: impl FnOnce(TcpStream) -> S,
    ) -> Self {
        let mut wire = Self::new(stream);
        wire.tls = Some(Box::new(secure(wire.stream.try_clone().unwrap())));
        wire
    }

    /// The socket.
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes all of it.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                tls.write_all(bytes.as_ref())?;
                tls.flush()
            }
            None => self.stream.write_all(bytes.as_ref()),
        }
    }

    /// More bytes into `ahead`; says whether there were any.
    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 64 * 1024];
        let count = match &mut self.tls {
            Some(tls) => tls.read(&mut chunk)?,
            None => self.stream.read(&mut chunk)?,
        };
        self.ahead.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    /// The next head; `None` when the connection ends before one begins.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let raw = self.ahead.drain(..end + 4).collect();
                let raw = String::from_utf8(raw).map_err(io::Error::other)?;
                return Ok(Some(Head::parse(raw)));
            }
            if !self.fill()? {
                return match self.ahead.as_slice() {
                    [] => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Waits for at least one byte, and takes none.
    pub fn begins(&mut self) -> io::Result<()> {
        if self.ahead.is_empty() && !self.fill()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Waits for these bytes, and takes none.
    pub fn comes(&mut self, bytes: &[u8]) -> io::Result<()> {
        while find(&self.ahead, bytes).is_none() {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// The fields behind the last chunk of the body that was read last.
    pub fn trailers(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.trailers)
    }

    /// The body behind a head, taken out of its framing.
    pub fn body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => self.exactly(length),
            Framing::Close => {
                while self.fill()? {}
                Ok(std::mem::take(&mut self.ahead))
            }
            Framing::Chunked => {
                let mut body = Vec::new();
                loop {
                    let line = self.line()?;
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
                    if size == 0 {
                        return self.read_trailers().map(|()| body);
                    }
                    body.extend(self.exactly(size)?);
                    if !self.line()?.is_empty() {
                        return Err(io::Error::other("no line end behind a chunk"));
                    }
                }
            }
        }
    }

    fn read_trailers(&mut self) -> io::Result<()> {
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            self.trailers.extend(field(&line));
        }
    }

    /// Some of what comes next, at least one byte; empty at the end of the connection.
    pub fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < count {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..count).collect())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line = self.ahead.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(io::Error::other);
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A field line taken apart.
fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

/// Where `needle` begins in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A body cut into chunks of at most `size` bytes.
pub fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend(format!("{:x}\r\n", chunk.len()).bytes());
        out.extend(chunk);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\n\r\n");
    out
}
