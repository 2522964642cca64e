//! The access log: one line an exchange, written off the road.
//!
//! The road appends its line to a buffer in memory and goes on; a writer thread empties the
//! buffer ten times a second, so a busy router pays one large write for thousands of lines and
//! no wake-up for any of them. When the disk cannot keep up, lines are dropped and counted
//! instead of holding messages up.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;

/// Bytes of lines that may wait for the writer: at 10,000 messages a second, most of a second.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// How often the buffer is emptied: soon enough for who reads along.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One JSON object.
    Json,
    /// `key=value`, values quoted where needed.
    Logfmt,
}

/// The line was dropped because the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// Where lines go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog {
    waiting: Option<Arc<Waiting>>,
    format: AccessLogFormat,
}

#[derive(Debug)]
struct Waiting {
    buffer: Mutex<Buffer>,
    closing: Condvar,
}

#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<u8>,
    closed: bool,
}

/// The writer thread; told to end by [`Writer::close`].
#[derive(Debug)]
pub struct Writer {
    waiting: Arc<Waiting>,
    thread: JoinHandle<()>,
}

/// One line being put together: keys in the order in which they are given.
#[derive(Debug)]
pub struct Line {
    format: AccessLogFormat,
    text: Vec<u8>,
}

impl AccessLog {
    /// A log that keeps nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            waiting: None,
            format: AccessLogFormat::Json,
        }
    }

    /// A log to a file (appended to) or, without one, to stdout; and its writer.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not started.
    pub fn start(format: AccessLogFormat, path: Option<&Path>) -> io::Result<(Self, Writer)> {
        let output: Box<dyn Write + Send> = match path {
            Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
            None => Box::new(io::stdout()),
        };
        let waiting = Arc::new(Waiting {
            buffer: Mutex::default(),
            closing: Condvar::new(),
        });
        let own = Arc::clone(&waiting);
        let thread = thread::Builder::new()
            .name("access-log".into())
            .spawn(move || own.write(output))?;
        let log = Self {
            waiting: Some(Arc::clone(&waiting)),
            format,
        };
        Ok((log, Writer { waiting, thread }))
    }

    /// Whether lines are kept.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.waiting.is_some()
    }

    /// A line to fill in, or `None` when lines are not kept.
    #[must_use]
    pub fn line(&self) -> Option<Line> {
        self.waiting.as_ref().map(|_| Line {
            format: self.format,
            text: Vec::with_capacity(512),
        })
    }

    /// Hands a line to the writer without waiting for it.
    ///
    /// # Errors
    /// [`Overflow`] when too much waits already: the line is lost and should be counted.
    pub fn write(&self, line: Line) -> Result<(), Overflow> {
        let Some(waiting) = &self.waiting else {
            return Ok(());
        };
        let mut buffer = waiting.lock();
        if buffer.lines.len() > WAITING_BYTES_MAX {
            return Err(Overflow);
        }
        buffer.lines.append(&mut line.finish());
        Ok(())
    }
}

impl Writer {
    /// Writes what waits and ends the thread.
    pub fn close(self) {
        self.waiting.lock().closed = true;
        self.waiting.closing.notify_all();
        // A writer that panicked has already said so on stderr.
        let _ = self.thread.join();
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut output: Box<dyn Write + Send>) {
        let mut lines = Vec::new();
        loop {
            let buffer = self.lock();
            let (mut buffer, _) = self
                .closing
                .wait_timeout_while(buffer, WRITE_EVERY, |buffer| !buffer.closed)
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut buffer.lines, &mut lines);
            let closed = buffer.closed;
            drop(buffer);
            // A disk that is full now may have room later: what cannot be written is lost, the
            // log is not.
            let written = lines.is_empty()
                || output
                    .write_all(&lines)
                    .and_then(|()| output.flush())
                    .is_ok();
            if !written {
                tracing::warn!(bytes = lines.len(), "access log lines could not be written");
            }
            lines.clear();
            if closed {
                return;
            }
        }
    }
}

impl Line {
    /// Adds a field; `None` adds nothing.
    pub fn field(&mut self, key: &str, value: impl Serialize) -> &mut Self {
        let start = self.text.len();
        let separator: &[u8] = match (self.format, start) {
            (AccessLogFormat::Json, 0) => b"{",
            (AccessLogFormat::Json, _) => b",",
            (AccessLogFormat::Logfmt, 0) => b"",
            (AccessLogFormat::Logfmt, _) => b" ",
        };
        self.text.extend_from_slice(separator);
        match self.format {
            AccessLogFormat::Json => {
                self.text.push(b'"');
                self.text.extend_from_slice(key.as_bytes());
                self.text.extend_from_slice(b"\":");
            }
            AccessLogFormat::Logfmt => {
                self.text.extend_from_slice(key.as_bytes());
                self.text.push(b'=');
            }
        }
        let from = self.text.len();
        let written = serde_json::to_writer(&mut self.text, &value);
        if written.is_err() || self.text.get(from..) == Some(b"null") {
            self.text.truncate(start);
        } else if self.format == AccessLogFormat::Logfmt {
            self.quote_for_logfmt(from);
        }
        self
    }

    /// JSON's quoting is logfmt's, but a bare word needs none and a list needs some.
    fn quote_for_logfmt(&mut self, from: usize) {
        let value = self.text.split_off(from);
        let inner = value
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""));
        match (inner, value.first()) {
            (Some(inner), _) if is_bare(inner) => self.text.extend_from_slice(inner),
            (None, Some(b'[' | b'{')) => {
                let text = String::from_utf8_lossy(&value);
                // Writing a text to memory cannot fail.
                let _ = serde_json::to_writer(&mut self.text, &text);
            }
            _ => self.text.extend_from_slice(&value),
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut text = self.text;
        if self.format == AccessLogFormat::Json {
            text.extend_from_slice(if text.is_empty() { b"{}" } else { b"}" });
        }
        text.push(b'\n');
        text
    }
}

fn is_bare(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'=' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: AccessLogFormat) -> String {
        let mut line = Line {
            format,
            text: Vec::new(),
        };
        line.field("none", None::<u8>)
            .field("service", "orders")
            .field("bytes", 12);
        line.field("why", "a \"b\"=c").field("list", ["x", "y"]);
        String::from_utf8(line.finish()).unwrap()
    }

    #[test]
    fn both_formats() {
        assert_eq!(
            line(AccessLogFormat::Json),
            "{\"service\":\"orders\",\"bytes\":12,\"why\":\"a \\\"b\\\"=c\",\"list\":[\"x\",\"y\"]}\n"
        );
        assert_eq!(
            line(AccessLogFormat::Logfmt),
            "service=orders bytes=12 why=\"a \\\"b\\\"=c\" list=\"[\\\"x\\\",\\\"y\\\"]\"\n"
        );
    }

    #[test]
    fn lines_are_written_and_a_full_buffer_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let (log, writer) = AccessLog::start(AccessLogFormat::Logfmt, Some(&path)).unwrap();
        let long = "x".repeat(WAITING_BYTES_MAX);
        let mut results = Vec::new();
        for _ in 0..3 {
            let mut line = log.line().unwrap();
            line.field("a", &long);
            results.push(log.write(line));
        }
        writer.close();
        let kept = results.iter().filter(|result| result.is_ok()).count();
        assert!(results[0].is_ok());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap().lines().count(),
            kept
        );
    }
}
