//! `stub`: a SOAP service for tries and tests, which says who it is and echoes what it got.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::args::Stub;
use super::verdict::Verdict;
use crate::soap::{SOAP12, Version, push_escaped};

/// Largest message taken and echoed.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Namespace of the answer's elements.
const NAMESPACE: &str = "urn:soap-router:stub";

/// How a stub behaves.
#[derive(Debug, Clone)]
pub(super) struct Behaviour {
    pub(super) name: String,
    pub(super) soap: Option<Version>,
    pub(super) delay: Duration,
    pub(super) failure: Option<Failure>,
}

/// What it does instead of answering well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Fault,
    Html,
    Close,
    Hang,
    Status(StatusCode),
}

pub(super) fn run(args: &Stub) -> anyhow::Result<Verdict> {
    let behaviour = Arc::new(Behaviour {
        name: args.name.clone(),
        soap: args.soap.as_deref().map(|version| match version {
            "1.2" => Version::Soap12,
            _ => Version::Soap11,
        }),
        delay: args.delay,
        failure: args.fail.as_deref().map(failure).transpose()?,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = TcpListener::bind(args.bind)
            .await
            .with_context(|| format!("cannot listen on {}", args.bind))?;
        println!("{} http://{}/", args.name, socket.local_addr()?);
        tokio::select! {
            () = serve(socket, behaviour) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(Verdict::Fine)
    })
}

fn failure(text: &str) -> anyhow::Result<Failure> {
    Ok(match text {
        "fault" => Failure::Fault,
        "html" => Failure::Html,
        "close" => Failure::Close,
        "hang" => Failure::Hang,
        status => match status
            .parse()
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
        {
            Some(status) => Failure::Status(status),
            None => bail!("`--fail {text}`: use fault, html, close, hang or an HTTP status"),
        },
    })
}

/// Serves until dropped.
pub(super) async fn serve(socket: TcpListener, behaviour: Arc<Behaviour>) {
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            continue;
        };
        let behaviour = Arc::clone(&behaviour);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&behaviour, request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "stub connection ended");
            }
        });
    }
}

/// Breaks the connection off: hyper has no other way to say it.
#[derive(Debug, thiserror::Error)]
#[error("the stub was told to close")]
struct Closed;

async fn answer(
    behaviour: &Behaviour,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Closed> {
    let (head, body) = request.into_parts();
    let Ok(message) = Limited::new(body, MESSAGE_BYTES_MAX).collect().await else {
        return Ok(plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "text/plain",
            "too large",
        ));
    };
    tokio::time::sleep(behaviour.delay).await;
    match behaviour.failure {
        Some(Failure::Close) => return Err(Closed),
        Some(Failure::Hang) => std::future::pending::<()>().await,
        Some(Failure::Html) => {
            let page = "<html><body>Something went wrong</body></html>";
            return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "text/html", page));
        }
        Some(Failure::Status(status)) => return Ok(plain(status, "text/plain", "as told")),
        Some(Failure::Fault) | None => {}
    }
    if head.method != Method::POST {
        let text = format!("{} {} at {}\n", head.method, head.uri, behaviour.name);
        return Ok(plain(StatusCode::OK, "text/plain", &text));
    }
    Ok(soap_answer(behaviour, &head, &message.to_bytes()))
}

fn plain(status: StatusCode, kind: &'static str, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn soap_answer(
    behaviour: &Behaviour,
    head: &http::request::Parts,
    message: &[u8],
) -> Response<Full<Bytes>> {
    let soap12 = memchr::memmem::find(message, SOAP12.as_bytes()).is_some();
    let spoken = if soap12 {
        Version::Soap12
    } else {
        Version::Soap11
    };
    let wrong = behaviour.soap.is_some_and(|own| own != spoken);
    let version = behaviour.soap.unwrap_or(spoken);
    let (status, body) = match behaviour.failure {
        _ if wrong => (
            500,
            fault(
                version,
                "VersionMismatch",
                "the stub speaks another version",
            ),
        ),
        Some(_) => {
            let code = if version == Version::Soap11 {
                "Server"
            } else {
                "Receiver"
            };
            (500, fault(version, code, "the stub was told to fail"))
        }
        None => (200, echo(&behaviour.name, version, head, message)),
    };
    let kind = match version {
        Version::Soap11 => "text/xml; charset=utf-8",
        Version::Soap12 => "application/soap+xml; charset=utf-8",
    };
    let status = StatusCode::from_u16(status).unwrap_or_default();
    plain(status, kind, &body)
}

fn fault(version: Version, code: &str, text: &str) -> String {
    let body = match version {
        Version::Soap11 => {
            format!("<faultcode>s:{code}</faultcode><faultstring>{text}</faultstring>")
        }
        Version::Soap12 => format!(
            "<s:Code><s:Value>s:{code}</s:Value></s:Code>\
             <s:Reason><s:Text xml:lang=\"en\">{text}</s:Text></s:Reason>"
        ),
    };
    let namespace = version.namespace();
    format!(
        "<s:Envelope xmlns:s=\"{namespace}\"><s:Body><s:Fault>{body}</s:Fault></s:Body></s:Envelope>"
    )
}

/// Who answered, and what it got.
fn echo(name: &str, version: Version, head: &http::request::Parts, message: &[u8]) -> String {
    let mut out = format!(
        "<s:Envelope xmlns:s=\"{}\"><s:Body><a:Answer xmlns:a=\"{NAMESPACE}\">",
        version.namespace()
    );
    let header = |name: &str| {
        head.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut element = |tag: &str, text: &str| {
        out.push_str(&format!("<a:{tag}>"));
        push_escaped(&mut out, text);
        out.push_str(&format!("</a:{tag}>"));
    };
    element("By", name);
    element("Soap", version.as_str());
    element("Path", head.uri.path());
    element("ContentType", &header("content-type").unwrap_or_default());
    element("SoapAction", &header("soapaction").unwrap_or_default());
    element("Bytes", &message.len().to_string());
    element("Message", &String::from_utf8_lossy(message));
    out.push_str("</a:Answer></s:Body></s:Envelope>");
    out
}
