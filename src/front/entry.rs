//! What stands between an accepted connection and HTTP: TLS.
//!
//! Bounded in time like the head of a request, since nobody has said anything yet.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::connection::{self, Serving};
use crate::exchange::Origin;
use crate::net::{Ahead, Stream};

/// The first byte of a TLS connection: a handshake record (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// What a browser or a script sees that speaks plain HTTP to a TLS port.
const PLAIN_ON_TLS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\nContent-Length: 62\r\n\r\nThis port speaks TLS: the address begins with https, not http\n";

/// Does what the listener asks for before the first request, and serves what comes then.
pub(super) async fn enter(stream: impl Stream + 'static, mut origin: Origin, serving: Serving) {
    let listener = Arc::clone(&serving.listener);
    let mut stream = Ahead::new(stream);
    let Some(tls) = &listener.tls else {
        return connection::serve(stream, origin, serving).await;
    };
    match timeout(listener.header_read_timeout, first_byte(&mut stream)).await {
        Ok(Ok(Some(HANDSHAKE))) => {}
        // Nobody said anything: a look whether the port is open.
        Ok(Ok(None)) => return,
        Ok(Ok(Some(byte))) if byte.is_ascii_alphabetic() => {
            tracing::info!(listener = %listener.name, peer = %origin.peer, "plain HTTP on a TLS port");
            // Whoever does not take it goes without.
            let _ = stream.write_all(PLAIN_ON_TLS.as_bytes()).await;
            let _ = stream.shutdown().await;
            return;
        }
        Ok(Ok(Some(_))) | Ok(Err(_)) => {
            return failed(&serving, &origin, &"the caller does not speak TLS");
        }
        Err(_elapsed) => return failed(&serving, &origin, &"no handshake in time"),
    }
    match timeout(listener.header_read_timeout, tls.accept(stream)).await {
        Ok(Ok((stream, session))) => {
            serving.worker.handshake(&listener.name, "ok");
            origin.secure(session);
            connection::serve(stream, origin, serving).await;
        }
        Ok(Err(error)) => failed(&serving, &origin, &error),
        Err(_elapsed) => failed(&serving, &origin, &"the handshake took too long"),
    }
}

async fn first_byte<S: Stream>(stream: &mut Ahead<S>) -> io::Result<Option<u8>> {
    if stream.seen().is_empty() && !stream.look().await? {
        return Ok(None);
    }
    Ok(stream.seen().first().copied())
}

fn failed(serving: &Serving, origin: &Origin, why: &dyn std::fmt::Display) {
    let listener = &serving.listener.name;
    serving.worker.handshake(listener, "failed");
    tracing::warn!(%listener, peer = %origin.peer, "TLS handshake failed: {why}");
}
