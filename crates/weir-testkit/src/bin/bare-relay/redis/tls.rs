//! TLS on a non-blocking socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::socket::ReadySocket;
use crate::stream::RelaySocket;

/// Most bytes of one read of the socket.
const READ_SIZE: usize = 64 << 10;

/// Configuration of TLS.
#[derive(Debug)]
pub(super) struct TlsClient(Arc<ClientConfig>);

/// Session after its handshake.
#[derive(Debug)]
pub(super) struct TlsSession(ClientConnection);

/// Encrypted socket.
#[derive(Debug)]
struct TlsSocket {
    session: ClientConnection,
    socket: ReadySocket,
    received: Box<[u8]>,
    /// Range of `received` that is not decrypted yet.
    pending: Range<usize>,
}

impl TlsClient {
    /// Creates a client that trusts the certificates of a PEM file only.
    pub(super) fn new(ca: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let file = || ca.display().to_string();
        for certificate in CertificateDer::pem_file_iter(ca).with_context(file)? {
            roots.add(certificate.with_context(file)?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Performs the handshake on a blocking socket.
    pub(super) fn handshake(&self, tcp: &mut TcpStream) -> anyhow::Result<TlsSession> {
        let name = ServerName::from(tcp.peer_addr()?.ip());
        let mut session = ClientConnection::new(Arc::clone(&self.0), name)?;
        session.complete_io(tcp).context("TLS handshake")?;
        // No limit on the queue of unsent bytes, like a plain connection.
        session.set_buffer_limit(None);
        Ok(TlsSession(session))
    }
}

impl TlsSession {
    /// Continues the session on the non-blocking socket.
    pub(super) fn over(self, socket: ReadySocket) -> impl RelaySocket + 'static {
        TlsSocket {
            session: self.0,
            socket,
            received: vec![0; READ_SIZE].into_boxed_slice(),
            pending: 0..0,
        }
    }
}

impl Read for TlsSocket {
    /// Reads what one read of the socket decrypts to, or as much of it as fits the buffer.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.session.reader().read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Err(_) if !self.pending.is_empty() => self.decrypt()?,
                Err(_) if filled > 0 => break,
                Err(_) => match self.socket.read(&mut self.received)? {
                    0 => break,
                    read => self.pending = 0..read,
                },
            }
        }
        Ok(filled)
    }
}

impl TlsSocket {
    /// Decrypts a part of what was received.
    fn decrypt(&mut self) -> io::Result<()> {
        let mut bytes = &self.received[self.pending.clone()];
        self.session.read_tls(&mut bytes)?;
        self.pending.start = self.pending.end - bytes.len();
        let processed = self.session.process_new_packets();
        processed.map(drop).map_err(io::Error::other)
    }
}

impl Write for TlsSocket {
    /// Encrypts bytes and writes what the kernel accepts; the session queues the rest.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                written => written.map(drop)?,
            }
        }
        Ok(())
    }
}

impl RelaySocket for TlsSocket {
    fn tcp(&mut self) -> &mut mio::net::TcpStream {
        self.socket.tcp()
    }
}
