//! RESP3 connection to one server.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use redis::{Cmd, Value, cmd};
use tokio::{io::AsyncWrite, task::yield_now, time::timeout};

use super::{
    error::ConnectionError,
    reader::{Progress, Reader},
    routes::Routes,
};
use crate::{
    Target,
    connection::{
        connect::sentinel_master,
        failure::Refusal,
        server::ServerId,
        stream::{CONNECT, RedisStream, connect, encrypt},
    },
    target::Topology,
};

/// Capacity of the write buffer that is kept after a large batch.
const KEPT: usize = 256 * 1024;

/// RESP3 connection with a write buffer, and with sinks for the messages that it receives.
pub(crate) struct RespConnection {
    reader: Reader<Box<dyn RedisStream>>,
    /// Write buffer, to be sent from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// True if written bytes may still be in the stream's own buffer.
    unflushed: bool,
}

impl RespConnection {
    /// Connects and authenticates. Also returns whether the server is a replica.
    pub(crate) async fn open(
        target: &Target,
        server: &ServerId,
    ) -> Result<(Self, bool), ConnectionError> {
        timeout(2 * CONNECT, Self::open_now(target, server))
            .await
            .unwrap_or(Err(ConnectionError::Late(2 * CONNECT)))
    }

    async fn open_now(target: &Target, server: &ServerId) -> Result<(Self, bool), ConnectionError> {
        let (host, port) = match (server, &target.topology) {
            (ServerId::At(host, port), _) => (host.to_string(), *port),
            (ServerId::Only, Topology::Sentinel { master }) => {
                sentinel_master(target, master).await?
            }
            (ServerId::Only, _) => target.nodes[0].clone(),
        };
        let stream = connect(&host, port).await?;
        let stream: Box<dyn RedisStream> = if target.tls {
            let encrypted = encrypt(&host, stream).await;
            Box::new(encrypted.map_err(ConnectionError::Tls)?)
        } else {
            Box::new(stream)
        };
        let mut wire = Self {
            reader: Reader::new(stream),
            out: Vec::new(),
            sent: 0,
            unflushed: false,
        };
        let mut hello = hello();
        if let Some(password) = &target.password {
            let user = target.username.as_deref().unwrap_or("default");
            hello.arg("AUTH").arg(user).arg(password);
        }
        match wire.ask(&hello).await? {
            Value::ServerError(error) => Err(ConnectionError::Refused(Refusal::new(&error))),
            answer => {
                let replica = is_replica(&answer).ok_or(ConnectionError::Unexpected)?;
                Ok((wire, replica))
            }
        }
    }

    /// Returns the sinks of the channels that this connection receives.
    pub(crate) fn routes(&mut self) -> &mut Routes {
        &mut self.reader.routes
    }

    /// Queues a command, which [`next`](Self::next) sends while it waits.
    pub(crate) fn queue(&mut self, command: &Cmd) {
        command.write_packed_command(&mut self.out);
    }

    /// Returns the write buffer, to which encoded commands may be appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends a command and waits for the next value.
    pub(crate) async fn ask(&mut self, command: &Cmd) -> Result<Value, ConnectionError> {
        self.queue(command);
        Ok(self.next().await?)
    }

    /// Waits for the next value that is not a message, and sends queued commands meanwhile.
    /// Cancel-safe.
    pub(crate) async fn next(&mut self) -> io::Result<Value> {
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await? {
                Progress::Value(value) => return Ok(value),
                Progress::Yield => yield_now().await,
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        self.poll_write(cx)?;
        self.reader.poll_next(cx)
    }

    /// Writes queued commands until the stream accepts no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.sent < self.out.len() {
            let stream = Pin::new(&mut self.reader.stream);
            match stream.poll_write(cx, &self.out[self.sent..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    self.sent += written;
                    self.unflushed = true;
                }
                Poll::Pending => return Ok(()),
            }
        }
        if self.unflushed {
            let stream = Pin::new(&mut self.reader.stream);
            if stream.poll_flush(cx)?.is_ready() {
                self.unflushed = false;
            }
            self.out.clear();
            self.out.shrink_to(KEPT);
            self.sent = 0;
        }
        Ok(())
    }
}

/// Returns the command that every server answers, whatever its state, with its role.
pub(crate) fn hello() -> Cmd {
    let mut hello = cmd("HELLO");
    hello.arg(3);
    hello
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
