//! The access log: one line an exchange, written off the road.
//!
//! The road formats a line and hands it to a writer thread over a bounded queue; when the disk
//! cannot keep up, lines are dropped and counted instead of holding messages up.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use serde_json::{Map, Value};

/// Lines that may wait for the writer: at 10,000 messages a second, most of a second.
const QUEUE_MAX: usize = 8_192;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One JSON object.
    Json,
    /// `key=value`, values quoted where needed.
    Logfmt,
}

/// The line was dropped because the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// Where lines go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog {
    queue: Option<SyncSender<String>>,
    format: AccessLogFormat,
}

/// One line being put together: keys in the order in which they were given.
#[derive(Debug, Default)]
pub struct Line {
    fields: Map<String, Value>,
}

impl AccessLog {
    /// A log that keeps nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            queue: None,
            format: AccessLogFormat::Json,
        }
    }

    /// A log to a file (appended to) or, without one, to stdout; and its writer, which ends
    /// after the last line once every clone of the log is gone.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not started.
    pub fn start(
        format: AccessLogFormat,
        path: Option<&Path>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let output: Box<dyn Write + Send> = match path {
            Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
            None => Box::new(io::stdout()),
        };
        let (queue, lines) = sync_channel(QUEUE_MAX);
        let writer = thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(output, &lines))?;
        Ok((
            Self {
                queue: Some(queue),
                format,
            },
            writer,
        ))
    }

    /// Whether lines are kept at all; asked before a line is put together.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands a line to the writer without waiting.
    ///
    /// # Errors
    /// [`Overflow`] when the queue is full: the line is lost and should be counted.
    pub fn write(&self, line: &Line) -> Result<(), Overflow> {
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        match queue.try_send(line.format(self.format)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Overflow),
        }
    }
}

impl Line {
    /// Adds a field; `null` fields are left out.
    pub fn field(&mut self, key: &'static str, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        if !value.is_null() {
            self.fields.insert(key.to_owned(), value);
        }
        self
    }

    fn format(&self, format: AccessLogFormat) -> String {
        match format {
            AccessLogFormat::Json => serde_json::to_string(&self.fields).unwrap_or_default() + "\n",
            AccessLogFormat::Logfmt => self.logfmt(),
        }
    }

    fn logfmt(&self) -> String {
        let mut out = String::with_capacity(256);
        for (key, value) in &self.fields {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(key);
            out.push('=');
            match value {
                Value::String(text) if is_bare(text) => out.push_str(text),
                // JSON's quoting is logfmt's: backslash escapes within double quotes.
                Value::String(_) => out.push_str(&value.to_string()),
                Value::Array(_) | Value::Object(_) => {
                    out.push_str(&Value::String(value.to_string()).to_string());
                }
                other => out.push_str(&other.to_string()),
            }
        }
        out.push('\n');
        out
    }
}

fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=')
}

/// Writes what is waiting, then flushes: a quiet router's lines are seen at once, a busy one's
/// leave in large writes.
fn write(output: Box<dyn Write + Send>, lines: &Receiver<String>) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    while let Ok(line) = lines.recv() {
        let mut next = Some(line);
        while let Some(line) = next.take() {
            if output.write_all(line.as_bytes()).is_err() {
                return;
            }
            next = lines.try_recv().ok();
        }
        if output.flush().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        let mut line = Line::default();
        line.field("service", "orders")
            .field("bytes", 12)
            .field("why", "a \"b\"=c");
        line.field("none", Value::Null);
        assert_eq!(
            line.format(AccessLogFormat::Json),
            "{\"service\":\"orders\",\"bytes\":12,\"why\":\"a \\\"b\\\"=c\"}\n"
        );
        assert_eq!(
            line.format(AccessLogFormat::Logfmt),
            "service=orders bytes=12 why=\"a \\\"b\\\"=c\"\n"
        );
    }
}
