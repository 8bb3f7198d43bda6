//! Reading task of a [`SocketClient`](super::SocketClient), and the state that both share.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::errors::Disconnect;
use super::packets::{PacketReader, ReadEvent};
use crate::socketio::{Acknowledgement, Arrival, ServerPacket};

/// Most bytes of one read.
const READ_SIZE: usize = 64 << 10;

/// State of a client and its reading task.
#[derive(Debug)]
pub(super) struct ClientState {
    pub(super) stream: TcpStream,
    /// Held while frames are written, so that they do not interleave.
    writing: tokio::sync::Mutex<()>,
    /// Guards the pending requests.
    requests: Mutex<PendingRequests>,
}

/// Requests that wait for their acknowledgement.
#[derive(Debug, Default)]
struct PendingRequests {
    /// Whether the connection has ended; no request is added after that.
    ended: bool,
    by_id: HashMap<u64, oneshot::Sender<Acknowledgement>>,
}

impl ClientState {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            writing: tokio::sync::Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// Registers a request; returns `None` if the connection has ended.
    pub(super) fn register(&self, id: u64) -> Option<oneshot::Receiver<Acknowledgement>> {
        let mut requests = self.requests.lock();
        if requests.ended {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        requests.by_id.insert(id, sender);
        Some(answer)
    }

    /// Writes bytes in pieces of at most `length`, with no other frame between them.
    pub(super) async fn write(&self, mut bytes: &[u8], length: usize) -> io::Result<()> {
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
}

/// Reading task.
pub(super) struct ReaderTask {
    state: Arc<ClientState>,
    packets: PacketReader,
    arrivals: mpsc::Sender<Arrival>,
    paused: watch::Receiver<bool>,
    /// Answers to pings in progress. A reader that waited for its writes could deadlock with a
    /// server that does the same.
    replies: JoinSet<io::Result<()>>,
}

impl ReaderTask {
    pub(super) fn new(
        state: Arc<ClientState>,
        packets: PacketReader,
        arrivals: mpsc::Sender<Arrival>,
        paused: watch::Receiver<bool>,
    ) -> Self {
        Self {
            state,
            packets,
            arrivals,
            paused,
            replies: JoinSet::new(),
        }
    }

    /// Reads until the connection ends; reports the reason to `end`.
    pub(super) async fn run(mut self, end: watch::Sender<Option<Disconnect>>) {
        let reason = self.read().await;
        end.send_replace(Some(reason));
        // After the reason is set: the requests that this wakes return it.
        let mut requests = self.state.requests.lock();
        requests.ended = true;
        requests.by_id.clear();
    }

    async fn read(&mut self) -> Disconnect {
        loop {
            match self.packets.next() {
                Ok(Some(ReadEvent::Packet(ServerPacket::Arrival(arrival)))) => {
                    if !self.deliver(arrival).await {
                        return Disconnect::Eof;
                    }
                }
                Ok(Some(ReadEvent::Packet(_))) => {}
                Ok(Some(ReadEvent::Reply(frames))) => {
                    let state = Arc::clone(&self.state);
                    while self.replies.try_join_next().is_some() {}
                    self.replies
                        .spawn(async move { state.write(&frames, usize::MAX).await });
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

    /// Passes an acknowledgement to its request, all else to the queue; returns false if the client
    /// is dropped.
    async fn deliver(&mut self, arrival: Arrival) -> bool {
        let arrival = match arrival {
            Arrival::Ack(ack) => {
                let pending = self.state.requests.lock().by_id.remove(&ack.id);
                match pending {
                    Some(request) => {
                        // A request that timed out does not need it.
                        let _ = request.send(ack);
                        return true;
                    }
                    None => Arrival::Ack(ack),
                }
            }
            event => event,
        };
        self.arrivals.send(arrival).await.is_ok()
    }

    /// Reads once, while reading is not paused.
    async fn fill(&mut self) -> Result<(), Disconnect> {
        loop {
            if self.paused.wait_for(|paused| !paused).await.is_err() {
                return Err(Disconnect::Eof);
            }
            tokio::select! {
                // A pause first: nothing is read after it.
                biased;
                _ = self.paused.wait_for(|paused| *paused) => continue,
                ready = self.state.stream.readable() => ready?,
            }
            self.packets.unread.reserve(READ_SIZE);
            match self.state.stream.try_read_buf(&mut self.packets.unread) {
                Ok(0) => return Err(Disconnect::Eof),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
