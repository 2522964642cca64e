//! Bytes read by our own HTTP/1, and by hyper's: for the tests and for `fuzz/`.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use soap_router::fields::Fields;
use soap_router::http1::{Decoded, Decoder, Limits, Malformed, read_request, read_response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
                            (line + &all_shown(&head.parts.headers), head.framing)
                        })
                    }),
                    Some(asked) => {
                        read_response(&mut input, &mut scanned, LIMITS, asked).map(|head| {
                            head.map(|head| {
                                let line = head.parts.status.to_string();
                                (line + &all_shown(&head.parts.headers), head.framing)
                            })
                        })
                    }
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
    // The connection ends here, and so does an answer that goes on until then.
    let is_done = body.is_none_or(|mut decoder| decoder.close());
    (messages, Ok(is_done && input.is_empty()))
}

fn all_shown(fields: &Fields) -> String {
    let map = fields.to_map();
    assert_eq!(map.len(), fields.len(), "none is lost");
    shown(&map)
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
    run(async {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        let keep = Arc::clone(&seen);
        let service = service_fn(move |request: Request<Incoming>| {
            let keep = Arc::clone(&keep);
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let line = line + &shown(request.headers());
                if let Some(message) = whole(line, request.into_body()).await {
                    keep.lock().unwrap().push(message);
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

/// What hyper's client takes for the answer to its one request in these bytes.
pub fn as_hyper_reads_answer(bytes: &[u8], asked: &Method) -> Option<Message> {
    run(async {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(far))
            .await
            .unwrap();
        let request = Request::builder().method(asked).uri("/");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = async {
            let answer = sender.send_request(request).await.ok()?;
            let line = answer.status().to_string() + &shown(answer.headers());
            whole(line, answer.into_body()).await
        };
        // What came before the request would not answer it.
        let endpoint = async {
            near.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
            near.write_all(bytes).await.unwrap();
            near.shutdown().await.unwrap();
        };
        tokio::join!(answer, connection, endpoint).0
    })
}

/// The message behind its first line and fields, if it comes to its end.
async fn whole(line: String, body: Incoming) -> Option<Message> {
    let whole = body.collect().await.ok()?;
    let trailers = whole.trailers().into_iter().flat_map(HeaderMap::keys);
    let trailers = trailers.map(ToString::to_string).collect();
    Some((line, whole.to_bytes().to_vec(), trailers))
}

fn run<T>(both_sides: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(both_sides)
}
