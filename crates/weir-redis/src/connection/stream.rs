//! TCP and TLS streams to a server.

use std::{io, time::Duration};

use fred::{rustls::pki_types::ServerName, types::config::TlsConnector};
use futures_util::future::select_ok;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// Deadline for establishing a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);

/// Interface of plain and encrypted streams.
pub(crate) trait RedisStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> RedisStream for S {}

/// Connects to the first address of the host that accepts.
///
/// # Errors
/// `TimedOut` after [`CONNECT`], or the error of the last address.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let connecting = async {
        let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the host has no address",
            ));
        }
        // All addresses in parallel: an unresponsive one must not use up the others' time.
        let connecting = addresses.iter().map(|to| Box::pin(TcpStream::connect(to)));
        select_ok(connecting).await.map(|(stream, _)| stream)
    };
    let late = |_| {
        let why = format!("no answer within {} s", CONNECT.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, why)
    };
    let stream = timeout(CONNECT, connecting).await.map_err(late)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Performs the TLS handshake.
///
/// # Errors
/// Description of the failure.
pub(crate) async fn encrypt(
    host: &str,
    stream: TcpStream,
) -> Result<impl RedisStream + 'static, String> {
    // fred's connector: both clients trust the same certificates.
    let TlsConnector::Rustls(connector) =
        TlsConnector::default_rustls().map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let encrypted = connector.connect(name, stream).await;
    encrypted.map_err(|error| error.to_string())
}
