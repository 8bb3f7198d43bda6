//! Client for tests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::errors::{ConnectError, Disconnect, RequestError};
use super::handshake::{ConnectOptions, DEADLINE, SessionOpening};
use super::raw::RawClient;
use super::reader::{ClientState, ReaderTask};
use crate::socketio::{Acknowledgement, Arrival, Incoming, event_text, placeholder, put_packet};
use crate::websocket::{Opcode, put_frame};

/// Capacity of the queue of arrivals; a client whose queue is full stops reading.
const QUEUE: usize = 16 << 10;

/// Socket.IO client for tests. It answers pings as long as it reads.
///
/// Arguments of events follow JavaScript's `emit`: a JSON array is the list of arguments, another
/// value is the only argument, and null is none. An argument that is an array or null goes into a
/// list of one. Binary arguments are [`placeholder`]s, with their bytes as attachments.
///
/// Up to 16,384 arrivals wait for [`SocketClient::next`]; then the client stops reading. A client
/// with many events must read them while it makes requests. Dropping it closes the connection.
#[derive(Debug)]
pub struct SocketClient {
    state: Arc<ClientState>,
    opening: SessionOpening,
    arrivals: mpsc::Receiver<Arrival>,
    next_ack: AtomicU64,
    paused: watch::Sender<bool>,
    ended: watch::Receiver<Option<Disconnect>>,
    reader: JoinHandle<()>,
}

