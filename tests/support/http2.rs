//! Services that speak HTTP/2, prior knowledge or ALPN: each request is kept as it came and
//! answered as told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Response, request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::until;

/// A request as the service got it.
#[derive(Debug, Clone)]
pub struct Got {
    pub head: Arc<request::Parts>,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// Why it has no end, if it has none.
    pub broken: Option<Option<Reason>>,
}

/// What it does with a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Says who it is, once the message is whole.
    Echo,
    /// The same, and no more requests are taken on the connection.
    LastEcho,
    /// These bytes, in frames of so many, then these fields behind them.
    Send(Vec<u8>, usize, Option<HeaderMap>),
    /// So many of these bytes before the stream is reset.
    Break(Vec<u8>),
    /// The stream is reset at once.
    Reset(Reason),
    /// Nothing, for as long as the connection lives.
    Hang,
}

type Behaviour = dyn Fn(&request::Parts, usize) -> Act + Send + Sync;

/// A running service.
pub struct Http2Service {
    pub name: String,
    pub address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    secure: bool,
}

struct Shared {
    name: String,
    streams_max: u32,
    tls: Option<tokio_rustls::TlsAcceptor>,
    act: Box<Behaviour>,
    requests: AtomicUsize,
    connections: AtomicUsize,
    held_max: AtomicUsize,
    got: Mutex<Vec<Got>>,
}

/// Starts a service that acts on a request by its head and its number, from 0 on.
pub fn http2_service(
    name: &str,
    streams_max: u32,
    act: impl Fn(&request::Parts, usize) -> Act + Send + Sync + 'static,
) -> Http2Service {
    start(name, streams_max, None, Box::new(act))
}

/// The same over TLS; what it offers by ALPN stands in the configuration.
pub fn secure_http2_service(
    name: &str,
    config: Arc<rustls::ServerConfig>,
    act: impl Fn(&request::Parts, usize) -> Act + Send + Sync + 'static,
) -> Http2Service {
    start(name, 100, Some(config.into()), Box::new(act))
}

fn start(
    name: &str,
    streams_max: u32,
    tls: Option<tokio_rustls::TlsAcceptor>,
    act: Box<Behaviour>,
) -> Http2Service {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let secure = tls.is_some();
    let shared = Arc::new(Shared {
        name: name.to_owned(),
        streams_max,
        tls,
        act,
        requests: AtomicUsize::new(0),
        connections: AtomicUsize::new(0),
        held_max: AtomicUsize::new(0),
        got: Mutex::default(),
    });
    let stop = CancellationToken::new();
    let (own, stopped) = (Arc::clone(&shared), stop.clone());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let socket = TcpListener::from_std(socket).unwrap();
            tokio::select! {
                () = accept(socket, own) => {}
                () = stopped.cancelled() => {}
            }
        });
    });
    Http2Service {
        name: name.to_owned(),
        address,
        shared,
        stop,
        secure,
    }
}

impl Http2Service {
    /// Where it is reached.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}/{}", self.address, self.name)
    }

    /// What it got so far, whole or broken.
    pub fn received(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    /// Waits until it got so many, and gives them.
    #[track_caller]
    pub fn got(&self, count: usize) -> Vec<Got> {
        until(&format!("{count} requests at `{}`", self.name), || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
    }

    /// How many requests began.
    pub fn begun(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many connections it took.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Most requests that hang on one of its connections.
    pub fn most_held(&self) -> usize {
        self.shared.held_max.load(Ordering::SeqCst)
    }
}

impl Drop for Http2Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(socket: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = socket.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        stream.set_nodelay(true).unwrap();
        tokio::spawn(enter(stream, Arc::clone(&shared)));
    }
}

async fn enter(stream: TcpStream, shared: Arc<Shared>) {
    match &shared.tls {
        None => serve(stream, &shared).await,
        Some(tls) => {
            // Whoever does not agree was told so by the handshake.
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, &shared).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: &Arc<Shared>) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(shared.streams_max);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let held = AtomicUsize::new(0);
    while let Some(Ok((request, respond))) = connection.accept().await {
        let at = shared.requests.fetch_add(1, Ordering::SeqCst);
        let (head, body) = request.into_parts();
        let act = (shared.act)(&head, at);
        if matches!(act, Act::LastEcho) {
            connection.graceful_shutdown();
        }
        if matches!(act, Act::Hang) {
            let now = held.fetch_add(1, Ordering::SeqCst) + 1;
            shared.held_max.fetch_max(now, Ordering::SeqCst);
        }
        let shared = Arc::clone(shared);
        tokio::spawn(async move { answer(&shared, head, body, respond, act).await });
    }
}

async fn answer(
    shared: &Shared,
    head: request::Parts,
    body: RecvStream,
    mut respond: SendResponse<Bytes>,
    act: Act,
) {
    if let Act::Reset(reason) = act {
        return respond.send_reset(reason);
    }
    let head = Arc::new(head);
    let mut got = Got {
        head: Arc::clone(&head),
        body: Vec::new(),
        trailers: None,
        broken: None,
    };
    read(body, &mut got).await;
    let broken = got.broken.is_some();
    shared.got.lock().unwrap().push(got);
    if broken {
        return;
    }
    let (bytes, size, trailers, whole) = match act {
        Act::Reset(_) => return,
        Act::Hang => return std::future::pending().await,
        Act::Echo | Act::LastEcho => {
            let text = format!(
                "<e:Envelope xmlns:e=\"{}\"><e:Body><by>{}</by></e:Body></e:Envelope>",
                super::messages::SOAP11,
                shared.name
            );
            (text.into_bytes(), usize::MAX, None, true)
        }
        Act::Send(bytes, size, trailers) => (bytes, size, trailers, true),
        Act::Break(bytes) => (bytes, usize::MAX, None, false),
    };
    let mut response = Response::builder().header("content-type", "text/xml; charset=utf-8");
    if trailers.is_none() && whole {
        response = response.header("content-length", bytes.len());
    }
    let Ok(mut stream) = respond.send_response(response.body(()).unwrap(), false) else {
        return;
    };
    let mut rest = Bytes::from(bytes);
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len().min(size));
        let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return;
        };
        let part = rest.split_to(room.min(rest.len()).min(size));
        if stream.send_data(part, false).is_err() {
            return;
        }
    }
    // A stream that the caller reset has no end any more.
    let _ = match (whole, trailers) {
        (false, _) => {
            // The bytes leave first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        (true, None) => stream.send_data(Bytes::new(), true),
        (true, Some(fields)) => stream.send_trailers(fields),
    };
}

async fn read(mut body: RecvStream, got: &mut Got) {
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                body.flow_control().release_capacity(data.len()).unwrap();
                got.body.extend_from_slice(&data);
            }
            Err(error) => {
                got.broken = Some(error.reason());
                return;
            }
        }
    }
    match body.trailers().await {
        Ok(trailers) => got.trailers = trailers,
        Err(error) => got.broken = Some(error.reason()),
    }
}
