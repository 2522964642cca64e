//! A message from a file, with the HTTP head that the command line gives it.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, bail};
use http::{HeaderName, HeaderValue, Method};

use crate::exchange::Origin;
use crate::fields::{CONTENT_TYPE, Fields, RequestParts};
use crate::net::tls::Session;

/// Largest message read from a file: the verbs hold it whole.
const MESSAGE_BYTES_MAX: u64 = 1 << 30;

/// Reads the message; `-` is stdin.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let shown = path.display();
    if path == Path::new("-") {
        std::io::stdin()
            .take(MESSAGE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .context("stdin")?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot open `{shown}`"))?;
        file.take(MESSAGE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read `{shown}`"))?;
    }
    Ok(bytes)
}

/// `Name: value` lines as headers. Without a `Content-Type` the one of the envelope's version
/// is assumed.
pub(super) fn headers(lines: &[String], message: &[u8]) -> anyhow::Result<Fields> {
    let mut headers = Fields::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            bail!("`{line}` is no header; write `Name: value`");
        };
        let name = HeaderName::from_bytes(name.trim().as_bytes())
            .with_context(|| format!("`{name}` is no header name"))?;
        let value = HeaderValue::from_str(value.trim())
            .with_context(|| format!("`{value}` is no header value"))?;
        headers.append(&name, &value);
    }
    if !headers.contains(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, guess(message));
    }
    Ok(headers)
}

fn guess(message: &[u8]) -> &'static str {
    let start = message.get(..message.len().min(4096)).unwrap_or_default();
    let soap12 = memchr::memmem::find(start, crate::soap::SOAP12.as_bytes()).is_some();
    if soap12 {
        "application/soap+xml"
    } else {
        "text/xml"
    }
}

/// A request head as it would arrive.
pub(super) fn head(url: &str, headers: Fields) -> anyhow::Result<RequestParts> {
    let uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
    Ok(RequestParts {
        headers,
        ..RequestParts::new(Method::POST, uri)
    })
}

/// Where it would come from.
pub(super) fn origin(listener: &str, url: &str) -> Origin {
    let mut origin = Origin::new(listener.into(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    if url.starts_with("https:") {
        origin.secure(Session::default());
    }
    origin
}
