//! The test client: a [`Wire`] whose reading half runs in a task.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::frame::{Opcode, put_frame};
use crate::packet::{Ack, Arrival, Incoming, Packet, event_text, placeholder, put_packet};
use crate::wire::{
    ConnectError, Disconnect, Inbound, Options, PATIENCE, READ_SIZE, Received, Session, Wire,
};

/// How many arrivals may wait for [`Client::next`]; a client with more to hear stops reading.
const QUEUE: usize = 16 << 10;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The connection ended first.
    #[error("no answer")]
    Ended(#[from] Disconnect),
    /// The request could not be sent.
    #[error("not sent")]
    Io(#[from] io::Error),
    /// Nothing came within 30 s.
    #[error("no answer to {event:?} within 30 s")]
    Timeout {
        /// The request's event.
        event: String,
    },
}

/// A Socket.IO client for tests. It answers pings by itself for as long as it reads.
///
/// Arguments of events are given as in JavaScript's `emit`: a JSON array is the list of arguments,
/// any other value is the one argument, and null is none. (An argument that is itself an array or
/// null goes into a list of one.) Binary arguments are [`placeholder`]s, their bytes attachments.
///
/// Up to 16,384 arrivals wait for [`Client::next`]; then the client stops reading, so one that
/// hears much must listen while it makes requests. Dropping it closes the TCP connection.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    session: Session,
    arrivals: mpsc::Receiver<Arrival>,
    next_ack: AtomicU64,
    paused: watch::Sender<bool>,
    ended: watch::Receiver<Option<Disconnect>>,
    reader: JoinHandle<()>,
}

/// What the client and its reading task both hold.
#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    /// Held while frames are written, so that none gets into the middle of another.
    writing: tokio::sync::Mutex<()>,
    /// Requests whose acknowledgement somebody awaits, by id; emptied when the connection ends.
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    ended: bool,
    waiting: HashMap<u64, oneshot::Sender<Ack>>,
}

