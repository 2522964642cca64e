//! The sockets of a listener: one per worker on the same address, or one that all of them share.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::snapshot::{Bind, Listener};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener `{name}` cannot listen on {address}: {source}")]
pub struct BindError {
    name: String,
    address: Bind,
    source: io::Error,
}

/// A socket that listens and that nobody accepts on yet.
#[derive(Debug)]
pub enum Socket {
    /// On an IP address; each worker has its own, and the kernel spreads connections over them
    /// (`SO_REUSEPORT`).
    Tcp(std::net::TcpListener),
    /// On a path; all workers accept on the same one.
    Unix(std::os::unix::net::UnixListener),
}

/// A listener's sockets and where they are.
#[derive(Debug)]
pub struct Opened {
    /// Where, with the port that the system chose if it was to.
    pub address: Bind,
    /// One for each worker.
    pub sockets: Vec<Socket>,
    /// Removes what is left of a Unix socket when nobody listens on it any more.
    pub trace: Option<Trace>,
}

/// The file of a Unix socket.
#[derive(Debug)]
pub struct Trace(PathBuf);

/// A socket that is accepted on.
#[derive(Debug)]
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that came in.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl BindError {
    fn new(listener: &Listener, address: &Bind, source: io::Error) -> Self {
        Self {
            name: listener.name.to_string(),
            address: address.clone(),
            source,
        }
    }
}

/// Opens a listener's sockets for so many workers. `ours` says that this router listens there
/// already: a listener that is renamed, or moves between one address and all of them.
///
/// # Errors
/// When the address is taken or not ours. Since sockets share their address, a router started
/// twice by mistake would otherwise take half of the other one's callers.
pub fn open(listener: &Listener, workers: usize, ours: bool) -> Result<Opened, BindError> {
    let failed = |source| BindError::new(listener, &listener.bind, source);
    match &listener.bind {
        Bind::Tcp(address) => open_tcp(*address, workers, ours).map_err(failed),
        Bind::Unix(path) => open_unix(path, workers).map_err(failed),
    }
}

fn open_tcp(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Opened> {
    if !ours {
        drop(tcp(address, false)?);
    }
    let first = tcp(address, true)?;
    let address = first.local_addr().unwrap_or(address);
    let mut sockets = vec![Socket::Tcp(first)];
    for _ in 1..workers {
        sockets.push(Socket::Tcp(tcp(address, true)?));
    }
    Ok(Opened {
        address: Bind::Tcp(address),
        sockets,
        trace: None,
    })
}

fn tcp(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
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

fn open_unix(path: &Path, workers: usize) -> io::Result<Opened> {
    clear_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    let first: std::os::unix::net::UnixListener = socket.into();
    let mut sockets = Vec::with_capacity(workers);
    for _ in 1..workers {
        sockets.push(Socket::Unix(first.try_clone()?));
    }
    sockets.push(Socket::Unix(first));
    Ok(Opened {
        address: Bind::Unix(path.to_owned()),
        sockets,
        trace: Some(Trace(path.to_owned())),
    })
}

/// A socket's file stays when its program dies; one that nobody listens on is in nobody's way.
fn clear_stale(path: &Path) -> io::Result<()> {
    let is_socket = path
        .symlink_metadata()
        .is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match Probe::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Whoever removed it before has saved us the work.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Acceptor {
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            Socket::Unix(socket) => Self::Unix(UnixListener::from_std(socket)?),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix(socket) => Ok(Accepted::Unix(socket.accept().await?.0)),
        }
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, peer) => peer.fmt(f),
            Self::Unix(_) => f.write_str("unix"),
        }
    }
}
