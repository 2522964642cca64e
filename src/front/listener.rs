//! Accepting: until told to stop, as long as there is room.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::connection::{self, Serving};
use super::entry;
use super::room::Room;
use super::socket::{Accepted, Acceptor, Socket};
use super::stop::Stop;
use crate::exchange::{Origin, Worker};
use crate::http1::Stream;
use crate::snapshot::{Forwarded, Listener};

/// Pause after an accept that failed for want of files or memory, which goes on failing.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

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
    pub stop: Stop,
    /// Counts connections, so that a stopping router can wait for them.
    pub tasks: TaskTracker,
}

/// Accepts until told to stop; then takes in what already waits, so that no caller is reset.
pub async fn serve(socket: Socket, accepting: Accepting, worker: Arc<Worker>) {
    let socket = match Acceptor::new(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, listener = %accepting.settings.borrow().name, "cannot accept");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = accept(&socket, &accepting.room) => accepted,
            () = accepting.stop.said() => break,
        };
        match accepted {
            Ok(accepted) => take_in(accepted, &accepting, &worker),
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                tracing::warn!(%error, listener = %accepting.settings.borrow().name, "cannot accept");
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
    while let Ok(Ok(accepted)) = timeout(Duration::ZERO, socket.accept()).await {
        take_in(accepted, &accepting, &worker);
    }
}

async fn accept(socket: &Acceptor, room: &Room) -> io::Result<Accepted> {
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

fn take_in(accepted: Accepted, accepting: &Accepting, worker: &Arc<Worker>) {
    let listener = Arc::clone(&accepting.settings.borrow());
    let guard = OpenGuard::new(&accepting.open);
    if guard.now > listener.connections_max {
        // Closing at once is the honest answer: there is no room even to say so.
        tracing::warn!(listener = %listener.name, peer = %accepted, "connection refused: `max_connections` reached");
        return;
    }
    match accepted {
        Accepted::Tcp(stream, peer) => {
            // Small writes must not wait for acknowledgements; failing to say so is harmless.
            let _ = stream.set_nodelay(true);
            let mut origin = origin(&listener, peer);
            if origin.port == 0 && origin.door.forwarded == Forwarded::Gateway {
                origin.port = stream.local_addr().map_or(0, |address| address.port());
            }
            start(stream, origin, listener, guard, accepting, worker);
        }
        Accepted::Unix(stream) => {
            // Whoever may open the socket is on this machine.
            let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let origin = origin(&listener, peer);
            start(stream, origin, listener, guard, accepting, worker);
        }
    }
}

fn origin(listener: &Listener, peer: SocketAddr) -> Origin {
    let mut origin = Origin::new(Arc::clone(&listener.name), peer);
    origin.door = Arc::clone(&listener.door);
    origin.port = listener.door.port;
    origin
}

/// Serves the connection in a task of its own.
fn start(
    stream: impl Stream + 'static,
    origin: Origin,
    listener: Arc<Listener>,
    guard: OpenGuard,
    accepting: &Accepting,
    worker: &Arc<Worker>,
) {
    let is_plain =
        listener.tls.is_none() && listener.http2.is_none() && listener.proxy_protocol.is_none();
    let serving = Serving {
        listener,
        open: Arc::clone(&accepting.open),
        worker: Arc::clone(worker),
        stop: accepting.stop.clone(),
    };
    let held = (guard, accepting.room.take());
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