impl Client {
    /// Connects to a node and waits for the CONNECT answer.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(addr: SocketAddr) -> Result<Self, ConnectError> {
        Self::connect_with(addr, &Options::default()).await
    }

    /// Connects from a given local address, `127.0.0.2` for example.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_from(source: IpAddr, addr: SocketAddr) -> Result<Self, ConnectError> {
        Self::connect_with(
            addr,
            &Options {
                source: Some(source),
                ..Options::default()
            },
        )
        .await
    }

    /// Connects as `options` say.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_with(addr: SocketAddr, options: &Options) -> Result<Self, ConnectError> {
        let Wire {
            stream,
            inbound,
            session,
            ..
        } = Wire::connect(addr, options).await?;
        let shared = Arc::new(Shared {
            stream,
            writing: tokio::sync::Mutex::default(),
            requests: Mutex::default(),
        });
        let (arrivals_in, arrivals) = mpsc::channel(QUEUE);
        let (paused, resumed) = watch::channel(false);
        let (end, ended) = watch::channel(None);
        let reader = Reader {
            shared: Arc::clone(&shared),
            inbound,
            arrivals: arrivals_in,
            paused: resumed,
            replies: JoinSet::new(),
        };
        let reader = tokio::spawn(reader.run(end));
        Ok(Self {
            shared,
            session,
            arrivals,
            next_ack: AtomicU64::new(0),
            paused,
            ended,
            reader,
        })
    }

    /// What the server said when it opened the connection.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Sends a request and waits for its acknowledgement, whose first argument is returned.
    ///
    /// # Errors
    /// See [`RequestError`]. A refusal by the server is an answer: `{"ok": false, …}`.
    pub async fn request(&self, event: &str, args: Value) -> Result<Value, RequestError> {
        self.request_binary(event, args, &[] as &[Bytes]).await
    }

    /// Sends a request that has binary arguments, and waits for its acknowledgement.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request_binary<A: AsRef<[u8]>>(
        &self,
        event: &str,
        args: Value,
        attachments: &[A],
    ) -> Result<Value, RequestError> {
        let (sender, answer) = oneshot::channel();
        let id = self.next_ack.fetch_add(1, Ordering::Relaxed);
        {
            let mut requests = self.shared.requests();
            if requests.ended {
                return Err(self.end_reason().into());
            }
            requests.waiting.insert(id, sender);
        }
        let answered = async {
            self.emit_raw(
                &event_text(event, &args, attachments.len(), Some(id)),
                attachments,
            )
            .await?;
            answer
                .await
                .map(Ack::into_result)
                .map_err(|_| self.end_reason().into())
        };
        let timed = timeout(PATIENCE, answered).await;
        timed.unwrap_or_else(|_| {
            Err(RequestError::Timeout {
                event: event.into(),
            })
        })
    }

    /// Sends a request whose acknowledgement comes among the events, from
    /// [`Client::next_arrival`]; returns its id.
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
        self.emit_raw(
            &event_text(event, &args, attachments.len(), None),
            attachments,
        )
        .await
    }

    /// Sends one chunk.
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

    /// Sends a text message as it is, `42["event"]` for example, and binary messages after it.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn emit_raw<A: AsRef<[u8]>>(&self, text: &str, attachments: &[A]) -> io::Result<()> {
        let mut out = BytesMut::new();
        put_packet(&mut out, text, attachments);
        self.send_bytes(&out).await
    }

    /// Writes bytes past all framing, for clients that break it.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn send_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.send_pieces(bytes, usize::MAX).await
    }

    /// The same in writes of `length` bytes at the most, with nothing of the client's own, such as
    /// its answer to a ping, in between.
    ///
    /// # Errors
    /// The TCP connection broke.
    pub async fn send_pieces(&self, bytes: &[u8], length: usize) -> io::Result<()> {
        self.shared.write(bytes, length).await
    }

    /// The next event. Acknowledgements that nobody awaits are passed over.
    ///
    /// # Errors
    /// How the connection ended, once everything that came before is taken.
    pub async fn next(&mut self) -> Result<Incoming, Disconnect> {
        loop {
            if let Arrival::Event(event) = self.next_arrival().await? {
                return Ok(event);
            }
        }
    }

    /// The next event or acknowledgement of [`Client::request_in_order`], in the order of the wire.
    ///
    /// # Errors
    /// How the connection ended, once everything that came before is taken.
    pub async fn next_arrival(&mut self) -> Result<Arrival, Disconnect> {
        match self.arrivals.recv().await {
            Some(arrival) => Ok(arrival),
            None => Err(self.end_reason()),
        }
    }

    /// The next event if one has arrived already.
    pub fn try_next(&mut self) -> Option<Incoming> {
        loop {
            match self.arrivals.try_recv().ok()? {
                Arrival::Event(event) => return Some(event),
                Arrival::Ack(_) => {}
            }
        }
    }

    /// Stops reading from the socket, within the read that may be under way: what the server
    /// sends piles up in the kernel and then at the server. Pings are not answered either.
    pub fn pause_reading(&self) {
        self.paused.send_replace(true);
    }

    /// Goes on reading.
    pub fn resume_reading(&self) {
        self.paused.send_replace(false);
    }

    /// Waits until the connection has ended, and says how. Needs no reading of events, but a
    /// client that has 16,384 of them waiting does not come to the end.
    pub async fn disconnected(&self) -> Disconnect {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(Disconnect::Eof),
            Err(_) => Disconnect::Eof,
        }
    }

    /// Leaves as a well-behaved client does: disconnects the namespace, closes the WebSocket, and
    /// waits up to 30 s for the server to close the connection.
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
        timeout(PATIENCE, heard)
            .await
            .map_err(|_| io::ErrorKind::TimedOut.into())
    }

    /// Is gone at once, as after a crash: the connection is reset, unsent and unread data lost.
    ///
    /// # Errors
    /// The kernel refuses the option.
    pub async fn vanish(mut self) -> io::Result<()> {
        self.shared.stream.set_zero_linger()?;
        self.reader.abort();
        // The task holds the stream too; when it has ended, dropping `self` closes it.
        let _ = (&mut self.reader).await;
        Ok(())
    }

    fn end_reason(&self) -> Disconnect {
        self.ended.borrow().clone().unwrap_or(Disconnect::Eof)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Shared {
    async fn write(&self, mut bytes: &[u8], length: usize) -> io::Result<()> {
        let _alone = self.writing.lock().await;
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(&bytes[..bytes.len().min(length)]) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading task.
struct Reader {
    shared: Arc<Shared>,
    inbound: Inbound,
    arrivals: mpsc::Sender<Arrival>,
    paused: watch::Receiver<bool>,
    /// Answers to pings on their way out: reading must not wait for writing, or two full
    /// directions would wait for each other.
    replies: JoinSet<io::Result<()>>,
}

impl Reader {
    async fn run(mut self, end: watch::Sender<Option<Disconnect>>) {
        let reason = self.read().await;
        end.send_replace(Some(reason));
        // After the reason is set: whoever is woken by this asks for it.
        let mut requests = self.shared.requests();
        requests.ended = true;
        requests.waiting.clear();
    }

    async fn read(&mut self) -> Disconnect {
        loop {
            match self.inbound.next() {
                Ok(Some(Received::Packet(Packet::Arrival(arrival)))) => {
                    if !self.deliver(arrival).await {
                        return Disconnect::Eof;
                    }
                }
                Ok(Some(Received::Packet(_))) => {}
                Ok(Some(Received::Reply(frames))) => {
                    let shared = Arc::clone(&self.shared);
                    while self.replies.try_join_next().is_some() {}
                    self.replies
                        .spawn(async move { shared.write(&frames, usize::MAX).await });
                }
                Ok(None) => {
                    if let Err(reason) = self.fill().await {
                        return reason;
                    }
                }
                Err(reason) => return reason,
            }
        }
    }

    /// Hands an acknowledgement to whoever awaits it, all else to the queue. False if the client
    /// is gone.
    async fn deliver(&mut self, arrival: Arrival) -> bool {
        let arrival = match arrival {
            Arrival::Ack(ack) => {
                let waiting = self.shared.requests().waiting.remove(&ack.id);
                match waiting {
                    Some(waiting) => {
                        // Whoever gave up waiting does not need it.
                        let _ = waiting.send(ack);
                        return true;
                    }
                    None => Arrival::Ack(ack),
                }
            }
            event => event,
        };
        self.arrivals.send(arrival).await.is_ok()
    }

    /// Reads once, when reading is not paused.
    async fn fill(&mut self) -> Result<(), Disconnect> {
        loop {
            if self.paused.wait_for(|paused| !paused).await.is_err() {
                return Err(Disconnect::Eof);
            }
            tokio::select! {
                // A pause first: what it is to hold back must not be read.
                biased;
                _ = self.paused.wait_for(|paused| *paused) => continue,
                ready = self.shared.stream.readable() => ready?,
            }
            self.inbound.buffer.reserve(READ_SIZE);
            match self.shared.stream.try_read_buf(&mut self.inbound.buffer) {
                Ok(0) => return Err(Disconnect::Eof),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