impl SocketClient {
    /// Connects to a node and waits for the CONNECT answer.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(addr: SocketAddr) -> Result<Self, ConnectError> {
        Self::connect_with(addr, &ConnectOptions::default()).await
    }

    /// Connects from a local address, such as `127.0.0.2`.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_from(source: IpAddr, addr: SocketAddr) -> Result<Self, ConnectError> {
        Self::connect_with(
            addr,
            &ConnectOptions {
                source: Some(source),
                ..ConnectOptions::default()
            },
        )
        .await
    }

    /// Connects with options.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_with(
        addr: SocketAddr,
        options: &ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let RawClient {
            stream,
            packets,
            opening,
            ..
        } = RawClient::connect(addr, options).await?;
        let state = Arc::new(ClientState::new(stream));
        let (arrived, arrivals) = mpsc::channel(QUEUE);
        let (paused, resumed) = watch::channel(false);
        let (end, ended) = watch::channel(None);
        let reader = ReaderTask::new(Arc::clone(&state), packets, arrived, resumed);
        Ok(Self {
            state,
            opening,
            arrivals,
            next_ack: AtomicU64::new(0),
            paused,
            ended,
            reader: tokio::spawn(reader.run(end)),
        })
    }

    /// Returns the server's answers when it opened the connection.
    pub fn opening(&self) -> &SessionOpening {
        &self.opening
    }

    /// Sends a request; returns the first argument of its acknowledgement.
    ///
    /// # Errors
    /// See [`RequestError`]. A refusal by the server is an answer: `{"ok": false, …}`.
    pub async fn request(&self, event: &str, args: Value) -> Result<Value, RequestError> {
        self.request_binary(event, args, &[] as &[Bytes]).await
    }

    /// Sends a request with binary arguments; returns the first argument of its acknowledgement.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request_binary<A: AsRef<[u8]>>(
        &self,
        event: &str,
        args: Value,
        attachments: &[A],
    ) -> Result<Value, RequestError> {
        let id = self.next_ack.fetch_add(1, Ordering::Relaxed);
        let Some(answer) = self.state.register(id) else {
            return Err(self.end_reason().into());
        };
        let text = event_text(event, &args, attachments.len(), Some(id));
        let answered = async {
            self.emit_raw(&text, attachments).await?;
            answer
                .await
                .map(Acknowledgement::into_result)
                .map_err(|_| self.end_reason().into())
        };
        let timed = timeout(DEADLINE, answered).await;
        timed.unwrap_or_else(|_| {
            Err(RequestError::Timeout {
                event: event.into(),
            })
        })
    }

    /// Sends a request whose acknowledgement [`SocketClient::next_arrival`] returns in order with the
    /// events; returns its id.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn request_in_order<A: AsRef<[u8]>>(
        &self,
        event: &str,
        args: Value,
        attachments: &[A],
    ) -> io::Result<u64> {
        let id = self.next_ack.fetch_add(1, Ordering::Relaxed);
        let text = event_text(event, &args, attachments.len(), Some(id));
        self.emit_raw(&text, attachments).await.map(|()| id)
    }

    /// Sends an event without an acknowledgement.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn emit<A: AsRef<[u8]>>(
        &self,
        event: &str,
        args: Value,
        attachments: &[A],
    ) -> io::Result<()> {
        let text = event_text(event, &args, attachments.len(), None);
        self.emit_raw(&text, attachments).await
    }

    /// Sends a chunk.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn send_media(
        &self,
        track: u64,
        ts: i64,
        key: bool,
        payload: &[u8],
    ) -> io::Result<()> {
        let header = if key {
            json!({ "track": track, "ts": ts, "key": true })
        } else {
            json!({ "track": track, "ts": ts })
        };
        self.emit("media", json!([header, placeholder(0)]), &[payload])
            .await
    }

    /// Sends a text message as it is, such as `42["event"]`, then binary messages.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn emit_raw<A: AsRef<[u8]>>(&self, text: &str, attachments: &[A]) -> io::Result<()> {
        let mut out = BytesMut::new();
        put_packet(&mut out, text, attachments);
        self.send_bytes(&out).await
    }

    /// Writes bytes without framing, for clients that violate it.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn send_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.send_pieces(bytes, usize::MAX).await
    }

    /// Writes bytes in pieces of at most `length`. No answer to a ping comes between them.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn send_pieces(&self, bytes: &[u8], length: usize) -> io::Result<()> {
        self.state.write(bytes, length).await
    }

    /// Returns the next event; skips acknowledgements.
    ///
    /// # Errors
    /// The connection ended, and all arrivals before that are consumed.
    pub async fn next(&mut self) -> Result<Incoming, Disconnect> {
        loop {
            if let Arrival::Event(event) = self.next_arrival().await? {
                return Ok(event);
            }
        }
    }

    /// Returns the next event, or acknowledgement of [`SocketClient::request_in_order`], in the order
    /// of the wire.
    ///
    /// # Errors
    /// The connection ended, and all arrivals before that are consumed.
    pub async fn next_arrival(&mut self) -> Result<Arrival, Disconnect> {
        match self.arrivals.recv().await {
            Some(arrival) => Ok(arrival),
            None => Err(self.end_reason()),
        }
    }

    /// Returns the next event if one has already arrived.
    pub fn try_next(&mut self) -> Option<Incoming> {
        loop {
            match self.arrivals.try_recv().ok()? {
                Arrival::Event(event) => return Some(event),
                Arrival::Ack(_) => {}
            }
        }
    }

    /// Stops reading from the socket, and answering pings, after the read in progress. Data of the
    /// server queues in the kernel, then at the server.
    pub fn pause_reading(&self) {
        self.paused.send_replace(true);
    }

    /// Resumes reading.
    pub fn resume_reading(&self) {
        self.paused.send_replace(false);
    }

    /// Waits for the end of the connection; returns its reason. It needs no reads of events, but a
    /// client whose queue is full never reaches the end.
    pub async fn disconnected(&self) -> Disconnect {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(Disconnect::Eof),
            Err(_) => Disconnect::Eof,
        }
    }

    /// Disconnects the namespace, closes the WebSocket, and waits up to 30 s for the server to close
    /// the connection.
    ///
    /// # Errors
    /// The TCP connection broke first.
    pub async fn close(mut self) -> io::Result<()> {
        let mut out = BytesMut::new();
        put_packet(&mut out, "41", &[] as &[Bytes]);
        // Status 1000, RFC 6455, section 7.4.1.
        put_frame(&mut out, Opcode::Close, &1000_u16.to_be_bytes());
        self.send_bytes(&out).await?;
        self.resume_reading();
        let heard = async { while self.arrivals.recv().await.is_some() {} };
        timeout(DEADLINE, heard)
            .await
            .map_err(|_| io::ErrorKind::TimedOut.into())
    }

    /// Resets the connection, as after a crash; unsent and unread data is lost.
    ///
    /// # Errors
    /// The kernel refuses the option.
    pub async fn vanish(mut self) -> io::Result<()> {
        self.state.stream.set_zero_linger()?;
        self.reader.abort();
        // The task shares the stream; once it has ended, dropping `self` closes it.
        let _ = (&mut self.reader).await;
        Ok(())
    }

    fn end_reason(&self) -> Disconnect {
        self.ended.borrow().clone().unwrap_or(Disconnect::Eof)
    }
}

impl Drop for SocketClient {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
