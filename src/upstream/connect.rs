//! Opens a connection to one server of an endpoint: TCP, and TLS over it where that is asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::endpoint::Endpoint;
use super::error::SendError;
use super::tie::{Tie, Tied};
use crate::net::tls::ClientStream;

/// A socket on this machine or anywhere.
type Socket = Either<TcpStream, UnixStream>;

/// What HTTP is spoken on with an endpoint.
pub(super) type Wire = Either<Tied<Socket>, Box<ClientStream<Tied<Socket>>>>;

/// A connection to where the server is, ready for HTTP.
pub(super) async fn open(
    endpoint: &Endpoint,
    address: SocketAddr,
    tie: Arc<Tie>,
) -> Result<Wire, SendError> {
    let stream = match &endpoint.socket {
        Some(path) => {
            let stream = UnixStream::connect(path).await;
            Either::Right(stream.map_err(SendError::Connect)?)
        }
        None => {
            let stream = TcpStream::connect(address)
                .await
                .map_err(SendError::Connect)?;
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
    let stream = tls.connect(&host, stream).await;
    let stream = stream.map_err(|error| SendError::Tls(Box::new(error)))?;
    Ok(Either::Right(Box::new(stream)))
}
