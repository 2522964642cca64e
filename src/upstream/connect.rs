//! Opens a connection to one server of an endpoint: TCP, and TLS over it where that is asked for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_util::either::Either;

use super::endpoint::Endpoint;
use super::error::SendError;
use super::tie::{Tie, Tied};
use crate::net::tls::ClientStream;

/// A socket on this machine or anywhere.
type Socket = Either<TcpStream, UnixStream>;

/// What HTTP is spoken on with an endpoint.
pub(super) type Wire = Either<Tied<Socket>, Box<ClientStream<Tied<Socket>>>>;

/// A connection to where the server is, ready for HTTP; over TLS `name` is asked for, where it is
/// not the endpoint's own.
pub(super) async fn open(
    endpoint: &Endpoint,
    address: SocketAddr,
    tie: Arc<Tie>,
    name: Option<&str>,
) -> Result<Wire, SendError> {
    let stream = match &endpoint.socket {
        Some(path) => {
            let stream = UnixStream::connect(path).await;
            Either::Right(stream.map_err(SendError::Connect)?)
        }
        None => {
            let stream = match endpoint.source {
                None => TcpStream::connect(address).await,
                Some(source) => connect_from(source, address).await,
            };
            let stream = stream.map_err(SendError::Connect)?;
            // Small writes must not wait for acknowledgements; failing to say so is harmless.
            let _ = stream.set_nodelay(true);
            Either::Left(stream)
        }
    };
    let stream = Tied::new(stream, tie);
    let Some(tls) = &endpoint.tls else {
        return Ok(Either::Left(stream));
    };
    let host = endpoint.host.to_string();
    let stream = tls.connect(&host, name, stream).await;
    let stream = stream.map_err(|error| SendError::Tls(Box::new(error)))?;
    Ok(Either::Right(Box::new(stream)))
}

async fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match (source, address) {
        (IpAddr::V4(_), SocketAddr::V4(_)) => TcpSocket::new_v4()?,
        (IpAddr::V6(_), SocketAddr::V6(_)) => TcpSocket::new_v6()?,
        _ => {
            let why = format!("there is no way from `source_address` {source} to {address}");
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, why));
        }
    };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}
