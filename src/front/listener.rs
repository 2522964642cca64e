//! Sockets to accept on, one per worker on the same address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Serving};
use super::entry;
use super::room::Room;
use crate::exchange::{Origin, Worker};
use crate::snapshot::Listener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Pause after an accept that failed for want of files or memory, which goes on failing.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener `{name}` cannot listen on {address}: {source}")]
pub struct BindError {
    name: String,
    address: SocketAddr,
    source: io::Error,
}

/// What accepting needs besides the socket.
#[derive(Debug, Clone)]
pub struct Accepting {
    /// The listener's settings, which a reload may change while its socket stays.
    pub settings: watch::Receiver<Arc<Listener>>,
    /// Connections open on it, all workers together.
    pub open: Arc<AtomicUsize>,
    /// Room for connections, all listeners together.
    pub room: Arc<Room>,
    /// Told to stop.
    pub stop: CancellationToken,
    /// Counts connections, so that a stopping router can wait for them.
    pub tasks: TaskTracker,
}

/// Opens a socket of a listener. Every worker opens its own on the same address, and the
/// kernel spreads connections over them (`SO_REUSEPORT`).
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(listener: &Listener, address: SocketAddr) -> Result<std::net::TcpListener, BindError> {
    open(address, true).map_err(|source| BindError::new(listener, address, source))
}

/// Makes sure that nobody else listens there: since sockets share their address, a router
/// started twice by mistake would otherwise take half of the other one's callers.
///
/// # Errors
/// When the address is taken or not ours.
pub fn claim(listener: &Listener, address: SocketAddr) -> Result<(), BindError> {
    match open(address, false) {
        Ok(_closed_again) => Ok(()),
        Err(source) => Err(BindError::new(listener, address, source)),
    }
}

fn open(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

impl BindError {
    fn new(listener: &Listener, address: SocketAddr, source: io::Error) -> Self {
        Self {
            name: listener.name.to_string(),
            address,
            source,
        }
    }
}

/// Accepts until told to stop; then takes in what already waits, so that no caller is reset.
pub async fn serve(socket: TcpListener, accepting: Accepting, worker: Arc<Worker>) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(&socket, &accepting.room) => accepted,
            () = accepting.stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => take_in(stream, peer, &accepting, &worker),
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                tracing::warn!(%error, listener = %accepting.settings.borrow().name, "cannot accept");
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
    while let Ok(Ok((stream, peer))) = timeout(Duration::ZERO, socket.accept()).await {
        take_in(stream, peer, &accepting, &worker);
    }
}

async fn accept(socket: &TcpListener, room: &Room) -> io::Result<(TcpStream, SocketAddr)> {
    room.wait().await;
    socket.accept().await
}

/// Errors of the one connection, not of the listener.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

fn take_in(stream: TcpStream, peer: SocketAddr, accepting: &Accepting, worker: &Arc<Worker>) {
    let listener = Arc::clone(&accepting.settings.borrow());
    let guard = OpenGuard::new(&accepting.open);
    if guard.now > listener.connections_max {
        // Closing at once is the honest answer: there is no room even to say so.
        tracing::warn!(listener = %listener.name, "connection refused: `max_connections` reached");
        return;
    }
    // Small writes must not wait for acknowledgements; failing to say so is harmless.
    let _ = stream.set_nodelay(true);
    let origin = Origin::new(Arc::clone(&listener.name), peer);
    let is_plain = listener.tls.is_none() && listener.http2.is_none();
    let serving = Serving {
        listener,
        open: Arc::clone(&accepting.open),
        worker: Arc::clone(worker),
        stop: accepting.stop.clone(),
    };
    let place = accepting.room.take();
    let held = (guard, place);
    if is_plain {
        accepting.tasks.spawn(async move {
            connection::serve(stream, origin, serving).await;
            drop(held);
        });
    } else {
        accepting.tasks.spawn(async move {
            entry::enter(stream, origin, serving).await;
            drop(held);
        });
    }
}

struct OpenGuard {
    open: Arc<AtomicUsize>,
    now: usize,
}

impl OpenGuard {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        Self {
            open: Arc::clone(open),
            now: open.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
