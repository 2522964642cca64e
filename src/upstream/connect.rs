//! Opens a connection to where an endpoint is: TCP, and TLS over it where that is asked for.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};
use tokio_util::either::Either;

use super::endpoint::{Endpoint, Host};
use super::error::SendError;
use crate::net::tls::ClientStream;

/// What HTTP is spoken on with an endpoint.
pub(super) type Wire = Either<TcpStream, Box<ClientStream<TcpStream>>>;

/// A connection to where the endpoint is, ready for HTTP.
pub(super) async fn open(endpoint: &Endpoint) -> Result<Wire, SendError> {
    let stream = reach(endpoint).await?;
    // Small writes must not wait for acknowledgements; failing to say so is harmless.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &endpoint.tls else {
        return Ok(Either::Left(stream));
    };
    let host = endpoint.host.to_string();
    let stream = tls.connect(&host, stream).await;
    let stream = stream.map_err(|error| SendError::Tls(Box::new(error)))?;
    Ok(Either::Right(Box::new(stream)))
}

async fn reach(endpoint: &Endpoint) -> Result<TcpStream, SendError> {
    if let Some(address) = endpoint.literal() {
        return TcpStream::connect(address)
            .await
            .map_err(SendError::Connect);
    }
    let Host::Name(name) = &endpoint.host else {
        return Err(SendError::Connect(io::Error::from(
            io::ErrorKind::AddrNotAvailable,
        )));
    };
    let addresses: Vec<SocketAddr> = lookup_host((name.as_str(), endpoint.port))
        .await
        .map_err(|source| SendError::Dns {
            name: name.clone(),
            source,
        })?
        .collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(SendError::Connect(last))
}
