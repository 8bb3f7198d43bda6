//! Connection to one server with message dispatch, and the connection setup.

use std::{io, time::Duration};

use fred::{rustls::pki_types::ServerName, types::config::TlsConnector};
use futures_util::future::select_ok;
use redis::{Cmd, RedisError, ServerError, Value, cmd};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    OnMessage,
    reader::Reader,
    refusal::{Refusal, Remedy},
    slots::Server,
};
use crate::{Target, connection::connect::sentinel_master, target::Topology};

/// Deadline for establishing a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Reason why a connection failed or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sentinel(#[from] RedisError),
    #[error("{0}")]
    Refused(Refusal),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("an answer that nobody asked for")]
    Strange,
    #[error("it knows of no cluster")]
    NoCluster,
    #[error("the server has become a replica")]
    Replica,
    #[error("nothing that was published came back")]
    Deaf,
}

impl Trouble {
    /// Returns whether the problem lasts until an operator changes permissions or passwords.
    pub(crate) fn is_for_operators(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.remedy == Remedy::Operator)
    }

    fn refused(error: &ServerError, server: &Server) -> Self {
        Self::Refused(Refusal::new(error, server))
    }
}

/// Interface of plain and encrypted streams.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Boxed = Box<dyn Stream>;

/// RESP3 connection.
pub(crate) struct Wire {
    reader: Reader<ReadHalf<Boxed>>,
    writer: WriteHalf<Boxed>,
    /// Write buffer, to be sent from `sent` on.
    out: Vec<u8>,
    sent: usize,
}

impl Wire {
    /// Connects and authenticates. Also returns whether the server is a replica.
    pub(crate) async fn open(
        target: &Target,
        server: &Server,
        on_message: OnMessage,
    ) -> Result<(Self, bool), Trouble> {
        let opening = Self::open_now(target, server, on_message);
        timeout(2 * CONNECT, opening)
            .await
            .unwrap_or(Err(Trouble::Late(2 * CONNECT)))
    }

    async fn open_now(
        target: &Target,
        server: &Server,
        on_message: OnMessage,
    ) -> Result<(Self, bool), Trouble> {
        let (host, port) = match (server, &target.topology) {
            (Server::At(host, port), _) => (host.to_string(), *port),
            (Server::Only, Topology::Sentinel { master }) => {
                sentinel_master(target, master).await?
            }
            (Server::Only, _) => target.nodes[0].clone(),
        };
        let stream = reach(&host, port).await?;
        stream.set_nodelay(true)?;
        let stream: Boxed = if target.tls {
            Box::new(encrypt(&host, stream).await?)
        } else {
            Box::new(stream)
        };
        let (reader, writer) = split(stream);
        let mut wire = Self {
            reader: Reader::new(reader, on_message),
            writer,
            out: Vec::new(),
            sent: 0,
        };
        let mut hello = cmd("HELLO");
        hello.arg(3);
        if let Some(password) = &target.password {
            let user = target.username.as_deref().unwrap_or("default");
            hello.arg("AUTH").arg(user).arg(password);
        }
        match wire.ask(&hello).await? {
            Value::ServerError(error) => Err(Trouble::refused(&error, server)),
            answer => {
                let replica = is_replica(&answer).ok_or(Trouble::Strange)?;
                Ok((wire, replica))
            }
        }
    }

    /// Queues a command, which [`next`](Self::next) sends while it waits.
    pub(crate) fn queue(&mut self, command: &Cmd) {
        command.write_packed_command(&mut self.out);
    }

    /// Sends a command and waits for the next value.
    pub(crate) async fn ask(&mut self, command: &Cmd) -> Result<Value, Trouble> {
        self.queue(command);
        self.next().await
    }

    /// Waits for the next value that is not a message, and sends queued commands meanwhile. It is
    /// cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Value, Trouble> {
        loop {
            tokio::select! {
                // Messages have priority; the reader yields by itself.
                biased;
                value = self.reader.next() => return Ok(value?),
                written = self.writer.write(&self.out[self.sent..]), if self.sent < self.out.len() => {
                    match written? {
                        0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                        written => self.sent += written,
                    }
                    if self.sent == self.out.len() {
                        self.writer.flush().await?;
                        self.out.clear();
                        self.sent = 0;
                    }
                }
            }
        }
    }
}

/// Returns whether a `HELLO` reply is a replica's; `None` if it is not a `HELLO` reply.
pub(crate) fn is_replica(answer: &Value) -> Option<bool> {
    let Value::Map(pairs) = answer else {
        return None;
    };
    let text = |value: &Value, text: &str| match value {
        Value::BulkString(bytes) => bytes == text.as_bytes(),
        Value::SimpleString(string) => string == text,
        _ => false,
    };
    let role = pairs.iter().find(|(key, _)| text(key, "role"));
    Some(role.is_some_and(|(_, role)| text(role, "replica") || text(role, "slave")))
}

/// Connects to the first address of the host that accepts.
async fn reach(host: &str, port: u16) -> Result<TcpStream, Trouble> {
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
    let late = |_| Trouble::Late(CONNECT);
    Ok(timeout(CONNECT, connecting).await.map_err(late)??)
}

async fn encrypt(host: &str, stream: TcpStream) -> Result<impl Stream + 'static, Trouble> {
    let refused = |error: &dyn std::fmt::Display| Trouble::Tls(error.to_string());
    // fred's connector: both clients trust the same certificates.
    let TlsConnector::Rustls(connector) =
        TlsConnector::default_rustls().map_err(|error| refused(&error))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| refused(&error))?;
    let encrypted = connector.connect(name, stream).await;
    encrypted.map_err(|error| refused(&error))
}
