//! What stands between an accepted connection and HTTP: the PROXY protocol, TLS, and which HTTP it is.
//!
//! Bounded in time like the head of a request, since nobody has said anything yet.

use std::fmt::Display;
use std::io;

use ipnet::IpNet;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tokio_util::either::Either;

use super::connection::{self, Serving};
use super::{http2, proxy_protocol};
use crate::exchange::Origin;
use crate::http1::Stream;
use crate::net::Ahead;
use crate::net::tls::{ServerStream, ServerTls, Session};
use crate::snapshot::Listener;

/// The first byte of a TLS connection: a handshake record (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// How HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a browser or a script sees that speaks plain HTTP to a TLS port.
const PLAIN_ON_TLS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\nContent-Length: 62\r\n\r\nThis port speaks TLS: the address begins with https, not http\n";

/// A connection that HTTP can be spoken on.
type Entered<S> = Either<Ahead<S>, Box<ServerStream<Ahead<S>>>>;

/// Does what the listener asks for before the first request, and serves what comes then. A caller
/// that has not got that far when the router stops has sent nothing that could be lost.
pub(super) async fn enter(stream: impl Stream + 'static, mut origin: Origin, serving: Serving) {
    let stop = serving.stop.clone();
    let entered = tokio::select! {
        entered = open(Ahead::new(stream), &mut origin, &serving) => entered,
        () = stop.said() => None,
    };
    match entered {
        Some((stream, true)) => {
            origin.http2 = true;
            http2::serve(stream, origin, serving).await;
        }
        Some((stream, false)) => connection::serve(stream, origin, serving).await,
        None => {}
    }
}

/// The connection ready for HTTP, and whether that is HTTP/2; `None` if it came to nothing.
async fn open<S: Stream>(
    mut stream: Ahead<S>,
    origin: &mut Origin,
    serving: &Serving,
) -> Option<(Entered<S>, bool)> {
    let listener = &serving.listener;
    if let Some(balancers) = &listener.proxy_protocol {
        let peer = origin.peer;
        if let Err(why) = behind(&mut stream, balancers, origin, listener).await {
            tracing::warn!(listener = %listener.name, %peer, "connection refused: {why}");
            return None;
        }
    }
    if let Some(tls) = &listener.tls {
        let (stream, session) = secure(stream, tls, origin, serving).await?;
        let http2 = session.http2;
        origin.secure(session);
        return Some((Either::Right(Box::new(stream)), http2));
    }
    let http2 = listener.http2.is_some()
        && timeout(listener.keep_alive, begins_http2(&mut stream))
            .await
            .ok()?
            .ok()?;
    Some((Either::Left(stream), http2))
}

/// Reads who the caller is, from a balancer that may say so.
async fn behind<S: Stream>(
    stream: &mut Ahead<S>,
    balancers: &[IpNet],
    origin: &mut Origin,
    listener: &Listener,
) -> io::Result<()> {
    let peer = origin.peer.ip().to_canonical();
    if !balancers.iter().any(|net| net.contains(&peer)) {
        let why = "it does not come from a balancer (`proxy_protocol: { from: ... }`)";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    if let Some(caller) =
        timeout(listener.header_read_timeout, proxy_protocol::read(stream)).await??
    {
        origin.on_behalf_of(caller);
    }
    Ok(())
}

/// The handshake, or a word about why there is none.
async fn secure<S: Stream>(
    mut stream: Ahead<S>,
    tls: &ServerTls,
    origin: &Origin,
    serving: &Serving,
) -> Option<(ServerStream<Ahead<S>>, Session)> {
    let listener = &serving.listener;
    let failed = |why: &dyn Display| {
        serving.worker.handshake(&listener.name, "failed");
        tracing::warn!(listener = %listener.name, peer = %origin.peer, "TLS handshake failed: {why}");
    };
    match timeout(listener.header_read_timeout, first_byte(&mut stream)).await {
        Ok(Ok(Some(HANDSHAKE))) => {}
        // Nobody said anything: a look whether the port is open.
        Ok(Ok(None)) => return None,
        Ok(Ok(Some(byte))) if byte.is_ascii_alphabetic() => {
            failed(&"the caller speaks plain HTTP");
            // Whoever does not take it goes without.
            let _ = stream.write_all(PLAIN_ON_TLS.as_bytes()).await;
            let _ = stream.shutdown().await;
            return None;
        }
        Ok(Ok(Some(_)) | Err(_)) => {
            failed(&"the caller does not speak TLS");
            return None;
        }
        Err(_elapsed) => {
            failed(&"the caller said nothing in time (`header_read_timeout`)");
            return None;
        }
    }
    match timeout(listener.header_read_timeout, tls.accept(stream)).await {
        Ok(Ok(secured)) => {
            serving.worker.handshake(&listener.name, "ok");
            return Some(secured);
        }
        Ok(Err(error)) => failed(&error),
        Err(_elapsed) => failed(&"it took longer than `header_read_timeout`"),
    }
    None
}

/// Whether the caller begins with HTTP/2, as one may that knows beforehand (RFC 9113 §3.3).
async fn begins_http2<S: Stream>(stream: &mut Ahead<S>) -> io::Result<bool> {
    loop {
        let seen = stream.seen();
        let known = seen.len().min(PREFACE.len());
        if seen.get(..known) != PREFACE.get(..known) {
            return Ok(false);
        }
        if known == PREFACE.len() {
            return Ok(true);
        }
        if !stream.look().await? {
            return Ok(false);
        }
    }
}

async fn first_byte<S: Stream>(stream: &mut Ahead<S>) -> io::Result<Option<u8>> {
    if stream.seen().is_empty() && !stream.look().await? {
        return Ok(None);
    }
    Ok(stream.seen().first().copied())
}
