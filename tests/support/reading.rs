//! Bytes read by our own HTTP/1, and by hyper's: for the tests and for `fuzz/`.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use soap_router::http1::{Decoded, Decoder, Limits, Malformed, read_request, read_response};
use tokio::io::AsyncWriteExt as _;

/// Small enough to be reached.
pub const LIMITS: Limits = Limits {
    bytes_max: 4096,
    fields_max: 20,
};

/// A message as it was understood: its first line and fields, its body, the fields behind it.
pub type Message = (String, Vec<u8>, Vec<String>);

/// All messages of a connection on which these pieces come, and whether it stays usable.
pub fn read_all<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    asked: Option<&Method>,
) -> (Vec<Message>, Result<bool, Malformed>) {
    let mut input = BytesMut::new();
    let (mut scanned, mut messages) = (0, Vec::<Message>::new());
    let mut body: Option<Decoder> = None;
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let Some(decoder) = &mut body else {
                let head = match asked {
                    None => read_request(&mut input, &mut scanned, LIMITS).map(|head| {
                        head.map(|head| {
                            let line = format!("{} {}", head.parts.method, head.parts.uri);
                            let map = head.parts.headers.to_map();
                            assert_eq!(map.len(), head.parts.headers.len(), "none is lost");
                            (line + &shown(&map), head.framing)
                        })
                    }),
                    Some(asked) => read_response(&mut input, &mut scanned, LIMITS, asked)
                        .map(|head| head.map(|head| (head.parts.status.to_string(), head.framing))),
                };
                match head {
                    Ok(Some((line, framing))) => {
                        messages.push((line, Vec::new(), Vec::new()));
                        body = Some(Decoder::new(framing));
                        continue;
                    }
                    Ok(None) => break,
                    Err(error) => return (messages, Err(error)),
                }
            };
            let message = messages.last_mut().unwrap();
            match decoder.decode(&mut input) {
                Ok(Decoded::Data(data)) => message.1.extend_from_slice(&data),
                Ok(Decoded::Trailers(fields)) => {
                    let names = fields.keys().map(ToString::to_string);
                    message.2.extend(names);
                    body = None;
                }
                Ok(Decoded::End) => body = None,
                Ok(Decoded::More) => break,
                Err(error) => return (messages, Err(error)),
            }
            if body.as_ref().is_some_and(Decoder::is_done) {
                body = None;
            }
        }
    }
    (messages, Ok(body.is_none() && input.is_empty()))
}

/// Fields by their names, each as it came.
fn shown(map: &HeaderMap) -> String {
    let mut all: Vec<String> = map
        .keys()
        .map(|name| {
            format!(
                "\n{name}: {:?}",
                map.get_all(name).iter().collect::<Vec<_>>()
            )
        })
        .collect();
    all.sort_unstable();
    all.concat()
}

/// Those that are certainly there to their end.
pub fn complete(messages: &[Message], ended: Result<bool, Malformed>) -> &[Message] {
    match messages.split_last() {
        Some((_, others)) if ended != Ok(true) => others,
        _ => messages,
    }
}

/// What hyper's server takes for requests in these bytes.
pub fn as_hyper_reads(bytes: &[u8]) -> Vec<Message> {
    let seen: Arc<Mutex<Vec<Message>>> = Arc::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        let keep = Arc::clone(&seen);
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let keep = Arc::clone(&keep);
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let line = line + &shown(request.headers());
                if let Ok(whole) = request.into_body().collect().await {
                    let trailers = whole
                        .trailers()
                        .into_iter()
                        .flat_map(|fields| fields.keys());
                    let trailers = trailers.map(ToString::to_string).collect();
                    let body = whole.to_bytes().to_vec();
                    keep.lock().unwrap().push((line, body, trailers));
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(far), service)
            .await;
    });
    std::mem::take(&mut *seen.lock().unwrap())
}
