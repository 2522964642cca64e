//! Asking a server whether it is well.
//!
//! A probe is a request of its own on a connection of its own; what it expects of the answer is
//! decided here, when it is asked is `upkeep`'s matter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use memchr::memmem;
use tokio::time::timeout;

use super::client::Client;
use super::endpoint::Endpoint;
use super::member::Member;
use crate::fields::{Fields, HOST, Request, RequestParts};
use crate::net::Body;

/// Most bytes of an answer that are searched.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How a server is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// GET, or POST where there is a body.
    pub method: Method,
    /// Path and query.
    pub target: Uri,
    /// `Host`, if it is not the server's.
    pub host: Option<HeaderValue>,
    /// The name that TLS asks for, where `host` names another one than the endpoint's.
    pub tls_name: Option<String>,
    /// Another port than the server's own.
    pub port: Option<u16>,
    /// More fields.
    pub headers: Fields,
    /// What is sent.
    pub body: Bytes,
    /// From the start of one to the start of the next.
    pub interval: Duration,
    /// Longest that one may take, all told.
    pub timeout: Duration,
    /// Good answers in a row that make a server healthy.
    pub healthy: u32,
    /// Failures in a row that make it unhealthy.
    pub unhealthy: u32,
    /// Part of the interval by which it is drawn shorter or longer, 0 to 1.
    pub jitter: f64,
    /// Whether a server counts as healthy until its first answer.
    pub assume_healthy: bool,
    /// What a good answer is.
    pub expect: Expect,
}

/// What a good answer is: all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// Ranges of statuses, ends included.
    pub statuses: Vec<(u16, u16)>,
    /// A text that the body holds.
    pub text: Option<String>,
    /// A test that the body passes.
    pub body: Option<BodyTest>,
}

/// A test of a body that another room brings: an XPath.
#[derive(Clone)]
pub struct BodyTest {
    /// As written; two tests are the same if this is.
    pub text: String,
    /// The test; an error says why it could not be made.
    pub test: Arc<dyn Fn(&[u8]) -> Result<bool, String> + Send + Sync>,
}

impl fmt::Debug for BodyTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyTest").field(&self.text).finish()
    }
}

impl PartialEq for BodyTest {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Probe {
    /// Asks once. `Ok` says what was good, `Err` what was not.
    pub(super) async fn ask(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        member: &Member,
    ) -> Result<String, String> {
        timeout(self.timeout, self.ask_in_time(client, endpoint, member))
            .await
            .unwrap_or_else(|_elapsed| Err(format!("timed out after {:?}", self.timeout)))
    }

    async fn ask_in_time(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        member: &Member,
    ) -> Result<String, String> {
        let (mut address, server) = (member.address(), member.server());
        let host = self.host.clone();
        let host = host.unwrap_or_else(|| endpoint.host_of(server));
        let name = self.tls_name.as_deref();
        let name = name.or_else(|| endpoint.tls_name_of(server));
        address.set_port(self.port.unwrap_or_else(|| address.port()));
        let endpoint = Endpoint {
            connect_timeout: self.timeout,
            response_timeout: self.timeout,
            timeout: None,
            authority: host.clone(),
            ..endpoint.clone()
        };
        let reply = client
            .once(&endpoint, address, name, self.request(&host))
            .await
            .map_err(|error| error.to_string())?;
        let status = reply.head.status;
        self.expect.check_status(status)?;
        if self.expect.looks_inside() {
            let body = beginning(reply.body).await?;
            self.expect.check_body(&body)?;
        }
        Ok(format!("the probe was answered with {}", status.as_u16()))
    }

    fn request(&self, host: &HeaderValue) -> Request<Body> {
        let body = if self.body.is_empty() {
            Body::Empty
        } else {
            Body::Full(self.body.clone())
        };
        let mut head = Box::new(RequestParts::new(self.method.clone(), self.target.clone()));
        head.headers.clone_from(&self.headers);
        head.headers.insert(HOST, host);
        Request { head, body }
    }
}

impl Expect {
    const fn looks_inside(&self) -> bool {
        self.text.is_some() || self.body.is_some()
    }

    fn check_status(&self, status: StatusCode) -> Result<(), String> {
        let status = status.as_u16();
        let fits = |&(low, high): &(u16, u16)| (low..=high).contains(&status);
        if self.statuses.iter().any(fits) {
            return Ok(());
        }
        let ranges: Vec<String> = self
            .statuses
            .iter()
            .map(|(low, high)| match low == high {
                true => low.to_string(),
                false => format!("{low}-{high}"),
            })
            .collect();
        Err(format!(
            "expected status {}, received {status}",
            ranges.join(",")
        ))
    }

    fn check_body(&self, body: &[u8]) -> Result<(), String> {
        if let Some(text) = &self.text
            && memmem::find(body, text.as_bytes()).is_none()
        {
            return Err("the body does not contain the expected text".into());
        }
        let Some(test) = &self.body else {
            return Ok(());
        };
        match (test.test)(body) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("`{}` is false", test.text)),
            Err(why) => Err(format!("`{}` cannot be decided: {why}", test.text)),
        }
    }
}

/// The first bytes of a body, as many as are searched.
async fn beginning<B>(body: B) -> Result<Bytes, String>
where
    B: HttpBody<Data = Bytes>,
    B::Error: fmt::Display,
{
    let mut body = std::pin::pin!(body);
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.as_mut().frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() >= BODY_BYTES_MAX {
            bytes.truncate(BODY_BYTES_MAX);
            break;
        }
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_expected_or_it_is_told_why_not() {
        let expect = Expect {
            statuses: vec![(200, 399), (403, 403)],
            text: Some("Healthy".into()),
            body: Some(BodyTest {
                text: "//ok".into(),
                test: Arc::new(|body| Ok(body.ends_with(b"ok"))),
            }),
        };
        let status = |code| expect.check_status(StatusCode::from_u16(code).unwrap());
        assert!(status(200).is_ok() && status(399).is_ok() && status(403).is_ok());
        assert_eq!(
            status(500).unwrap_err(),
            "expected status 200-399,403, received 500"
        );
        let body = |body: &[u8]| expect.check_body(body);
        assert!(body(b"Healthy, ok").is_ok());
        assert!(body(b"ok").unwrap_err().contains("does not contain"));
        assert_eq!(body(b"Healthy").unwrap_err(), "`//ok` is false");
    }
}
